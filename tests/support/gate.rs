//! A gate in the file system: tasks wait at it until the test opens it, and the test waits until tasks have come.

use crate::leftovers::wait_until;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// A gate; dropped, it is gone.
#[derive(Debug)]
pub struct Gate {
    directory: PathBuf,
}

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}

impl Gate {
    /// A closed gate.
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let directory = std::env::temp_dir().join(format!("ndpool-gate.{}.{number}", std::process::id()));
        std::fs::create_dir(&directory).expect("there is a directory for temporary files");
        Self { directory }
    }

    /// What tasks need to know of it.
    pub fn name(&self) -> &str {
        self.directory.to_str().expect("temporary directories have plain names")
    }

    /// Lets all pass that wait, and all that come.
    pub fn open(&self) {
        std::fs::write(self.directory.join("open"), "").expect("the directory is there");
    }

    /// Whether it was opened.
    pub fn is_open(&self) -> bool {
        self.directory.join("open").exists()
    }

    /// How many have come to the gate so far.
    pub fn n_arrived(&self) -> usize {
        let entries = std::fs::read_dir(&self.directory).expect("the directory is there");
        entries.filter(|entry| entry.as_ref().is_ok_and(|entry| entry.file_name() != "open")).count()
    }

    /// Waits until so many have come.
    pub fn wait_for(&self, n: usize) {
        wait_until(|| self.n_arrived() >= n);
    }

    /// For a task: comes to the gate of this name, and waits until it is open, or gone.
    pub fn pass(name: &str) {
        Self::arrive(name);
        let open = Path::new(name).join("open");
        wait_until(|| open.exists() || !Path::new(name).exists());
    }

    /// For a task: comes to the gate of this name, and does not wait.
    pub fn arrive(name: &str) {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        // A gate that is gone is no reason to fail.
        let _ = std::fs::write(Path::new(name).join(format!("{}.{number}", std::process::id())), "");
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}
