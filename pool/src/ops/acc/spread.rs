//! Variances and standard deviations.

use serde::{Deserialize, Serialize};

use super::Accumulate;
use crate::ops::dtype::Dtype;
use crate::ops::tasks::Outputs;
use crate::task::{Args, Merge, TaskError};

/// Number of elements, their mean and their sum of squares about it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Spread<T: Dtype> {
    pub(crate) n: u64,
    pub(crate) spread: T::Spread,
}

/// `var`, `std` and their forms without NaN.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SpreadOp {
    /// Delta degrees of freedom.
    pub(crate) ddof: f64,
    pub(crate) root: bool,
    pub(crate) skip_nan: bool,
}

impl<T: Dtype> Spread<T> {
    /// The variance, or its root.
    ///
    /// As NumPy: without degrees of freedom left, the plain forms divide by zero and the forms without NaN yield NaN,
    /// except for types that have no NaN.
    pub(crate) fn value(&self, op: SpreadOp) -> T::Real {
        let freedom = self.n as f64 - op.ddof;
        let m2 = T::spread_m2(&self.spread);
        let var = match freedom > 0.0 {
            true => m2 / freedom,
            false if op.skip_nan && T::HAS_NAN => f64::NAN,
            false => m2 / 0.0,
        };
        T::real(if op.root { var.sqrt() } else { var })
    }
}

impl<T: Dtype> Default for Spread<T> {
    fn default() -> Self {
        Self { n: 0, spread: T::Spread::default() }
    }
}

impl<T: Dtype> Merge for Spread<T> {
    fn merge(&mut self, later: Self) {
        self.n += later.n;
        T::spread_merge(&mut self.spread, later.spread);
    }
}

impl<T: Dtype> Accumulate<T> for Spread<T> {
    const NAME: &'static str = "var";
    type Op = SpreadOp;

    #[inline(always)]
    fn push(&mut self, _op: SpreadOp, x: &[T], _at: usize) {
        self.n += x.len() as u64;
        T::spread(&mut self.spread, x);
    }

    fn skips_nan(op: SpreadOp) -> bool {
        op.skip_nan
    }

    #[inline(always)]
    fn push_columns(
        these: &mut [Self],
        op: SpreadOp,
        x: &[T],
        stride: usize,
        n_rows: usize,
        _at: usize,
    ) -> bool {
        if op.skip_nan && T::HAS_NAN {
            return false;
        }
        let width = these.len();
        let add = |column: usize, spread| T::spread_merge(&mut these[column].spread, spread);
        if !T::spread_columns(x, stride, width, n_rows, add) {
            return false;
        }
        for this in these {
            this.n += n_rows as u64;
        }
        true
    }

    fn fill(op: SpreadOp, outputs: Outputs<'_, T, Self>, args: &mut Args<'_>) -> Result<(), TaskError> {
        outputs.write(op, args.flat_mut::<T::Real>()?, |this| this.value(op));
        Ok(())
    }
}
