//! What a worker is told of a job: the task, its arguments, its arrays and its grid.
//!
//! The descriptor is written into the job's arena before the job's words are opened, and read by a worker after
//! its first claim. It comes from another process, so the worker checks it before it makes a view of anything.

use super::grid::Grid;
use crate::error::{Error, ErrorKind, Result};
use crate::segment::{DType, Locator};
use crate::sys::view::checked_len_bytes;
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
        // A row without elements has no bytes, however long its other axes are said to be.
        [n_rows, row @ ..] if row.contains(&0) => (*n_rows, 0),
        // Saturating: arrays without rows may be said to have rows of any length.
        [n_rows, row @ ..] => (*n_rows, row.iter().fold(item_bytes, |bytes, &n| bytes.saturating_mul(n))),
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
        let end = checked_len_bytes(&self.shape, item).and_then(|len| len.checked_add(self.offset_bytes));
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
    /// Checks that a descriptor that was read describes a job of `n_blocks` blocks, and that every block of it lies inside of the
    /// arrays, and these inside of their segments: from here on no place that is computed from it overflows or is out of bounds.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Segment`], with what does not fit.
    pub(crate) fn validate(&self, n_blocks: usize) -> Result<()> {
        let refused =
            |what: String| Error::new(ErrorKind::Segment, format!("a job's descriptor cannot be: {what}"));
        if self.grid.checked_n_blocks() != Some(n_blocks) {
            return Err(refused(format!("{:?} where the job has {n_blocks} blocks", self.grid)));
        }
        let mut staged_len = 0_usize;
        for array in &self.arrays {
            array.validate(array.locator.data_len)?;
            if array.mode != Mode::Whole && self.grid.n_rows() > array.n_rows() {
                return Err(refused(format!("{:?} over an array of {:?}", self.grid, array.shape)));
            }
            if array.mode == Mode::Stage {
                let len = array.n_rows().saturating_mul(array.row_bytes()).saturating_add(STAGING_ALIGN);
                staged_len = staged_len.saturating_add(len);
            }
        }
        if isize::try_from(staged_len).is_err() {
            return Err(refused(format!("{staged_len} bytes to be staged")));
        }
        Ok(())
    }

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment::{Place, RunId};

    fn array(shape: &[usize], offset_bytes: usize, mode: Mode) -> ArraySpec {
        let locator = Locator {
            place: Place::Memfd { pid: 1, fd: 3 },
            kind: None,
            run: RunId::new(1),
            nonce: 0,
            generation: 0,
            file_len: 4096,
            data_offset: 0,
            data_len: 4096,
        };
        ArraySpec { locator, dtype: DType::F64, shape: shape.to_vec(), offset_bytes, mode }
    }

    fn job(grid: Grid, arrays: Vec<ArraySpec>) -> Descriptor {
        let task_name = Cow::Borrowed("task");
        Descriptor { task: TaskId::Name, task_name, grid, arrays, n_values: 0, is_batch: false }
    }

    #[test]
    fn what_fits_is_accepted() {
        let grid = Grid::new(10, 3);
        for shape in [&[10][..], &[10, 51], &[12, 2], &[10, 0, 7]] {
            assert!(job(grid, vec![array(shape, 16, Mode::Stage)]).validate(4).is_ok(), "{shape:?}");
        }
        assert!(job(grid, vec![array(&[], 4088, Mode::Whole)]).validate(4).is_ok());
        assert!(job(Grid::new(0, 1), vec![array(&[0, 1 << 50], 0, Mode::Stage)]).validate(1).is_ok());
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let grid = Grid::new(10, 3);
        for (shape, offset, mode) in [
            (&[10, 52][..], 0, Mode::Read),
            (&[10], 4, Mode::Read),
            (&[10], 4024, Mode::Out),
            (&[10], usize::MAX - 7, Mode::Out),
            (&[9], 0, Mode::Stage),
            (&[], 0, Mode::Read),
            (&[usize::MAX, 2], 0, Mode::Whole),
            (&[10, 0, usize::MAX, usize::MAX], 0, Mode::Whole),
        ] {
            let refused = job(grid, vec![array(shape, offset, mode)]).validate(4);
            assert!(refused.is_err(), "{shape:?} at {offset} as {mode:?}");
        }
        assert!(job(grid, vec![]).validate(5).is_err());
    }
}
