//! Reductions that are built in, as ordinary tasks, with the names and the answers of NumPy 2.
//!
//! Every function takes anything that a task's array parameter takes and gives a [`Call`](crate::Call), to be run, submitted, joined
//! or mapped like any other. Those without suffix reduce the whole array, of any rank, as if flattened in C order; those that end
//! in `_axis` reduce along one axis. Result types, and what becomes of NaN, infinities and empty arrays, are those of the function
//! of NumPy that each names. Where NumPy raises `ValueError`, the error has kind [`Shape`](crate::ErrorKind::Shape) or
//! [`InvalidArgument`](crate::ErrorKind::InvalidArgument).
//!
//! # Accuracy
//! Float sums are accumulated in `f64` with compensation and rounded once; sums of integers are exact until the result wraps. Variances take
//! one pass and are at least as accurate as two. See the `kernel` modules for the proofs.
//!
//! # Same bits
//! A result depends on the data, the shape and the block grid, never on the number of workers or on the instruction set: kernels have a
//! fixed number of lanes and no fused multiply-add.
//!
//! # Memory
//! Nothing is copied. An axis reduction holds its output and at most 1 MiB of partial results.

mod acc;
mod axis;
mod bincount;
mod builtin;
mod call;
mod describe;
mod dtype;
pub mod dynamic;
mod element;
mod histogram;
mod kernel;
mod tasks;
mod unique;
mod whole;

#[cfg(test)]
mod tests;

pub use axis::*;
pub use bincount::{MAX_BINS, bincount};
#[doc(hidden)]
pub use builtin::*;
pub(crate) use describe::describe_here;
pub use describe::{Describe, describe};
pub use element::{IndexElement, MeanElement, NumberElement, OrderElement, RealElement, SumElement};
pub use histogram::{Bins, Histogram, histogram, histogram_auto};
pub use unique::{UniqueCounts, unique_counts};
pub use whole::*;
