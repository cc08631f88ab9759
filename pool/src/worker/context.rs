//! A job as a worker sees it: what was decoded and mapped once, at its first block of the job.

use super::cache::Cache;
use crate::error::{Error, ErrorKind, Result};
use crate::job::arena::{Arena, Plan};
use crate::job::descriptor::{Descriptor, Mode, Staged, TaskId};
use crate::job::ledger::Cursor;
use crate::segment::{Access, Attachment, Window};
use crate::sys::{kill_point, prefetch};
use crate::task::{self, BlockArray, Failure, FailureKind, Fold, Folder, Outcome, TaskVtable, Values};
use std::io;
use std::ops::Range;
use std::rc::Rc;

/// Bytes of the largest block of an array that is asked for ahead: of larger ones the processor sees itself what comes next.
const MAX_SMALL_BYTES: usize = 16 << 10;
/// How far ahead.
const AHEAD_BYTES: usize = 2048;

/// What a worker knows of an open job before it has claimed anything of it.
pub(super) struct JobEntry {
    pub(super) sequence: u64,
    /// Number of the arena.
    pub(super) arena_id: u64,
    pub(super) arena: Rc<Arena>,
    /// The block that this worker looks at first.
    pub(super) first: usize,
    /// Blocks of the job, as the arena said at first; a hint, like all that is read before a claim.
    pub(super) n_blocks: usize,
    pub(super) cursor: Cursor,
    /// The board's rescan count when the cursor was at its start.
    pub(super) rescan: u32,
    /// Whether this worker has run a block of the job.
    pub(super) has_begun: bool,
    /// Read after the first claim.
    pub(super) plan: Option<Plan>,
    /// Made after the first claim.
    pub(super) context: Option<Result<Box<JobContext>, Failure>>,
    /// That of an earlier job in this place, which is as good if the job is like it.
    pub(super) earlier: Option<Box<JobContext>>,
}

impl JobEntry {
    /// What another job in the same place may go on with.
    pub(super) fn into_context(self) -> Option<Box<JobContext>> {
        self.context.and_then(Result::ok).or(self.earlier)
    }
}

/// What a block of the job needs.
pub(super) struct JobContext {
    /// The descriptor, serialised.
    described: Vec<u8>,
    pub(super) descriptor: Descriptor,
    pub(super) vtable: &'static TaskVtable,
    pub(super) values: Values,
    /// One for each array, in order.
    pub(super) attachments: Vec<Rc<Attachment>>,
    /// For each array that is staged, memory through which it is written back.
    windows: Vec<Rc<Option<Window>>>,
    /// One for each array, changed in place from block to block.
    pub(super) block_arrays: Vec<BlockArray>,
    /// One for each array.
    places: Vec<Place>,
    /// Bytes of staging buffer that the largest block needs.
    pub(super) staging_len: usize,
    /// The buffer, from the first block that needs it.
    pub(super) staging: Option<Rc<Attachment>>,
    /// Where the result of the block in hand goes first.
    pub(super) outcome: Outcome,
    /// How results merge in this worker, and those that have.
    pub(super) folder: Option<Folder>,
    pub(super) fold: Fold,
}

/// Where the rows of an array are.
struct Place {
    first: *mut u8,
    /// Zero if every block gets all rows.
    row_bytes: usize,
}

impl Place {
    /// First byte and number of bytes of some rows.
    fn rows(&self, rows: &Range<usize>) -> (*const u8, usize) {
        (self.first.wrapping_add(rows.start * self.row_bytes), rows.len() * self.row_bytes)
    }
}

/// Why a worker cannot run a block that it has claimed.
pub(super) struct Unmade {
    pub(super) failure: Failure,
    /// Whether it is for want of descriptors, memory or address space, which tasks may have used up in this process.
    pub(super) is_want: bool,
}

impl Unmade {
    /// Of an error in mapping memory.
    pub(super) fn new(error: &Error) -> Self {
        let source = std::error::Error::source(error).and_then(|source| source.downcast_ref::<io::Error>());
        let number = source.and_then(io::Error::raw_os_error);
        let is_want = error.kind() == ErrorKind::OutOfSpace
            || matches!(number, Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM | libc::EAGAIN));
        let failure =
            Failure { kind: FailureKind::Segment, message: error.to_string(), ..Failure::default() };
        Self { failure, is_want }
    }
}

impl From<Failure> for Unmade {
    fn from(failure: Failure) -> Self {
        Self { failure, is_want: false }
    }
}

impl JobContext {
    /// Decodes and maps what the job needs, or takes what an earlier job of the same description has left. Only while a block
    /// of the job is claimed.
    ///
    /// # Errors
    ///
    /// What the block fails with: a task that is not known, memory that cannot be mapped, a descriptor that is
    /// not sound; and whether another process may fare better.
    pub(super) fn new(
        arena: &Arena,
        plan: &Plan,
        cache: &mut Cache,
        earlier: Option<Box<Self>>,
    ) -> Result<Box<Self>, Unmade> {
        let is_like = |it: &Self| {
            it.described.len() == plan.descriptor_len
                && arena.begins_with(&it.described)
                && it.descriptor.grid.n_blocks() == plan.n_blocks
        };
        let mut context = match earlier.filter(|earlier| is_like(earlier)) {
            Some(mut earlier) => {
                earlier.fold.restart();
                earlier
            }
            None => {
                let mut described = Vec::new();
                arena.read_descriptor(plan, &mut described);
                Box::new(Self::described(described, plan.n_blocks, cache)?)
            }
        };
        if !context.descriptor.is_batch && (plan.arguments_len > 0 || context.descriptor.n_values > 0) {
            context.values.renew(|bytes| arena.read_arguments(plan, None, bytes));
        }
        Ok(context)
    }

    fn described(described: Vec<u8>, n_blocks: usize, cache: &mut Cache) -> Result<Self, Unmade> {
        let descriptor: Descriptor = postcard::from_bytes(&described).map_err(|error| Failure {
            kind: FailureKind::Serde,
            message: format!("the job's descriptor cannot be read: {error}"),
            ..Failure::default()
        })?;
        descriptor.validate(n_blocks).map_err(|error| Unmade::new(&error))?;
        let vtable = match descriptor.task {
            TaskId::Image(offset) => task::vtable_at(offset, &descriptor.task_name),
            TaskId::Name => task::find_by_name(&descriptor.task_name),
        };
        let vtable = vtable.ok_or_else(|| Failure {
            kind: FailureKind::UnknownTask,
            message: format!("the worker's program has no task {}", descriptor.task_name),
            ..Failure::default()
        })?;
        let mut attachments = Vec::with_capacity(descriptor.arrays.len());
        let mut windows = Vec::with_capacity(descriptor.arrays.len());
        let mut block_arrays = Vec::with_capacity(descriptor.arrays.len());
        let mut places = Vec::with_capacity(descriptor.arrays.len());
        for array in &descriptor.arrays {
            let access = match array.mode {
                Mode::Read | Mode::Whole => Access::Read,
                Mode::Stage => Access::Stage,
                Mode::Out => Access::Write,
            };
            let attachment = cache.segment(&array.locator, access).map_err(|error| Unmade::new(&error))?;
            kill_point!("block.array_mapped");
            windows.push(match array.mode {
                Mode::Stage => cache.window(&array.locator).map_err(|error| Unmade::new(&error))?,
                _ => Rc::default(),
            });
            kill_point!("block.window_opened");
            let first = attachment.data_ptr().wrapping_add(array.offset_bytes).cast_mut();
            let row_bytes = if array.mode == Mode::Whole { 0 } else { array.row_bytes() };
            places.push(Place { first, row_bytes });
            attachments.push(attachment);
            block_arrays.push(BlockArray {
                first,
                dtype: array.dtype,
                shape: array.shape.clone(),
                mode: array.mode,
            });
        }
        // The calls of a batch are not merged with one another.
        let merges = !descriptor.is_batch && n_blocks > 1;
        Ok(Self {
            vtable,
            values: Values::new(Vec::new(), descriptor.n_values),
            attachments,
            windows,
            block_arrays,
            places,
            staging_len: descriptor.staging_len(),
            staging: None,
            outcome: Outcome::default(),
            folder: if merges { (vtable.folder)() } else { None },
            fold: Fold::default(),
            described,
            descriptor,
        })
    }

    /// Points every array that is not staged at the rows of a block.
    pub(super) fn point_at(&mut self, rows: &Range<usize>) {
        for (index, (target, place)) in self.block_arrays.iter_mut().zip(&self.places).enumerate() {
            if target.mode == Mode::Whole {
                continue;
            }
            let (first, len) = place.rows(rows);
            target.first = first.cast_mut();
            if let Some(n_rows) = target.shape.first_mut() {
                *n_rows = rows.len();
            }
            match target.mode {
                Mode::Stage | Mode::Whole => {}
                Mode::Read | Mode::Out if len > MAX_SMALL_BYTES => {
                    self.attachments[index].populate(self.descriptor.arrays[index].bytes(rows));
                }
                // Claims and commits end what the processor has begun to read ahead by itself.
                Mode::Read => prefetch::will_read(first.wrapping_add(AHEAD_BYTES), len),
                Mode::Out => {}
            }
        }
    }

    /// Copies a block's staged rows into a buffer and points the arrays at them there.
    pub(super) fn stage(&mut self, staging: &Attachment, block: usize, rows: &Range<usize>) {
        // What the task reads besides comes meanwhile: two streams from memory take little longer than one.
        let mut read =
            self.descriptor.arrays.iter().zip(&self.places).filter(|(array, _)| array.mode == Mode::Read);
        for Staged { index, buffer, target } in self.descriptor.staging(block) {
            let soon = read.next().map(|(_, place)| place.rows(rows));
            let first = staging.data_mut_ptr().wrapping_add(buffer.start);
            staging.copy_in(buffer.start, &self.attachments[index], target, soon);
            kill_point!("stage.array_copied");
            self.block_arrays[index].first = first;
        }
    }

    /// Writes a block's staged rows back.
    ///
    /// # Errors
    ///
    /// Those of the file, where it is written through.
    pub(super) fn write_back(&self, block: usize) -> io::Result<()> {
        let staging = self.staging.as_deref().expect("a block with staged rows was prepared");
        for Staged { index, buffer, target } in self.descriptor.staging(block) {
            match &*self.windows[index] {
                Some(window) => staging.copy_out(buffer, window, target.start),
                None => staging.write_back(buffer, &self.attachments[index], target.start)?,
            }
            kill_point!("commit.array_written");
        }
        Ok(())
    }
}
