//! The kernel lock that says a process is alive.
//!
//! `flock` belongs to an open file and is dropped by the kernel when the last descriptor of that open file is closed, however its
//! process ends: no heartbeat, no process number, no clock. A [`Lease`] holds one.
//!
//! - It is never unlocked by `LOCK_UN`: in a forked child that would release the parent's lock. It is closed, and only in the
//!   process that took it.
//! - A forked child loses its descriptor in the fork handler (`fork`), so that the lock does not outlive the parent. The
//!   descriptor is registered before it is locked; a `fork` in another thread between opening and registering is the one
//!   gap: such a child, as long as it neither execs nor ends, makes a dead run look alive.

use std::fs::File;
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::AsRawFd;

use super::fork;

/// An exclusive lock on an open file, held until dropped in the process that took it.
#[derive(Debug)]
pub(crate) struct Lease {
    file: ManuallyDrop<File>,
    owner: u32,
}

impl Lease {
    /// Locks `file`, or returns `None` when another open file holds the lock. Never waits.
    pub(crate) fn try_exclusive(file: File) -> io::Result<Option<Self>> {
        fork::close_in_forked_child(file.as_raw_fd());
        let lease = Self { file: ManuallyDrop::new(file), owner: fork::owner_pid() };
        Ok(flock(&lease.file, libc::LOCK_EX)?.then_some(lease))
    }

    /// The locked file. Not to be cloned: a duplicate would keep the lock.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if fork::is_forked(self.owner) {
            return;
        }
        fork::keep_in_forked_child(self.file.as_raw_fd());
        // SAFETY: `file` is not used again, since this is the destructor of its only owner.
        unsafe { ManuallyDrop::drop(&mut self.file) };
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
