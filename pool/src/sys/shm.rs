//! Files of shared memory: made without a name, given their space, then published under one.
//!
//! ```text
//!   O_TMPFILE ──▶ fallocate ──▶ contents ──▶ linkat: visible, whole
//!       └─ not supported: O_EXCL under a temporary name ──▶ … ──▶ link to the final name, unlink the temporary one
//! ```
//!
//! Nothing is visible half made under its final name, and no name is ever replaced. Space is reserved by `fallocate` before the
//! file is mapped: a file that was only made longer (`ftruncate`) has no memory behind it, and touching it when none is left is a
//! SIGBUS.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{
    AT_FDCWD, AtFlags, FallocateFlags, FcntlArg, RenameFlags, SealFlag, fallocate, fcntl, renameat2,
};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::unistd::linkat;

/// Space is reserved in pieces of this size, so that a signal interrupts one piece and running out is noticed early.
const CHUNK_BYTES: u64 = 64 << 20;

/// Read and write for the owner, nothing for others.
pub(crate) const MODE: u32 = 0o600;

/// How a new file comes by its name. Dropped before that, it leaves nothing behind.
#[derive(Debug)]
pub(crate) struct Unpublished {
    temporary: Option<PathBuf>,
}

/// Makes a file in `directory`, open for reading and writing, mode 0600.
///
/// `temporary` is the name that it bears until it is published, only where the file system cannot do without.
pub(crate) fn create(directory: &Path, temporary: &str) -> io::Result<(File, Unpublished)> {
    match options().custom_flags(libc::O_TMPFILE | libc::O_CLOEXEC).open(directory) {
        Ok(file) => with_mode(file, Unpublished { temporary: None }),
        // EISDIR comes from kernels, EOPNOTSUPP and EINVAL from file systems that do not know the flag.
        Err(error)
            if matches!(error.raw_os_error(), Some(libc::EOPNOTSUPP | libc::EISDIR | libc::EINVAL)) =>
        {
            create_named(directory, temporary)
        }
        Err(error) => Err(error),
    }
}

/// As [`create`], for file systems without `O_TMPFILE`.
pub(crate) fn create_named(directory: &Path, temporary: &str) -> io::Result<(File, Unpublished)> {
    let path = directory.join(temporary);
    let file = options().create_new(true).custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC).open(&path)?;
    with_mode(file, Unpublished { temporary: Some(path) })
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(MODE);
    options
}

/// The creation mask may have taken bits away.
fn with_mode(file: File, name: Unpublished) -> io::Result<(File, Unpublished)> {
    file.set_permissions(fs::Permissions::from_mode(MODE))?;
    Ok((file, name))
}

impl Unpublished {
    /// Whether others can see the file, under its temporary name.
    pub(crate) fn has_name(&self) -> bool {
        self.temporary.is_some()
    }

    /// Gives the file its name, which must be free.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::AlreadyExists`] if the name is taken, by whatever.
    pub(crate) fn publish(self, file: &File, path: &Path) -> io::Result<()> {
        self.try_publish(file, path).map_err(|(error, _)| error)
    }

    /// As [`publish`](Self::publish), and gives itself back to be tried again.
    pub(crate) fn try_publish(mut self, file: &File, path: &Path) -> Result<(), (io::Error, Self)> {
        self.link(file, path).map_err(|error| (error, self))
    }

    fn link(&mut self, file: &File, path: &Path) -> io::Result<()> {
        let Some(temporary) = &self.temporary else {
            return link_descriptor(file, path);
        };
        match fs::hard_link(temporary, path) {
            // Dropping `self` removes the temporary name.
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
            // Some file systems have no hard links.
            Err(_) => {
                rename_new(temporary, path)?;
                self.temporary = None;
                Ok(())
            }
        }
    }
}

impl Drop for Unpublished {
    fn drop(&mut self) {
        if let Some(temporary) = &self.temporary {
            let _ = fs::remove_file(temporary);
        }
    }
}

/// Links an open file without a name.
fn link_descriptor(file: &File, path: &Path) -> io::Result<()> {
    let descriptor = format!("/proc/self/fd/{}", file.as_raw_fd());
    linkat(AT_FDCWD, descriptor.as_str(), AT_FDCWD, path, AtFlags::AT_SYMLINK_FOLLOW)?;
    Ok(())
}

/// Renames without ever replacing what has the new name.
pub(crate) fn rename_new(old: &Path, new: &Path) -> io::Result<()> {
    match renameat2(AT_FDCWD, old, AT_FDCWD, new, RenameFlags::RENAME_NOREPLACE) {
        // Not every file system knows the flag. A link fails when the name is taken, too.
        Err(Errno::EINVAL | Errno::ENOSYS | Errno::EOPNOTSUPP) => {
            fs::hard_link(old, new)?;
            fs::remove_file(old)
        }
        result => Ok(result?),
    }
}

/// Makes a file of anonymous memory, mode 0600, that can be sealed. `name` only shows in `/proc`.
pub(crate) fn create_memfd(name: &str) -> io::Result<File> {
    let file = File::from(memfd_create(name, MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING)?);
    file.set_permissions(fs::Permissions::from_mode(MODE))?;
    Ok(file)
}

/// Forbids everybody to make the memory file smaller and, unless it `may_grow`, larger.
pub(crate) fn seal(file: &File, may_grow: bool) -> io::Result<()> {
    let fixed = SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SEAL;
    let seals = if may_grow { SealFlag::F_SEAL_SHRINK } else { fixed };
    fcntl(file, FcntlArg::F_ADD_SEALS(seals))?;
    Ok(())
}

/// Makes the file `to` bytes long and reserves the memory or disk behind the bytes `from..to`, which read as zero if they are new.
///
/// Where the file system cannot reserve, zeros are written, so `from` must then be the old end of the file.
///
/// # Errors
///
/// Whatever the kernel says, `ENOSPC` in particular. The file may have become longer, with part of the space reserved.
pub(crate) fn reserve(file: &File, from: u64, to: u64) -> io::Result<()> {
    let mut done = from;
    while done < to {
        let len = CHUNK_BYTES.min(to - done);
        match fallocate(file, FallocateFlags::empty(), offset(done)?, offset(len)?) {
            Ok(()) => done += len,
            Err(Errno::EINTR) => {}
            Err(Errno::EOPNOTSUPP | Errno::ENOSYS) => return write_zeros(file, done, to),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn write_zeros(file: &File, from: u64, to: u64) -> io::Result<()> {
    let zeros = vec![0_u8; 1 << 20];
    let mut done = from;
    while done < to {
        let len = usize::try_from(to - done).map_or(zeros.len(), |left| left.min(zeros.len()));
        file.write_all_at(&zeros[..len], done)?;
        done += len as u64;
    }
    Ok(())
}

/// Gives the memory of a range back, even while it is mapped elsewhere: there it reads as zero, and touching it allocates it anew.
///
/// Does nothing where the file system cannot.
pub(crate) fn punch(file: &File, from: u64, len: u64) -> io::Result<()> {
    if len == 0 {
        return Ok(());
    }
    let mode = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
    loop {
        match fallocate(file, mode, offset(from)?, offset(len)?) {
            Err(Errno::EINTR) => {}
            Ok(()) | Err(Errno::EOPNOTSUPP | Errno::ENOSYS) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}

fn offset(bytes: u64) -> io::Result<libc::off_t> {
    libc::off_t::try_from(bytes).map_err(|_| io::Error::from_raw_os_error(libc::EFBIG))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::scratch_directory;

    #[test]
    fn a_file_is_whole_when_it_gets_its_name_and_leaves_nothing_without() {
        let directory = scratch_directory("shm");
        for create in [create, create_named] {
            let (file, name) = create(&directory, "temporary").unwrap();
            reserve(&file, 0, 5000).unwrap();
            let path = directory.join("name");
            name.publish(&file, &path).unwrap();
            let metadata = fs::metadata(&path).unwrap();
            assert_eq!((metadata.len(), metadata.permissions().mode() & 0o777), (5000, MODE));
            assert_eq!(fs::read_dir(&directory).unwrap().count(), 1);
            let (other, name) = create(&directory, "temporary").unwrap();
            let error = name.publish(&other, &path).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
            drop(create(&directory, "temporary").unwrap());
            fs::remove_file(path).unwrap();
            assert_eq!(fs::read_dir(&directory).unwrap().count(), 0);
        }
        fs::remove_dir(directory).unwrap();
    }

    #[test]
    fn renaming_never_replaces() {
        let directory = scratch_directory("rename");
        let [old, new] = ["old", "new"].map(|name| directory.join(name));
        fs::write(&old, "old").unwrap();
        fs::write(&new, "new").unwrap();
        assert_eq!(rename_new(&old, &new).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&new).unwrap(), b"new");
        fs::remove_file(&new).unwrap();
        rename_new(&old, &new).unwrap();
        assert_eq!(fs::read(&new).unwrap(), b"old");
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn written_zeros_are_as_good_as_reserved_ones() {
        let file = create_memfd("zeros").unwrap();
        write_zeros(&file, 0, 3_000_000).unwrap();
        write_zeros(&file, 3_000_000, 3_000_001).unwrap();
        assert_eq!(file.metadata().unwrap().len(), 3_000_001);
    }
}
