//! Everything that `describe` tells, in one pass.

use serde::{Deserialize, Serialize};

use super::{Accumulate, Extrema, ExtremaOp, Spread, Total};
use crate::ops::dtype::{Dtype, Seen};
use crate::ops::kernel::fused::CHUNK;
use crate::ops::tasks::Outputs;
use crate::task::{Args, Merge, TaskError};

/// Sum, spread, extremes and number of NaN.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Summary<T: Dtype> {
    pub(crate) nan_count: u64,
    pub(crate) total: Total<T>,
    pub(crate) spread: Spread<T>,
    pub(crate) extrema: Extrema<T>,
}

impl<T: Dtype> Default for Summary<T> {
    fn default() -> Self {
        Self { nan_count: 0, total: Total::default(), spread: Spread::default(), extrema: Extrema::default() }
    }
}

impl<T: Dtype> Merge for Summary<T> {
    fn merge(&mut self, later: Self) {
        self.nan_count += later.nan_count;
        self.total.merge(later.total);
        self.spread.merge(later.spread);
        self.extrema.merge(later.extrema);
    }
}

impl<T: Dtype> Summary<T> {
    #[inline(always)]
    fn push_extremes(&mut self, x: &[T], at: usize) {
        self.extrema.push(ExtremaOp::MIN, x, at);
        if T::any_nan(x) {
            self.nan_count += x.iter().map(|v| u64::from(v.is_nan())).sum::<u64>();
        }
    }
}

impl<T: Dtype> Accumulate<T> for Summary<T> {
    const NAME: &'static str = "describe";
    type Op = ();

    #[inline(always)]
    fn push(&mut self, _op: (), x: &[T], at: usize) {
        let n = x.len() as u64;
        self.total.n += n;
        self.spread.n += n;
        let (chunks, tail) = x.as_chunks::<CHUNK>();
        for (i, chunk) in chunks.iter().enumerate() {
            let at = at + i * CHUNK;
            match T::fused(chunk, &mut self.total.sum, &mut self.spread.spread) {
                Seen::All(min, max) => self.extrema.push_bounds(chunk, at, min, max),
                Seen::Sums => self.push_extremes(chunk, at),
                Seen::Nothing => {
                    T::sum(&mut self.total.sum, chunk);
                    T::spread(&mut self.spread.spread, chunk);
                    self.push_extremes(chunk, at);
                }
            }
        }
        T::sum(&mut self.total.sum, tail);
        T::spread(&mut self.spread.spread, tail);
        self.push_extremes(tail, at + chunks.len() * CHUNK);
    }

    fn fill(_op: (), _outputs: Outputs<'_, T, Self>, _args: &mut Args<'_>) -> Result<(), TaskError> {
        Err(TaskError::new("`describe` has no form along an axis"))
    }
}
