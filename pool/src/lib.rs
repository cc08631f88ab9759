//! A pool of worker processes over shared arrays, for batch programs that must survive their workers.
//!
//! See the README of the repository for an introduction; [`Pool`] is where to start.
#![deny(unsafe_code)]

pub use ndarray;
pub use num_complex;

/// Typed arrays in segments.
mod array;
/// What they say to each other besides.
mod control;
/// What can go wrong.
mod error;
/// What supervisor and workers share of a job.
mod job;
/// The built-in reductions.
pub mod ops;
/// The user's handle of all this.
mod pool;
/// Named blocks of shared memory and who owns them.
mod segment;
/// What keeps workers alive and jobs exact.
mod supervisor;
/// The operating system; the only unsafe code.
mod sys;
/// Functions that workers run, and calls of them.
mod task;
#[cfg(test)]
mod testing;
/// The process that runs blocks.
mod worker;

pub use array::{
    Element, IntoRows, IntoRowsMut, MappedArray, NpyHeader, Rows, RowsMut, SharedArray, npy_header,
};
pub use error::{Error, ErrorKind, FailedBlocks, Result, WorkerExit};
pub use ndpool_macros::{Merge, main, task, test};
pub use pool::{Builder, Job, Map, Pool, Unordered};
pub use segment::{Backing, DType, NpyError, RunId, RunInfo, SegmentInfo, list, list_in, reap, reap_in};
pub use supervisor::{Stats, Stderr};
pub use task::{Args, Block, Call, CallBuilder, Merge, Progress, Task, TaskError, call, merge};
pub use worker::init;

/// What the code that the macros generate leans on.
#[doc(hidden)]
pub mod __private {
    pub use crate::task::{Fallible, Registered, TaskVtable, View, Vtable};
    pub use crate::worker::init_in_test;
    pub use inventory;
}
