//! The record of a worker's end: gathered once the process was waited for, and before its blocks are swept and its cells
//! reset.

use super::aside::STACK_BYTES;
use super::cause::{Facts, diagnose};
use super::core::Core;
use super::record::{JobRecord, Phase};
use super::verdict::judge;
use crate::error::{Argument, Cause, Death, Fate, LostBlock, MappedRows, WorkerExit};
use crate::job::descriptor::{ArraySpec, Mode};
use crate::job::word::{BlockWord, State};
use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::SystemTime;

/// Records that are kept.
const KEPT_DEATHS: usize = 256;
/// Bytes of values that are decoded for a record; the values of a call of a batch are its own and seldom many.
const MAX_DECODED_BYTES: usize = 64 << 10;
/// Stack for each byte that is decoded: a level of nested values takes a byte at least, and a few frames of a debug build.
const STACK_PER_BYTE: usize = 4 << 10;

/// The records of a pool's deaths, the oldest first.
#[derive(Debug, Default)]
pub(super) struct DeathLog {
    kept: VecDeque<Arc<Death>>,
}

/// What the slot's thread knows of an end, besides what is on the board.
#[derive(Debug)]
pub(super) struct Remains {
    pub(super) pid: Option<u32>,
    pub(super) exit: WorkerExit,
    pub(super) stderr: Vec<String>,
    /// What went wrong with the start, if the process did not come to serve.
    pub(super) failed_start: Option<String>,
    /// What says that the kernel killed for want of memory.
    pub(super) memory: Vec<String>,
    pub(super) peak_resident_bytes: Option<u64>,
}

/// Puts the record of an end together. Nothing of the slot was swept or reset yet.
pub(super) fn examine(core: &Core, slot: usize, remains: Remains) -> Arc<Death> {
    let Remains { pid, exit, stderr, failed_start, memory, peak_resident_bytes } = remains;
    let last_words = String::from_utf8_lossy(&core.board.last_words(slot)).into_owned();
    let farewell = core.board.farewell(slot);
    let n_begun = core.board.n_begun(slot);
    let (cause, evidence) = diagnose(&Facts {
        exit: &exit,
        pid,
        failed_start: failed_start.as_deref(),
        signal: core.board.signal(slot),
        farewell,
        is_in_task: core.board.is_in_task(slot),
        n_begun,
        last_words: &last_words,
        stderr: &stderr,
        memory: &memory,
    });
    let block = held_block(core, slot, &cause);
    // A farewell's words are its evidence.
    let last_panic = (farewell.is_none() && !last_words.is_empty()).then_some(last_words);
    Arc::new(Death {
        time: SystemTime::now(),
        worker: slot,
        pid,
        exit,
        cause,
        evidence,
        block,
        n_begun,
        last_panic,
        stderr,
        peak_resident_bytes,
    })
}

/// The one block that the dead worker held.
fn held_block(core: &Core, slot: usize, cause: &Cause) -> Option<LostBlock> {
    core.open_jobs().iter().find_map(|job| {
        let (index, word, arguments, is_cancelled) = {
            let state = job.lock();
            let Phase::Open { arena, .. } = &state.phase else { return None };
            let ledger = job.ledger(arena);
            let is_held = |word: &BlockWord| {
                matches!(word.state(), State::Claimed | State::Condemned | State::Staged)
                    && word.worker() == slot
                    && word.is_of(job.sequence)
            };
            let (index, word) = (0..job.n_blocks()).find_map(|block| {
                let word = ledger.load(block);
                is_held(&word).then_some((block, word))
            })?;
            (index, word, job.arguments_of(arena, index), state.abort.is_some())
        };
        let had_begun = core.board.running(slot) == word.with_state(State::Claimed).bits();
        let fate = if word.state() == State::Staged {
            Fate::Applied
        } else {
            match judge(word, cause, had_begun, job.attempts).state() {
                State::Failed => Fate::GivenUp,
                _ if is_cancelled => Fate::Cancelled,
                _ => Fate::RunAgain,
            }
        };
        // With no lock held: what formats an argument is the user's code.
        let (values, array_names) = described(core, job, arguments);
        let rows = job.descriptor.grid.rows(index);
        let arrays = job.descriptor.arrays.iter().enumerate();
        Some(LostBlock {
            job: job.label.clone().into_owned(),
            task: job.descriptor.task_name.clone().into_owned(),
            index,
            n_blocks: job.n_blocks(),
            attempt: word.attempt(),
            had_begun,
            fate,
            arguments: values,
            arrays: arrays.map(|(i, array)| mapped_rows(array_names.get(i).copied(), array, &rows)).collect(),
        })
    })
}

/// The values of a block's call as text, and the names of its arrays. Of values that cannot be had soon, the names and types.
fn described(core: &Core, job: &JobRecord, arguments: Option<Vec<u8>>) -> (Vec<Argument>, Vec<&'static str>) {
    let (vtable, n_values) = (job.vtable, job.descriptor.n_values);
    let describe = move |bytes: Option<&[u8]>| {
        let described = vtable.describe(bytes, n_values);
        (described.values, described.arrays)
    };
    let shown = arguments.and_then(|bytes| {
        let stack_bytes = STACK_BYTES + bytes.len() * STACK_PER_BYTE;
        core.aside.run(stack_bytes, move || describe(Some(&bytes))).ok()
    });
    // Without the values none of the user's code is run.
    shown.unwrap_or_else(|| describe(None))
}

fn mapped_rows(name: Option<&str>, array: &ArraySpec, rows: &std::ops::Range<usize>) -> MappedRows {
    let mut shape = array.shape.clone();
    let access = match array.mode {
        Mode::Read => "read",
        Mode::Whole => "whole",
        Mode::Stage => "staged",
        Mode::Out => "out",
    };
    if array.mode != Mode::Whole
        && let Some(n_rows) = shape.first_mut()
    {
        *n_rows = rows.len();
    }
    MappedRows {
        name: name.map(str::to_owned),
        segment: array.locator.path().display().to_string(),
        dtype: array.dtype.name().to_owned(),
        n_bytes: shape.iter().product::<usize>() * array.dtype.size_bytes(),
        shape,
        access: access.to_owned(),
    }
}

impl JobRecord {
    /// The serialised values of a block's call; `None` if they are too many to be looked at.
    fn arguments_of(&self, arena: &super::table::OwnedArena, block: usize) -> Option<Vec<u8>> {
        let plan = arena.arena.plan().ok()?;
        let is_batch = self.descriptor.is_batch;
        if !is_batch && plan.arguments_len > MAX_DECODED_BYTES {
            return None;
        }
        let mut bytes = Vec::new();
        arena.arena.read_arguments(&plan, is_batch.then_some(block), &mut bytes);
        (bytes.len() <= MAX_DECODED_BYTES).then_some(bytes)
    }
}

impl Core {
    /// Keeps a record, and counts it.
    pub(super) fn keep_death(&self, death: &Arc<Death>) {
        let mut log = self.death_log.lock().unwrap_or_else(PoisonError::into_inner);
        if log.kept.len() == KEPT_DEATHS {
            log.kept.pop_front();
        }
        log.kept.push_back(Arc::clone(death));
        self.counters.workers_lost.fetch_add(1, Ordering::Relaxed);
    }

    /// Tells whoever listens to events. Only after the sweep: a listener may wait for what a caller holds until its job has
    /// ended.
    pub(super) fn tell_death(&self, death: &Arc<Death>) {
        let death = Arc::clone(death);
        self.aside.tell(move || {
            let Death { worker, exit, cause, block, .. } = &*death;
            tracing::warn!(
                worker,
                pid = death.pid,
                %exit,
                %cause,
                evidence = death.evidence.join("; "),
                task = block.as_ref().map(|block| &*block.task),
                block = block.as_ref().map(|block| block.index),
                attempt = block.as_ref().map(|block| block.attempt),
                arguments = block.as_ref().map(|block| join(&block.arguments)),
                peak_resident_bytes = death.peak_resident_bytes,
                last_panic = death.last_panic,
                stderr = death.stderr.last(),
                "a worker died"
            );
        });
    }

    /// The records that are kept, the oldest first.
    pub(crate) fn deaths(&self) -> Vec<Arc<Death>> {
        self.death_log.lock().unwrap_or_else(PoisonError::into_inner).kept.iter().cloned().collect()
    }
}

/// All arguments in a line.
pub(super) fn join(arguments: &[Argument]) -> String {
    arguments.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
