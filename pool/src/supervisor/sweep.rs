//! Cleaning up after a death: every block that the dead worker held is finished, freed or failed.
//!
//! Runs once the process was waited for, so that nothing races with it but the monitor's condemnations, and
//! before the slot is filled again, so that a word that names the slot names the dead.

use super::core::{Core, Slot};
use super::record::{Death, JobRecord, JobState, Phase};
use crate::array::ArraySource;
use crate::error::{Error, ErrorKind, WorkerExit};
use crate::job::word::{BlockWord, State};
use nix::sys::signal::Signal;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Deaths from outside that a block survives; a storm of kills must not fail a job, an endless one must not keep
/// it for ever.
const MAX_EXTERNAL: u32 = 30;

/// Whose doing a death is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Blame {
    /// The task's: it counts against the block's attempts.
    Block,
    /// Somebody else's, or it came before the task began.
    Outside,
}

fn blame(exit: &WorkerExit, had_begun: bool) -> Blame {
    let is_own_doing = match exit {
        WorkerExit::Code(_)
        | WorkerExit::TimedOut(_)
        | WorkerExit::PastDeadline
        | WorkerExit::MemoryLimit { .. } => true,
        WorkerExit::Signal { number, .. } => [
            Signal::SIGSEGV,
            Signal::SIGBUS,
            Signal::SIGFPE,
            Signal::SIGILL,
            Signal::SIGABRT,
            Signal::SIGTRAP,
            Signal::SIGSYS,
            Signal::SIGXCPU,
            Signal::SIGXFSZ,
            Signal::SIGPIPE,
            Signal::SIGALRM,
        ]
        .iter()
        .any(|&signal| signal as i32 == *number),
        WorkerExit::Unknown | WorkerExit::Cancelled(_) => false,
    };
    if is_own_doing && had_begun { Blame::Block } else { Blame::Outside }
}

/// Sweeps all jobs of the worker that was in `slot`.
pub(super) fn sweep(core: &Arc<Core>, slot: usize, exit: &WorkerExit, stderr: &[String]) {
    let running = core.board.running(slot);
    let last_words = String::from_utf8_lossy(&core.board.last_words(slot)).into_owned();
    let mut n_freed = 0;
    let mut touched = Vec::new();
    for job in core.open_jobs() {
        let mut state = job.lock();
        let swept = sweep_job(core, slot, &job, &mut state, |word| {
            let had_begun = running == word.with_state(State::Claimed).bits();
            Death {
                worker: slot,
                exit: exit.clone(),
                attempts: 0,
                stderr: stderr.to_vec(),
                last_words: last_words.clone(),
                had_begun,
                is_final: false,
                is_half_written: false,
            }
        });
        n_freed += swept.n_freed;
        let must_cancel = state.abort.is_some();
        if must_cancel && let Phase::Open { arena, .. } = &state.phase {
            // What became free again must not be run: the job was cancelled meanwhile.
            job.ledger(arena).cancel();
        }
        drop(state);
        if swept.n_changed > 0 {
            touched.push(job);
        }
    }
    core.board.reset_worker(slot);
    if n_freed > 0 {
        core.board.request_rescan();
        core.board.wake(n_freed);
    }
    if !touched.is_empty() {
        // Whoever waits for them looks again; jobs that nobody waits for end here.
        core.board.bell().ring();
        for job in touched {
            core.try_end(&job);
        }
    }
}

#[derive(Default)]
struct Swept {
    n_freed: usize,
    n_changed: usize,
}

fn sweep_job(
    core: &Core,
    slot: usize,
    job: &JobRecord,
    state: &mut JobState,
    describe: impl Fn(BlockWord) -> Death,
) -> Swept {
    let JobState { phase, deaths, abort, sources, .. } = state;
    let Phase::Open { arena, .. } = &*phase else { return Swept::default() };
    let mut swept = Swept::default();
    swept.n_changed = job.ledger(arena).sweep(slot, |block, word| {
        if word.state() == State::Staged {
            return match write_back(&core.slots[slot], job, sources, block) {
                Ok(()) => {
                    core.counters.blocks_finished.fetch_add(1, Ordering::Relaxed);
                    word.with_state(State::Done)
                }
                // A disk that fails under a file-backed array: the rows are half written, and stay so.
                Err(error) => {
                    abort.get_or_insert(error);
                    let death = describe(word);
                    deaths.insert(block, Death { is_final: true, is_half_written: true, ..death });
                    word.with_state(State::Failed)
                }
            };
        }
        punch_spill(core, slot);
        arena.arena.note_freed();
        let mut death = describe(word);
        let is_past_deadline = matches!(death.exit, WorkerExit::PastDeadline);
        let next = match blame(&death.exit, death.had_begun) {
            // It will not be run again.
            _ if matches!(death.exit, WorkerExit::Cancelled(_)) => word,
            Blame::Block => word.charge(),
            Blame::Outside => word.charge_external(),
        };
        death.attempts = next.attempt();
        let is_poison = next.charged() >= job.attempts || next.external() >= MAX_EXTERNAL || is_past_deadline;
        // A later attempt that did not begin tears nothing, but an earlier one may have.
        death.had_begun |= deaths.get(&block).is_some_and(|earlier| earlier.had_begun);
        death.is_final = is_poison;
        deaths.insert(block, death);
        if is_poison {
            next.with_state(State::Failed)
        } else {
            swept.n_freed += 1;
            // Before the word is free: whoever runs it next may end the job.
            core.counters.blocks_redone.fetch_add(1, Ordering::Relaxed);
            next.with_state(State::Free)
        }
    });
    swept
}

/// Gives back what the dead worker had spilled for the block that it held.
fn punch_spill(core: &Core, slot: usize) {
    let (start, end) = core.board.spill(slot);
    if end > start {
        // Pages that stay cost memory until the pool ends, nothing else.
        let _ = core.slots[slot].spill.punch(start as usize, (end - start) as usize);
        core.board.set_spill(slot, end, end);
    }
}

/// Finishes the write-back of a staged block; doing it again does no harm.
fn write_back(slot: &Slot, job: &JobRecord, sources: &[ArraySource], block: usize) -> Result<(), Error> {
    let mut bytes = Vec::new();
    for staged in job.descriptor.staging(block) {
        bytes.resize(staged.buffer.len(), 0);
        slot.staging.read_at(staged.buffer.start, &mut bytes)?;
        match sources[staged.index].segment() {
            Some(segment) => segment.write_at(staged.target.start, &bytes)?,
            None => return Err(Error::new(ErrorKind::InvalidArgument, "a mapped file cannot be written")),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_death_of_the_tasks_own_doing_is_charged() {
        let signal = |signal: Signal| WorkerExit::Signal { number: signal as i32, core_dumped: false };
        for (exit, expected) in [
            (signal(Signal::SIGSEGV), Blame::Block),
            (signal(Signal::SIGABRT), Blame::Block),
            (signal(Signal::SIGKILL), Blame::Outside),
            (signal(Signal::SIGTERM), Blame::Outside),
            (WorkerExit::Code(0), Blame::Block),
            (WorkerExit::MemoryLimit { limit_bytes: 1, found_bytes: None }, Blame::Block),
            (WorkerExit::Unknown, Blame::Outside),
        ] {
            assert_eq!(blame(&exit, true), expected, "{exit}");
            assert_eq!(blame(&exit, false), Blame::Outside, "{exit} before the task began");
        }
    }
}
