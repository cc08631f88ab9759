//! What a pool is made of: the run, the board, one slot per worker, and the table of jobs.

use super::actor;
use super::aside::Aside;
use super::handshake::Abilities;
use super::monitor::Monitor;
use super::oom::Kills;
use super::postmortem::DeathLog;
use super::spawn::{Stderr, with_limits_hint};
use super::table::Table;
use crate::error::{Error, ErrorKind, Result, WorkerExit};
use crate::inject::Faults;
use crate::job::board::Board;
use crate::segment::{Run, Segment};
use crate::signals::{EndsWithProgram, wait_if_program_ends};
use crate::sys::process::{ProcessHandle, Wakeup};
use crate::sys::{fork, kill_point};
use nix::sys::signal::Signal;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long a slot that was given up is left alone while others serve.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Which program workers run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Program {
    /// The one that builds the pool.
    This,
    /// Another one, which registers the tasks that it knows.
    Other(PathBuf),
}

/// The options of a pool.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub(crate) n_workers: usize,
    pub(crate) program: Program,
    pub(crate) start_deadline: Duration,
    pub(crate) idle_spin: Duration,
    pub(crate) shutdown_grace: Duration,
    pub(crate) cancel_grace: Duration,
    pub(crate) max_tasks_per_worker: Option<u64>,
    /// Bytes that a worker may have to itself.
    pub(crate) memory_limit: Option<u64>,
    /// Bytes of its own above which a worker is replaced between blocks.
    pub(crate) recycle_above: Option<u64>,
    pub(crate) threads_per_worker: usize,
    pub(crate) environment: Vec<(OsString, OsString)>,
    pub(crate) cpus: Option<Vec<usize>>,
    pub(crate) stderr: Stderr,
    /// What is to go wrong on purpose.
    pub(crate) faults: Option<Faults>,
}

/// Counts of what has happened in a pool's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Stats {
    /// Processes that were welcomed as workers.
    pub workers_started: u64,
    /// Processes that ended without being asked to, or did not come to serve: as many as there were records of
    /// [deaths](crate::Pool::deaths).
    pub workers_lost: u64,
    /// Blocks that became free again because their worker died.
    pub blocks_redone: u64,
    /// Blocks that a worker had staged and the supervisor wrote back after its death.
    pub blocks_finished: u64,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) workers_started: AtomicU64,
    pub(super) workers_lost: AtomicU64,
    pub(super) blocks_redone: AtomicU64,
    pub(super) blocks_finished: AtomicU64,
}

/// One worker's place in the pool.
#[derive(Debug)]
pub(super) struct Slot {
    /// Wakes the slot's thread.
    pub(super) wakeup: Arc<Wakeup>,
    pub(super) staging: Arc<Segment>,
    pub(super) spill: Arc<Segment>,
    pub(super) worker: Mutex<SlotWorker>,
}

/// The process in a slot.
#[derive(Debug, Default)]
pub(super) struct SlotWorker {
    pub(super) process: Option<Arc<ProcessHandle>>,
    /// Why the pool killed it, if it did.
    pub(super) killed_for: Option<WorkerExit>,
    /// Why the slot stays empty, if it does. Taken away, the slot is tried again.
    pub(super) given_up: Option<GivenUp>,
    pub(super) is_serving: bool,
}

/// Why, and since when, a slot stays empty.
#[derive(Debug)]
pub(super) struct GivenUp {
    pub(super) error: Error,
    pub(super) since: Instant,
}

impl GivenUp {
    /// Whether another try may help: another build does not become this one.
    fn may_pass(&self) -> bool {
        !matches!(self.error.kind(), ErrorKind::BuildMismatch | ErrorKind::DuplicateTask)
    }
}

impl Slot {
    pub(super) fn lock(&self) -> MutexGuard<'_, SlotWorker> {
        self.worker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Kills the process in the slot, if `still_there` holds once it cannot be replaced.
    pub(super) fn kill(&self, reason: WorkerExit, still_there: impl FnOnce() -> bool) {
        let mut worker = self.lock();
        if let Some(process) = worker.process.clone()
            && still_there()
        {
            worker.killed_for = Some(reason);
            // An error means that it has ended.
            let _ = process.signal(Signal::SIGKILL);
        }
    }
}

/// Everything of a pool that its threads share.
pub(crate) struct Core {
    pub(crate) run: Arc<Run>,
    pub(crate) config: Config,
    pub(crate) board: Board,
    /// Keeps the board's memory.
    pub(super) board_segment: Arc<Segment>,
    pub(super) slots: Vec<Slot>,
    pub(super) table: Mutex<Table>,
    /// Bytes that every worker's staging buffer has.
    pub(super) staging_len: AtomicUsize,
    /// Held while the staging buffers grow: where the file system cannot reserve space, growing writes zeros.
    pub(super) growing: Mutex<()>,
    pub(super) monitor: Monitor,
    pub(super) counters: Counters,
    pub(super) death_log: Mutex<DeathLog>,
    /// Runs the user's code for the slots' threads.
    pub(super) aside: Aside,
    pub(super) kills: Mutex<Kills>,
    /// Set once; nothing is started or accepted any more.
    pub(super) is_closing: AtomicBool,
    /// What the workers' program can do, as its first worker said; `None` until then.
    abilities: OnceLock<Abilities>,
    /// Notified when a slot becomes ready or is given up.
    readiness: Condvar,
    readiness_lock: Mutex<()>,
    /// Slots that stay empty.
    pub(super) n_given_up: AtomicUsize,
    threads: Mutex<Vec<JoinHandle<()>>>,
    owner: u32,
}

impl std::fmt::Debug for Core {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Core")
            .field("run", &self.run.id())
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl Core {
    /// Makes a pool's memory and starts its workers; returns once all of them serve.
    pub(crate) fn start(run: Arc<Run>, config: Config) -> Result<Arc<Self>> {
        let board_segment = Segment::raw(&run, Board::len_bytes(config.n_workers))?;
        if !Board::has_room_for(&board_segment.locator()) {
            let path = board_segment.path();
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                format!("segments in `{}` have names that are too long", path.display()),
            )
            .with_hint("give Backing::File a directory with a shorter path, or a symbolic link to it"));
        }
        let board = Board::new(board_segment.map_fresh()?, board_segment.data_offset(), config.n_workers);
        let mut slots = Vec::with_capacity(config.n_workers);
        for slot in 0..config.n_workers {
            board.reset_worker(slot);
            slots.push(Slot {
                wakeup: Arc::new(Wakeup::new().map_err(|error| Error::io("cannot make an eventfd", error))?),
                staging: Segment::raw(&run, 0)?,
                spill: Segment::raw(&run, 0)?,
                worker: Mutex::default(),
            });
        }
        let core = Arc::new(Self {
            run,
            config,
            board,
            board_segment,
            slots,
            table: Mutex::default(),
            staging_len: AtomicUsize::new(0),
            growing: Mutex::default(),
            monitor: Monitor::default(),
            counters: Counters::default(),
            death_log: Mutex::default(),
            aside: Aside::default(),
            kills: Mutex::default(),
            is_closing: AtomicBool::new(false),
            abilities: OnceLock::new(),
            readiness: Condvar::new(),
            readiness_lock: Mutex::default(),
            n_given_up: AtomicUsize::new(0),
            threads: Mutex::default(),
            owner: fork::owner_pid(),
        });
        kill_point!("start_pool.memory_made");
        let started = core.start_threads().and_then(|()| core.await_workers());
        if let Err(error) = started {
            core.shut_down();
            return Err(error);
        }
        Ok(core)
    }

    fn start_threads(self: &Arc<Self>) -> Result<()> {
        for slot in 0..self.slots.len() {
            let core = Arc::clone(self);
            let thread = std::thread::Builder::new()
                // Not as its worker: a child has the name of the thread that starts it until it has a program of its own.
                .name(format!("ndpool slot {slot}"))
                .spawn(move || actor::run(&core, slot))
                .map_err(|error| with_limits_hint(Error::io("cannot start a thread", error)))?;
            self.threads().push(thread);
        }
        Ok(())
    }

    /// Waits until every slot serves.
    fn await_workers(&self) -> Result<()> {
        let mut guard = self.readiness_lock.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let mut all_serve = true;
            for slot in &self.slots {
                let worker = slot.lock();
                if let Some(given_up) = &worker.given_up {
                    return Err(given_up.error.copy());
                }
                all_serve &= worker.is_serving;
            }
            if all_serve {
                return Ok(());
            }
            guard = self.readiness.wait(guard).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// A slot became ready or was given up.
    pub(super) fn announce_readiness(&self) {
        drop(self.readiness_lock.lock().unwrap_or_else(PoisonError::into_inner));
        self.readiness.notify_all();
    }

    /// Why no worker will run a block, if that is so.
    pub(super) fn is_broken(&self) -> Option<Error> {
        // Counted before the slot's thread looks for jobs to cancel, and looked at here after a job is in the table: one sees the other.
        if self.n_given_up.load(Ordering::SeqCst) == 0 {
            return None;
        }
        let mut first = None;
        for slot in &self.slots {
            let worker = slot.lock();
            let given_up = worker.given_up.as_ref()?;
            first.get_or_insert_with(|| given_up.error.copy());
        }
        first
    }

    /// Has slots that were given up try again: what their processes wanted for may be there by now. At once if no other
    /// slot can run a block, else now and then.
    pub(super) fn retry_given_up(&self) {
        if self.n_given_up.load(Ordering::Relaxed) == 0 {
            return;
        }
        let is_broken = self.is_broken().is_some();
        for slot in &self.slots {
            let mut worker = slot.lock();
            let must_retry = |given_up: &mut GivenUp| {
                given_up.may_pass() && (is_broken || given_up.since.elapsed() >= RETRY_PAUSE)
            };
            if worker.given_up.take_if(must_retry).is_some() {
                self.n_given_up.fetch_sub(1, Ordering::Relaxed);
                drop(worker);
                slot.wakeup.wake();
            }
        }
    }

    fn threads(&self) -> MutexGuard<'_, Vec<JoinHandle<()>>> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add_thread(&self, thread: JoinHandle<()>) {
        self.threads().push(thread);
    }

    /// Notes what workers can do; whether it is what the first one could. Jobs in flight count on that.
    pub(super) fn learn_abilities(&self, abilities: Abilities) -> bool {
        *self.abilities.get_or_init(|| abilities.clone()) == abilities
    }

    pub(super) fn abilities(&self) -> Option<&Abilities> {
        self.abilities.get()
    }

    pub(crate) fn stats(&self) -> Stats {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            workers_started: load(&self.counters.workers_started),
            workers_lost: load(&self.counters.workers_lost),
            blocks_redone: load(&self.counters.blocks_redone),
            blocks_finished: load(&self.counters.blocks_finished),
        }
    }

    /// Processes of other slots that have ended and were not buried yet.
    pub(super) fn n_unburied_but(&self, slot: usize) -> u64 {
        let has_ended = |slot: &Slot| slot.lock().process.as_ref().is_some_and(|process| process.has_ended());
        let others = self.slots.iter().enumerate().filter(|&(other, _)| other != slot);
        others.filter(|(_, slot)| has_ended(slot)).count() as u64
    }

    /// Process identifiers of the workers that serve now, by slot.
    pub(crate) fn worker_pids(&self) -> Vec<u32> {
        self.slots
            .iter()
            .filter_map(|slot| {
                let worker = slot.lock();
                worker.process.as_ref().filter(|_| worker.is_serving).map(|process| process.pid())
            })
            .collect()
    }

    /// The error for a call that comes too late.
    pub(super) fn closing_error() -> Error {
        Error::new(ErrorKind::Shutdown, "the pool is shutting down")
    }

    /// Whether this is a child made by `fork` of the process that owns the pool.
    pub(crate) fn is_forked(&self) -> bool {
        fork::is_forked(self.owner)
    }

    /// Cancels all jobs, ends all workers, and returns when no process and no thread is left.
    pub(crate) fn shut_down(self: &Arc<Self>) {
        if self.is_forked() {
            return;
        }
        if self.is_closing.swap(true, Ordering::SeqCst) {
            wait_if_program_ends();
            return;
        }
        kill_point!("shutdown.begin");
        self.cancel_all(&Self::closing_error());
        kill_point!("shutdown.cancelled");
        for slot in &self.slots {
            slot.wakeup.wake();
        }
        self.monitor.stop();
        kill_point!("shutdown.told");
        let threads = std::mem::take(&mut *self.threads());
        for thread in threads {
            // A panic in it was printed; what it guards is released by the end of the process at the latest.
            let _ = thread.join();
        }
        kill_point!("shutdown.joined");
        // Every worker has ended and was swept: no word is held, and what is free was cancelled.
        self.cancel_all(&Self::closing_error());
        self.finish_all();
        kill_point!("shutdown.done");
        wait_if_program_ends();
    }
}

impl EndsWithProgram for Core {
    fn end_with_program(self: Arc<Self>) {
        kill_point!("signal.noted");
        self.shut_down();
        kill_point!("signal.shut_down");
        self.run.remove_all();
        kill_point!("signal.removed");
    }
}
