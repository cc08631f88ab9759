//! Cleaning up after a death: every block that the dead worker held is finished, freed or failed.
//!
//! Runs once the process was waited for, so that nothing races with it but the monitor's condemnations, and
//! before the slot is filled again, so that a word that names the slot names the dead.

use super::core::{Core, Slot};
use super::record::{JobRecord, JobState, LostWorker, Phase};
use super::verdict::judge;
use crate::array::ArraySource;
use crate::error::{Death, Error, ErrorKind};
use crate::job::word::{BlockWord, State};
use crate::sys::kill_point;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Sweeps all jobs of the worker that was in `slot`.
pub(super) fn sweep(core: &Arc<Core>, slot: usize, death: &Arc<Death>) {
    kill_point!("sweep.begin");
    let running = core.board.running(slot);
    let mut n_freed = 0;
    let jobs = core.open_jobs();
    for job in &jobs {
        let mut state = job.lock();
        n_freed += sweep_job(core, slot, job, &mut state, |word| {
            let had_begun = running == word.with_state(State::Claimed).bits();
            LostWorker {
                death: Arc::clone(death),
                attempts: 0,
                had_begun,
                is_final: false,
                is_half_written: false,
            }
        });
        let must_cancel = state.abort.is_some();
        if must_cancel && let Phase::Open { arena, .. } = &state.phase {
            // What became free again must not be run: the job was cancelled meanwhile.
            job.ledger(arena).cancel();
        }
        drop(state);
        kill_point!("sweep.job_swept");
    }
    kill_point!("sweep.jobs_swept");
    core.board.reset_worker(slot);
    kill_point!("sweep.cells_reset");
    if n_freed > 0 {
        core.board.request_rescan();
        kill_point!("sweep.rescan_requested");
        core.board.wake(n_freed);
        kill_point!("sweep.woken");
    }
    // Whoever waits looks again; jobs that nobody waits for end here. Also those of which nothing was held: the worker may
    // have died after its last commit and before it could ring.
    core.board.bell().ring();
    kill_point!("sweep.rung");
    for job in jobs {
        core.try_end(&job);
    }
    kill_point!("sweep.ended");
}

/// Settles the blocks of one job; how many were freed.
fn sweep_job(
    core: &Core,
    slot: usize,
    job: &JobRecord,
    state: &mut JobState,
    describe: impl Fn(BlockWord) -> LostWorker,
) -> usize {
    let JobState { phase, deaths, abort, sources, .. } = state;
    let Phase::Open { arena, .. } = &*phase else { return 0 };
    let mut n_freed = 0;
    job.ledger(arena).sweep(slot, |block, word| {
        if word.state() == State::Staged {
            kill_point!("sweep.staged.begin");
            return match write_back(&core.slots[slot], job, sources, block) {
                Ok(()) => {
                    kill_point!("sweep.staged.written_back");
                    core.counters.blocks_finished.fetch_add(1, Ordering::Relaxed);
                    word.with_state(State::Done)
                }
                // A disk that fails under a file-backed array: the rows are half written, and stay so.
                Err(error) => {
                    abort.get_or_insert(error);
                    let lost = describe(word);
                    deaths.insert(block, LostWorker { is_final: true, is_half_written: true, ..lost });
                    word.with_state(State::Failed)
                }
            };
        }
        kill_point!("sweep.held.begin");
        punch_spill(core, slot);
        arena.arena.note_freed();
        let mut lost = describe(word);
        let next = judge(word, &lost.death.cause, lost.had_begun, job.attempts);
        lost.attempts = next.attempt();
        // A later attempt that did not begin tears nothing, but an earlier one may have.
        lost.had_begun |= deaths.get(&block).is_some_and(|earlier| earlier.had_begun);
        lost.is_final = next.state() == State::Failed;
        if !lost.is_final {
            n_freed += 1;
            // Before the word is free: whoever runs it next may end the job.
            core.counters.blocks_redone.fetch_add(1, Ordering::Relaxed);
        }
        deaths.insert(block, lost);
        kill_point!("sweep.held.judged");
        next
    });
    n_freed
}

/// Gives back what the dead worker had spilled for the block that it held.
fn punch_spill(core: &Core, slot: usize) {
    let (start, end) = core.board.spill(slot);
    if end > start {
        // Pages that stay cost memory until the pool ends, nothing else.
        let _ = core.slots[slot].spill.punch(start as usize, (end - start) as usize);
        kill_point!("sweep.spill_punched");
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
        kill_point!("sweep.staged.array_written");
    }
    Ok(())
}
