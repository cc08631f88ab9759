//! What a process holds: descriptors, mappings and memory.

use std::fmt;
use std::fs;
use std::io;

/// A look at one process.
#[derive(Debug, Clone, Copy)]
pub struct Holdings {
    pub descriptors: usize,
    pub mappings: usize,
    pub rss_kib: u64,
}

impl Holdings {
    /// Those of a process.
    ///
    /// # Errors
    ///
    /// If it is gone.
    pub fn of(pid: u32) -> io::Result<Self> {
        let maps = fs::read_to_string(format!("/proc/{pid}/maps"))?;
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let rss_kib = rss.and_then(|rss| rss.trim().strip_suffix("kB")?.trim().parse().ok());
        Ok(Self {
            descriptors: fs::read_dir(format!("/proc/{pid}/fd"))?.count(),
            mappings: maps.lines().count(),
            rss_kib: rss_kib.ok_or_else(|| io::Error::other("it is a zombie"))?,
        })
    }

    /// Whether nothing is more than it was by more than this.
    pub fn is_within(&self, before: &Self, slack: &Self) -> bool {
        self.descriptors <= before.descriptors + slack.descriptors
            && self.mappings <= before.mappings + slack.mappings
            && self.rss_kib <= before.rss_kib + slack.rss_kib
    }
}

impl fmt::Display for Holdings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { descriptors, mappings, rss_kib } = self;
        write!(f, "{descriptors} descriptors, {mappings} mappings, {rss_kib} KiB")
    }
}
