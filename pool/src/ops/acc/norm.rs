//! Vector norms.

use serde::{Deserialize, Serialize};

use super::Accumulate;
use crate::ops::dtype::Dtype;
use crate::ops::kernel::twofold::Twofold;
use crate::ops::tasks::Outputs;
use crate::task::{Args, Merge, TaskError};

/// Sum of magnitudes or of their squares, and the largest magnitude; only what the operation wants is filled in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Norm {
    sum: Twofold,
    largest: f64,
}

/// Which norm.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum NormOp {
    One,
    Two,
    Inf,
}

impl Norm {
    pub(crate) fn value(&self, op: NormOp) -> f64 {
        match op {
            NormOp::One => self.sum.value(),
            NormOp::Two => self.sum.value().sqrt(),
            NormOp::Inf => self.largest,
        }
    }

    fn see(&mut self, largest: f64) {
        if largest > self.largest || largest.is_nan() {
            self.largest = largest;
        }
    }
}

impl Merge for Norm {
    fn merge(&mut self, later: Self) {
        self.sum.add_sum(later.sum);
        self.see(later.largest);
    }
}

impl<T: Dtype> Accumulate<T> for Norm {
    const NAME: &'static str = "norm";
    type Op = NormOp;

    #[inline(always)]
    fn push(&mut self, op: NormOp, x: &[T], _at: usize) {
        match op {
            NormOp::One => self.sum.add_sum(T::magnitudes(x)),
            NormOp::Two => self.sum.add_sum(T::squares(x)),
            NormOp::Inf => self.see(T::largest(x)),
        }
    }

    fn fill(op: NormOp, outputs: Outputs<'_, T, Self>, args: &mut Args<'_>) -> Result<(), TaskError> {
        outputs.write(op, args.flat_mut::<T::Real>()?, |this| T::real(this.value(op)));
        Ok(())
    }
}
