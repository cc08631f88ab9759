//! ndpool: a pool of worker processes over shared arrays.
#![deny(unsafe_code)]

// The operating system; the only unsafe code.
mod sys;
// Blocks of shared memory, the run that owns them, and their end.
pub mod segment;
// Typed arrays in segments.
mod array;
mod error;
#[cfg(test)]
mod testing;

pub use array::{ArrayArg, Element, IntoRows, IntoRowsMut, MappedArray, Rows, RowsMut, SharedArray};
pub use error::{Error, ErrorKind, FailedBlocks, Result, WorkerExit};
pub use segment::{Backing, DType, NpyError, RunId};
