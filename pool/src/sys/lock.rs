//! Kernel locks that say a process is alive.
//!
//! Both kinds belong to an open file and are dropped by the kernel when the last descriptor of that open file is closed, however its
//! process ends: no heartbeat, no process number, no clock. A [`Lease`] holds one `flock` on a whole file. A [`LockedFile`] takes
//! and gives back locks on single bytes of it (`F_OFD_SETLK`), each of which stands for something.
//!
//! - A lease is never unlocked by `LOCK_UN`: in a forked child that would release the parent's lock. It is closed, and only in the
//!   process that took it.
//! - A forked child loses its descriptor in the fork handler (`fork`), so that no lock outlives the parent. The
//!   descriptor is registered before it is locked; a `fork` in another thread between opening and registering is the one
//!   gap: such a child, as long as it neither execs nor ends, makes a dead owner look alive.

use std::fs::File;
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};

use super::fork;

/// An open file for locks, closed when dropped in the process that opened it, and in its forked children at once.
///
/// Its locks on bytes are as large as one byte and may lie beyond the end of the file. Asking whether one is taken takes none, so
/// nobody is disturbed. A lock that this very value holds already is granted again: who shares it between threads keeps them apart.
#[derive(Debug)]
pub(crate) struct LockedFile {
    file: ManuallyDrop<File>,
    owner: u32,
}

impl LockedFile {
    /// Takes a file that nothing else has a descriptor of.
    pub(crate) fn new(file: File) -> Self {
        fork::close_in_forked_child(file.as_raw_fd());
        Self { file: ManuallyDrop::new(file), owner: fork::owner_pid() }
    }

    /// The file. Not to be cloned: a duplicate would keep the locks.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Whether this process is a forked child of the one that opened the file, and has it no more.
    pub(crate) fn is_forked(&self) -> bool {
        fork::is_forked(self.owner)
    }

    /// Locks a byte together with others that do the same; `false` if somebody has it alone. Never waits.
    pub(crate) fn try_share(&self, byte: u64) -> io::Result<bool> {
        self.set(libc::F_RDLCK, byte)
    }

    /// Locks a byte alone, or makes a shared lock one's own; `false` if somebody else has a lock on it, and then nothing has changed.
    /// Never waits. The file must be open for writing.
    pub(crate) fn try_take(&self, byte: u64) -> io::Result<bool> {
        self.set(libc::F_WRLCK, byte)
    }

    /// Gives a lock on a byte back.
    pub(crate) fn give_back(&self, byte: u64) {
        // Unlocking needs no memory but to split a range, and one byte is not split.
        let _ = self.set(libc::F_UNLCK, byte);
    }

    /// Whether another open file has a lock on the byte, shared or not.
    pub(crate) fn is_taken(&self, byte: u64) -> io::Result<bool> {
        self.check_owner()?;
        let mut lock = Self::range(libc::F_WRLCK, byte)?;
        fcntl(&*self.file, FcntlArg::F_OFD_GETLK(&mut lock))?;
        Ok(i32::from(lock.l_type) != libc::F_UNLCK)
    }

    fn set(&self, kind: libc::c_int, byte: u64) -> io::Result<bool> {
        self.check_owner()?;
        let lock = Self::range(kind, byte)?;
        match fcntl(&*self.file, FcntlArg::F_OFD_SETLK(&lock)) {
            Ok(_) => Ok(true),
            Err(Errno::EAGAIN | Errno::EACCES) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// In a forked child the descriptor is closed, and its number may be another file's.
    fn check_owner(&self) -> io::Result<()> {
        if self.is_forked() {
            return Err(io::Error::other("a forked child has none of its parent's locks"));
        }
        Ok(())
    }

    fn range(kind: libc::c_int, byte: u64) -> io::Result<libc::flock> {
        let start = libc::off_t::try_from(byte).map_err(|_| io::ErrorKind::InvalidInput)?;
        let (kind, whence) = (kind as libc::c_short, libc::SEEK_SET as libc::c_short);
        Ok(libc::flock { l_type: kind, l_whence: whence, l_start: start, l_len: 1, l_pid: 0 })
    }
}

impl Drop for LockedFile {
    fn drop(&mut self) {
        if self.is_forked() {
            return;
        }
        fork::keep_in_forked_child(self.file.as_raw_fd());
        // SAFETY: `file` is not used again, since this is the destructor of its only owner.
        unsafe { ManuallyDrop::drop(&mut self.file) };
    }
}

/// An exclusive lock on an open file, held until dropped in the process that took it.
#[derive(Debug)]
pub(crate) struct Lease(LockedFile);

impl Lease {
    /// Locks `file`, or returns `None` when another open file holds the lock. Never waits.
    pub(crate) fn try_exclusive(file: File) -> io::Result<Option<Self>> {
        let lease = Self(LockedFile::new(file));
        Ok(flock(lease.file(), libc::LOCK_EX)?.then_some(lease))
    }

    /// The locked file. Not to be cloned: a duplicate would keep the lock.
    pub(crate) fn file(&self) -> &File {
        self.0.file()
    }
}

/// Whether someone holds an exclusive lock on the file. Takes a shared lock for the moment of the question.
pub(crate) fn is_locked(file: File) -> io::Result<bool> {
    Ok(!flock(&file, libc::LOCK_SH)?)
}

/// Tries to lock; `false` if the lock is held elsewhere.
fn flock(file: &File, operation: libc::c_int) -> io::Result<bool> {
    loop {
        // SAFETY: `flock` takes an open descriptor, which `file` owns, and no pointers.
        if unsafe { libc::flock(file.as_raw_fd(), operation | libc::LOCK_NB) } == 0 {
            return Ok(true);
        }
        let error = io::Error::last_os_error();
        match error.raw_os_error() {
            Some(libc::EWOULDBLOCK) => return Ok(false),
            Some(libc::EINTR) => {}
            _ => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::scratch_directory;

    #[test]
    fn bytes_are_locked_by_one_or_shared_by_many_and_asking_locks_nothing() {
        let directory = scratch_directory("bytes");
        let path = directory.join("file");
        std::fs::write(&path, "").unwrap();
        let open = || LockedFile::new(File::options().read(true).write(true).open(&path).unwrap());
        let (a, b, c) = (open(), open(), open());
        assert!(a.try_share(7).unwrap() && b.try_share(7).unwrap());
        assert!(!a.try_take(7).unwrap(), "b shares it");
        assert!(c.is_taken(7).unwrap() && !c.is_taken(8).unwrap());
        drop(b);
        assert!(a.try_take(7).unwrap() && !c.try_share(7).unwrap());
        assert!(!a.is_taken(7).unwrap(), "its own lock is in nobody's way");
        a.give_back(7);
        assert!(c.try_take(7).unwrap() && c.try_take(1 << 40).unwrap());
        drop(c);
        assert!(a.try_take(7).unwrap());
        let reader = LockedFile::new(File::open(&path).unwrap());
        assert!(reader.is_taken(7).unwrap() && reader.try_share(9).unwrap());
        assert!(reader.try_take(10).is_err(), "not open for writing");
        std::fs::remove_dir_all(directory).unwrap();
    }
}
