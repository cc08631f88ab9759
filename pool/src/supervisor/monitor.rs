//! Time limits, and jobs that nobody waits for.
//!
//! One thread, started with the first job that needs it: it ends jobs whose handles were dropped or forgotten,
//! wakes futures, and condemns blocks that run too long or take too much memory. It measures time by adding up its own ticks, each capped:
//! while the machine sleeps or this process is stopped, no limit runs.

use super::core::Core;
use super::memory;
use super::record::{JobRecord, Phase};
use super::spawn::with_limits_hint;
use crate::error::{Error, ErrorKind, WorkerExit};
use crate::job::word::State;
use crate::sys::kill_point;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A tick that took longer was not spent by this process.
const LONGEST_COUNTED_TICK: Duration = Duration::from_millis(100);
const SHORTEST_TICK: Duration = Duration::from_millis(1);
const LONGEST_TICK: Duration = Duration::from_millis(50);

#[derive(Debug, Default)]
pub(super) struct Monitor {
    state: Mutex<Shared>,
    changed: Condvar,
}

/// What the monitor's thread shares with those who call on it.
#[derive(Debug, Default)]
struct Shared {
    /// Whether there may be a job to watch.
    has_jobs: bool,
    /// Whether somebody waits for a job's end through a waker: then ends must be noticed at once.
    has_wakers: bool,
    is_running: bool,
    must_stop: bool,
}

impl Monitor {
    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn stop(&self) {
        self.lock().must_stop = true;
        self.changed.notify_all();
    }
}

impl Core {
    /// Has the monitor look after the open jobs, promptly if a waker waits for one of them.
    ///
    /// # Errors
    ///
    /// If the monitor's thread cannot be started.
    pub(crate) fn watch(self: &Arc<Self>, promptly: bool) -> Result<(), Error> {
        let mut state = self.monitor.lock();
        if !state.is_running {
            let core = Arc::clone(self);
            let thread = std::thread::Builder::new()
                .name("ndpool monitor".into())
                .spawn(move || run(&core))
                .map_err(|error| with_limits_hint(Error::io("cannot start a thread", error)))?;
            state.is_running = true;
            drop(state);
            self.add_thread(thread);
            state = self.monitor.lock();
        }
        let was_idle = !state.has_jobs || (promptly && !state.has_wakers);
        state.has_jobs = true;
        state.has_wakers |= promptly;
        drop(state);
        if was_idle {
            self.monitor.changed.notify_all();
            if promptly {
                // It may be asleep on the bell with a longer wait than it should.
                self.board.bell().ring();
            }
        }
        Ok(())
    }
}

fn run(core: &Arc<Core>) {
    let mut last = Instant::now();
    let mut tick = SHORTEST_TICK;
    loop {
        let promptly = {
            let mut state = core.monitor.lock();
            while !state.has_jobs && !state.must_stop {
                state = core.monitor.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                last = Instant::now();
                tick = SHORTEST_TICK;
            }
            if state.must_stop {
                return;
            }
            state.has_jobs = false;
            std::mem::take(&mut state.has_wakers)
        };
        let elapsed = last.elapsed().min(LONGEST_COUNTED_TICK);
        last = Instant::now();
        let jobs = core.open_jobs();
        memory::enforce(core, &jobs);
        let mut shortest_limit = Duration::MAX;
        for job in &jobs {
            if core.try_end(job) {
                continue;
            }
            if enforce(core, job, elapsed) {
                let grace = job.lock().cancelled_for.map(|_| job.cancel_grace);
                let limits = job.block_timeout.into_iter().chain(job.deadline).chain(grace);
                shortest_limit = limits.fold(shortest_limit, Duration::min);
            }
            core.wake_for_free_blocks(job);
        }
        let mut state = core.monitor.lock();
        state.has_jobs |= !jobs.is_empty();
        state.has_wakers |= promptly && !jobs.is_empty();
        let promptly = state.has_wakers;
        let must_stop = state.must_stop;
        if jobs.is_empty() || must_stop {
            continue;
        }
        let pause = tick.min((shortest_limit / 8).max(SHORTEST_TICK));
        if promptly {
            drop(state);
            core.board.bell().wait_unless(|| jobs.iter().any(|job| core.try_end(job)), Some(pause));
        } else {
            drop(core.monitor.changed.wait_timeout(state, pause));
        }
        tick = (tick * 2).min(LONGEST_TICK);
    }
}

/// Condemns what runs too long, and kills who runs it; whether there is a limit to it.
fn enforce(core: &Arc<Core>, job: &Arc<JobRecord>, elapsed: Duration) -> bool {
    let mut guard = job.lock();
    let state = &mut *guard;
    if !job.has_limits() && !state.is_cancelled {
        return false;
    }
    let Phase::Open { arena, .. } = &state.phase else { return false };
    let ledger = job.ledger(arena);
    // Its time begins when it is first seen: what passed before is not its own.
    state.age = Some(state.age.map_or(Duration::ZERO, |age| age + elapsed));
    let is_past_deadline = job.deadline.zip(state.age).is_some_and(|(deadline, age)| age > deadline);
    if is_past_deadline && state.abort.is_none() {
        let limit = job.deadline.unwrap_or_default();
        state.abort = Some(Error::new(ErrorKind::Deadline, format!("the deadline of {limit:?} passed")));
        kill_point!("deadline.begin");
        arena.arena.set_cancelled();
        ledger.cancel();
        kill_point!("deadline.cancelled");
    }
    if state.is_cancelled {
        // From the first tick that sees it cancelled, as with the other limits.
        state.cancelled_for =
            Some(state.cancelled_for.map_or(Duration::ZERO, |passed| passed.saturating_add(elapsed)));
    }
    let is_past_grace = state.cancelled_for.is_some_and(|passed| passed > job.cancel_grace);
    let mut observed = std::mem::take(&mut state.observed);
    let mut still_observed = std::collections::HashMap::new();
    for block in state.cursor..job.n_blocks() {
        let word = ledger.load(block);
        // A word that is not of this job names nobody whom this job could kill: somebody wrote wildly.
        if !matches!(word.state(), State::Claimed | State::Staged) || !word.is_of(job.sequence) {
            continue;
        }
        // A limit runs from the first time that this very claim was seen.
        let ran_for = match observed.remove(&block) {
            Some((seen, ran_for)) if seen == word => ran_for + elapsed,
            _ => Duration::ZERO,
        };
        let timed_out = job.block_timeout.filter(|&limit| ran_for > limit).map(WorkerExit::TimedOut);
        let reason = if is_past_deadline {
            Some(WorkerExit::PastDeadline)
        } else if is_past_grace {
            Some(WorkerExit::Cancelled(job.cancel_grace))
        } else {
            timed_out
        };
        let condemned = word.with_state(State::Condemned);
        let slot = core.slots.get(word.worker());
        match (reason, slot) {
            // Decided, but stuck in its write-back: the sweep finishes it.
            (Some(reason), Some(slot)) if word.state() == State::Staged => {
                slot.kill(reason, || ledger.load(block) == word);
            }
            // A swap that fails lost to the worker's commit, or to its sweep.
            (Some(reason), Some(slot)) if ledger.advance(block, word, condemned).is_ok() => {
                kill_point!("condemn.word");
                slot.kill(reason, || ledger.load(block) == condemned);
                kill_point!("condemn.killed");
            }
            (Some(_), _) => {}
            (None, _) => {
                still_observed.insert(block, (word, ran_for));
            }
        }
    }
    state.observed = still_observed;
    true
}
