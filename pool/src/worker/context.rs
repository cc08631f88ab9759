//! A job as a worker sees it: what was decoded and mapped once, at its first block of the job.

use super::cache::Cache;
use crate::error::{Error, ErrorKind, Result};
use crate::job::arena::{Arena, Plan};
use crate::job::descriptor::{Descriptor, Mode, TaskId};
use crate::job::ledger::Cursor;
use crate::segment::{Access, Attachment};
use crate::sys::kill_point;
use crate::task::{self, BlockArray, Failure, FailureKind, TaskVtable, Values};
use std::io;
use std::rc::Rc;

/// What a worker knows of an open job before it has claimed anything of it.
pub(super) struct JobEntry {
    pub(super) sequence: u64,
    pub(super) arena: Rc<Arena>,
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
    pub(super) context: Option<Result<JobContext, Failure>>,
}

/// What a block of the job needs.
pub(super) struct JobContext {
    pub(super) descriptor: Descriptor,
    pub(super) vtable: &'static TaskVtable,
    pub(super) values: Values,
    /// One for each array, in order.
    pub(super) attachments: Vec<Rc<Attachment>>,
    /// One for each array, changed in place from block to block.
    pub(super) block_arrays: Vec<BlockArray>,
    pub(super) staging_len: usize,
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
    /// Decodes and maps what the job needs. Only while a block of the job is claimed.
    ///
    /// # Errors
    ///
    /// What the block fails with: a task that is not known, memory that cannot be mapped, a descriptor that is
    /// not sound; and whether another process may fare better.
    pub(super) fn new(arena: &Arena, plan: &Plan, cache: &mut Cache) -> Result<Self, Unmade> {
        let descriptor: Descriptor =
            postcard::from_bytes(&arena.descriptor(plan)).map_err(|error| Failure {
                kind: FailureKind::Serde,
                message: format!("the job's descriptor cannot be read: {error}"),
                ..Failure::default()
            })?;
        descriptor.validate(plan.n_blocks).map_err(|error| Unmade::new(&error))?;
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
        let mut block_arrays = Vec::with_capacity(descriptor.arrays.len());
        for array in &descriptor.arrays {
            let access = match array.mode {
                Mode::Read | Mode::Whole => Access::Read,
                Mode::Stage => Access::Stage,
                Mode::Out => Access::Write,
            };
            let attachment = cache.segment(&array.locator, access).map_err(|error| Unmade::new(&error))?;
            kill_point!("block.array_mapped");
            attachments.push(attachment);
            block_arrays.push(BlockArray {
                first: std::ptr::null_mut(),
                dtype: array.dtype,
                shape: array.shape.clone(),
                mode: array.mode,
            });
        }
        let values = if descriptor.is_batch {
            Values::default()
        } else {
            Values::new(arena.arguments(plan, None), descriptor.n_values)
        };
        let staging_len = descriptor.staging_len();
        Ok(Self { descriptor, vtable, values, attachments, block_arrays, staging_len })
    }
}
