//! What a pool has, and what it must not leave behind: processes, and files in shared memory.

use ndpool::Pool;
use std::path::Path;

/// A pool's run, by which its processes and files are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run(String);

impl Run {
    /// The run of a pool.
    pub fn of(pool: &Pool) -> Self {
        let array = pool.zeros::<u8, _>(1).expect("there is room for a byte");
        let name = array.segment_name();
        Self(name.split('.').nth(1).expect("ndpool.<run>.<number>").to_owned())
    }

    /// The run with these 16 digits.
    pub fn named(id: &str) -> Self {
        assert_eq!(id.len(), 16, "{id}");
        Self(id.to_owned())
    }

    /// Its 16 digits.
    pub fn id(&self) -> &str {
        &self.0
    }

    /// Names of the run's files in shared memory.
    pub fn files(&self) -> Vec<String> {
        let prefix = format!("ndpool.{}.", self.0);
        let Ok(entries) = std::fs::read_dir("/dev/shm") else { return Vec::new() };
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        names.filter(|name| name.starts_with(&prefix)).collect()
    }

    /// Worker processes of the run, zombies not among them.
    pub fn processes(&self) -> Vec<u32> {
        processes_of("NDPOOL_RUN", &self.0)
    }

    /// Whether nothing of the run is left.
    pub fn is_gone(&self) -> bool {
        self.files().is_empty() && self.processes().is_empty()
    }

    /// Fails the test if anything of the run is left now.
    ///
    /// # Panics
    ///
    /// If so.
    #[track_caller]
    pub fn assert_gone(&self) {
        assert_eq!(self.files(), [""; 0], "files of run {}", self.0);
        assert_eq!(self.processes(), [0; 0], "processes of run {}", self.0);
    }

    /// Waits until nothing of the run is left.
    pub fn wait_until_gone(&self) {
        wait_until(|| self.is_gone());
    }
}

/// Processes that were started with an environment variable of this value.
pub fn processes_of(variable: &str, value: &str) -> Vec<u32> {
    let wanted = format!("{variable}={value}");
    let entries = std::fs::read_dir("/proc").expect("/proc is there");
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    let is_wanted = |pid: &u32| {
        // The memory of a zombie is gone, and its environment with it.
        std::fs::read(format!("/proc/{pid}/environ"))
            .is_ok_and(|bytes| bytes.split(|&byte| byte == 0).any(|entry| entry == wanted.as_bytes()))
    };
    pids.filter(is_wanted).collect()
}

/// Whether a process with this identifier is there and is no zombie.
pub fn is_alive(pid: u32) -> bool {
    let process = Path::new("/proc").join(pid.to_string());
    let Ok(stat) = std::fs::read_to_string(process.join("stat")) else { return false };
    let is_zombie = stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z'));
    // What is read is the state of the first thread; as long as others are there, so are descriptors and locks.
    let n_threads = std::fs::read_dir(process.join("task")).map_or(0, Iterator::count);
    !is_zombie || n_threads > 1
}

/// Looks again and again until something holds; the watchdog ends what never does.
pub fn wait_until(mut holds: impl FnMut() -> bool) {
    while !holds() {
        std::thread::yield_now();
    }
}
