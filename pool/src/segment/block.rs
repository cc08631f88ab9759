//! The segment: one block of shared memory with an owner.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use rayon::prelude::*;

use super::attach::{Locator, Place};
use super::dtype::DType;
use super::layout::{Kind, PAGE_BYTES};
use super::leases::Leases;
use super::names::Role;
use super::npy::write_header;
use super::run::Run;
use super::storage::{Data, PIECE_BYTES, Storage};
use crate::error::{Error, ErrorKind, Result};
use crate::sys::map::Mapping;
use crate::sys::primitive::{AtomicUsize, Ordering};
use crate::sys::stream::STREAM_FROM_BYTES;
use crate::sys::view::checked_len_bytes;
use crate::sys::{kill_point, shm};

/// What the data of a new array are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fill<'a> {
    /// Zero.
    Zero,
    /// Whatever the memory held: the caller writes every byte before anyone else sees them.
    CallerWrites,
    /// These bytes, or, if they are fewer, [`PIECE_BYTES`] that are repeated.
    ///
    /// Fresh pages are written by `pwrite`, half the cost of faulting them in, by one thread: the kernel lets one at a time into a
    /// file. Pages that were used before are mapped already, or soon: they are written by several threads, past the cache if
    /// they are many. Of 100 MB the first takes 32 ms, the second 5.
    With(&'a [u8]),
}

/// A block of shared memory, as its owner sees it. Dropping it gives the memory back to its run.
#[derive(Debug)]
pub(crate) struct Segment {
    run: Arc<Run>,
    /// Taken only by the destructor.
    storage: Option<Storage>,
    data_len: AtomicUsize,
    /// Bytes that the run counts as in use for it.
    charged: usize,
    /// Whether its memory was another's before, so that its pages are there and can be written through the mapping.
    was_used: bool,
    leases: Leases,
}

impl Segment {
    /// An array: a `.npy` header, then the data.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Shape`] if the size overflows, [`ErrorKind::OutOfSpace`] if there is no room.
    pub(crate) fn npy(run: &Arc<Run>, dtype: DType, shape: &[usize], fill: Fill<'_>) -> Result<Arc<Self>> {
        let len = checked_len_bytes(shape, dtype.size_bytes()).ok_or_else(|| {
            Error::new(ErrorKind::Shape, format!("the size of a {dtype} array of shape {shape:?} overflows"))
        })?;
        let header = write_header(dtype, shape, PAGE_BYTES);
        if header.len() != PAGE_BYTES {
            return Err(Error::new(
                ErrorKind::Shape,
                format!("an array of {} axes has too many", shape.len()),
            ));
        }
        Self::obtain(run, Kind::Npy, len, &header, fill)
    }

    /// Scratch of `len_bytes` zero bytes, which can [grow](Self::grow_raw).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::OutOfSpace`] if there is no room.
    pub(crate) fn raw(run: &Arc<Run>, len_bytes: usize) -> Result<Arc<Self>> {
        Self::obtain(run, Kind::Raw, len_bytes, &[], Fill::Zero)
    }

    fn obtain(
        run: &Arc<Run>,
        kind: Kind,
        data_len: usize,
        header: &[u8],
        fill: Fill<'_>,
    ) -> Result<Arc<Self>> {
        let data = match fill {
            Fill::With(bytes) => Some(Data { len: data_len, bytes }),
            Fill::Zero | Fill::CallerWrites => None,
        };
        let (storage, was_used) = run.obtain(kind, data_len, header, data)?;
        let segment = Self {
            run: run.clone(),
            charged: storage.file_len(),
            storage: Some(storage),
            data_len: AtomicUsize::new(data_len),
            was_used,
            leases: Leases::default(),
        };
        if was_used {
            match (fill, data) {
                (Fill::Zero, _) => segment.write_mapped(0..data_len, |mapping, range| mapping.zero(range))?,
                (_, Some(data)) => segment.copy_in(0, data_len, |range| data.piece(range))?,
                (_, None) => {}
            }
            kill_point!("segment.recycle.filled");
        }
        Ok(Arc::new(segment))
    }

    /// Copies bytes into `len` bytes of the data from `offset` on, which nobody else reads or writes, by way of the mapping.
    /// `bytes_of` has those of a piece, which it is told by their place in the whole.
    pub(crate) fn copy_in<'b>(
        &self,
        offset: usize,
        len: usize,
        bytes_of: impl Fn(Range<usize>) -> &'b [u8] + Sync,
    ) -> Result<()> {
        self.check(offset..offset + len);
        let is_large = len >= STREAM_FROM_BYTES;
        self.write_mapped(offset..offset + len, |mapping, range| {
            let from = PAGE_BYTES + offset;
            let bytes = bytes_of(range.start - from..range.end - from);
            if is_large {
                mapping.stream_bytes(range.start, bytes);
            } else {
                mapping.write_bytes(range.start, bytes);
            }
        })
    }

    /// Calls `write` for pieces of the mapping that together are a range of the data, on several threads if they are many.
    fn write_mapped(&self, data: Range<usize>, write: impl Fn(&Mapping, Range<usize>) + Sync) -> Result<()> {
        let mapping = self.mapping()?;
        let (start, end) = (PAGE_BYTES + data.start, PAGE_BYTES + data.end);
        // Only the whole is noted: parts of it are populated again, for a tenth of what it costs to copy them.
        let is_whole = data.len() == self.data_len();
        let populates =
            if is_whole { self.storage().begin_to_populate() } else { !self.storage().is_populated() };
        let piece = |start: usize| {
            let range = start..end.min(start + PIECE_BYTES);
            if populates {
                mapping.populate(range.clone());
            }
            write(mapping, range);
        };
        let starts = (start..end).step_by(PIECE_BYTES);
        if data.len() < STREAM_FROM_BYTES {
            starts.for_each(piece);
        } else {
            let starts: Vec<_> = starts.collect();
            starts.into_par_iter().for_each(piece);
        }
        Ok(())
    }

    /// Makes a raw segment at least `len_bytes` long. What is new reads as zero. Mappings keep their length: see
    /// [`map_fresh`](Self::map_fresh).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::OutOfSpace`] if there is no room; the segment is as it was.
    ///
    /// # Panics
    ///
    /// If the segment is an array.
    pub(crate) fn grow_raw(&self, len_bytes: usize) -> Result<()> {
        let file_len = Kind::Raw.file_len(len_bytes).ok_or_else(|| {
            Error::new(
                ErrorKind::Shape,
                format!("a segment of {len_bytes} bytes is larger than any file can be"),
            )
        })?;
        let grown = self.storage().grow(file_len);
        if grown.as_ref().is_err_and(|error| error.kind() == ErrorKind::OutOfSpace) {
            // What waits to be used again may be what is missing.
            self.run.trim();
            self.storage().grow(file_len)?;
        } else {
            grown?;
        }
        self.data_len.fetch_max(len_bytes, Ordering::AcqRel);
        Ok(())
    }

    /// What a worker needs to [`attach`](super::attach()).
    pub(crate) fn locator(&self) -> Locator {
        let (pid, fd) = (std::process::id(), self.file().as_raw_fd());
        let place = match self.storage().path() {
            Some(path) => Place::Named { path: path.as_os_str().as_bytes().to_owned(), pid, fd },
            None => Place::Memfd { pid, fd },
        };
        let Role::Segment(generation) = self.storage().name.role else { unreachable!("named as a segment") };
        Locator {
            place,
            kind: Some(self.storage().kind),
            run: self.storage().name.run,
            nonce: self.storage().nonce,
            generation,
            file_len: self.storage().file_len(),
            data_offset: self.data_offset(),
            data_len: self.data_len(),
        }
    }

    /// Where the data start in the file and in its mapping.
    pub(crate) fn data_offset(&self) -> usize {
        PAGE_BYTES
    }

    /// Number of bytes of data.
    pub(crate) fn data_len(&self) -> usize {
        self.data_len.load(Ordering::Acquire)
    }

    /// This process's mapping of the whole file, for reading and writing, made when first asked for. It stays as long as it was
    /// then.
    pub(crate) fn mapping(&self) -> Result<&Mapping> {
        self.storage().mapping()
    }

    /// One more mapping of the whole file, as long as it is now, even if a worker made it longer.
    pub(crate) fn map_fresh(&self) -> Result<Mapping> {
        self.storage().refresh_len().map_err(|error| self.failed("look at", error))?;
        self.storage().map()
    }

    /// The first byte of the data in this process.
    pub(crate) fn data_ptr(&self) -> Result<*mut u8> {
        Ok(self.mapping()?.as_mut_ptr().wrapping_add(self.data_offset()))
    }

    /// The open file.
    pub(crate) fn file(&self) -> &File {
        &self.storage().file
    }

    /// Writes bytes of data that nobody reads yet, in the way that [`Fill::With`] does.
    ///
    /// # Panics
    ///
    /// If the range reaches beyond the data.
    pub(crate) fn fill_at(&self, offset: usize, bytes: &[u8]) -> Result<()> {
        if !self.was_used {
            return self.write_at(offset, bytes);
        }
        self.check(offset..offset + bytes.len());
        self.data_ptr_to_fill()?;
        self.mapping()?.write_bytes(PAGE_BYTES + offset, bytes);
        Ok(())
    }

    /// As [`data_ptr`](Self::data_ptr), for whoever is about to write all of the data there.
    pub(crate) fn data_ptr_to_fill(&self) -> Result<*mut u8> {
        let mapping = self.mapping()?;
        if self.was_used && self.storage().begin_to_populate() {
            mapping.populate(PAGE_BYTES..PAGE_BYTES + self.data_len());
        }
        self.data_ptr()
    }

    /// Reads bytes of the data without mapping them. Beyond [`data_len`](Self::data_len) it reads what a worker made the file
    /// longer by.
    pub(crate) fn read_at(&self, offset: usize, bytes: &mut [u8]) -> Result<()> {
        self.file().read_exact_at(bytes, self.position(offset)).map_err(|error| self.failed("read", error))
    }

    /// Writes bytes of the data without mapping them: half the cost of faulting fresh pages in.
    ///
    /// # Panics
    ///
    /// If the range reaches beyond the data.
    pub(crate) fn write_at(&self, offset: usize, bytes: &[u8]) -> Result<()> {
        self.check(offset..offset + bytes.len());
        self.file().write_all_at(bytes, self.position(offset)).map_err(|error| self.failed("write", error))
    }

    /// Gives the memory of whole pages in a range of the data back. They read as zero, and touching them takes memory that
    /// nobody has reserved. Beyond the end of the file there is nothing to give back.
    pub(crate) fn punch(&self, offset: usize, len: usize) -> Result<()> {
        shm::punch(self.file(), self.position(offset), len as u64).map_err(|error| self.failed("free", error))
    }

    /// Which jobs may touch which bytes of the data.
    pub(crate) fn leases(&self) -> &Leases {
        &self.leases
    }

    /// Its name, also in [`list`](super::list) and in `/proc/<pid>/maps`.
    pub(crate) fn name(&self) -> String {
        self.storage().name.to_string()
    }

    /// Where another process of this user can open it, for as long as it lives.
    pub(crate) fn path(&self) -> PathBuf {
        self.storage()
            .path()
            .unwrap_or_else(|| format!("/proc/{}/fd/{}", std::process::id(), self.file().as_raw_fd()).into())
    }

    fn storage(&self) -> &Storage {
        self.storage.as_ref().expect("taken only by the destructor")
    }

    fn position(&self, offset: usize) -> u64 {
        self.data_offset().saturating_add(offset) as u64
    }

    fn check(&self, range: Range<usize>) {
        assert!(range.end <= self.data_len(), "bytes {range:?} of a segment with {}", self.data_len());
    }

    fn failed(&self, verb: &str, error: io::Error) -> Error {
        Error::io(format_args!("cannot {verb} segment `{}`", self.name()), error)
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        // A job's record holds the segment for as long as it holds leases on it, so there is none now; should there be one all the
        // same, a worker may still write, and the memory must not get another owner.
        let reusable = self.leases.is_free();
        if !reusable {
            tracing::error!(segment = self.name(), "dropped under a lease; its memory is not used again");
        }
        if let Some(storage) = self.storage.take() {
            self.run.give_back(storage, self.charged, reusable);
        }
    }
}
