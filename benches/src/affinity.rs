//! On which cores processes may run.

use crate::row::Skipped;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// The cores that the caller's thread may use.
#[derive(Debug)]
pub(crate) struct Affinity {
    all: CpuSet,
    cores: Vec<usize>,
}

/// Keeps the caller's thread on its core until it is dropped.
#[derive(Debug)]
pub(crate) struct Pinned {
    before: CpuSet,
}

const CALLER: Pid = Pid::from_raw(0);

impl Affinity {
    pub(crate) fn of_caller() -> Result<Self, Skipped> {
        let all = sched_getaffinity(CALLER).map_err(std::io::Error::from)?;
        let cores = (0..CpuSet::count()).filter(|&core| all.is_set(core).unwrap_or(false)).collect();
        Ok(Self { all, cores })
    }

    /// Keeps a process on the `i`-th core.
    pub(crate) fn pin(&self, pid: u32, i: usize) -> Result<(), Skipped> {
        self.keep(Pid::from_raw(pid as i32), i)
    }

    /// Keeps the caller's thread on the `i`-th core, and what it starts meanwhile.
    pub(crate) fn pin_caller(&self, i: usize) -> Result<Pinned, Skipped> {
        self.keep(CALLER, i)?;
        Ok(Pinned { before: self.all })
    }

    fn keep(&self, pid: Pid, i: usize) -> Result<(), Skipped> {
        let core = *self.cores.get(i).ok_or_else(|| Skipped(format!("needs {} cores", i + 1)))?;
        let mut set = CpuSet::new();
        set.set(core).map_err(std::io::Error::from)?;
        Ok(sched_setaffinity(pid, &set).map_err(std::io::Error::from)?)
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        let _ = sched_setaffinity(CALLER, &self.before);
    }
}
