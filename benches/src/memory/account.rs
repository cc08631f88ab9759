//! What the kernel says of the memory of processes and files.

use crate::row::Skipped;
use ndpool::Pool;
use std::os::unix::fs::MetadataExt;

/// The pool, the processes that work for it, and its files.
#[derive(Debug)]
pub(super) struct Account {
    pids: Vec<u32>,
    /// How the names of its files begin.
    files: Option<String>,
}

/// Bytes that processes have to themselves at a time, and at most so far.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Memory {
    pub(super) own: u64,
    pub(super) own_peak: u64,
    pub(super) files: u64,
}

impl Account {
    /// Of this process, which has a pool.
    pub(super) fn of(pool: &Pool) -> Result<Self, Skipped> {
        let name = pool.zeros::<u8, _>(1)?.segment_name();
        let files = name.rsplit_once('.').map(|(run, _)| format!("{run}.")).unwrap_or(name);
        let pids = [vec![std::process::id()], pool.worker_pids()].concat();
        Ok(Self { pids, files: Some(files) })
    }

    /// Of this process and others, which have no pool.
    pub(super) fn of_processes(others: &[u32]) -> Self {
        Self { pids: [&[std::process::id()], others].concat(), files: None }
    }

    /// Has peaks count from now on.
    pub(super) fn reset_peaks(&self) -> Result<(), Skipped> {
        self.pids.iter().try_for_each(|pid| Ok(std::fs::write(format!("/proc/{pid}/clear_refs"), "5")?))
    }

    pub(super) fn read(&self) -> Result<Memory, Skipped> {
        let mut memory = Memory::default();
        for pid in &self.pids {
            let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
            let bytes = |name: &str| {
                let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
                let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
                kib.map(|kib| kib << 10).ok_or_else(|| Skipped(format!("/proc/{pid}/status has no {name}")))
            };
            memory.own += bytes("RssAnon")?;
            // Nothing that is mapped in these processes goes away again while they are watched.
            memory.own_peak += bytes("VmHWM")?.saturating_sub(bytes("RssShmem")? + bytes("RssFile")?);
        }
        if let Some(prefix) = &self.files {
            for file in std::fs::read_dir("/dev/shm")? {
                let file = file?;
                if file.file_name().to_string_lossy().starts_with(prefix) {
                    memory.files += file.metadata()?.blocks() * 512;
                }
            }
            if memory.files == 0 {
                return Err(Skipped("the pool has no files in /dev/shm".into()));
            }
        }
        Ok(memory)
    }
}
