//! Where a structure lives, for how long, and who may read it.

use std::path::{Path, PathBuf};

use crate::segment::SHARED_MEMORY;

/// How shared structures are created and attached: where, for how long, and for whom.
///
/// Without options a structure lies in `/dev/shm`, is its user's alone, and is gone when the last process that uses it is.
///
/// # Example
///
/// ```
/// use ndpool::shared::{Event, Options};
///
/// let directory = std::env::temp_dir();
/// let options = Options::new().directory(&directory);
/// let stop = Event::create_with(&options, "options_example")?;
/// let same = Event::attach_with(&options, "options_example")?;
/// stop.set();
/// assert!(same.is_set());
/// # Ok::<(), ndpool::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Options {
    pub(super) directory: PathBuf,
    pub(super) keep: bool,
    pub(super) group_read: bool,
    pub(super) read_only: bool,
    pub(super) owner: Option<u32>,
}

impl Options {
    /// The options that hold where none are given.
    pub fn new() -> Self {
        Self {
            directory: SHARED_MEMORY.into(),
            keep: false,
            group_read: false,
            read_only: false,
            owner: None,
        }
    }

    /// Looks for the structure, or creates it, in this directory in place of `/dev/shm`. It should be on a `tmpfs`: elsewhere the system
    /// writes its pages to a disk again and again.
    pub fn directory(mut self, directory: impl AsRef<Path>) -> Self {
        self.directory = directory.as_ref().to_owned();
        self
    }

    /// Keeps what is created until it is [removed](super::remove), though no process may use it meanwhile.
    pub fn keep(mut self, keep: bool) -> Self {
        self.keep = keep;
        self
    }

    /// Lets members of the file's group read what is created (mode 0640); without it, nobody but its user (0600).
    pub fn group_read(mut self, group_read: bool) -> Self {
        self.group_read = group_read;
        self
    }

    /// Attaches for reading only. Such a handle never lends memory that is shared: it gives copies.
    pub fn read_only(mut self, read_only: bool) -> Self {
        self.read_only = read_only;
        self
    }

    /// Attaches to what this user has created, in place of one's own user: anyone may put files into `/dev/shm`, under any name.
    pub fn owner(mut self, uid: u32) -> Self {
        self.owner = Some(uid);
        self
    }
}

impl Default for Options {
    fn default() -> Self {
        Self::new()
    }
}
