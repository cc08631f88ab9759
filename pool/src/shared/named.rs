//! Files under their names, and who may take a name away.
//!
//! A name is taken away, or given to another file, by nobody but the holder of that file's own lock. So there is no lock over a
//! directory that a stopped process could keep all others out with, and no lock file. Whether the name is still this file's is asked by
//! comparing the files, once the lock is held: how many names a file has says nothing about this one, since anybody may have
//! given it a second.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::page::{Page, read_places};
use super::role::Role;
use crate::segment::PAGE_BYTES;
use crate::sys::cells::Placed;
use crate::sys::lock::LockedFile;
use crate::sys::map::Mapping;
use crate::sys::primitive::Ordering;
use crate::sys::shm::{self, Unpublished};
use crate::sys::{host, kill_point};

/// How long somebody else may take for a few steps under a lock, unless it is stopped.
const PATIENCE: Duration = Duration::from_secs(5);

/// A file under its name, whose name nobody else takes away meanwhile.
pub(super) struct Named {
    file: LockedFile,
    page: Placed<Page>,
    path: PathBuf,
}

impl Named {
    /// Opens what has the name, and holds the name; `None` if nothing has it.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::TimedOut`] if somebody else holds it for too long, [`io::ErrorKind::InvalidData`] if it is no structure of this
    /// user's, and what else the system says.
    pub(super) fn hold(path: &Path, start: Instant) -> io::Result<Option<Self>> {
        loop {
            let file = match open(path, true) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(error),
            };
            let metadata = file.metadata()?;
            check_owner(&metadata, None).map_err(foreign)?;
            let places = read_places(&file, metadata.len())?;
            let file = LockedFile::new(file);
            if !file.try_take(Role::Name.byte())? {
                wait_a_moment(start)?;
                continue;
            }
            // From here on only this process can take the name from this file; somebody else may have done so before.
            if !leads_to(path, file.file())? {
                wait_a_moment(start)?;
                continue;
            }
            kill_point!("shared.name.held");
            let mapping = Arc::new(Mapping::read_write_at(file.file(), places.page_at as u64, PAGE_BYTES)?);
            let page = Placed::new(&mapping, 0, 1);
            return Ok(Some(Self { file, page, path: path.to_owned() }));
        }
    }

    pub(super) fn page(&self) -> &Page {
        &self.page[0]
    }

    /// Whether nobody uses it, and nobody begins to as long as this is held.
    pub(super) fn is_dead(&self) -> io::Result<bool> {
        self.file.try_take(Role::Attached.byte())
    }

    /// Gives the name to another file, which has the name `from`, and tells those who use this one.
    pub(super) fn replace(self, from: &Path) -> io::Result<()> {
        self.page().stale.store(1, Ordering::SeqCst);
        kill_point!("shared.swap.told");
        fs::rename(from, &self.path)?;
        kill_point!("shared.swap.renamed");
        self.page().ring();
        Ok(())
    }

    /// Takes the name away, and tells those who use the file.
    pub(super) fn unlink(self) -> io::Result<()> {
        self.page().stale.store(1, Ordering::SeqCst);
        kill_point!("shared.remove.told");
        fs::remove_file(&self.path)?;
        kill_point!("shared.remove.unlinked");
        self.page().ring();
        Ok(())
    }
}

/// The name of a file that is to take another's place; goes with it, unless that was done.
pub(super) struct Waiting(PathBuf);

impl Waiting {
    pub(super) fn publish(unpublished: Unpublished, file: &File, path: PathBuf) -> io::Result<Self> {
        unpublished.publish(file, &path)?;
        Ok(Self(path))
    }

    /// Gives the file its name, if it may have it. That is asked while nobody else takes the name from who has it now. Whether it was done.
    pub(super) fn take_over(&self, path: &Path, may: &dyn Fn() -> bool) -> io::Result<bool> {
        let start = Instant::now();
        loop {
            let old = Named::hold(path, start)?;
            if !may() {
                return Ok(false);
            }
            let Some(old) = old else {
                match shm::rename_new(&self.0, path) {
                    // Somebody had it a moment ago, or has it now.
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => wait_a_moment(start)?,
                    result => return result.map(|()| true),
                }
                continue;
            };
            return old.replace(&self.0).map(|()| true);
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// What became of a file that was to be removed if it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It was removed.
    Removed,
    /// There was none.
    Absent,
    /// It is used, or to be kept, or may not be removed.
    Stays,
}

/// Removes a file that nobody uses; one that is to be kept only if `kept` says so.
pub(super) fn remove_if_dead(path: &Path, kept: bool) -> io::Result<Fate> {
    let Some(named) = Named::hold(path, Instant::now())? else { return Ok(Fate::Absent) };
    if (!kept && named.page().is_kept()) || !named.is_dead()? {
        return Ok(Fate::Stays);
    }
    kill_point!("shared.reap.dead");
    named.unlink()?;
    Ok(Fate::Removed)
}

/// Removes a file that was to take another's place, or to get a name, if whoever made it is dead.
pub(super) fn remove_waiting(path: &Path) {
    let Ok(file) = open(path, true) else { return };
    if file.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.uid() == host::effective_uid()) {
        let file = LockedFile::new(file);
        // Its name is random and used once: nobody else can have it by now.
        if file.try_take(Role::Attached.byte()).unwrap_or(false) {
            kill_point!("shared.reap.waiting");
            let _ = fs::remove_file(path);
        }
    }
}

/// Whether a name leads to an open file.
pub(super) fn leads_to(path: &Path, file: &File) -> io::Result<bool> {
    let there = match fs::symlink_metadata(path) {
        Ok(there) => there,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    let here = file.metadata()?;
    Ok((there.dev(), there.ino()) == (here.dev(), here.ino()))
}

/// Opens a file, and nothing but a plain file, under its own name.
pub(super) fn open(path: &Path, write: bool) -> io::Result<File> {
    let flags = libc::O_NOFOLLOW | libc::O_CLOEXEC | libc::O_NONBLOCK | libc::O_NOCTTY;
    OpenOptions::new().read(true).write(write).custom_flags(flags).open(path)
}

/// Whether a file is what its name says: of the right user, and written by nobody else.
pub(super) fn check_owner(metadata: &fs::Metadata, owner: Option<u32>) -> Result<(), String> {
    if !metadata.is_file() {
        return Err("it is not a plain file".to_owned());
    }
    let owner = owner.unwrap_or_else(host::effective_uid);
    if metadata.uid() != owner {
        return Err(format!("it belongs to user {}, wanted {owner}", metadata.uid()));
    }
    if metadata.mode() & 0o022 != 0 {
        return Err(format!("its mode is {:o}, and others may write it", metadata.mode() & 0o7777));
    }
    Ok(())
}

/// Waits for somebody who is in the middle of a few steps.
///
/// # Errors
///
/// [`io::ErrorKind::TimedOut`] if that has taken too long since `start`.
pub(super) fn wait_a_moment(start: Instant) -> io::Result<()> {
    const PAUSE: Duration = Duration::from_micros(200);
    if start.elapsed() > PATIENCE {
        let message = "another process has been about to remove or replace it for seconds; is it stopped?";
        return Err(io::Error::new(io::ErrorKind::TimedOut, message));
    }
    thread::sleep(PAUSE);
    Ok(())
}

fn foreign(problem: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, problem)
}
