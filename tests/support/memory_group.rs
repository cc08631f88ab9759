//! A memory control group of one's own, of version 1 or 2, where the machine permits it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// A control group with a memory limit; dropped, it is removed.
#[derive(Debug)]
pub struct MemoryGroup {
    directory: PathBuf,
    is_version_2: bool,
}

impl MemoryGroup {
    /// A group that may have so many bytes of memory, swap included.
    ///
    /// # Errors
    ///
    /// Why this machine, or this user, cannot have one.
    pub fn new(limit_bytes: u64) -> Result<Self, String> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("ndpool-test-{}-memory-{number}", std::process::id());
        let controllers = fs::read_to_string("/sys/fs/cgroup/cgroup.controllers").unwrap_or_default();
        let is_version_2 = controllers.split_whitespace().any(|controller| controller == "memory");
        let root = Path::new(if is_version_2 { "/sys/fs/cgroup" } else { "/sys/fs/cgroup/memory" });
        if is_version_2 {
            // It may be on already; if it cannot be switched on, the limit cannot be set below.
            let _ = fs::write(root.join("cgroup.subtree_control"), "+memory");
        }
        let directory = root.join(name);
        fs::create_dir(&directory)
            .map_err(|error| format!("cannot make {}: {error}", directory.display()))?;
        let group = Self { directory, is_version_2 };
        let (limit, swap) = if is_version_2 {
            ("memory.max", ("memory.swap.max", 0))
        } else {
            ("memory.limit_in_bytes", ("memory.memsw.limit_in_bytes", limit_bytes))
        };
        group.write(limit, limit_bytes).map_err(|error| format!("cannot set {limit}: {error}"))?;
        // A machine without swap may not have the file.
        let _ = group.write(swap.0, swap.1);
        Ok(group)
    }

    fn write(&self, file: &str, value: u64) -> std::io::Result<()> {
        fs::write(self.directory.join(file), value.to_string())
    }

    /// Whether it is of version 2.
    pub fn is_version_2(&self) -> bool {
        self.is_version_2
    }

    /// Has the kernel kill all of the group's processes when it kills one; whether it can. Version 1 cannot.
    pub fn kill_as_one(&self) -> bool {
        self.is_version_2 && self.write("memory.oom.group", 1).is_ok()
    }

    /// Its directory.
    pub fn path(&self) -> &Path {
        &self.directory
    }

    /// Moves this process into the group of this directory; what it starts from now on is in it too.
    pub fn enter(directory: &str) {
        fs::write(Path::new(directory).join("cgroup.procs"), std::process::id().to_string())
            .expect("the test made the group");
    }

    /// Processes of the group.
    pub fn processes(&self) -> Vec<u32> {
        let text = fs::read_to_string(self.directory.join("cgroup.procs")).unwrap_or_default();
        text.lines().filter_map(|line| line.parse().ok()).collect()
    }
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        // Refused as long as somebody is in it; a process that was just killed may take a moment to leave.
        while fs::remove_dir(&self.directory)
            .is_err_and(|error| error.raw_os_error() == Some(nix::errno::Errno::EBUSY as i32))
        {
            if !self.processes().iter().all(|&pid| !crate::is_alive(pid)) {
                break;
            }
            std::thread::yield_now();
        }
    }
}
