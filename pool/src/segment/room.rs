//! Whether there is room for a new file, and what a refusal means.

use std::fmt::Display;
use std::io;
use std::path::Path;

use crate::error::{Error, ErrorKind};
use crate::sys::space;

/// Allocations below this are not checked against the limits on memory: reading the kernel's files costs more than the pages.
const CHECKED_FROM_BYTES: usize = 1 << 20;

/// What a file needs, and where.
#[derive(Clone, Copy)]
pub(crate) struct Room<'a> {
    /// What it is for, as messages call it.
    pub(crate) name: &'a dyn Display,
    /// Length of the file in bytes.
    pub(crate) need: usize,
    /// Its directory, unless it is anonymous.
    pub(crate) directory: Option<&'a Path>,
    /// How to choose another place than shared memory, and than another directory.
    pub(crate) other_places: [&'static str; 2],
}

impl Room<'_> {
    /// Refuses what would run into a limit that is not answered by an error.
    pub(crate) fn check(&self, in_memory: bool) -> Result<(), Error> {
        let need = self.need as u64;
        if let Some(limit) = space::file_size_limit().filter(|&limit| need > limit) {
            let message = format!(
                "segment `{}` needs {need} bytes; this process may write files of {limit}",
                self.name
            );
            return Err(Error::new(ErrorKind::OutOfSpace, message)
                .with_hint("lift the limit with `ulimit -f unlimited`"));
        }
        if let Some(directory) = self.directory {
            let free = space::file_system(directory).map_or(u64::MAX, |found| found.free_bytes);
            if free < need {
                return Err(self.out_of_space(Some(free)));
            }
        }
        if !in_memory || self.need < CHECKED_FROM_BYTES {
            return Ok(());
        }
        if let Some(headroom) = space::cgroup_headroom().filter(|headroom| headroom.bytes < need) {
            let message = format!(
                "segment `{}` needs {need} bytes; the control group {} has {} left before its memory limit",
                self.name,
                headroom.group.display(),
                headroom.bytes
            );
            let hint =
                "raise the limit of the container or service, or keep arrays on disk with Backing::File";
            return Err(Error::new(ErrorKind::OutOfSpace, message).with_hint(hint));
        }
        match space::machine_headroom() {
            Some(free) if free < need => Err(Room { directory: None, ..*self }.out_of_space(Some(free))),
            _ => Ok(()),
        }
    }

    /// Says what a failure to create means.
    pub(crate) fn refused(&self, error: io::Error) -> Error {
        match error.raw_os_error() {
            Some(libc::ENOSPC | libc::EDQUOT) => {
                let free = self.directory.and_then(|directory| space::file_system(directory).ok());
                self.out_of_space(free.map(|found| found.free_bytes)).with_source(error)
            }
            Some(libc::ENOMEM) => self.out_of_space(None).with_source(error),
            Some(libc::EMFILE | libc::ENFILE) => {
                let message =
                    format!("segment `{}` needs a file descriptor, and all are in use: {error}", self.name);
                Error::new(ErrorKind::OutOfSpace, message)
                    .with_hint(
                        "each array needs one: hold fewer arrays at a time, or raise the limit with `ulimit -n`",
                    )
                    .with_source(error)
            }
            _ => {
                let place = self
                    .directory
                    .map_or_else(|| "anonymous memory".to_owned(), |path| path.display().to_string());
                Error::io(format_args!("cannot create segment `{}` in {place}", self.name), error)
            }
        }
    }

    fn out_of_space(&self, free: Option<u64>) -> Error {
        let place = self
            .directory
            .map_or_else(|| "the machine's memory".to_owned(), |path| path.display().to_string());
        let mut message = format!("segment `{}` needs {} bytes; {place} has ", self.name, self.need);
        match free {
            Some(free) => message.push_str(&format!("{free} free")),
            None => message.push_str("not so much left"),
        }
        let [than_memory, than_disk] = self.other_places;
        let hint = match self.directory {
            Some(path) if path.starts_with("/dev/shm") => format!(
                "free some of it (`ls -l /dev/shm`, `ndpool reap`), give a container more with --shm-size, or {than_memory}"
            ),
            Some(_) => format!("free some of it, or {than_disk}"),
            None => "drop arrays that are not needed any more, or keep them on disk".to_owned(),
        };
        Error::new(ErrorKind::OutOfSpace, message).with_hint(hint)
    }
}

/// Says what a failure to map means.
pub(crate) fn map_refused(name: &str, len: usize, error: io::Error) -> Error {
    if error.raw_os_error() == Some(libc::ENOMEM) {
        let message = format!("no address space to map the {len} bytes of `{name}`: {error}");
        return Error::new(ErrorKind::OutOfSpace, message)
            .with_hint("look at the limits on address space (`ulimit -v`) and mappings (vm.max_map_count)")
            .with_source(error);
    }
    Error::io(format_args!("cannot map the {len} bytes of `{name}`"), error)
}
