//! The pool: a handle on workers and segments, and the four verbs.

use super::builder::Builder;
use super::in_process;
use super::job::Job;
use super::map::Map;
use crate::error::{Death, Error, ErrorKind, Result};
use crate::inject::Faults;
use crate::segment::Run;
use crate::supervisor::{Core, Stats};
use crate::task::Call;
use std::fmt;
use std::sync::Arc;

/// A pool of worker processes, and the arrays that it makes.
///
/// All methods take `&self`, and a pool can be shared between threads. Dropping it cancels what runs, ends the
/// workers and removes every segment that no array needs any more.
///
/// # Example
///
/// ```
/// use ndarray::prelude::*;
/// use ndpool::{Pool, ops, task};
///
/// /// y ← a·x + y on one block of rows.
/// #[task]
/// fn saxpy(a: f64, x: ArrayView1<f64>, mut y: ArrayViewMut1<f64>) {
///     y.scaled_add(a, &x);
/// }
///
/// fn main() -> ndpool::Result<()> {
///     ndpool::init();
///     let pool = Pool::builder().workers(2).build()?;
///     let x = pool.from_shape_fn::<f64, _>(1_000, |i| i as f64)?;
///     let mut y = pool.zeros::<f64, _>(x.raw_dim())?;
///     pool.run(saxpy(2.0, &x, &mut y))?;
///     assert_eq!(pool.run(ops::sum(&y))?, 999_000.0);
///     Ok(())
/// }
/// ```
pub struct Pool {
    engine: Engine,
}

/// Who runs blocks.
pub(super) enum Engine {
    Workers(Arc<Core>),
    InProcess { run: Arc<Run>, n_workers: usize, faults: Option<Faults> },
}

impl Pool {
    /// A pool with one worker for each core that this process may use.
    ///
    /// # Errors
    ///
    /// See [`Builder::build`].
    pub fn new() -> Result<Self> {
        Self::builder().build()
    }

    /// Options for a pool.
    pub fn builder() -> Builder {
        Builder::new()
    }

    pub(super) fn with_engine(engine: Engine) -> Self {
        Self { engine }
    }

    pub(super) fn engine(&self) -> &Engine {
        &self.engine
    }

    pub(super) fn segments(&self) -> &Arc<Run> {
        match &self.engine {
            Engine::Workers(core) => &core.run,
            Engine::InProcess { run, .. } => run,
        }
    }

    /// Number of workers.
    pub fn n_workers(&self) -> usize {
        match &self.engine {
            Engine::Workers(core) => core.config.n_workers,
            Engine::InProcess { n_workers, .. } => *n_workers,
        }
    }

    /// Process identifiers of the workers that serve at this moment.
    pub fn worker_pids(&self) -> Vec<u32> {
        match &self.engine {
            Engine::Workers(core) => core.worker_pids(),
            Engine::InProcess { .. } => Vec::new(),
        }
    }

    /// Counts of what has happened so far.
    pub fn stats(&self) -> Stats {
        match &self.engine {
            Engine::Workers(core) => core.stats(),
            Engine::InProcess { .. } => Stats::default(),
        }
    }

    /// The records of workers that ended unexpectedly, the oldest first: the last 256 of them. How many there were in all
    /// is [`Stats::workers_lost`].
    pub fn deaths(&self) -> Vec<Arc<Death>> {
        match &self.engine {
            Engine::Workers(core) => core.deaths(),
            Engine::InProcess { .. } => Vec::new(),
        }
    }

    /// Runs a call and waits for its result.
    ///
    /// # Errors
    ///
    /// - [`Task`](ErrorKind::Task), [`Panic`](ErrorKind::Panic): a block failed; of several, that of the lowest
    ///   block. All other blocks were applied; [`Error::failed_blocks`] says which were not.
    /// - [`WorkerLost`](ErrorKind::WorkerLost), [`OutOfMemory`](ErrorKind::OutOfMemory),
    ///   [`Timeout`](ErrorKind::Timeout): a block was given up after its attempts; [`Error::death`] is the record of the last.
    /// - [`Deadline`](ErrorKind::Deadline), [`Cancelled`](ErrorKind::Cancelled): the job ended early.
    /// - [`Shape`](ErrorKind::Shape), [`InvalidArgument`](ErrorKind::InvalidArgument),
    ///   [`Serde`](ErrorKind::Serde), [`UnknownTask`](ErrorKind::UnknownTask): the call cannot be run; no worker
    ///   saw it.
    /// - [`OutOfSpace`](ErrorKind::OutOfSpace): no memory for staging, results or outputs.
    pub fn run<'a, R: 'a>(&self, call: Call<'a, R>) -> Result<R> {
        let (spec, collect, on_progress) = call.into_parts()?;
        match &self.engine {
            Engine::Workers(core) => Job::start(core, spec, collect, on_progress, false)?.join(),
            Engine::InProcess { run, faults, .. } => {
                in_process::run(run, faults.as_ref(), spec, collect, on_progress)
            }
        }
    }

    /// Hands a call to the workers and returns at once; the job can be joined, polled, awaited, cancelled,
    /// dropped or forgotten.
    ///
    /// An in-process pool runs it to its end first.
    ///
    /// # Errors
    ///
    /// Those of [`Pool::run`] that are known before the job runs.
    pub fn submit<'a, R: 'a>(&self, call: Call<'a, R>) -> Result<Job<'a, R>> {
        let (spec, collect, on_progress) = call.into_parts()?;
        match &self.engine {
            Engine::Workers(core) => Job::start(core, spec, collect, on_progress, true),
            Engine::InProcess { run, faults, .. } => {
                Ok(Job::ended(in_process::run(run, faults.as_ref(), spec, collect, on_progress)))
            }
        }
    }

    /// Runs two calls side by side and waits for both.
    ///
    /// # Errors
    ///
    /// That of the first if it failed, else that of the second; see [`Pool::run`]. Both have ended in any case.
    ///
    /// # Example
    ///
    /// ```
    /// use ndarray::prelude::*;
    /// use ndpool::{Pool, task};
    ///
    /// #[task]
    /// fn scale(k: f32, mut y: ArrayViewMut1<f32>) {
    ///     y *= k;
    /// }
    ///
    /// ndpool::init();
    /// let pool = Pool::builder().workers(2).build()?;
    /// let mut y = pool.full::<f32, _>(10, 1.0)?;
    /// let (low, high) = y.split_at_mut(5);
    /// pool.join(scale(2.0, low), scale(3.0, high))?;
    /// assert_eq!(y.view().sum(), 25.0);
    /// # Ok::<(), ndpool::Error>(())
    /// ```
    pub fn join<'a, A: 'a, B: 'a>(&self, a: Call<'a, A>, b: Call<'a, B>) -> Result<(A, B)> {
        let first = self.submit(a)?;
        let second = self.submit(b);
        let first = first.join();
        let second = second?.join();
        Ok((first?, second?))
    }

    /// Runs calls as an iterator: results come in the order of the calls, lazily, with a bounded number of calls
    /// in flight.
    ///
    /// Calls without arrays are handed over in batches that grow as long as they are quick, so that even a call
    /// that does next to nothing costs little.
    ///
    /// # Example
    ///
    /// ```
    /// use ndpool::{Pool, task};
    ///
    /// #[task]
    /// fn simulate(seed: u64) -> u64 {
    ///     seed.wrapping_mul(6_364_136_223_846_793_005)
    /// }
    ///
    /// ndpool::init();
    /// let pool = Pool::builder().workers(2).build()?;
    /// let outcomes: Vec<u64> = pool.map((0..100).map(simulate)).collect::<ndpool::Result<_>>()?;
    /// assert_eq!(outcomes[1], 6_364_136_223_846_793_005);
    /// # Ok::<(), ndpool::Error>(())
    /// ```
    pub fn map<'p, 'a, R: 'a, I>(&'p self, calls: I) -> Map<'p, 'a, I::IntoIter, R>
    where
        I: IntoIterator<Item = Call<'a, R>>,
    {
        Map::new(self, calls.into_iter())
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        match &self.engine {
            // In a forked child nothing of the pool is its own: no thread, no child, no lease.
            Engine::Workers(core) if !core.is_forked() => core.shut_down(),
            Engine::Workers(_) | Engine::InProcess { .. } => {}
        }
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("run", &self.segments().id())
            .field("n_workers", &self.n_workers())
            .finish_non_exhaustive()
    }
}

impl<'a, R: 'a> Call<'a, R> {
    /// Runs the call in this process, on this thread, without a pool: for debuggers and unit tests. The result
    /// has the same bits.
    ///
    /// # Errors
    ///
    /// Those of [`Pool::run`] that can happen without workers.
    pub fn run_here(self) -> Result<R> {
        let pool = Pool::builder().workers(1).in_process().inject(Faults::new()).build()?;
        pool.run(self)
    }
}

/// The error of a job that its caller cancelled.
pub(super) fn cancelled() -> Error {
    Error::new(ErrorKind::Cancelled, "the job was cancelled")
}
