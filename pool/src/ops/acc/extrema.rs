//! Smallest and largest elements and where they stand.

use serde::{Deserialize, Serialize};

use super::Accumulate;
use crate::ops::dtype::Dtype;
use crate::ops::kernel::columns::{STRIP, fold_rows};
use crate::ops::tasks::Outputs;
use crate::task::{Args, Merge, TaskError};

/// Elements that are compared in one go; the place of an extreme is looked for in one such chunk only.
const CHUNK: usize = 2048;

/// Rows of columns that are compared in one go; they stay in the second-level cache for a second look.
const COLUMN_ROWS: usize = 32;

/// Written in place of an index that does not exist, since every element is NaN.
pub const NO_INDEX: u64 = u64::MAX;

/// Smallest and largest element, the first place of each, and the first NaN.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Extrema<T: Dtype> {
    /// Number of elements, NaN included.
    pub(crate) n: u64,
    /// First NaN: value and index.
    pub(crate) nan: Option<(T, u64)>,
    /// Smallest of the others: value and first index.
    pub(crate) min: Option<(T, u64)>,
    /// Largest of the others: value and first index.
    pub(crate) max: Option<(T, u64)>,
}

/// What is wanted of the extremes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ExtremaOp {
    pub(crate) want: Want,
    pub(crate) skip_nan: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Want {
    Min,
    Max,
    ArgMin,
    ArgMax,
    Ptp,
}

impl ExtremaOp {
    pub(crate) const MIN: Self = Self { want: Want::Min, skip_nan: false };
    pub(crate) const MAX: Self = Self { want: Want::Max, skip_nan: false };
    pub(crate) const ARGMIN: Self = Self { want: Want::ArgMin, skip_nan: false };
    pub(crate) const ARGMAX: Self = Self { want: Want::ArgMax, skip_nan: false };
    pub(crate) const PTP: Self = Self { want: Want::Ptp, skip_nan: false };

    /// The same, leaving NaN out.
    pub(crate) const fn skipping_nan(self) -> Self {
        Self { skip_nan: true, ..self }
    }

    /// Whether the result is an index.
    pub(crate) fn is_index(self) -> bool {
        matches!(self.want, Want::ArgMin | Want::ArgMax)
    }
}

impl<T: Dtype> Extrema<T> {
    /// The element that the operation asks for, with its index; `None` of no elements.
    fn find(&self, op: ExtremaOp) -> Option<(T, u64)> {
        let extreme = match op.want {
            Want::Min | Want::ArgMin => self.min,
            Want::Max | Want::ArgMax | Want::Ptp => self.max,
        };
        if op.skip_nan { extreme } else { self.nan.or(extreme) }
    }

    /// The value; a NaN if the array has one, or has nothing else. `None` of no elements.
    pub(crate) fn value(&self, op: ExtremaOp) -> Option<T> {
        let (value, _) = self.find(op).or(self.nan)?;
        match op.want {
            Want::Ptp => {
                let (low, _) = self.nan.or(self.min)?;
                Some(T::difference(value, low))
            }
            _ => Some(value),
        }
    }

    /// The index, or [`NO_INDEX`].
    pub(crate) fn index(&self, op: ExtremaOp) -> u64 {
        self.find(op).map_or(NO_INDEX, |(_, index)| index)
    }

    /// Adds a chunk whose extremes are known.
    #[inline(always)]
    pub(crate) fn push_bounds(&mut self, x: &[T], at: usize, min: T, max: T) {
        self.n += x.len() as u64;
        if self.min.is_none_or(|(old, _)| min.less(old)) {
            self.min = first(x, at, |v| *v == min);
        }
        if self.max.is_none_or(|(old, _)| old.less(max)) {
            self.max = first(x, at, |v| *v == max);
        }
    }
}

/// Some rows of columns side by side.
struct Rows<'x, T> {
    x: &'x [T],
    stride: usize,
    n: usize,
    /// Index of the first row.
    at: usize,
}

impl<T: Dtype> Rows<'_, T> {
    #[inline(always)]
    fn any_nan(&self, width: usize) -> bool {
        (0..self.n).any(|row| T::any_nan(&self.x[row * self.stride..][..width]))
    }

    /// The first element of a column that equals another one, and its index.
    #[inline(never)]
    fn first(&self, column: usize, v: T) -> Option<(T, u64)> {
        let row = (0..self.n).find(|row| self.x[row * self.stride + column] == v)?;
        Some((self.x[row * self.stride + column], (self.at + row) as u64))
    }

    /// Pushes a column like any slice.
    #[inline(always)]
    fn push_column(&self, acc: &mut Extrema<T>, op: ExtremaOp, column: usize) {
        let mut copy = [T::ZERO; COLUMN_ROWS];
        for (row, v) in copy[..self.n].iter_mut().enumerate() {
            *v = self.x[row * self.stride + column];
        }
        acc.push(op, &copy[..self.n], self.at);
    }
}

/// The first element that fits, and its index.
#[inline(never)]
fn first<T: Copy>(x: &[T], at: usize, fits: impl Fn(&T) -> bool) -> Option<(T, u64)> {
    let found = x.iter().position(fits)?;
    Some((x[found], (at + found) as u64))
}

impl<T: Dtype> Default for Extrema<T> {
    fn default() -> Self {
        Self { n: 0, nan: None, min: None, max: None }
    }
}

impl<T: Dtype> Merge for Extrema<T> {
    fn merge(&mut self, later: Self) {
        self.n += later.n;
        self.nan = self.nan.or(later.nan);
        if let Some((min, index)) = later.min
            && self.min.is_none_or(|(old, _)| min.less(old))
        {
            self.min = Some((min, index));
        }
        if let Some((max, index)) = later.max
            && self.max.is_none_or(|(old, _)| old.less(max))
        {
            self.max = Some((max, index));
        }
    }
}

impl<T: Dtype> Accumulate<T> for Extrema<T> {
    const NAME: &'static str = "extrema";
    type Op = ExtremaOp;

    #[inline(always)]
    fn push(&mut self, _op: ExtremaOp, x: &[T], at: usize) {
        for (i, chunk) in x.chunks(CHUNK).enumerate() {
            let at = at + i * CHUNK;
            let extremes = T::extremes(chunk);
            if extremes.has_nan && self.nan.is_none() {
                self.nan = first(chunk, at, |v| v.is_nan());
            }
            match extremes.bounds {
                Some((min, max)) => self.push_bounds(chunk, at, min, max),
                None => self.n += chunk.len() as u64,
            }
        }
    }

    fn is_settled(&self, op: ExtremaOp) -> bool {
        !op.skip_nan && self.nan.is_some()
    }

    #[inline(always)]
    fn push_columns(
        these: &mut [Self],
        op: ExtremaOp,
        x: &[T],
        stride: usize,
        n_rows: usize,
        at: usize,
    ) -> bool {
        let mut best = [T::ZERO; STRIP];
        let best = &mut best[..these.len()];
        for row in (0..n_rows).step_by(COLUMN_ROWS) {
            let rows = Rows { x: &x[row * stride..], stride, n: COLUMN_ROWS.min(n_rows - row), at: at + row };
            if T::HAS_NAN && rows.any_nan(best.len()) {
                these.iter_mut().enumerate().for_each(|(column, this)| rows.push_column(this, op, column));
                continue;
            }
            these.iter_mut().for_each(|this| this.n += rows.n as u64);
            if matches!(op.want, Want::Min | Want::ArgMin | Want::Ptp) {
                best.copy_from_slice(&rows.x[..best.len()]);
                fold_rows(best, rows.x, stride, rows.n, |a, v| if v.less(a) { v } else { a });
                for (column, (this, v)) in these.iter_mut().zip(&*best).enumerate() {
                    if this.min.is_none_or(|(old, _)| v.less(old)) {
                        this.min = rows.first(column, *v);
                    }
                }
            }
            if matches!(op.want, Want::Max | Want::ArgMax | Want::Ptp) {
                best.copy_from_slice(&rows.x[..best.len()]);
                fold_rows(best, rows.x, stride, rows.n, |a, v| if a.less(v) { v } else { a });
                for (column, (this, v)) in these.iter_mut().zip(&*best).enumerate() {
                    if this.max.is_none_or(|(old, _)| old.less(*v)) {
                        this.max = rows.first(column, *v);
                    }
                }
            }
        }
        true
    }

    fn fill(op: ExtremaOp, outputs: Outputs<'_, T, Self>, args: &mut Args<'_>) -> Result<(), TaskError> {
        match op.is_index() {
            true => outputs.write(op, args.flat_mut::<u64>()?, |this| this.index(op)),
            // Callers refuse an axis of length 0, so that there is a value.
            false => outputs.write(op, args.flat_mut::<T>()?, |this| this.value(op).unwrap_or(T::ZERO)),
        }
        Ok(())
    }
}
