//! Counts of elements that are not zero.

use serde::{Deserialize, Serialize};

use super::Accumulate;
use crate::ops::dtype::Dtype;
use crate::ops::kernel::columns::{STRIP, fold_rows};
use crate::ops::tasks::Outputs;
use crate::task::{Args, Merge, TaskError};

/// How many elements there are, and how many of them count as true (NaN does).
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Count {
    pub(crate) n: u64,
    pub(crate) nonzero: u64,
}

/// What is wanted of the counts.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum CountOp {
    Nonzero,
    Any,
    All,
}

impl Count {
    /// Whether the condition holds; for [`CountOp::Nonzero`], whether anything is true.
    pub(crate) fn holds(&self, op: CountOp) -> bool {
        match op {
            CountOp::All => self.nonzero == self.n,
            CountOp::Any | CountOp::Nonzero => self.nonzero > 0,
        }
    }
}

impl Merge for Count {
    fn merge(&mut self, later: Self) {
        self.n += later.n;
        self.nonzero += later.nonzero;
    }
}

impl<T: Dtype> Accumulate<T> for Count {
    const NAME: &'static str = "count";
    type Op = CountOp;

    #[inline(always)]
    fn push(&mut self, op: CountOp, x: &[T], _at: usize) {
        for chunk in x.chunks(4096) {
            self.nonzero += u64::from(chunk.iter().map(|v| u32::from(v.is_true())).sum::<u32>());
            self.n += chunk.len() as u64;
            if Accumulate::<T>::is_settled(self, op) {
                return;
            }
        }
    }

    fn is_settled(&self, op: CountOp) -> bool {
        match op {
            CountOp::Nonzero => false,
            CountOp::Any => self.nonzero > 0,
            CountOp::All => self.nonzero < self.n,
        }
    }

    #[inline(always)]
    fn push_columns(
        these: &mut [Self],
        _op: CountOp,
        x: &[T],
        stride: usize,
        n_rows: usize,
        _at: usize,
    ) -> bool {
        // A lane of 32 bits counts that many rows.
        const WIDEN_EVERY: usize = 1 << 30;
        let mut lanes = [0_u32; STRIP];
        let lanes = &mut lanes[..these.len()];
        for row in (0..n_rows).step_by(WIDEN_EVERY) {
            let height = WIDEN_EVERY.min(n_rows - row);
            lanes.fill(0);
            fold_rows(lanes, &x[row * stride..], stride, height, |n, v| n + u32::from(v.is_true()));
            for (this, nonzero) in these.iter_mut().zip(&*lanes) {
                this.n += height as u64;
                this.nonzero += u64::from(*nonzero);
            }
        }
        true
    }

    fn fill(op: CountOp, outputs: Outputs<'_, T, Self>, args: &mut Args<'_>) -> Result<(), TaskError> {
        match op {
            CountOp::Nonzero => outputs.write(op, args.flat_mut::<u64>()?, |this| this.nonzero),
            _ => outputs.write(op, args.flat_mut::<bool>()?, |this| this.holds(op)),
        }
        Ok(())
    }
}
