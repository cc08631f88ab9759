//! Accumulators: what a block of a reduction yields, and how two of them combine.
//!
//! One accumulator serves several functions of NumPy: extremes hold smallest and largest with their places, so that
//! `min`, `argmax` and `ptp` share a task. Which of them is wanted is the operation, a small value among the task's arguments.

/// `count_nonzero`, `any`, `all`.
mod count;
/// All of `describe` at once.
mod describe;
/// `dot`, `vdot`.
mod dot;
/// `min`, `max`, `argmin`, `argmax`, `ptp`.
mod extrema;
/// `norm`.
mod norm;
/// `prod`.
mod product;
/// `var`, `std`.
mod spread;
/// `sum`, `mean`.
mod total;

pub use count::{Count, CountOp};
pub use describe::Summary;
pub use dot::Dot;
pub use extrema::{Extrema, ExtremaOp, NO_INDEX};
pub use norm::{Norm, NormOp};
pub use product::{Product, ProductOp};
pub use spread::{Spread, SpreadOp};
pub use total::{Total, TotalOp};

use std::fmt::Debug;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::dtype::{Dtype, Part};
use super::tasks::Outputs;
use crate::task::{Args, Merge, TaskError};

/// An accumulator of elements of type `T`.
pub trait Accumulate<T: Dtype>: Part + Merge {
    /// Name of its tasks.
    const NAME: &'static str;
    /// Which of its functions is wanted.
    type Op: Debug + Copy + PartialEq + Serialize + DeserializeOwned + Send + 'static;

    /// Adds the elements that follow those added before; `at` is the index of the first one.
    ///
    /// Implementations are `#[inline(always)]`: this is the body of a kernel.
    fn push(&mut self, op: Self::Op, x: &[T], at: usize);

    /// Whether NaN is to be left out before elements are pushed. Indices are then not those of the array.
    fn skips_nan(_op: Self::Op) -> bool {
        false
    }

    /// Whether further elements change nothing.
    fn is_settled(&self, _op: Self::Op) -> bool {
        false
    }

    /// Adds columns: element `r * stride + c` of `x` to `these[c]`, for `n_rows` rows from row `at` on.
    ///
    /// Returns `false` if there is no kernel for it; then columns are copied out and pushed.
    fn push_columns(
        _these: &mut [Self],
        _op: Self::Op,
        _x: &[T],
        _stride: usize,
        _n_rows: usize,
        _at: usize,
    ) -> bool {
        false
    }

    /// Writes results of type by `op`, one for each output of a block.
    fn fill(op: Self::Op, outputs: Outputs<'_, T, Self>, args: &mut Args<'_>) -> Result<(), TaskError>;
}

/// Elements between two looks at [`Accumulate::is_settled`], and the longest run that is searched for NaN.
const STRIDE: usize = 1024;

/// Pushes a slice, without its NaN if the operation leaves them out.
#[inline(always)]
pub fn feed<T: Dtype, A: Accumulate<T>>(acc: &mut A, op: A::Op, x: &[T], at: usize) {
    if !(T::HAS_NAN && A::skips_nan(op)) {
        acc.push(op, x, at);
        return;
    }
    for chunk in x.chunks(STRIDE) {
        if !T::any_nan(chunk) {
            acc.push(op, chunk, at);
            continue;
        }
        let mut kept = [T::ZERO; STRIDE];
        let mut n = 0;
        for v in chunk {
            kept[n] = *v;
            n += usize::from(!v.is_nan());
        }
        acc.push(op, &kept[..n], at);
    }
}
