//! Control groups of a test's own.

use crate::container::skip;
use crate::leftovers::wait_until;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

const ROOT: &str = "/sys/fs/cgroup";

/// A control group; dropped, its members are moved out and it is gone.
#[derive(Debug)]
pub struct Cgroup {
    parent: PathBuf,
    path: PathBuf,
    is_v1: bool,
}

impl Cgroup {
    /// A new group under a controller: of version 1 if that is mounted, else of version 2. `None` where that is not
    /// permitted, once the reason was printed.
    pub fn new(controller: &str) -> Option<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let v1 = Path::new(ROOT).join(controller);
        let enabled =
            std::fs::read_to_string(Path::new(ROOT).join("cgroup.subtree_control")).unwrap_or_default();
        let (parent, is_v1) = if v1.join("cgroup.procs").exists() {
            (v1, true)
        } else if enabled.split_whitespace().any(|name| name == controller) {
            (PathBuf::from(ROOT), false)
        } else {
            skip(&format!("there is no {controller} controller"));
            return None;
        };
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = parent.join(format!("ndpool-test-{}-{controller}-{number}", std::process::id()));
        match std::fs::create_dir(&path) {
            Ok(()) => Some(Self { parent, path, is_v1 }),
            Err(error) => {
                skip(&format!("cannot make the control group {}: {error}", path.display()));
                None
            }
        }
    }

    /// Whether it is a group of version 1, whose files have other names.
    pub fn is_v1(&self) -> bool {
        self.is_v1
    }

    /// Its directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes one of its files.
    ///
    /// # Panics
    ///
    /// If the kernel refuses.
    pub fn set(&self, file: &str, value: &str) {
        let path = self.path.join(file);
        std::fs::write(&path, value).unwrap_or_else(|error| panic!("{} to {value}: {error}", path.display()));
    }

    /// Reads one of its files.
    ///
    /// # Panics
    ///
    /// If it is not there.
    pub fn get(&self, file: &str) -> String {
        std::fs::read_to_string(self.path.join(file)).expect("the file is there").trim().to_owned()
    }

    /// Puts a process into it; what that starts from now on is in it too.
    pub fn add(&self, pid: u32) {
        self.set("cgroup.procs", &pid.to_string());
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // What ended may take a moment to leave.
        wait_until(|| {
            let members = std::fs::read_to_string(self.path.join("cgroup.procs")).unwrap_or_default();
            for pid in members.lines() {
                let _ = std::fs::write(self.parent.join("cgroup.procs"), pid);
            }
            std::fs::remove_dir(&self.path).is_ok() || !self.path.exists()
        });
    }
}
