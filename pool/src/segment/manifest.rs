//! The locked file that says a run is alive.
//!
//! A run has one manifest in every directory that holds its segments, and one at home (`/dev/shm`, or the directory for temporary
//! files) even if it keeps no file there. The manifest is locked *before* it becomes visible, so that nobody can see it
//! unlocked while its run lives. Its contents are for people, and tell a reaper where else to look:
//!
//! ```text
//!   ndpool manifest 1
//!   run=7f3a5c0d9e2b4816
//!   pid=4711
//!   program=/opt/heat/bin/heat
//!   started=1763805600
//!   boot=3e9a…
//!   pid_namespace=pid:[4026531836]
//!   directory=/scratch/heat          another directory with a manifest of this run
//!   socket=/tmp/.tmpAbCdEf/socket    appended: to be removed with the run
//! ```

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::names::{Name, Role, RunId};
use crate::sys::lock::Lease;
use crate::sys::{host, kill_point, shm};

const FIRST_LINE: &str = "ndpool manifest 1";

/// What a manifest longer than this says beyond it is ignored.
const MAX_BYTES: u64 = 1 << 20;

/// Sockets that are noted before it is worth a look which of them are gone.
const MIN_SOCKETS: usize = 128;

/// A manifest of this run, locked and visible.
#[derive(Debug)]
pub(super) struct Manifest {
    run: RunId,
    directory: PathBuf,
    lease: Lease,
    contents: Contents,
    /// Sockets noted before those that are gone are forgotten.
    max_sockets: usize,
}

impl Manifest {
    /// Creates, locks and publishes the manifest of `run` in `directory`, which must exist.
    pub(super) fn create(run: RunId, directory: &Path, contents: Contents) -> io::Result<Self> {
        Self::create_by(shm::create, run, directory, contents)
    }

    fn create_by(
        create: impl Fn(&Path, &str) -> io::Result<(File, shm::Unpublished)>,
        run: RunId,
        directory: &Path,
        contents: Contents,
    ) -> io::Result<Self> {
        let path = path_in(directory, run);
        for number in 0.. {
            kill_point!("manifest.create.begin");
            let (file, unpublished) = create(directory, &Name::new(run, Role::New(number)).to_string())?;
            kill_point!("manifest.create.made");
            // Where the file had to be created under a temporary name, a reaper may have seen it before it was locked:
            // then either the lock is taken, or the name is gone.
            let reaped = unpublished.has_name();
            let Some(lease) = Lease::try_exclusive(file)? else { continue };
            kill_point!("manifest.create.locked");
            if reaped && lease.file().metadata()?.nlink() == 0 {
                continue;
            }
            lease.file().write_all(&contents.to_bytes(run))?;
            kill_point!("manifest.create.written");
            unpublished.publish(lease.file(), &path)?;
            kill_point!("manifest.create.linked");
            let directory = directory.to_owned();
            return Ok(Self { run, directory, lease, contents, max_sockets: MIN_SOCKETS });
        }
        unreachable!("the numbers do not end")
    }

    /// The directory that the manifest speaks for.
    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Notes a socket that is to be removed with the run. Those that are gone are forgotten now and then, so that a pool that
    /// starts workers all its life does not fill shared memory with their names.
    pub(super) fn record_socket(&mut self, path: &Path) -> io::Result<()> {
        if self.contents.sockets.len() >= self.max_sockets {
            self.forget_gone_sockets()?;
        }
        kill_point!("manifest.socket.begin");
        let mut file = self.lease.file();
        let end = file.stream_position()?;
        let written = file.write_all(&line("socket", path.as_os_str()));
        if written.is_err() {
            // Half a line would spoil the next one.
            file.set_len(end)?;
            file.seek(SeekFrom::Start(end))?;
        }
        written?;
        self.contents.sockets.push(path.to_owned());
        kill_point!("manifest.socket.recorded");
        Ok(())
    }

    /// The sockets that were noted.
    pub(super) fn sockets(&self) -> &[PathBuf] {
        &self.contents.sockets
    }

    /// Writes the lines of the sockets anew. The lines before them stay as they are, so that whoever reads a manifest whose
    /// writer died in between finds all directories; a path that is cut is no socket's.
    fn forget_gone_sockets(&mut self) -> io::Result<()> {
        // The directory may be there although the socket is not.
        let is_there = |path: &PathBuf| path.parent().unwrap_or(path).symlink_metadata().is_ok();
        self.contents.sockets.retain(is_there);
        self.max_sockets = 2 * self.contents.sockets.len() + MIN_SOCKETS;
        let bytes = self.contents.to_bytes(self.run);
        let mut file = self.lease.file();
        file.rewind()?;
        file.write_all(&bytes)?;
        file.set_len(bytes.len() as u64)
    }

    /// Publishes the manifest anew if its name has vanished, as it does when a login manager clears a user's shared memory: a
    /// segment without a manifest would be taken for dead.
    pub(super) fn ensure_visible(&mut self) -> io::Result<()> {
        if self.lease.file().metadata()?.nlink() == 0 {
            *self = Self::create(self.run, &self.directory, self.contents.clone())?;
        }
        Ok(())
    }

    /// Removes the name; the last act of a run in this directory. The lock goes when `self` does, after the name.
    pub(super) fn remove(self) {
        kill_point!("manifest.remove.begin");
        let _ = fs::remove_file(path_in(&self.directory, self.run));
        kill_point!("manifest.remove.unlinked");
    }
}

/// Where the manifest of a run is.
pub(super) fn path_in(directory: &Path, run: RunId) -> PathBuf {
    directory.join(Name::new(run, Role::Manifest).to_string())
}

/// What a manifest says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Contents {
    pub(super) pid: Option<u32>,
    pub(super) program: Option<PathBuf>,
    pub(super) started: Option<SystemTime>,
    pub(super) boot: String,
    pub(super) pid_namespace: OsString,
    pub(super) directories: Vec<PathBuf>,
    pub(super) sockets: Vec<PathBuf>,
}

impl Contents {
    /// About this process, now.
    pub(super) fn of_this_process() -> Self {
        Self {
            pid: Some(std::process::id()),
            program: std::env::current_exe().ok(),
            started: Some(SystemTime::now()),
            boot: host::boot_id(),
            pid_namespace: host::pid_namespace(),
            directories: Vec::new(),
            sockets: Vec::new(),
        }
    }

    pub(crate) fn to_bytes(&self, run: RunId) -> Vec<u8> {
        let mut bytes = format!("{FIRST_LINE}\nrun={run}\n").into_bytes();
        let mut add = |key: &str, value: &OsStr| bytes.extend(line(key, value));
        if let Some(pid) = self.pid {
            add("pid", pid.to_string().as_ref());
        }
        if let Some(program) = &self.program {
            add("program", program.as_os_str());
        }
        if let Some(since) = self.started.and_then(|time| time.duration_since(UNIX_EPOCH).ok()) {
            add("started", since.as_secs().to_string().as_ref());
        }
        add("boot", self.boot.as_ref());
        add("pid_namespace", &self.pid_namespace);
        self.directories.iter().for_each(|path| add("directory", path.as_os_str()));
        self.sockets.iter().for_each(|path| add("socket", path.as_os_str()));
        bytes
    }

    /// Reads what is there. A manifest cut short by the death of its writer is as good as it goes: the lock says who is alive,
    /// not the text.
    pub(crate) fn read(from: impl Read) -> io::Result<Self> {
        let mut bytes = Vec::new();
        from.take(MAX_BYTES).read_to_end(&mut bytes)?;
        let mut contents = Self::default();
        // What follows the last line end was not written to its end.
        let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |last| last + 1);
        for line in bytes[..whole].split(|&byte| byte == b'\n') {
            let Some(equals) = line.iter().position(|&byte| byte == b'=') else { continue };
            let value = unescape(&line[equals + 1..]);
            let number = || value.to_str().and_then(|text| text.parse::<u64>().ok());
            match &line[..equals] {
                b"pid" => contents.pid = number().and_then(|pid| u32::try_from(pid).ok()),
                b"program" => contents.program = Some(value.into()),
                b"started" => {
                    contents.started =
                        number().and_then(|secs| UNIX_EPOCH.checked_add(Duration::from_secs(secs)));
                }
                b"boot" => contents.boot = value.to_string_lossy().into_owned(),
                b"pid_namespace" => contents.pid_namespace = value,
                b"directory" => contents.directories.push(value.into()),
                b"socket" => contents.sockets.push(value.into()),
                _ => {}
            }
        }
        Ok(contents)
    }
}

fn line(key: &str, value: &OsStr) -> Vec<u8> {
    let mut line = format!("{key}=").into_bytes();
    for &byte in value.as_bytes() {
        match byte {
            b'%' | b'\n' => line.extend(format!("%{byte:02x}").bytes()),
            _ => line.push(byte),
        }
    }
    line.push(b'\n');
    line
}

fn unescape(value: &[u8]) -> OsString {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value;
    while let Some((&byte, after)) = rest.split_first() {
        let code = (byte == b'%').then(|| after.get(..2)).flatten();
        let code = code.and_then(|code| u8::from_str_radix(str::from_utf8(code).ok()?, 16).ok());
        bytes.push(code.unwrap_or(byte));
        rest = if code.is_some() { &after[2..] } else { after };
    }
    OsString::from_vec(bytes)
}

/// Opens a file that must be a plain one of this user's, not reached through a symbolic link.
pub(super) fn open_own(path: &Path, write: bool) -> io::Result<File> {
    let flags = libc::O_NOFOLLOW | libc::O_CLOEXEC | libc::O_NONBLOCK;
    let file = OpenOptions::new().read(true).write(write).custom_flags(flags).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() || metadata.uid() != host::effective_uid() {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "not a plain file of this user's"));
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::lock::is_locked;
    use crate::testing::scratch_directory;

    fn contents() -> Contents {
        let mut contents = Contents::of_this_process();
        contents.started = Some(UNIX_EPOCH + Duration::from_secs(1_700_000_000));
        contents.program = Some(OsStr::from_bytes(b"/odd \xff=%\n name").into());
        contents.directories = vec!["/a".into(), "/b=c".into()];
        contents
    }

    #[test]
    fn a_manifest_is_locked_while_it_lives_and_says_what_was_written() {
        let directory = scratch_directory("manifest");
        let run = RunId::new(1);
        for create in [shm::create, shm::create_named] {
            let mut manifest = Manifest::create_by(create, run, &directory, contents()).unwrap();
            manifest.record_socket(Path::new("/tmp/x/socket")).unwrap();
            let path = path_in(&directory, run);
            assert!(is_locked(open_own(&path, false).unwrap()).unwrap());
            let mut wanted = contents();
            wanted.sockets.push("/tmp/x/socket".into());
            assert_eq!(Contents::read(&open_own(&path, false).unwrap()).unwrap(), wanted);
            manifest.remove();
            assert_eq!(fs::read_dir(&directory).unwrap().count(), 0);
        }
        fs::remove_dir(directory).unwrap();
    }

    #[test]
    fn a_manifest_does_not_grow_with_the_workers_that_were_started() {
        let directory = scratch_directory("manifest-sockets");
        let mut manifest = Manifest::create(RunId::new(3), &directory, contents()).unwrap();
        let living = directory.join("socket");
        manifest.record_socket(&living).unwrap();
        for i in 0..10_000 {
            let gone = directory.join(format!(".tmp{i}")).join("socket");
            manifest.record_socket(&gone).unwrap();
        }
        let file = open_own(&path_in(&directory, RunId::new(3)), false).unwrap();
        assert!(file.metadata().unwrap().len() < 64 << 10, "{:?}", file.metadata());
        let read = Contents::read(&file).unwrap();
        assert!(
            read.sockets.len() <= 2 * MIN_SOCKETS && read.sockets.contains(&living),
            "{:?}",
            read.sockets
        );
        assert_eq!(read.sockets.last(), Some(&directory.join(".tmp9999").join("socket")));
        assert_eq!(Contents { sockets: Vec::new(), ..read }, contents());
        manifest.remove();
        fs::remove_dir(directory).unwrap();
    }

    #[test]
    fn a_manifest_that_vanished_is_published_again() {
        let directory = scratch_directory("manifest-vanished");
        let run = RunId::new(2);
        let mut manifest = Manifest::create(run, &directory, contents()).unwrap();
        fs::remove_file(path_in(&directory, run)).unwrap();
        manifest.ensure_visible().unwrap();
        assert!(is_locked(open_own(&path_in(&directory, run), false).unwrap()).unwrap());
        manifest.remove();
        fs::remove_dir(directory).unwrap();
    }

    #[test]
    fn a_taken_name_is_not_replaced() {
        let directory = scratch_directory("manifest-taken");
        let run = RunId::new(3);
        let path = path_in(&directory, run);
        std::os::unix::fs::symlink("/nowhere", &path).unwrap();
        for create in [shm::create, shm::create_named] {
            let error = Manifest::create_by(create, run, &directory, contents()).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        }
        assert_eq!(fs::read_link(&path).unwrap(), Path::new("/nowhere"));
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn damaged_contents_are_read_as_far_as_they_go() {
        let directory = scratch_directory("manifest-damaged");
        let path = directory.join("m");
        for text in [
            "",
            "\0\0\0",
            "pid=99999999999999\n",
            "=\n=\nstarted=18446744073709551615\n",
            "pid=1",
            "program=%4",
        ] {
            fs::write(&path, text).unwrap();
            assert_eq!(Contents::read(&File::open(&path).unwrap()).unwrap().pid, None, "{text:?}");
        }
        fs::remove_dir_all(directory).unwrap();
    }
}
