//! Where a structure lives, for how long, and who may read it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::file::Published;
use super::name::Name;
use crate::error::Result;
use crate::segment::SHARED_MEMORY;
use crate::sys::host;

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
    pub(super) terms: Option<Terms>,
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
            terms: None,
        }
    }

    /// Looks for the structure, or creates it, in this directory in place of `/dev/shm`. It should be on a `tmpfs`: elsewhere the system
    /// writes its pages to a disk again and again. A relative path is one from where the process is now, wherever it goes.
    pub fn directory(mut self, directory: impl AsRef<Path>) -> Self {
        let directory = directory.as_ref();
        // Without a place to start from, nothing will be found there either.
        self.directory = std::path::absolute(directory).unwrap_or_else(|_| directory.to_owned());
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

    /// Where a name leads to.
    pub(crate) fn path_of(&self, name: &str) -> Result<PathBuf> {
        Ok(self.directory.join(name.parse::<Name>()?.file_name()))
    }

    /// The directory of the files.
    pub(crate) fn directory_path(&self) -> &Path {
        &self.directory
    }

    /// The user to whom what is attached must belong.
    pub(crate) fn wanted_owner(&self) -> u32 {
        self.owner.unwrap_or_else(host::effective_uid)
    }

    /// Whether what is attached is only read.
    pub(crate) fn is_read_only(&self) -> bool {
        self.read_only
    }

    /// Whether what is created may have its name, as far as a server decides that.
    pub(super) fn is_open(&self) -> bool {
        self.terms.as_ref().is_none_or(|terms| terms.gate.is_open())
    }

    /// Creates on a server's terms.
    pub(crate) fn terms(mut self, terms: Terms) -> Self {
        self.terms = Some(terms);
        self
    }
}

impl Default for Options {
    fn default() -> Self {
        Self::new()
    }
}

/// What a server asks of those who publish under its name.
#[derive(Clone)]
pub(crate) struct Terms {
    /// Who is asked.
    pub(crate) gate: Arc<dyn Gate>,
    /// What has the name, and loses it to the new file; without it the name must be free.
    pub(crate) replaces: Option<Arc<Published>>,
}

/// Who decides whether a file gets its name.
pub(crate) trait Gate: Send + Sync {
    /// Refuses what could not be published now, before memory is taken for it.
    fn foresee(&self, len_bytes: u64) -> Result<()>;

    /// Runs `publish`, which gives the file its name, while nobody else publishes; or refuses. If it refuses afterwards, the caller takes the
    /// name from the file again.
    fn pass(&self, len_bytes: u64, publish: &mut dyn FnMut() -> Result<()>) -> Result<()>;

    /// Whether it is still this one who decides. Asked as the last thing before the file gets its name, and if it takes it from another,
    /// while that one's name is held.
    fn is_open(&self) -> bool;
}

impl PartialEq for Terms {
    fn eq(&self, other: &Self) -> bool {
        let replaced = |terms: &Self| terms.replaces.as_ref().map(Arc::as_ptr);
        replaced(self) == replaced(other) && Arc::ptr_eq(&self.gate, &other.gate)
    }
}

impl Eq for Terms {}

impl fmt::Debug for Terms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Terms").field("replaces", &self.replaces).finish_non_exhaustive()
    }
}
