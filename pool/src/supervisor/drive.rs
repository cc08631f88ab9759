//! Waiting for jobs on a caller's thread: spin, then sleep until workers ring, and wake them again if they were
//! woken and died.

use super::core::Core;
use super::record::{JobRecord, Phase};
use crate::signals::wait_if_program_ends;
use crate::sys::kill_point;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// First and longest sleep of a thread that waits for a job.
const SHORTEST_WAIT: Duration = Duration::from_millis(1);
const LONGEST_WAIT: Duration = Duration::from_millis(50);

/// Waits for jobs on the caller's thread.
pub(crate) struct Driver<'c> {
    core: &'c Arc<Core>,
}

impl<'c> Driver<'c> {
    pub(crate) fn new(core: &'c Arc<Core>) -> Self {
        Self { core }
    }

    /// Returns once the job has ended, or once `tick` says to stop: it is called before every sleep. Whether the
    /// job has ended.
    pub(crate) fn wait(&self, job: &Arc<JobRecord>, tick: impl FnMut() -> bool) -> bool {
        self.wait_until(|| self.core.try_end(job), tick)
    }

    /// Returns once `is_over` holds; workers ring when it may.
    pub(crate) fn wait_for(&self, is_over: impl FnMut() -> bool) {
        self.wait_until(is_over, || true);
    }

    fn wait_until(&self, is_over: impl FnMut() -> bool, tick: impl FnMut() -> bool) -> bool {
        let is_over = self.spin_then_sleep(is_over, tick);
        wait_if_program_ends();
        is_over
    }

    fn spin_then_sleep(&self, mut is_over: impl FnMut() -> bool, mut tick: impl FnMut() -> bool) -> bool {
        let core = self.core;
        let start = Instant::now();
        loop {
            for _ in 0..64 {
                if is_over() {
                    return true;
                }
                std::hint::spin_loop();
            }
            if start.elapsed() >= core.config.idle_spin {
                break;
            }
        }
        let mut sleep = SHORTEST_WAIT;
        loop {
            if !tick() {
                return is_over();
            }
            core.board.bell().wait_unless(&mut is_over, Some(sleep));
            if is_over() {
                return true;
            }
            // Who was woken may have died before it claimed.
            for job in core.open_jobs() {
                // Nobody else may look after those whose handles were forgotten, and they keep places on the board.
                if !core.try_end(&job) {
                    core.wake_for_free_blocks(&job);
                }
            }
            sleep = (sleep * 2).min(LONGEST_WAIT);
        }
    }
}

impl Core {
    /// Wakes workers if a job has blocks that nobody claims.
    pub(super) fn wake_for_free_blocks(self: &Arc<Self>, job: &JobRecord) {
        let state = job.lock();
        let Phase::Open { arena, .. } = &state.phase else { return };
        let ledger = job.ledger(arena);
        if state.abort.is_some() {
            // Given back after the cancellation: nobody is to begin them again.
            ledger.cancel();
            return;
        }
        let mut only_charged = true;
        let n_free = (state.cursor..job.n_blocks())
            .filter_map(|block| ledger.peek_free(block))
            .inspect(|word| only_charged &= word.charged() > 0)
            .take(self.config.n_workers)
            .count();
        if n_free == 0 {
            return;
        }
        self.board.request_rescan();
        if only_charged {
            // Only a fresh worker takes them, and nobody knows which of the sleepers that is.
            self.board.wake_again(self.config.n_workers);
            self.make_fresh_worker();
        } else {
            self.board.wake_again(n_free);
        }
    }

    /// Has one worker replaced by a fresh one, if there is none: only that takes what has killed others.
    fn make_fresh_worker(&self) {
        let mut slots = Vec::with_capacity(self.slots.len());
        for (index, slot) in self.slots.iter().enumerate() {
            let worker = slot.lock();
            if worker.is_serving {
                slots.push(index);
            } else if worker.given_up.is_none() {
                // A fresh one is on its way.
                return;
            }
        }
        if slots.iter().any(|&slot| self.board.n_begun(slot) == 0 || self.board.must_retire(slot)) {
            return;
        }
        if let Some(idle) = slots.into_iter().find(|&slot| self.board.running(slot) == 0) {
            kill_point!("retire.begin");
            self.board.ask_to_retire(idle);
            kill_point!("retire.asked");
        }
    }
}
