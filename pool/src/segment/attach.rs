//! What a worker needs to map a segment, and the checks before it does.

use std::cell::Cell;
use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::layout::{Control, Kind, PAGE_BYTES};
use super::names::RunId;
use super::room::map_refused;
use super::window::Window;
use crate::error::{Error, ErrorKind, Result};
use crate::sys::map::Mapping;
use crate::sys::{host, kill_point, shm};

/// Where the bytes of a segment, or of a user's mapped file, are found, and how they are known to be the right ones.
///
/// A mapping may be cached under `nonce`, `file_len` and the access: the nonce is the file's, whoever owns it. Where the data
/// end is the locator's business, not the mapping's: a recycled file keeps its length and may hold a shorter array.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Locator {
    pub(crate) place: Place,
    /// `None` for a user's file, which has no control page.
    pub(crate) kind: Option<Kind>,
    pub(crate) run: RunId,
    pub(crate) nonce: u64,
    /// Which owner of the file is meant.
    pub(crate) generation: u64,
    /// Length of the whole file in bytes.
    pub(crate) file_len: usize,
    /// Where the data start in the file.
    pub(crate) data_offset: usize,
    /// Number of bytes of data.
    pub(crate) data_len: usize,
}

impl Locator {
    /// Where the file can be found, for messages.
    pub(crate) fn path(&self) -> PathBuf {
        match &self.place {
            Place::Named { path, .. } | Place::File { path, .. } => OsStr::from_bytes(path).into(),
            Place::Memfd { pid, fd } => format!("/proc/{pid}/fd/{fd}").into(),
        }
    }
}

/// Where a file is opened. Paths are bytes, as the kernel has them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Place {
    /// By name or, should the name have vanished, through the owner's descriptor.
    Named { path: Vec<u8>, pid: u32, fd: i32 },
    /// Through the owner's descriptor.
    Memfd { pid: u32, fd: i32 },
    /// A user's file, known by device and inode.
    File { path: Vec<u8>, device: u64, inode: u64 },
}

/// What a worker may do with a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Access {
    /// Mapped for reading, opened for reading.
    Read,
    /// Mapped for reading; opened for writing too, for `pwrite`.
    Stage,
    /// Mapped for writing, between guard pages.
    Write,
    /// Mapped for writing as well, but for the worker's own code: far from all that a task is given the address of.
    Window,
}

/// A segment as a worker has it mapped.
#[derive(Debug)]
pub(crate) struct Attachment {
    mapping: Mapping,
    file: File,
    data_offset: usize,
    /// For each part of the mapping whether its pages were mapped.
    populated: Box<[Cell<bool>]>,
}

/// What is mapped at once when a page of it is to be touched: what one page of the lowest page table covers on most machines.
const PART_BYTES: usize = 2 << 20;

/// What the kernel maps at a fault. Ranges that are not longer are left to it.
const FAULT_AROUND_BYTES: usize = 64 << 10;

/// Opens, checks and maps what a locator describes.
///
/// # Errors
///
/// [`ErrorKind::Segment`] if the file is missing, or not the one that was meant, or not as it should be;
/// [`ErrorKind::OutOfSpace`] if it cannot be mapped.
pub(crate) fn attach(locator: &Locator, access: Access) -> Result<Attachment> {
    let name = locator.place.describe();
    let file = locator.place.open(access != Access::Read).map_err(|error| {
        let message = format!("cannot open segment `{name}`: {error}");
        Error::new(ErrorKind::Segment, message).with_source(error)
    })?;
    let checked = locator.check(&file).and_then(|()| match (locator.kind, access) {
        (None, Access::Write | Access::Window) => Err("a user's file, which is never written".to_owned()),
        _ => Ok(()),
    });
    if let Err(problem) = checked {
        return Err(Error::new(
            ErrorKind::Segment,
            format!("`{name}` is not the segment that was meant: {problem}"),
        )
        .with_hint("another process has removed, replaced or changed the pool's file"));
    }
    let len = locator.file_len;
    let map = || match access {
        Access::Read | Access::Stage => Mapping::read_only(&file, len),
        Access::Write | Access::Window => {
            let is_apart = access == Access::Window;
            let has_control_page = locator.kind == Some(Kind::Npy);
            let mapping = match (is_apart, has_control_page) {
                (true, _) => Mapping::read_write_apart(&file, len)?,
                (false, true) => Mapping::read_write(&file, len)?,
                (false, false) => Mapping::read_write_before_guard(&file, len)?,
            };
            // The page before the data is forbidden, and the one behind: the control page of an array, or one more.
            if has_control_page {
                mapping.forbid(len - PAGE_BYTES, PAGE_BYTES)?;
            }
            mapping.forbid(0, PAGE_BYTES)?;
            Ok(mapping)
        }
    };
    let mapping = map().map_err(|error: io::Error| map_refused(&name, len, error))?;
    let populated = vec![Cell::new(false); len.div_ceil(PART_BYTES)].into();
    Ok(Attachment { mapping, file, data_offset: locator.data_offset, populated })
}

impl Attachment {
    /// The mapping of the whole file.
    pub(crate) fn mapping(&self) -> &Mapping {
        &self.mapping
    }

    /// The file.
    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// Where the data start in the file and in its mapping.
    pub(crate) fn data_offset(&self) -> usize {
        self.data_offset
    }

    /// The first byte of the data.
    pub(crate) fn data_ptr(&self) -> *const u8 {
        self.mapping.as_ptr().wrapping_add(self.data_offset)
    }

    /// The first byte of the data, for writing.
    ///
    /// # Panics
    ///
    /// Unless attached with [`Access::Write`].
    pub(crate) fn data_mut_ptr(&self) -> *mut u8 {
        self.mapping.as_mut_ptr().wrapping_add(self.data_offset)
    }

    /// Has the pages of a range of the data mapped, and their neighbours', because the range is about to be read or written.
    ///
    /// Asked for so, pages cost a third of what they cost by faults, which interrupt whoever touches them every 64 KiB:
    /// of 100 MB 3 ms, and not 8. Asking again costs nothing to speak of.
    ///
    /// # Panics
    ///
    /// If the range reaches beyond the mapping.
    pub(crate) fn populate(&self, range: Range<usize>) {
        if range.len() > FAULT_AROUND_BYTES {
            self.populate_any(range);
        }
    }

    /// As [`populate`](Self::populate), for a range that may be small: faults of writes come one for each page.
    fn populate_any(&self, range: Range<usize>) {
        let (start, end) = (self.data_offset + range.start, self.data_offset + range.end);
        let len = self.mapping.len();
        // Without the page before the data, which may be forbidden. Where the one behind is, it is the last, and all others come first.
        let (first, last) = (self.data_offset, len - len % PAGE_BYTES);
        for part in start / PART_BYTES..end.div_ceil(PART_BYTES) {
            if !self.populated[part].replace(true) {
                let pages = (part * PART_BYTES).max(first)..((part + 1) * PART_BYTES).min(last);
                if !pages.is_empty() {
                    self.mapping.populate(pages);
                }
            }
        }
    }

    /// Writes bytes of the data through the file, so that the mapping can stay read-only.
    pub(crate) fn write_at(&self, offset: usize, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, (self.data_offset + offset) as u64)
    }

    /// Gives the memory of a range of the data back.
    pub(crate) fn punch(&self, offset: usize, len: usize) -> io::Result<()> {
        let len = len.next_multiple_of(PAGE_BYTES);
        shm::punch(&self.file, (self.data_offset + offset) as u64, len as u64)
    }

    /// The mapping alone, for memory that is shared for good.
    pub(crate) fn into_mapping(self) -> Mapping {
        self.mapping
    }

    /// Copies a range of another segment's data to `offset` of these data, and asks meanwhile for the bytes of `soon`, from the
    /// first on as many as it says.
    ///
    /// # Panics
    ///
    /// If either range reaches beyond its data, or unless attached with [`Access::Write`].
    pub(crate) fn copy_in(
        &self,
        offset: usize,
        from: &Self,
        range: Range<usize>,
        soon: Option<(*const u8, usize)>,
    ) {
        let (to, at) = (self.data_offset + offset, from.data_offset + range.start);
        match soon {
            Some(soon) => self.mapping.copy_from_fetching(to, &from.mapping, at, range.len(), soon),
            None => self.mapping.copy_from(to, &from.mapping, at, range.len()),
        }
    }

    /// Copies a range of these data to `offset` of another segment's data, through a window on it.
    ///
    /// # Panics
    ///
    /// If either range reaches beyond its data.
    pub(crate) fn copy_out(&self, range: Range<usize>, to: &Window, offset: usize) {
        let to = to.attachment();
        to.populate_any(offset..offset + range.len());
        for part in parts(range.len()) {
            let (from, at) = (self.data_offset + range.start, to.data_offset + offset);
            to.mapping.copy_from(at + part.start, &self.mapping, from + part.start, part.len());
        }
    }

    /// Writes a range of these data to `offset` of another segment's data, through its file.
    pub(crate) fn write_back(&self, range: Range<usize>, to: &Self, offset: usize) -> io::Result<()> {
        let bytes = self.mapping.bytes_at_rest(self.data_offset + range.start, range.len());
        parts(range.len()).try_for_each(|part| {
            let at = to.data_offset + offset + part.start;
            to.file.write_all_at(&bytes[part], at as u64)
        })
    }
}

/// The parts in which so many bytes are written back: one, unless processes are to die between two.
fn parts(len: usize) -> impl Iterator<Item = Range<usize>> {
    let half = if cfg!(feature = "kill-points") { len / 2 } else { len };
    [0..half, half..len].into_iter().enumerate().map(|(index, part)| {
        if index > 0 {
            kill_point!("commit.array_half_written");
        }
        part
    })
}

impl Place {
    fn open(&self, write: bool) -> io::Result<File> {
        let open = |path: &Path, flags: i32| {
            let flags = flags | libc::O_CLOEXEC | libc::O_NONBLOCK;
            OpenOptions::new().read(true).write(write).custom_flags(flags).open(path)
        };
        match self {
            Self::Named { path, pid, fd } => match open(Path::new(OsStr::from_bytes(path)), libc::O_NOFOLLOW)
            {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    open(&descriptor(*pid, *fd), 0).map_err(|_| error)
                }
                result => result,
            },
            Self::Memfd { pid, fd } => open(&descriptor(*pid, *fd), 0),
            Self::File { path, .. } => open(Path::new(OsStr::from_bytes(path)), 0),
        }
    }

    fn describe(&self) -> String {
        match self {
            Self::Named { path, .. } | Self::File { path, .. } => String::from_utf8_lossy(path).into_owned(),
            Self::Memfd { pid, fd } => descriptor(*pid, *fd).display().to_string(),
        }
    }
}

/// Where another process of the same user finds a descriptor of ours.
fn descriptor(pid: u32, fd: i32) -> PathBuf {
    format!("/proc/{pid}/fd/{fd}").into()
}

impl Locator {
    /// The same scratch segment after it has grown to hold `len` bytes.
    pub(crate) fn grown_to(&self, len: usize) -> Self {
        let data_len = len.max(self.data_len);
        Self { data_len, file_len: self.file_len.max(PAGE_BYTES.saturating_add(data_len)), ..self.clone() }
    }

    /// Compares the open file with what was meant: nothing of it can change behind our back after that but its contents, or,
    /// by a process of this very user, its length.
    fn check(&self, file: &File) -> Result<(), String> {
        let metadata = file.metadata().map_err(|error| error.to_string())?;
        if !metadata.is_file() {
            return Err("not a plain file".to_owned());
        }
        let data_end = self.data_offset.checked_add(self.data_len).ok_or("its size overflows")?;
        if data_end > self.file_len {
            return Err(format!("data that end at byte {data_end} of {}", self.file_len));
        }
        let (len, wanted) = (metadata.len(), self.file_len as u64);
        let may_be_longer = self.kind != Some(Kind::Npy);
        if len < wanted || (len > wanted && !may_be_longer) {
            return Err(format!("it has {len} bytes, wanted {wanted}"));
        }
        let Some(kind) = self.kind else {
            let Place::File { device, inode, .. } = self.place else {
                return Err("a user's file without an identity".to_owned());
            };
            let same = (metadata.dev(), metadata.ino()) == (device, inode);
            return if same { Ok(()) } else { Err("it is another file by now".to_owned()) };
        };
        if metadata.uid() != host::effective_uid() {
            return Err(format!("it belongs to user {}, wanted {}", metadata.uid(), host::effective_uid()));
        }
        if metadata.mode() & 0o077 != 0 {
            return Err(format!("its mode is {:o}, wanted 600", metadata.mode() & 0o7777));
        }
        if self.file_len < 2 * PAGE_BYTES && kind == Kind::Npy || self.file_len < PAGE_BYTES {
            return Err(format!("{} bytes are too few for a segment", self.file_len));
        }
        if self.data_offset != PAGE_BYTES || self.data_len > kind.capacity(self.file_len) {
            return Err("data outside of their pages".to_owned());
        }
        let control =
            Control::read(file, kind.control_offset(self.file_len)).map_err(|error| error.to_string())?;
        let wanted = Control { nonce: self.nonce, generation: self.generation, run: self.run.get() };
        match control {
            None => Err("no control page".to_owned()),
            Some(found) if found != wanted => Err(format!(
                "it is generation {} with nonce {:x} of run {}, wanted generation {} with nonce {:x} of run {}",
                found.generation,
                found.nonce,
                RunId::new(found.run),
                self.generation,
                self.nonce,
                self.run
            )),
            Some(_) => Ok(()),
        }
    }
}
