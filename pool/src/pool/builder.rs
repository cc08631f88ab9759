//! The options of a pool.

use super::handle::{Engine, Pool};
use crate::control::known_tasks;
use crate::error::{Error, ErrorKind, Result};
use crate::inject::{self, Faults};
use crate::job::word::MAX_WORKERS;
use crate::segment::{Backing, Run, reap};
use crate::shared;
use crate::signals::end_at_signal;
use crate::supervisor::{Config, Core, Program, Stderr};
use crate::sys::process::usable_cpus;
use crate::worker::{Role, role};
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// How long an idle worker looks for work before it sleeps; waking it takes several times as long.
const DEFAULT_IDLE_SPIN: Duration = Duration::from_micros(20);
const DEFAULT_START_DEADLINE: Duration = Duration::from_secs(30);
const DEFAULT_SHUTDOWN_GRACE: Duration = Duration::from_secs(1);
/// Long beside a block, short beside the patience of somebody who has cancelled.
const DEFAULT_CANCEL_GRACE: Duration = Duration::from_secs(10);
/// Longer than any program runs, and short enough to be added to any time of a clock, and to count as nanoseconds in 64 bits.
const LONGEST_WAIT: Duration = Duration::from_secs(10 * 366 * 24 * 60 * 60);

/// Makes a [`Pool`].
///
/// # Example
///
/// ```
/// use ndpool::{Backing, Pool};
/// use std::time::Duration;
///
/// ndpool::init();
/// let pool = Pool::builder()
///     .workers(2)
///     .backing(Backing::Memfd)
///     .start_deadline(Duration::from_secs(10))
///     .env("MY_LIBRARY_CACHE", "off")
///     .build()?;
/// assert_eq!(pool.n_workers(), 2);
/// # Ok::<(), ndpool::Error>(())
/// ```
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until `build`"]
pub struct Builder {
    n_workers: Option<usize>,
    program: Program,
    backing: Backing,
    start_deadline: Duration,
    shutdown_grace: Duration,
    cancel_grace: Duration,
    idle_spin: Duration,
    max_tasks_per_worker: Option<u64>,
    memory_limit_per_worker: Option<u64>,
    recycle_above: Option<u64>,
    threads_per_worker: usize,
    environment: Vec<(OsString, OsString)>,
    pin_cpus: bool,
    stderr: Stderr,
    handles_signals: bool,
    is_in_process: bool,
    faults: Option<Faults>,
}

impl Builder {
    pub(super) fn new() -> Self {
        Self {
            n_workers: None,
            program: Program::This,
            backing: Backing::Auto,
            start_deadline: DEFAULT_START_DEADLINE,
            shutdown_grace: DEFAULT_SHUTDOWN_GRACE,
            cancel_grace: DEFAULT_CANCEL_GRACE,
            idle_spin: DEFAULT_IDLE_SPIN,
            max_tasks_per_worker: None,
            memory_limit_per_worker: None,
            recycle_above: None,
            threads_per_worker: 1,
            environment: Vec::new(),
            pin_cpus: false,
            stderr: Stderr::default(),
            handles_signals: false,
            is_in_process: false,
            faults: None,
        }
    }

    /// Number of workers; by default one for each core that this process may use, as affinity and control group
    /// say.
    pub fn workers(mut self, n: usize) -> Self {
        self.n_workers = Some(n);
        self
    }

    /// Runs workers of another program, which calls [`init`](crate::init) first thing in its `main`; by default
    /// they run this program. Such workers can run the tasks that their program registers: monomorphic ones that
    /// it links, and, in the stock worker `ndpool`, the built-in [reductions](crate::ops).
    pub fn worker_program(mut self, path: impl Into<PathBuf>) -> Self {
        self.program = Program::Other(path.into());
        self
    }

    /// Where arrays live; [`Backing::Auto`] by default.
    pub fn backing(mut self, backing: Backing) -> Self {
        self.backing = backing;
        self
    }

    /// How long a worker may take from its start to its first message; 30 s by default. `Duration::MAX` waits for
    /// ever.
    pub fn start_deadline(mut self, limit: Duration) -> Self {
        self.start_deadline = limit;
        self
    }

    /// How long a worker that runs a block may take to end when the pool does, before it is killed; 1 s by
    /// default. `Duration::MAX` waits for ever.
    pub fn shutdown_grace(mut self, limit: Duration) -> Self {
        self.shutdown_grace = limit;
        self
    }

    /// How long blocks that run may take to end when their job is cancelled, by [`Job::cancel`](crate::Job::cancel), by
    /// dropping its handle or by a panic of its caller; 10 s by default.
    ///
    /// A task is told by [`Block::is_cancelled`](crate::Block::is_cancelled), and a block that ends in time is applied. One that
    /// does not has its worker killed and is not applied; it is not counted as an attempt, and blocks of other jobs go on.
    /// [`Call::cancel_grace`](crate::Call::cancel_grace) says otherwise for one call; `Duration::MAX` waits for ever.
    pub fn cancel_grace(mut self, limit: Duration) -> Self {
        self.cancel_grace = limit;
        self
    }

    /// How long workers, and callers that wait, look for news before they sleep; 20 µs by default. Longer saves
    /// wake-ups, which take some 50 µs each, and costs processor time.
    pub fn idle_spin(mut self, duration: Duration) -> Self {
        self.idle_spin = duration;
        self
    }

    /// Replaces each worker after this many blocks, for native code that leaks; without limit by default.
    pub fn max_tasks_per_worker(mut self, n: u64) -> Self {
        self.max_tasks_per_worker = Some(n);
        self
    }

    /// How much memory each worker may have to itself, in bytes; without limit by default.
    ///
    /// Counted are the worker's own pages, in memory or swapped out: what its tasks allocate, its stacks, its libraries' data.
    /// Arrays of the pool, staged rows, arguments and results that lie in shared memory are not.
    ///
    /// A worker that is over the limit while it runs a block is killed. The block is tried again by a fresh worker, and after
    /// its [attempts](crate::Call::attempts) the job fails with [`MemoryLimit`](ErrorKind::MemoryLimit); all other blocks are
    /// applied. A worker that is over it between two blocks is replaced.
    ///
    /// Workers are measured some twenty times a second while jobs run. So that nothing quicker than that gets far, the system
    /// refuses a worker private writable address space (`RLIMIT_DATA`) beyond twice the limit: a task that handles the refusal
    /// can go on, others abort, which is reported as above. Memory that is reserved and not used counts there, such as
    /// the stacks of threads.
    pub fn memory_limit_per_worker(mut self, bytes: u64) -> Self {
        self.memory_limit_per_worker = Some(bytes);
        self
    }

    /// Replaces a worker whose own resident memory is above this many bytes after a block, for native code that leaks; never
    /// by default.
    ///
    /// The worker holds nothing then, so it costs the time of a start and no block. What counts is what counts for
    /// [`memory_limit_per_worker`](Self::memory_limit_per_worker), but for what is swapped out.
    pub fn recycle_above(mut self, bytes: u64) -> Self {
        self.recycle_above = Some(bytes);
        self
    }

    /// Threads that BLAS, OpenMP and rayon start in each worker, through their environment variables; 1 by
    /// default.
    pub fn threads_per_worker(mut self, n: usize) -> Self {
        self.threads_per_worker = n;
        self
    }

    /// Sets an environment variable of the workers; the rest they inherit.
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Keeps each worker on a core of its own.
    pub fn pin_cpus(mut self, pin: bool) -> Self {
        self.pin_cpus = pin;
        self
    }

    /// What becomes of what workers print to stderr; by default each line is forwarded with the worker's number.
    pub fn stderr(mut self, handling: Stderr) -> Self {
        self.stderr = handling;
        self
    }

    /// Whether SIGINT, SIGTERM and SIGHUP end the program cleanly: jobs are cancelled, workers stopped, segments
    /// unlinked, and the program then dies of the signal. A second signal ends it at once. Off by default, since
    /// a library does not take signals from a program that did not ask; without it the workers clean up when they
    /// see the program gone.
    pub fn handle_signals(mut self, handle: bool) -> Self {
        self.handles_signals = handle;
        self
    }

    /// Runs everything on the caller's thread in this process, without workers: for debuggers and unit tests.
    /// Results have the same bits. What would kill a worker kills the program, and nothing ends what takes too long or too
    /// much: time limits and limits on workers have no effect.
    pub fn in_process(mut self) -> Self {
        self.is_in_process = true;
        self
    }

    /// Has things go wrong on purpose, so that a program can test what it makes of them: see [`inject`](crate::inject).
    ///
    /// Without this call the environment variable `NDPOOL_INJECT` is looked at. With it, it is not: a program that wants
    /// none whatever the environment says gives `Faults::new()`.
    pub fn inject(mut self, faults: Faults) -> Self {
        self.faults = Some(faults);
        self
    }

    /// Starts the workers and returns once all of them serve.
    ///
    /// # Errors
    ///
    /// - [`NotInitialised`](ErrorKind::NotInitialised) if the program did not call [`init`](crate::init), or is a
    ///   worker itself.
    /// - [`InvalidArgument`](ErrorKind::InvalidArgument) for options that make no pool, and for what `NDPOOL_INJECT` says
    ///   if it is not [faults](crate::inject).
    /// - [`DuplicateTask`](ErrorKind::DuplicateTask) if two tasks have one name.
    /// - [`Start`](ErrorKind::Start) or [`BuildMismatch`](ErrorKind::BuildMismatch) if workers do not come up.
    /// - [`OutOfSpace`](ErrorKind::OutOfSpace), [`Io`](ErrorKind::Io) for memory that cannot be had.
    pub fn build(self) -> Result<Pool> {
        let invalid = |what: String| Error::new(ErrorKind::InvalidArgument, what);
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let n_workers = self.n_workers.unwrap_or(cores);
        if n_workers == 0 || n_workers > MAX_WORKERS {
            return Err(invalid(format!(
                "a pool of {n_workers} workers: from 1 to {MAX_WORKERS} are possible"
            )));
        }
        if self.threads_per_worker == 0 {
            return Err(invalid("threads_per_worker(0): a worker has at least one thread".into()));
        }
        if self.max_tasks_per_worker == Some(0) {
            return Err(invalid("max_tasks_per_worker(0): a worker runs at least one block".into()));
        }
        let faults = match self.faults {
            Some(faults) => faults,
            // A worker says below that it builds no pools, whatever the environment holds.
            None if role() == Role::Worker => Faults::new(),
            None => inject::from_environment()?,
        };
        faults.check(self.is_in_process)?;
        let faults = Some(faults).filter(|faults| !faults.is_empty());
        if self.memory_limit_per_worker == Some(0) {
            return Err(invalid("memory_limit_per_worker(0): a worker has some memory".into()));
        }
        if self.is_in_process {
            let run = Run::create(self.backing)?;
            return Ok(Pool::with_engine(Engine::InProcess { run, n_workers, faults }));
        }
        match role() {
            Role::Supervisor => {}
            Role::Unknown => {
                return Err(Error::new(
                    ErrorKind::NotInitialised,
                    "this program cannot start workers: `ndpool::init()` was not called",
                )
                .with_hint(
                    "make it the first line of `main`, or put #[ndpool::main] on `main`; \
                     in a test, put #[ndpool::test] in the place of #[test]",
                ));
            }
            Role::Worker => {
                return Err(Error::new(ErrorKind::NotInitialised, "a worker cannot build a pool of its own")
                    .with_hint(
                        "build the pool in the program's own process, and give the work to it from there",
                    ));
            }
        }
        check_names()?;
        // Leftovers of others are no reason not to work.
        if let Err(error) = reap(false) {
            tracing::warn!(%error, "cannot look for segments of dead pools");
        }
        if let Err(error) = shared::reap(false, false) {
            tracing::warn!(%error, "cannot look for shared structures that nobody uses");
        }
        let run = Run::create(self.backing.clone())?;
        let config = Config {
            n_workers,
            program: self.program,
            start_deadline: self.start_deadline.min(LONGEST_WAIT),
            idle_spin: self.idle_spin.min(LONGEST_WAIT),
            shutdown_grace: self.shutdown_grace.min(LONGEST_WAIT),
            // Only compared with; an error quotes it as it was given.
            cancel_grace: self.cancel_grace,
            max_tasks_per_worker: self.max_tasks_per_worker,
            memory_limit: self.memory_limit_per_worker,
            recycle_above: self.recycle_above,
            threads_per_worker: self.threads_per_worker,
            environment: self.environment,
            cpus: self.pin_cpus.then(usable_cpus),
            stderr: self.stderr,
            faults,
        };
        let core = Core::start(run, config)?;
        if self.handles_signals {
            let watched = end_at_signal(&core);
            if let Err(error) = watched {
                core.shut_down();
                return Err(error);
            }
        }
        Ok(Pool::with_engine(Engine::Workers(core)))
    }
}

/// Checks that no two tasks of this program have one name.
fn check_names() -> Result<()> {
    let tasks = known_tasks();
    match tasks.windows(2).find(|pair| pair[0].name == pair[1].name) {
        Some(pair) => Err(crate::supervisor::duplicate_task(&pair[0].name, "this program")),
        None => Ok(()),
    }
}
