//! Notices of changes to files, by inotify.
//!
//! What is watched are directories, since a file that is replaced by a rename is another file under the same name. A notice is a
//! reason to look and no more: the caller compares the files themselves, so that notices which are lost, merged or about
//! something else do no harm.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

/// Time after which a directory that could not be watched is looked for again.
const MISSING: Duration = Duration::from_secs(1);

/// Notices about some files.
#[derive(Debug)]
pub struct Notices {
    inotify: Inotify,
    files: Vec<PathBuf>,
    /// Whether a directory could not be watched.
    is_missing: bool,
}

impl Notices {
    /// From now on, changes to these files are noticed.
    pub fn of(files: impl IntoIterator<Item = PathBuf>) -> io::Result<Self> {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
        let mut this = Self { inotify, files: files.into_iter().collect(), is_missing: false };
        this.watch_directories();
        Ok(this)
    }

    /// Waits until something may have changed, or for so long.
    pub fn wait(&mut self, limit: Option<Duration>) -> io::Result<()> {
        let limit =
            if self.is_missing { Some(limit.map_or(MISSING, |limit| limit.min(MISSING))) } else { limit };
        let timeout = limit.map(PollTimeout::try_from).transpose().map_err(io::Error::other)?;
        let mut fds = [PollFd::new(self.inotify.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, timeout.unwrap_or(PollTimeout::NONE)) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        loop {
            match self.inotify.read_events() {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => break,
                Err(error) => return Err(error.into()),
            }
        }
        // A link may lead elsewhere by now, and a directory be a new one.
        self.watch_directories();
        Ok(())
    }

    fn watch_directories(&mut self) {
        // Written and closed, or renamed into place; a new link; and what ends the watch itself.
        let flags = AddWatchFlags::IN_CLOSE_WRITE
            | AddWatchFlags::IN_MOVED_TO
            | AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_MOVE_SELF
            | AddWatchFlags::IN_DELETE_SELF
            | AddWatchFlags::IN_ONLYDIR;
        let directories: BTreeSet<PathBuf> =
            self.files.iter().flat_map(|file| directories_of(file)).collect();
        self.is_missing = false;
        for directory in directories {
            // Adding a watch that is there changes nothing.
            match self.inotify.add_watch(&directory, flags) {
                Ok(_) => {}
                // It is not there, or not this user's to read, or this user watches too much: no reason for a server to end.
                Err(_) => self.is_missing = true,
            }
        }
    }
}

/// The directory of a file, and that of what it links to.
fn directories_of(file: &Path) -> impl Iterator<Item = PathBuf> {
    let parent = |path: &Path| match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => PathBuf::from("."),
        Some(parent) => parent.to_owned(),
        None => PathBuf::from("/"),
    };
    let target = file.canonicalize().ok().map(|target| parent(&target));
    [Some(parent(file)), target].into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_is_not_there_is_looked_for_again() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("inner");
        let mut notices = Notices::of([inner.join("x")]).unwrap();
        assert!(notices.is_missing);
        std::fs::create_dir(&inner).unwrap();
        notices.wait(None).unwrap();
        assert!(!notices.is_missing);
        std::fs::write(inner.join("x"), b"").unwrap();
        // Would wait for ever without a notice.
        notices.wait(None).unwrap();
    }
}
