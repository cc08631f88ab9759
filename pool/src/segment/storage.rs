//! The file behind a segment, and how it is created.

use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;

use super::layout::{Control, Kind, PAGE_BYTES};
use super::names::{Name, Role, RunId};
use super::room::{Room, map_refused};
use crate::error::Error;
use crate::sys::map::Mapping;
use crate::sys::primitive::{AtomicUsize, Ordering};
use crate::sys::{fork, host, kill_point, shm, space};

/// A file of shared memory that this process created. Dropped there, its name and its memory go.
#[derive(Debug)]
pub(super) struct Storage {
    pub(super) file: File,
    pub(super) kind: Kind,
    /// Its directory, unless it is anonymous.
    pub(super) directory: Option<PathBuf>,
    in_memory: bool,
    pub(super) name: Name,
    pub(super) nonce: u64,
    file_len: AtomicUsize,
    mapping: OnceLock<Mapping>,
    /// Whether the pages of that mapping were mapped all at once, or are about to be.
    is_populated: AtomicBool,
    owner: u32,
}

/// What a new file is to be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan<'a> {
    pub(super) run: RunId,
    pub(super) number: u64,
    pub(super) kind: Kind,
    pub(super) file_len: usize,
    /// The bytes before the data, of an array.
    pub(super) header: &'a [u8],
    /// The data of an array, if they are known already.
    pub(super) data: Option<Data<'a>>,
}

/// What is written at a time when an array is filled.
pub(crate) const PIECE_BYTES: usize = 1 << 20;

/// All data of a new array.
#[derive(Debug, Clone, Copy)]
pub(super) struct Data<'a> {
    pub(super) len: usize,
    /// The data, or [`PIECE_BYTES`] that are repeated.
    pub(super) bytes: &'a [u8],
}

impl<'a> Data<'a> {
    /// The bytes of a piece, which starts at a multiple of [`PIECE_BYTES`].
    pub(super) fn piece(&self, range: Range<usize>) -> &'a [u8] {
        if self.bytes.len() < self.len { &self.bytes[..range.len()] } else { &self.bytes[range] }
    }
}

impl Plan<'_> {
    pub(super) fn name(&self) -> Name {
        Name::new(self.run, Role::Segment(self.number))
    }

    fn room<'a>(&self, name: &'a Name, directory: Option<&'a Path>) -> Room<'a> {
        Room {
            name,
            need: self.file_len,
            directory,
            other_places: [
                "let the pool use Backing::Memfd or Backing::File",
                "give the pool another directory with Backing::File",
            ],
        }
    }

    /// Gives the file its length, with memory or disk behind all of it, and its data, if they are known.
    fn provide(&self, file: &File) -> io::Result<()> {
        let len = self.file_len as u64;
        let Some(data) = self.data else { return shm::reserve(file, 0, len) };
        // Memory that is written is as good as reserved, and comes with one walk through the pages in place of two. A disk may
        // put off where it writes, and find then that it is full.
        if !space::is_memory(file) {
            shm::reserve(file, 0, len)?;
        }
        for start in (0..data.len).step_by(PIECE_BYTES) {
            let piece = data.piece(start..data.len.min(start + PIECE_BYTES));
            file.write_all_at(piece, (PAGE_BYTES + start) as u64)?;
        }
        // The header, which is a page too, comes next, and nobody sees the file before.
        file.write_all_at(&[0; PAGE_BYTES], self.kind.control_offset(self.file_len) as u64)
    }

    /// Everything before the data and the control page; what makes the file that of its new owner.
    fn write(&self, file: &File, nonce: u64) -> io::Result<()> {
        file.write_all_at(self.header, 0)?;
        let control = Control { nonce, generation: self.number, run: self.run.get() };
        control.write(file, self.kind.control_offset(self.file_len))
    }
}

impl Storage {
    /// Creates a file in a directory: nameless, with its space and header, and then visible. `gate` is asked, and what it
    /// gives is kept, while the file gets its name.
    pub(super) fn named<G>(
        plan: Plan<'_>,
        directory: &Path,
        in_memory: bool,
        gate: impl FnOnce() -> Result<G, Error>,
    ) -> Result<Self, Error> {
        let label = plan.name();
        let room = plan.room(&label, Some(directory));
        room.check(in_memory)?;
        let create = || {
            kill_point!("segment.create.begin");
            let (file, name) =
                shm::create(directory, &Name::new(plan.run, Role::New(plan.number)).to_string())?;
            kill_point!("segment.create.made");
            plan.provide(&file)?;
            kill_point!("segment.create.reserved");
            let storage = Self::new(plan, file)?;
            kill_point!("segment.create.written");
            Ok((storage, name))
        };
        let refused = |error| room.refused(error);
        let (mut storage, name) = create().map_err(refused)?;
        let open = gate()?;
        name.publish(&storage.file, &directory.join(plan.name().to_string())).map_err(refused)?;
        drop(open);
        kill_point!("segment.create.linked");
        storage.directory = Some(directory.to_owned());
        storage.in_memory = in_memory;
        Ok(storage)
    }

    /// Creates anonymous memory.
    pub(super) fn memfd(plan: Plan<'_>) -> Result<Self, Error> {
        let label = plan.name();
        let room = plan.room(&label, None);
        room.check(true)?;
        let create = || {
            let file = shm::create_memfd(&plan.name().to_string())?;
            kill_point!("segment.memfd.made");
            plan.provide(&file)?;
            kill_point!("segment.memfd.reserved");
            shm::seal(&file, plan.kind == Kind::Raw)?;
            kill_point!("segment.memfd.sealed");
            let storage = Self::new(plan, file)?;
            kill_point!("segment.memfd.written");
            Ok(storage)
        };
        create().map_err(|error| room.refused(error))
    }

    fn new(plan: Plan<'_>, file: File) -> io::Result<Self> {
        let nonce = host::random_u64()?;
        plan.write(&file, nonce)?;
        Ok(Self {
            file,
            kind: plan.kind,
            directory: None,
            in_memory: true,
            name: plan.name(),
            nonce,
            file_len: AtomicUsize::new(plan.file_len),
            mapping: OnceLock::new(),
            is_populated: AtomicBool::new(false),
            owner: fork::owner_pid(),
        })
    }

    /// Makes this file that of a new owner: header and control page, then the name.
    pub(super) fn renew(&mut self, plan: Plan<'_>) -> io::Result<()> {
        kill_point!("segment.recycle.begin");
        Plan { file_len: self.file_len(), ..plan }.write(&self.file, self.nonce)?;
        kill_point!("segment.recycle.written");
        if let (Some(old), Some(directory)) = (self.path(), &self.directory) {
            shm::rename_new(&old, &directory.join(plan.name().to_string()))?;
        }
        self.name = plan.name();
        kill_point!("segment.recycle.renamed");
        Ok(())
    }

    /// Length of the file in bytes.
    pub(super) fn file_len(&self) -> usize {
        self.file_len.load(Ordering::Acquire)
    }

    /// Makes the file longer, with the space behind it; never shorter.
    pub(super) fn grow(&self, file_len: usize) -> Result<(), Error> {
        assert_eq!(self.kind, Kind::Raw, "only raw segments grow");
        let old = self.refresh_len().map_err(|error| Error::io("cannot look at a segment", error))?;
        if old >= file_len {
            return Ok(());
        }
        let Role::Segment(number) = self.name.role else { unreachable!("storage is named as a segment") };
        let more = file_len - old;
        let plan =
            Plan { run: self.name.run, number, kind: self.kind, file_len: more, header: &[], data: None };
        let label = plan.name();
        let room = plan.room(&label, self.directory.as_deref());
        room.check(self.in_memory)?;
        kill_point!("segment.grow.begin");
        shm::reserve(&self.file, old as u64, file_len as u64).map_err(|error| room.refused(error))?;
        kill_point!("segment.grow.reserved");
        self.file_len.fetch_max(file_len, Ordering::AcqRel);
        Ok(())
    }

    /// Looks at how long the file is: workers may have made it longer. A shorter one, which only a stranger can have cut, is an
    /// error: its missing pages must not be touched.
    pub(super) fn refresh_len(&self) -> io::Result<usize> {
        let len = usize::try_from(self.file.metadata()?.len()).map_err(io::Error::other)?;
        let known = self.file_len.fetch_max(len, Ordering::AcqRel);
        if len < known {
            return Err(io::Error::other(format!(
                "it was cut from {known} to {len} bytes by another process"
            )));
        }
        Ok(len)
    }

    /// Where others find the file by name; `None` if it is anonymous.
    pub(super) fn path(&self) -> Option<PathBuf> {
        self.directory.as_ref().map(|directory| directory.join(self.name.to_string()))
    }

    /// This process's mapping of the file, made when first asked for.
    pub(super) fn mapping(&self) -> Result<&Mapping, Error> {
        if let Some(mapping) = self.mapping.get() {
            return Ok(mapping);
        }
        let mapping = self.map()?;
        // Of two threads that map at the same time, one keeps its mapping and both use it.
        Ok(self.mapping.get_or_init(|| mapping))
    }

    /// Whether the caller is the first, and so the one to populate the mapping that this process has.
    pub(super) fn begin_to_populate(&self) -> bool {
        !self.is_populated.swap(true, Ordering::Relaxed)
    }

    pub(super) fn is_populated(&self) -> bool {
        self.is_populated.load(Ordering::Relaxed)
    }

    /// One more mapping of the file, as long as it is now.
    pub(super) fn map(&self) -> Result<Mapping, Error> {
        let len = self.file_len();
        Mapping::read_write(&self.file, len).map_err(|error| map_refused(&self.name.to_string(), len, error))
    }

    /// Forgets a mapping that is shorter than the file has become.
    pub(super) fn forget_short_mapping(&mut self) {
        if self.mapping.get().is_some_and(|mapping| mapping.len() < self.file_len()) {
            self.mapping = OnceLock::new();
            self.is_populated = AtomicBool::new(false);
        }
    }
}

impl Drop for Storage {
    fn drop(&mut self) {
        if fork::is_forked(self.owner) {
            return;
        }
        kill_point!("segment.drop.begin");
        if let Some(path) = self.path() {
            let _ = fs::remove_file(path);
            kill_point!("segment.drop.unlinked");
        }
        // Workers may still have it mapped, in their caches: without its name the memory would stay until they look.
        let _ = shm::punch(&self.file, 0, self.file_len() as u64);
        kill_point!("segment.drop.punched");
    }
}
