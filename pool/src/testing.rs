//! What unit tests share.

use std::path::PathBuf;

/// A fresh directory for files of one test; the test removes it.
pub(crate) fn scratch_directory(name: &str) -> PathBuf {
    let random = crate::sys::host::random_u64().unwrap();
    let directory = std::env::temp_dir().join(format!("ndpool-test.{name}.{random:016x}"));
    std::fs::create_dir(&directory).unwrap();
    directory
}
