//! From an argument to a call: the plans behind the public functions.

use ndarray::{Array, Axis, Dimension, RemoveAxis};

use super::acc::{Accumulate, NO_INDEX};
use super::dtype::Dtype;
use super::kernel::columns::STRIP;
use super::tasks::{Along, Lanes, Parts, Split, Whole};
use crate::array::{Element, IntoRows};
use crate::error::{Error, ErrorKind, Result};
use crate::task::{Call, CallBuilder};

/// A reduction of the whole array.
pub(crate) fn whole<'a, X, A>(x: X, op: A::Op) -> Call<'a, A>
where
    X: IntoRows<'a>,
    X::Elem: Dtype,
    A: Accumulate<X::Elem>,
{
    CallBuilder::<Whole<A, X::Elem>>::new().value(&op).rows_flat_arg(x.into_rows_arg()).merged()
}

/// The error for a reduction that no elements have.
pub(crate) fn empty(what: &str) -> Error {
    Error::new(ErrorKind::Shape, format!("{what} of an array without elements"))
        .with_hint("check that the array, or the axis, has a length of at least 1")
}

/// The error for a search among nothing but NaN.
pub(crate) fn all_nan(what: &str) -> Error {
    Error::new(ErrorKind::InvalidArgument, format!("{what} of nothing but NaN"))
        .with_hint("`nanmin` and `nanmax` give NaN where every element is NaN")
}

/// An index that a task found.
pub(crate) fn index(found: u64, what: &str) -> Result<usize> {
    if found == NO_INDEX { Err(all_nan(what)) } else { Ok(found as usize) }
}

/// A result of an axis reduction.
pub(crate) type Reduced<O, D> = Array<O, <D as Dimension>::Smaller>;

/// A reduction along one axis.
///
/// `what` is its name, if it refuses an axis without elements.
pub(crate) fn along<'a, X, A, O>(
    x: X,
    axis: Axis,
    op: A::Op,
    what: Option<&'static str>,
    finish: impl Fn(&A) -> O + Send + 'a,
) -> Call<'a, Reduced<O, X::Dim>>
where
    X: IntoRows<'a> + 'a,
    X::Elem: Dtype,
    X::Dim: RemoveAxis,
    A: Accumulate<X::Elem>,
    O: Element,
{
    let arg = x.into_rows_arg();
    let Axis(k) = axis;
    let rank = arg.shape.len();
    if k >= rank {
        let message = format!("axis {k} of an array that has {rank} axes");
        return Call::failed(Error::new(ErrorKind::InvalidArgument, message).with_hint("axes count from 0"));
    }
    let lanes = Lanes::new(&arg.shape, k);
    if let Some(what) = what
        && lanes.n == 0
    {
        return Call::failed(empty(what));
    }
    let mut shape = arg.shape.clone();
    shape.remove(k);
    let build = move |values: Vec<O>| {
        let mut dim = <X::Dim as Dimension>::Smaller::zeros(shape.len());
        dim.slice_mut().copy_from_slice(&shape);
        Array::from_shape_vec(dim, values).map_err(|e| {
            Error::new(ErrorKind::Shape, "the result does not have the wanted shape").with_source(e)
        })
    };
    let plan = Plan::new(lanes, size_of::<X::Elem>(), size_of::<O>(), size_of::<A>());
    let builder = CallBuilder::<Along<A, X::Elem>>::new().value(&(lanes, plan.split, op)).whole_arg(arg);
    match plan.split {
        Split::Axis => builder
            .grid(lanes.n, plan.block_len)
            .merged()
            .try_then(move |Parts(parts)| build(parts.iter().map(finish).collect())),
        Split::Output => builder
            .output::<O>(&[lanes.n_outputs()])
            .merged_with_output::<O>()
            .block_rows(plan.block_len)
            .try_then(move |(_, values)| build(values)),
    }
}

/// How an axis reduction is cut into blocks: a function of shape and types only.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Plan {
    split: Split,
    /// Outputs, or indices of the axis, in a block.
    block_len: usize,
}

/// An output up to this size may be accumulated in pieces.
const SMALL_OUTPUT_BYTES: usize = 32 << 10;
/// All accumulators of a job together.
const PARTS_BYTES: usize = 1 << 20;
/// Input that is worth a block.
const BLOCK_BYTES: usize = 256 << 10;
const MAX_BLOCKS: usize = 256;

impl Plan {
    fn new(lanes: Lanes, element_bytes: usize, output_bytes: usize, part_bytes: usize) -> Self {
        let n_outputs = lanes.n_outputs();
        let per_output = (lanes.n * element_bytes).max(1);
        let worth = (n_outputs.saturating_mul(per_output) / BLOCK_BYTES).clamp(1, MAX_BLOCKS);
        let parts = (PARTS_BYTES / (n_outputs * part_bytes).max(1)).min(lanes.n);
        if lanes.n > 0 && n_outputs > 0 && n_outputs * output_bytes <= SMALL_OUTPUT_BYTES && parts > 1 {
            return Self { split: Split::Axis, block_len: lanes.n.div_ceil(worth.min(parts)) };
        }
        let least = n_outputs.div_ceil(worth).max(1);
        // Whole strips: blocks do not share the lines that they read.
        let unit = if lanes.inner == 1 { 1 } else { STRIP };
        Self { split: Split::Output, block_len: least.next_multiple_of(unit) }
    }

    #[cfg(test)]
    fn blocks(&self, lanes: Lanes) -> Vec<std::ops::Range<usize>> {
        let end = if self.split == Split::Axis { lanes.n } else { lanes.n_outputs() };
        (0..end).step_by(self.block_len).map(|start| start..end.min(start + self.block_len)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans_cover_everything_once_and_keep_to_their_limits() {
        for outer in [1, 3, 700] {
            for n in [1, 2, 1000] {
                for inner in [1, 5, 512, 5000] {
                    let lanes = Lanes { outer, n, inner };
                    let plan = Plan::new(lanes, 8, 8, 24);
                    let blocks = plan.blocks(lanes);
                    assert_eq!(blocks.first().map(|b| b.start), Some(0));
                    assert!(blocks.windows(2).all(|pair| pair[0].end == pair[1].start));
                    assert!(blocks.len() <= MAX_BLOCKS + 1, "{lanes:?}: {} blocks", blocks.len());
                    if plan.split == Split::Axis {
                        assert!(blocks.len() * lanes.n_outputs() * 24 <= PARTS_BYTES, "{lanes:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn no_outputs_and_an_empty_axis_have_a_plan() {
        let none = Plan::new(Lanes { outer: 0, n: 5, inner: 3 }, 8, 8, 24);
        assert_eq!(none.split, Split::Output);
        let flat = Plan::new(Lanes { outer: 4, n: 0, inner: 1 }, 8, 8, 24);
        assert_eq!(flat.split, Split::Output);
        assert!(flat.block_len >= 1);
    }
}
