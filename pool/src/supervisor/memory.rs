//! The limit on the memory that a worker has to itself.
//!
//! Two things keep it. The monitor measures every worker at its ticks, as long as jobs are open, and kills one that is over
//! the limit while it runs a block; one that is over it between two blocks is replaced. And what is quicker than the ticks,
//! the kernel refuses: each worker has set itself a limit (`sys::memory::limit_growth`) of twice as much. A refusal ends
//! most programs with an abort, which is told from others by what it left on stderr.

use super::core::{Config, Core};
use super::record::{JobRecord, Phase};
use crate::error::WorkerExit;
use crate::job::word::{BlockWord, State};
use crate::sys::memory::private_bytes;
use crate::sys::process::ProcessHandle;
use nix::sys::signal::Signal;
use std::sync::Arc;

/// What Rust, and what C++ says before it aborts for want of memory.
const REFUSALS: [&str; 2] = ["memory allocation of ", "std::bad_alloc"];

impl Core {
    /// Whether the monitor has to look after a job from its start.
    pub(crate) fn must_watch(&self, job: &JobRecord) -> bool {
        job.has_limits() || self.config.memory_limit.is_some()
    }
}

/// Measures all workers, and ends those that have too much.
pub(super) fn enforce(core: &Core, jobs: &[Arc<JobRecord>]) {
    let Some(limit_bytes) = core.config.memory_limit else { return };
    for (index, slot) in core.slots.iter().enumerate() {
        let process = slot.lock().process.clone();
        let Some(process) = process else { continue };
        let Some(found_bytes) = private_bytes(process.pid()) else { continue };
        // Looked at afterwards: if it lives now, it was its number that was asked for.
        if found_bytes <= limit_bytes || process.has_ended() {
            continue;
        }
        let exit = WorkerExit::MemoryLimit { limit_bytes, found_bytes: Some(found_bytes) };
        let is_killed = jobs.iter().any(|job| condemn(core, job, index, &process, &exit));
        if !is_killed && !core.board.must_retire(index) {
            // Between two blocks: it is nobody's fault, and the next block is to have a worker with room.
            core.board.ask_to_retire(index);
        }
    }
}

/// Condemns the block of `job` that `process` is running in slot `index`, and kills it; whether it did.
fn condemn(
    core: &Core,
    job: &JobRecord,
    index: usize,
    process: &Arc<ProcessHandle>,
    exit: &WorkerExit,
) -> bool {
    let state = job.lock();
    let Phase::Open { arena, .. } = &state.phase else { return false };
    let slot = &core.slots[index];
    // The sweep of this job needs the lock that is held here, and comes after the slot has let the process go: as long as
    // the slot has it, what the board says is said by it, and no successor has claimed anything.
    let is_still_there = slot.lock().process.as_ref().is_some_and(|there| Arc::ptr_eq(there, process));
    let running = BlockWord::from_bits(core.board.running(index));
    if !is_still_there || running.state() != State::Claimed || !running.is_of(job.sequence) {
        return false;
    }
    let ledger = job.ledger(arena);
    let Some(block) = (state.cursor..job.n_blocks()).find(|&block| ledger.load(block) == running) else {
        return false;
    };
    let condemned = running.with_state(State::Condemned);
    // A swap that fails lost to the worker's commit.
    let is_condemned = ledger.advance(block, running, condemned).is_ok();
    if is_condemned {
        slot.kill(exit.clone(), || ledger.load(block) == condemned);
    }
    is_condemned
}

/// How a worker ended, given what it printed last: an abort for want of memory is the limit's doing, if there is one.
pub(super) fn attribute(config: &Config, exit: WorkerExit, lines: &[String]) -> WorkerExit {
    let is_abort = matches!(&exit, WorkerExit::Signal { number, .. } if *number == Signal::SIGABRT as i32);
    match config.memory_limit {
        Some(limit_bytes) if is_abort && lines.iter().any(|line| is_refusal(line)) => {
            WorkerExit::MemoryLimit { limit_bytes, found_bytes: None }
        }
        _ => exit,
    }
}

/// Whether a line on stderr says that memory was refused.
pub(super) fn is_refusal(line: &str) -> bool {
    REFUSALS.iter().any(|text| line.contains(text))
}
