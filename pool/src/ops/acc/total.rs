//! Sums and means.

use serde::{Deserialize, Serialize};

use super::Accumulate;
use crate::ops::dtype::Dtype;
use crate::ops::tasks::Outputs;
use crate::task::{Args, Merge, TaskError};

/// Number of elements and their sum.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Total<T: Dtype> {
    pub(crate) n: u64,
    pub(crate) sum: T::Sum,
}

/// `sum`, `mean` and their forms without NaN.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct TotalOp {
    pub(crate) mean: bool,
    pub(crate) skip_nan: bool,
}

impl<T: Dtype> Total<T> {
    pub(crate) fn sum(&self) -> T::Wide {
        T::sum_value(&self.sum)
    }

    pub(crate) fn mean(&self) -> T::Mean {
        T::mean(&self.sum, self.n)
    }
}

impl<T: Dtype> Default for Total<T> {
    fn default() -> Self {
        Self { n: 0, sum: T::Sum::default() }
    }
}

impl<T: Dtype> Merge for Total<T> {
    fn merge(&mut self, later: Self) {
        self.n += later.n;
        T::sum_merge(&mut self.sum, later.sum);
    }
}

impl<T: Dtype> Accumulate<T> for Total<T> {
    const NAME: &'static str = "sum";
    type Op = TotalOp;

    #[inline(always)]
    fn push(&mut self, _op: TotalOp, x: &[T], _at: usize) {
        self.n += x.len() as u64;
        T::sum(&mut self.sum, x);
    }

    fn skips_nan(op: TotalOp) -> bool {
        op.skip_nan
    }

    #[inline(always)]
    fn push_columns(
        these: &mut [Self],
        op: TotalOp,
        x: &[T],
        stride: usize,
        n_rows: usize,
        _at: usize,
    ) -> bool {
        if op.skip_nan && T::HAS_NAN {
            return false;
        }
        let width = these.len();
        let add = |column: usize, sum| T::sum_merge(&mut these[column].sum, sum);
        if !T::sum_columns(x, stride, width, n_rows, add) {
            return false;
        }
        for this in these {
            this.n += n_rows as u64;
        }
        true
    }

    fn fill(op: TotalOp, outputs: Outputs<'_, T, Self>, args: &mut Args<'_>) -> Result<(), TaskError> {
        match op.mean {
            true => outputs.write(op, args.flat_mut::<T::Mean>()?, Self::mean),
            false => outputs.write(op, args.flat_mut::<T::Wide>()?, Self::sum),
        }
        Ok(())
    }
}
