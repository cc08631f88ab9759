//! A call: a task, its arguments, its borrows and its options, before any pool has it.

use super::args::Args;
use super::failure::TaskError;
use super::function::{Task, TaskVtable};
use crate::array::{ArrayArg, ArraySource};
use crate::error::{Error, ErrorKind, Result};
use crate::job::descriptor::{ArraySpec, Mode};
use crate::job::grid::Grid;
use crate::job::word::MAX_ATTEMPTS;
use crate::segment::{DType, Fill, Run, Segment};
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

/// Deaths of workers that a block may cause before it is given up, unless the call says otherwise.
const DEFAULT_ATTEMPTS: u32 = 3;

/// How far a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Blocks that have ended.
    pub blocks_done: usize,
    /// Blocks of the job.
    pub n_blocks: usize,
}

/// Where the memory of an array parameter comes from.
#[derive(Debug)]
pub(crate) enum ParamSource {
    /// An array of the caller's.
    Array(ArrayArg),
    /// A fresh array, which the pool makes when it is given the call.
    Output { dtype: DType, shape: Vec<usize> },
}

#[derive(Debug)]
pub(crate) struct ArrayParam {
    pub(crate) source: ParamSource,
    pub(crate) mode: Mode,
}

/// An array parameter of a call that a pool was given.
#[derive(Debug)]
pub(crate) struct ResolvedArray {
    pub(crate) source: ArraySource,
    pub(crate) spec: ArraySpec,
    /// The array's segment, if it was made for the call.
    pub(crate) output: Option<Arc<Segment>>,
}

impl ArrayParam {
    /// Makes the array if it is one to be made, and says where it is.
    ///
    /// # Errors
    ///
    /// If there is no room for it.
    pub(crate) fn resolve(self, run: &Arc<Run>) -> Result<ResolvedArray> {
        let mode = self.mode;
        Ok(match self.source {
            ParamSource::Array(array) => {
                let locator = array.locator();
                let ArrayArg { source, dtype, shape, offset_bytes } = array;
                let spec = ArraySpec { locator, dtype, shape, offset_bytes, mode };
                ResolvedArray { source, spec, output: None }
            }
            ParamSource::Output { dtype, shape } => {
                // Any bytes are numbers, and every block writes all of its own; not any byte is a `bool`.
                let fill = if dtype == DType::Bool { Fill::Zero } else { Fill::CallerWrites };
                let segment = Segment::npy(run, dtype, &shape, fill)?;
                let spec = ArraySpec { locator: segment.locator(), dtype, shape, offset_bytes: 0, mode };
                ResolvedArray {
                    source: ArraySource::Segment(Arc::clone(&segment)),
                    spec,
                    output: Some(segment),
                }
            }
        })
    }

    pub(crate) fn shape(&self) -> &[usize] {
        match &self.source {
            ParamSource::Array(array) => &array.shape,
            ParamSource::Output { shape, .. } => shape,
        }
    }

    pub(crate) fn dtype(&self) -> DType {
        match &self.source {
            ParamSource::Array(array) => array.dtype,
            ParamSource::Output { dtype, .. } => *dtype,
        }
    }
}

/// How a job is to be run.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct CallOptions {
    pub(crate) block_rows: Option<usize>,
    pub(crate) attempts: u32,
    pub(crate) block_timeout: Option<Duration>,
    pub(crate) deadline: Option<Duration>,
    /// The pool's if there is none.
    pub(crate) cancel_grace: Option<Duration>,
    pub(crate) name: Option<String>,
}

impl Default for CallOptions {
    fn default() -> Self {
        Self {
            block_rows: None,
            attempts: DEFAULT_ATTEMPTS,
            block_timeout: None,
            deadline: None,
            cancel_grace: None,
            name: None,
        }
    }
}

/// Everything about a call but what becomes of its result.
#[derive(Debug)]
pub(crate) struct CallSpec {
    pub(crate) vtable: &'static TaskVtable,
    /// The serialised values, one after the other.
    pub(crate) values: Vec<u8>,
    pub(crate) n_values: usize,
    pub(crate) arrays: Vec<ArrayParam>,
    /// Rows and rows per block of a grid that no array dictates.
    pub(crate) grid: Option<(usize, usize)>,
    /// Whether the call is one block, whatever its arrays.
    pub(crate) is_single: bool,
    pub(crate) options: CallOptions,
    /// What was wrong when the call was put together.
    pub(crate) error: Option<Error>,
}

impl CallSpec {
    /// The name by which messages call the job.
    pub(crate) fn label(&self) -> &str {
        self.options.name.as_deref().unwrap_or(self.vtable.name)
    }

    /// Whether calls like this one can be the blocks of one job.
    fn can_batch(&self) -> bool {
        self.is_single && self.arrays.is_empty() && self.options.deadline.is_none() && self.error.is_none()
    }

    /// Whether the two can be blocks of the same job.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        std::ptr::eq(self.vtable, other.vtable)
            && self.n_values == other.n_values
            && self.options == other.options
    }

    /// The block grid.
    ///
    /// # Errors
    ///
    /// If arrays that are split in lockstep have different lengths.
    pub(crate) fn grid(&self) -> Result<Grid> {
        if self.is_single {
            return Ok(Grid::single(0));
        }
        if let Some((n_rows, block_rows)) = self.grid {
            return Ok(Grid::new(n_rows, self.options.block_rows.unwrap_or(block_rows)));
        }
        let mut n_rows: Option<usize> = None;
        let mut row_bytes = 0usize;
        for param in self.arrays.iter().filter(|param| param.mode != Mode::Whole) {
            let (rows, bytes) = crate::job::descriptor::rows_of(param.shape(), param.dtype().size_bytes());
            row_bytes = row_bytes.saturating_add(bytes);
            let first = *n_rows.get_or_insert(rows);
            if first != rows {
                return Err(Error::new(
                    ErrorKind::Shape,
                    format!(
                        "{}: arrays of {first} and of {rows} rows cannot be split in lockstep",
                        self.label()
                    ),
                )
                .with_hint(
                    "pass ranges of the same length (`x.rows(a..b)`), or mark one parameter #[whole]",
                ));
            }
        }
        let n_rows = n_rows.unwrap_or(1);
        Ok(match self.options.block_rows {
            Some(block_rows) => Grid::new(n_rows, block_rows),
            None => {
                let is_staged = self.arrays.iter().any(|param| param.mode == Mode::Stage);
                Grid::for_rows(n_rows, row_bytes, is_staged)
            }
        })
    }
}

/// Gives the results of all blocks to a function, in order: the number of blocks that a result covers, as the power of two
/// that it is, and its bytes.
pub(crate) type ForEachResult<'c> = dyn FnMut(&mut dyn FnMut(u32, &[u8]) -> Result<()>) -> Result<()> + 'c;

/// What a job left behind: the serialised results of its blocks, in order, and the arrays that the pool made
/// for it.
pub(crate) struct Collected<'c> {
    /// Calls the function with every result in order.
    pub(crate) for_each: &'c mut ForEachResult<'c>,
    pub(crate) outputs: &'c [Arc<Segment>],
}

/// Makes a result of what a job left behind.
pub(crate) type Collect<'a, R> = Box<dyn FnOnce(Collected<'_>) -> Result<R> + Send + 'a>;
/// What is called while a caller waits.
pub(crate) type OnProgress<'a> = Box<dyn FnMut(Progress) + Send + 'a>;

/// A task with its arguments and its borrows, which a [`Pool`](crate::Pool) can run; `R` is what it yields.
///
/// Made by calling a function that is marked [`#[task]`](macro@crate::task), by [`call`](crate::call), by
/// [`CallBuilder`](crate::CallBuilder) or by a function of [`ops`](crate::ops). It does nothing until it is given
/// to a pool. It is not generic over the task, so that different tasks with one result type can share a `Vec`.
///
/// # Example
///
/// ```
/// use ndarray::prelude::*;
/// use ndpool::{Pool, merge::Sum, task};
///
/// #[task]
/// fn total(x: ArrayView1<f64>) -> Sum<f64> {
///     Sum(x.sum())
/// }
///
/// ndpool::init();
/// let pool = Pool::builder().workers(2).build()?;
/// let x = pool.full::<f64, _>(1_000, 0.5)?;
/// let half = total(&x).block_rows(100).name("half of it").then(|Sum(total)| total / 2.0);
/// assert_eq!(pool.run(half)?, 250.0);
/// # Ok::<(), ndpool::Error>(())
/// ```
#[must_use = "a call does nothing until it is given to a pool"]
pub struct Call<'a, R> {
    pub(crate) spec: CallSpec,
    pub(crate) collect: Collect<'a, R>,
    pub(crate) on_progress: Option<OnProgress<'a>>,
    pub(crate) borrows: PhantomData<&'a ()>,
}

impl<'a, R: 'a> Call<'a, R> {
    /// A call that fails with this error as soon as a pool gets it.
    pub(crate) fn failed(error: Error) -> Self {
        /// Stands for the task that there is none of.
        enum NoTask {}
        impl Task for NoTask {
            const NAME: &'static str = "ndpool::failed";
            type Output = ();

            fn run(_: &mut Args<'_>) -> Result<(), TaskError> {
                Err(TaskError::new("this call cannot be run"))
            }
        }
        let copy = error.copy();
        let call = super::CallBuilder::<NoTask>::new().failed(error).single();
        // Never called: the error comes before.
        Call { spec: call.spec, collect: Box::new(|_| Err(copy)), on_progress: None, borrows: PhantomData }
    }

    /// Rows of one block; the default depends on shapes and element sizes alone.
    ///
    /// A result that merges floating-point numbers may depend on it in its last bits.
    pub fn block_rows(mut self, n: usize) -> Self {
        if n == 0 {
            return self.fail("block_rows(0): a block has at least one row");
        }
        self.spec.options.block_rows = Some(n);
        self
    }

    /// Workers that a block may kill, or time-outs that it may have, before it is given up; 3 by default, at
    /// most 31. Deaths that come from outside the task are not counted; being killed for want of memory is.
    pub fn attempts(mut self, n: u32) -> Self {
        if n == 0 || n > MAX_ATTEMPTS {
            return self.fail(format!("attempts({n}): from 1 to {MAX_ATTEMPTS} are possible"));
        }
        self.spec.options.attempts = n;
        self
    }

    /// How long one block may run before its worker is killed and the block tried again.
    ///
    /// Counted from when the supervisor first sees the block claimed, on a clock that stands still while the
    /// machine sleeps or the supervisor is stopped.
    pub fn block_timeout(mut self, limit: Duration) -> Self {
        self.spec.options.block_timeout = Some(limit);
        self
    }

    /// How long the whole job may take, counted like the block timeout; blocks that have not ended then are not
    /// applied: those that run are ended at once.
    pub fn deadline(mut self, limit: Duration) -> Self {
        self.spec.options.deadline = Some(limit);
        self
    }

    /// How long blocks that run may take to end once the job was cancelled, before their workers are killed; what the pool's
    /// [builder](crate::Builder::cancel_grace) says by default. Counted like the block timeout.
    pub fn cancel_grace(mut self, limit: Duration) -> Self {
        self.spec.options.cancel_grace = Some(limit);
        self
    }

    /// A name for messages, in place of the task's.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.spec.options.name = Some(name.into());
        self
    }

    /// Calls a function now and then while the caller waits for the job, on the caller's thread.
    ///
    /// If it panics, the job is cancelled and waited for, and the panic goes on.
    pub fn on_progress(mut self, f: impl FnMut(Progress) + Send + 'a) -> Self {
        self.on_progress = Some(Box::new(f));
        self
    }

    /// What becomes of the result, on the thread that waits for it.
    pub fn then<S: 'a>(self, f: impl FnOnce(R) -> S + Send + 'a) -> Call<'a, S> {
        self.try_then(move |result| Ok(f(result)))
    }

    /// As [`Call::then`], for a function that can fail.
    ///
    /// # Errors
    ///
    /// What the function returns becomes the error of the job.
    pub(crate) fn try_then<S: 'a>(self, f: impl FnOnce(R) -> Result<S> + Send + 'a) -> Call<'a, S> {
        let collect = self.collect;
        Call {
            spec: self.spec,
            collect: Box::new(move |collected| f(collect(collected)?)),
            on_progress: self.on_progress,
            borrows: PhantomData,
        }
    }

    /// What a pool needs of the call.
    ///
    /// # Errors
    ///
    /// What was wrong when the call was put together.
    pub(crate) fn into_parts(mut self) -> Result<(CallSpec, Collect<'a, R>, Option<OnProgress<'a>>)> {
        match self.spec.error.take() {
            Some(error) => Err(error),
            None => Ok((self.spec, self.collect, self.on_progress)),
        }
    }

    /// Whether the call can be one block of a job among others like it.
    pub(crate) fn can_batch(&self) -> bool {
        self.spec.can_batch() && self.on_progress.is_none()
    }

    fn fail(mut self, what: impl Into<String>) -> Self {
        let message = format!("{}: {}", self.spec.label(), what.into());
        self.spec.error.get_or_insert_with(|| Error::new(ErrorKind::InvalidArgument, message));
        self
    }
}

impl<R> fmt::Debug for Call<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("task", &self.spec.vtable.name)
            .field("arrays", &self.spec.arrays.len())
            .field("values_bytes", &self.spec.values.len())
            .finish_non_exhaustive()
    }
}
