//! What a worker is told of a job: the task, its arguments, its arrays and its grid.
//!
//! The descriptor is written into the job's arena before the job's words are opened, and read by a worker after
//! its first claim. It comes from another process, so the worker checks it before it makes a view of anything.

use super::grid::Grid;
use crate::error::{Error, ErrorKind, Result};
use crate::segment::{DType, Locator};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::ops::Range;

/// What a task does with an array.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Mode {
    /// Blocks of rows, read.
    Read,
    /// All of it in every block, read.
    Whole,
    /// Blocks of rows, changed on a private copy that is written back.
    Stage,
    /// Blocks of rows, written in full without being read.
    Out,
}

impl Mode {
    pub(crate) fn is_mutable(self) -> bool {
        matches!(self, Self::Stage | Self::Out)
    }
}

/// Where a worker finds a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum TaskId {
    /// At this offset of the program file that supervisor and worker share.
    Image(u64),
    /// Under its name, among the tasks that the worker's program registers.
    Name,
}

/// One array of a job.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ArraySpec {
    pub(crate) locator: Locator,
    pub(crate) dtype: DType,
    pub(crate) shape: Vec<usize>,
    /// Of the first row, from the start of the segment's data.
    pub(crate) offset_bytes: usize,
    pub(crate) mode: Mode,
}

/// Rows and bytes per row of a shape: rank 0 counts as one row of one element.
pub(crate) fn rows_of(shape: &[usize], item_bytes: usize) -> (usize, usize) {
    match shape {
        [] => (1, item_bytes),
        [n_rows, row @ ..] => (*n_rows, row.iter().product::<usize>() * item_bytes),
    }
}

impl ArraySpec {
    pub(crate) fn n_rows(&self) -> usize {
        rows_of(&self.shape, 1).0
    }

    pub(crate) fn row_bytes(&self) -> usize {
        rows_of(&self.shape, self.dtype.size_bytes()).1
    }

    /// The bytes of some rows, from the start of the segment's data.
    pub(crate) fn bytes(&self, rows: &Range<usize>) -> Range<usize> {
        let width = self.row_bytes();
        self.offset_bytes + rows.start * width..self.offset_bytes + rows.end * width
    }

    /// Checks that the array lies inside its segment, and that its size does not overflow.
    pub(crate) fn validate(&self, data_len: usize) -> Result<()> {
        let item = self.dtype.size_bytes();
        let end = self
            .shape
            .iter()
            .try_fold(item, |product, &n| product.checked_mul(n))
            .and_then(|len| len.checked_add(self.offset_bytes))
            // ndarray's constructors want lengths that fit an isize.
            .filter(|&end| isize::try_from(end).is_ok());
        let fits = end.is_some_and(|end| end <= data_len);
        if !fits || !self.offset_bytes.is_multiple_of(item) {
            return Err(Error::new(
                ErrorKind::Segment,
                format!(
                    "descriptor of a {:?} array of {} at byte {} does not fit its segment of {data_len} bytes",
                    self.shape,
                    self.dtype.name(),
                    self.offset_bytes
                ),
            ));
        }
        Ok(())
    }
}

/// All that a worker is told of a job.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Descriptor {
    pub(crate) sequence: u64,
    pub(crate) task: TaskId,
    pub(crate) task_name: Cow<'static, str>,
    pub(crate) grid: Grid,
    pub(crate) arrays: Vec<ArraySpec>,
    /// Values among the arguments; each is decoded at most once per worker and job if it is borrowed.
    pub(crate) n_values: usize,
    /// Whether every block is a call of its own, with arguments of its own.
    pub(crate) is_batch: bool,
}

/// Staged arrays start at multiples of this in a staging buffer.
const STAGING_ALIGN: usize = 64;

impl Descriptor {
    /// Where a block's staged arrays lie in the staging buffer: for each array that is staged, its number, its
    /// place in the buffer and its place in the segment's data.
    ///
    /// Worker and sweeper both compute this from the descriptor, so that one can finish what the other began.
    pub(crate) fn staging(&self, block: usize) -> impl Iterator<Item = Staged> {
        let rows = self.grid.rows(block);
        let mut next = 0usize;
        self.arrays.iter().enumerate().filter(|(_, array)| array.mode == Mode::Stage).map(
            move |(index, array)| {
                let target = array.bytes(&rows);
                let buffer = next..next + target.len();
                next = buffer.end.next_multiple_of(STAGING_ALIGN);
                Staged { index, buffer, target }
            },
        )
    }

    /// Bytes of staging buffer that the largest block needs.
    pub(crate) fn staging_len(&self) -> usize {
        // The first block is as large as any.
        self.staging(0).map(|staged| staged.buffer.end).max().unwrap_or(0)
    }
}

/// Where one staged array of a block lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Staged {
    /// Number of the array in the descriptor.
    pub(crate) index: usize,
    /// Bytes of the staging buffer.
    pub(crate) buffer: Range<usize>,
    /// Bytes of the segment's data.
    pub(crate) target: Range<usize>,
}
