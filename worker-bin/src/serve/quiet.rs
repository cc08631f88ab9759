//! A file that nobody is writing.
//!
//! The kernel grants a *read lease* on a file only if no process has it open for writing, nor mapped for writing; and while it is
//! held, whoever wants to open the file for writing waits. So what is read under a lease is nobody's half-written work. Leases are
//! given to the owner of a file, and not by every file system; where there is none, a file counts as quiet if it has the same
//! length and the same times after it was read as before.

use std::fs::{File, Metadata};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;

/// Of `fcntl`: which signal is sent when a lease is asked back. `linux/fcntl.h` has it, the crate `libc` not.
const F_SETSIG: libc::c_int = 10;

/// Tells one state of a path's file from another: device, inode, length, modification and change time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp([i64; 7]);

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self([
            metadata.dev().cast_signed(),
            metadata.ino().cast_signed(),
            metadata.len().cast_signed(),
            metadata.mtime(),
            metadata.mtime_nsec(),
            metadata.ctime(),
            metadata.ctime_nsec(),
        ])
    }

    /// The state of the file that has the path now.
    pub fn now(path: &Path) -> io::Result<Self> {
        std::fs::metadata(path).map(|metadata| Self::of(&metadata))
    }
}

/// An open file, under a lease where there can be one.
#[derive(Debug)]
pub struct Quiet {
    file: File,
    before: Stamp,
    leased: bool,
}

impl Quiet {
    /// Opens a file; `None` if somebody has it open for writing.
    pub fn open(path: &Path) -> io::Result<Option<Self>> {
        // To open a pipe would wait for its writer.
        if !std::fs::metadata(path)?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"));
        }
        let file = File::open(path)?;
        let leased = match take_lease(&file) {
            Ok(()) => true,
            Err(Errno::EAGAIN) => return Ok(None),
            Err(_) => false,
        };
        let before = Stamp::of(&file.metadata()?);
        Ok(Some(Self { file, before, leased }))
    }

    /// A path that means this file, whatever becomes of its name.
    pub fn path(&self) -> PathBuf {
        format!("/proc/self/fd/{}", self.file.as_raw_fd()).into()
    }

    /// Ends the lease. The state of the file if it was quiet all the time.
    pub fn close(self) -> io::Result<Option<Stamp>> {
        // A lease that is asked back for too long is taken away; the writer has been waiting until then.
        let quiet = !self.leased || has_lease(&self.file);
        let after = Stamp::of(&self.file.metadata()?);
        Ok((quiet && after == self.before).then_some(after))
    }
}

/// A lease, about whose end this process is told by a signal that it does not hear.
#[expect(unsafe_code, reason = "neither std nor nix has these commands of `fcntl`")]
fn take_lease(file: &File) -> Result<(), Errno> {
    // The default, SIGIO, ends a process. This one is ignored, and workers of a pool are not signalled by it either.
    // SAFETY: `F_SETSIG` takes an integer and touches no memory of ours; the descriptor is open.
    Errno::result(unsafe { libc::fcntl(file.as_raw_fd(), F_SETSIG, libc::SIGURG) })?;
    // SAFETY: as above.
    Errno::result(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETLEASE, libc::F_RDLCK) })?;
    Ok(())
}

#[expect(unsafe_code, reason = "neither std nor nix has this command of `fcntl`")]
fn has_lease(file: &File) -> bool {
    // SAFETY: `F_GETLEASE` takes no argument and touches no memory of ours; the descriptor is open.
    unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GETLEASE) == libc::F_RDLCK }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_file_that_is_open_for_writing_is_not_quiet() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        let mut writer = File::create(&path).unwrap();
        writer.write_all(b"half").unwrap();
        // Not every file system has leases.
        let other = folder.path().join("y");
        std::fs::write(&other, b"whole").unwrap();
        let leases = take_lease(&File::open(other).unwrap()).is_ok();
        if leases {
            assert!(Quiet::open(&path).unwrap().is_none());
        }
        drop(writer);
        let quiet = Quiet::open(&path).unwrap().expect("nobody writes");
        assert_eq!(std::fs::read(quiet.path()).unwrap(), b"half");
        assert_eq!(quiet.close().unwrap(), Some(Stamp::now(&path).unwrap()));
    }

    #[test]
    fn without_a_lease_a_change_shows() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        std::fs::write(&path, b"one").unwrap();
        let file = File::open(&path).unwrap();
        let before = Stamp::of(&file.metadata().unwrap());
        let quiet = Quiet { file, before, leased: false };
        std::fs::write(&path, b"longer").unwrap();
        assert_eq!(quiet.close().unwrap(), None);
    }

    #[test]
    fn a_replaced_file_is_another() {
        let folder = tempfile::tempdir().unwrap();
        let (path, new) = (folder.path().join("x"), folder.path().join("new"));
        std::fs::write(&path, b"one").unwrap();
        std::fs::write(&new, b"two").unwrap();
        let quiet = Quiet::open(&path).unwrap().unwrap();
        let old = Stamp::now(&path).unwrap();
        std::fs::rename(&new, &path).unwrap();
        assert_eq!(std::fs::read(quiet.path()).unwrap(), b"one");
        assert_ne!(Stamp::now(&path).unwrap(), old);
    }
}
