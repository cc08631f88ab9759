//! A pool of worker *processes* over shared `ndarray` arrays.
//!
//! A program gives its [`Pool`] calls of *tasks*: functions marked [`#[task]`](macro@task). Arrays lie in shared memory;
//! workers are this very program, started again, and map the arrays as views, so nothing is copied and nothing is sent. A
//! worker may crash, hang, leak or be killed at any instruction: the block of rows that it held is run again by another,
//! and everything else goes on.
//!
//! It is made for batch programs that do array work with native code that cannot be trusted to survive, or that is not
//! thread-safe, on one machine. Where every task is safe Rust, threads (`rayon`) do the same with less.
//!
//! # First program
//!
//! ```
//! use ndpool::ndarray::prelude::*;
//! use ndpool::{Pool, merge::Sum, ops, task};
//!
//! /// y ← a·x + y on one block of rows.
//! #[task]
//! fn saxpy(a: f64, x: ArrayView1<f64>, mut y: ArrayViewMut1<f64>) {
//!     y.scaled_add(a, &x);
//! }
//!
//! /// Elements of one block that are larger than `limit`; the blocks' counts add up.
//! #[task]
//! fn count_above(limit: f64, x: ArrayView1<f64>) -> Sum<usize> {
//!     Sum(x.iter().filter(|&&x| x > limit).count())
//! }
//!
//! fn main() -> ndpool::Result<()> {
//!     ndpool::init(); // first thing in main: a worker serves here and never returns
//!     let pool = Pool::builder().workers(2).build()?; // Pool::new(): one worker for each usable core
//!     let x = pool.from_shape_fn(100_000, |i| i as f64)?;
//!     let mut y = pool.zeros::<f64, _>(x.raw_dim())?;
//!
//!     pool.run(saxpy(2.0, &x, &mut y))?;
//!     assert_eq!(pool.run(ops::max(&y))?, 199_998.0);
//!     assert_eq!(pool.run(count_above(100_000.0, &y))?.0, 49_999);
//!     Ok(())
//! }
//! ```
//!
//! # The four verbs
//!
//! Calling a task computes nothing: it makes a [`Call`], a value that knows its task, its arguments and its borrows. Calls
//! have options, such as [`block_rows`](Call::block_rows), [`block_timeout`](Call::block_timeout) and
//! [`on_progress`](Call::on_progress). What a pool is given is a *job*, cut into *blocks* of rows.
//!
//! | verb | gives |
//! |---|---|
//! | [`Pool::run`] | the result, once every block is applied |
//! | [`Pool::submit`] | a [`Job`] at once: to be joined, awaited, polled, cancelled, dropped or forgotten |
//! | [`Pool::join`] | the results of two calls that run side by side |
//! | [`Pool::map`] | an iterator over the results of many calls, in order and lazily |
//!
//! ```
//! use ndpool::{Pool, task};
//!
//! /// No arrays: one call, one result.
//! #[task]
//! fn collatz(start: u64) -> u32 {
//!     let next = |n: &u64| (*n != 1).then_some(if n % 2 == 0 { n / 2 } else { 3 * n + 1 });
//!     std::iter::successors(Some(start), next).count() as u32 - 1
//! }
//!
//! ndpool::init();
//! let pool = Pool::builder().workers(2).build()?;
//! let job = pool.submit(collatz(27))?;
//! let (six, seven) = pool.join(collatz(6), collatz(7))?;
//! let steps: Vec<u32> = pool.map((1..=5).map(collatz)).collect::<ndpool::Result<_>>()?;
//! assert_eq!((job.join()?, six, seven), (111, 8, 16));
//! assert_eq!(steps, [0, 1, 7, 2, 5]);
//! # Ok::<(), ndpool::Error>(())
//! ```
//!
//! # Parameters of a task
//!
//! The signature of a task mirrors its calls: where it takes a view, the caller gives a shared array.
//!
//! | parameter | the caller gives | the task sees |
//! |---|---|---|
//! | `x: ArrayView2<f64>`, `&ArrayRef2<f64>` | `&x`, rows of it, `Arc`, [`&MappedArray`](MappedArray) | the rows of one block |
//! | `mut y: ArrayViewMut2<f64>`, `&mut ArrayRef2<f64>` | `&mut y` or mutable rows | a private copy of the block's rows, written back when the task has returned |
//! | `#[out] mut y: ArrayViewMut2<f64>` | `&mut y` or mutable rows | the rows in place, to be written in full without being read |
//! | `#[whole] x: ArrayView2<f64>` | as to read | all of it, in every block |
//! | `#[flat] x: &[f64]`, `&mut [f64]` | an array of any rank | the block as one slice in C order |
//! | `block: &Block` | nothing | number, rows, attempt, worker, cancellation, state: see [`Block`] |
//! | `x: &T`, such as `&str` | a reference | the value, decoded once per worker and job |
//! | `x: T` | a value | the value, by serde |
//!
//! All arrays that are not `#[whole]` are split in lockstep along axis 0 and must have the same number of rows. A task
//! without split arrays runs once and may return any serde value. One that is split returns a value for each block, and
//! these must say how they combine: see [`Merge`] and the types of [`merge`]. Details and generic tasks:
//! [`#[task]`](macro@task). Without a macro: [`call`] for a plain function, [`Task`] and [`CallBuilder`] by hand.
//!
//! # Arrays and borrows
//!
//! A [`SharedArray`] is made by its pool ([`zeros`](Pool::zeros), [`full`](Pool::full), [`from_array`](Pool::from_array),
//! [`from_shape_fn`](Pool::from_shape_fn), [`load_npy`](Pool::load_npy)). A call that reads it borrows it, a call that
//! writes it borrows it mutably, for as long as the call or its job is held; so two writers of the same rows do not
//! compile. [`SharedArray::split_at_mut`], [`rows_mut`](SharedArray::rows_mut) and
//! [`row_chunks_mut`](SharedArray::row_chunks_mut) give parts to different calls.
//!
//! ```compile_fail,E0499
//! # use ndpool::{Pool, ndarray::prelude::*, task};
//! # #[task]
//! # fn scale(k: f64, mut y: ArrayViewMut1<f64>) { y *= k; }
//! # fn both(pool: &Pool) -> ndpool::Result<()> {
//! let mut y = pool.zeros::<f64, _>(10)?;
//! pool.join(scale(2.0, &mut y), scale(3.0, &mut y))?;
//! # Ok(())
//! # }
//! ```
//!
//! A job that is dropped or forgotten ends its borrow before workers are done. The job itself keeps a lease on the rows
//! until then, and [`view`](SharedArray::view), [`view_mut`](SharedArray::view_mut),
//! [`save_npy`](SharedArray::save_npy) and the next job wait for leases that are in their way.
//!
//! # When a worker dies
//!
//! A block is applied in full or not at all. A worker that segfaults, aborts, overflows its stack, calls `exit`, is killed
//! or runs past a [`block_timeout`](Call::block_timeout) is replaced, and its block is run again. A block that was the
//! end of as many workers as it has [`attempts`](Call::attempts) (3) is given up, alone: the job fails with an error that
//! tells how the last worker ended and which blocks were not applied, all others are applied, and the pool stays usable.
//! Deaths from outside, such as `kill -9`, do not count as attempts.
//!
//! Every unexpected end leaves a [`Death`]: time, worker, process, signal or code, probable [cause](Cause) with its evidence (a
//! stack overflow, out of memory, who sent the signal), block, arguments, arrays, last panic and last lines of stderr. It is in
//! the error of the block ([`Error::death`]), in [`Pool::deaths`], and in a `tracing` event at level warn.
//!
//! ```
//! use ndpool::ndarray::prelude::*;
//! use ndpool::{Block, ErrorKind, Pool, task};
//!
//! /// Doubles, but block 1 takes its first worker with it, and `poison` takes every one.
//! #[task]
//! fn double(poison: Option<usize>, block: &Block, mut y: ArrayViewMut1<f64>) {
//!     if poison == Some(block.index()) || (block.index() == 1 && block.attempt() == 0) {
//!         std::process::exit(3);
//!     }
//!     y *= 2.0;
//! }
//!
//! ndpool::init();
//! let pool = Pool::builder().workers(2).build()?;
//! let mut y = pool.full(10, 1.0)?;
//!
//! pool.run(double(None, &mut y).block_rows(2))?;
//! assert_eq!(y.view(), array![2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0]);
//!
//! let error = pool.run(double(Some(4), &mut y).block_rows(2)).unwrap_err();
//! assert_eq!(error.kind(), ErrorKind::WorkerLost);
//! assert_eq!(error.failed_blocks().not_applied(), [4]);
//! assert_eq!(y.view(), array![4.0, 4.0, 4.0, 4.0, 4.0, 4.0, 4.0, 4.0, 2.0, 2.0]);
//! # Ok::<(), ndpool::Error>(())
//! ```
//!
//! What hangs is ended by a [`block_timeout`](Call::block_timeout), a [`deadline`](Call::deadline) or, once its job was
//! cancelled, after a [grace](Builder::cancel_grace). What takes too much memory is ended by a limit on
//! [each worker's own](Builder::memory_limit_per_worker), and workers that leak are
//! [replaced between blocks](Builder::recycle_above). A result for which shared memory has no space fails its block, and only if
//! no other block of the job could make room.
//!
//! When the supervisor dies, by whatever signal, its workers notice, remove its segments and end. If all processes die at
//! the same instant, the next pool, [`reap`] or the command `ndpool reap` removes what is left.
//!
//! # Errors
//!
//! Everything returns [`Error`]: a [`kind`](Error::kind) to match on, a message that says what was found and wanted, a
//! [`hint`](Error::hint) that says what to do, and for jobs [`failed_blocks`](Error::failed_blocks) and
//! [`death`](Error::death). A task that returns `Err` or panics fails its block with the text, the worker lives,
//! and the block is not tried again: the same arguments would give the same failure.
//!
//! # Same bits
//!
//! How rows fall into blocks depends on shapes and element types alone, and results merge in the order of the rows in a
//! tree that depends on the number of blocks alone. So a result, floats included, has the same bits for any number of
//! workers and any deaths, if tasks are functions of their arguments. It may have others with another
//! [`block_rows`](Call::block_rows), another version of this crate, or another kind of machine.
//!
//! # Testing
//!
//! [`#[ndpool::test]`](macro@test) stands in the place of `#[test]`; the workers of such a test are the test binary, started
//! again at that very test.
//!
//! ```
//! #[ndpool::test]
//! fn squares() -> ndpool::Result<()> {
//!     let pool = ndpool::Pool::builder().workers(2).build()?;
//!     assert_eq!(pool.run(ndpool::call(|x: u64| x * x, 12))?, 144);
//!     Ok(())
//! }
//! ```
//!
//! How a program fares when its workers die, hang or fail can be tried out: [`inject`] makes it happen, at chosen blocks or
//! at a rate, from the program or from the environment:
//!
//! ```text
//! NDPOOL_INJECT='seed=7; kill rate=0.1; panic task=saxpy block=3' cargo run
//! ```
//!
//! For a debugger, or a unit test of a task alone, [`Builder::in_process`] and [`Call::run_here`] run the same blocks in the
//! caller's thread, with the same bits:
//!
//! ```
//! assert_eq!(ndpool::call(|x: u64| x * x, 12).run_here()?, 144);
//! # Ok::<(), ndpool::Error>(())
//! ```
//!
//! # What outlives a job
//!
//! [`shared`] has structures under names for any processes, with or without a pool: [frames](shared::SharedFrame) of typed columns,
//! [double buffers](shared::DoubleBuffer), arrays under a [lock](shared::Mutex), [events](shared::Event). [`server`] keeps many of them
//! under one name. The feature `arrow` hands frames to Apache Arrow without a copy.
//!
//! # Other programs
//!
//! The file behind an array, [`SharedArray::path`], is a valid `.npy` file: `numpy.load(path, mmap_mode="r")` maps it while
//! the array lives. [`list`] shows the pools of this machine. Workers can be another program than the supervisor's:
//! [`Builder::worker_program`].
//!
//! # Limits
//!
//! - Linux 5.4 or newer, one machine.
//! - Elements are the types of [`Element`]: those that mean the same to every process, and to NumPy.
//! - Workers run the user's own code with the user's rights: this is no sandbox. Inputs are mapped read-only, but native code
//!   that writes wildly may damage the rows that it was given to write, and the pool's own tables.
//! - A worker cannot build a pool of its own.
//! - A process that a task starts ends with the worker, unless it called `setsid`.
//! - Under a memory control group the kernel may kill rather than refuse: room is looked for before arrays are made, but others
//!   may take it meanwhile.
#![deny(unsafe_code)]

pub use ndarray;
pub use num_complex;

// Each builds on those before it; blank lines keep rustfmt from sorting them.

/// What can go wrong.
mod error;

/// The operating system; all unsafe code, but for named exceptions.
mod sys;

/// Signals that end the program.
mod signals;

/// Named blocks of shared memory and who owns them.
mod segment;

/// Typed arrays in segments.
mod array;

pub mod shared;

/// What supervisor and workers share of a job.
mod job;

/// Functions that workers run, and calls of them.
mod task;

pub mod inject;

/// What supervisor and worker say to each other outside of shared memory.
mod control;

/// The process that runs blocks.
mod worker;

/// What keeps workers alive and jobs exact.
mod supervisor;

/// The user's handle of all this.
mod pool;

pub mod ops;

pub mod server;

/// One function for each parser of foreign bytes.
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;

#[cfg(test)]
mod testing;

pub use array::{
    Element, IntoRows, IntoRowsMut, MappedArray, NpyHeader, Rows, RowsMut, SharedArray, npy_header,
};
pub use error::{
    Argument, Cause, Death, Error, ErrorKind, FailedBlocks, Fate, LostBlock, MappedRows, Result, Sender,
    WorkerExit,
};
pub use ndpool_macros::{Merge, main, task, test};
pub use pool::{Builder, Job, Map, Pool, Unordered};
pub use segment::{
    Backing, DType, NpyError, ParseRunIdError, RunId, RunInfo, SegmentInfo, list, list_in, reap, reap_in,
};
pub use supervisor::{Stats, Stderr};
pub use task::{Args, Block, Call, CallBuilder, Merge, Progress, Task, TaskError, call, merge};
pub use worker::init;

/// What the code that the macros generate leans on.
#[doc(hidden)]
pub mod __private {
    pub use crate::task::{
        ByCollector, ByDebug, ByMerge, ByName, ByType, Describer, Fallible, Foldable, Folder, Registered,
        Shown, TaskVtable, View, Vtable,
    };
    pub use crate::worker::init_in_test;
    pub use inventory;
}

/// Places at which tests have processes killed: only with the feature `kill-points`, and not for programs.
#[cfg(feature = "kill-points")]
#[doc(hidden)]
pub mod kill_points {
    pub use crate::sys::kill_point::armed::{KillPoint, during_task, list};
}

/// The programs in the README, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
