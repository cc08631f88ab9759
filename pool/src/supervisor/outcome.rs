//! What is left of a job when it has ended: the results of its blocks, or an error that says of every block
//! whether it was applied.

use super::actor::append_lines;
use super::core::Core;
use super::postmortem::join;
use super::record::{JobRecord, JobState, LostWorker, Phase, may_be_torn};
use super::table::OwnedArena;
use crate::error::{Cause, Error, ErrorKind, FailedBlocks, Result};
use crate::job::arena::Plan;
use crate::job::slots::{Place, Slot, SlotKind, Slots};
use crate::job::word::State;
use crate::segment::Segment;
use crate::sys::kill_point;
use crate::task::{Collect, Collected, Failure, FailureKind};
use std::iter;
use std::ops::Range;
use std::sync::Arc;

impl Core {
    /// The result of a job that has ended.
    pub(crate) fn collect<R>(&self, job: &Arc<JobRecord>, collect: Collect<'_, R>) -> Result<R> {
        debug_assert!(job.has_ended());
        let (arena, failure, outputs) = {
            let mut state = job.lock();
            match std::mem::replace(&mut state.phase, Phase::Taken) {
                Phase::Ended { arena } => {
                    let failure = self.failure_of(job, &state, &arena);
                    (arena, failure, std::mem::take(&mut state.outputs))
                }
                other => {
                    state.phase = other;
                    let error = state.abort.take();
                    return Err(error.unwrap_or_else(Self::closing_error).with_blocks(job.none_run()));
                }
            }
        };
        // Given back even if the caller's function panics.
        let held = Held { core: self, job, arena: Some(arena) };
        kill_point!("collect.begin");
        match (failure, &held.arena) {
            (None, Some(arena)) => self.collect_values(job, arena, &outputs, collect),
            (error, _) => Err(error.unwrap_or_else(Self::closing_error)),
        }
    }

    fn collect_values<R>(
        &self,
        job: &JobRecord,
        arena: &OwnedArena,
        outputs: &[Arc<Segment>],
        collect: Collect<'_, R>,
    ) -> Result<R> {
        let plan = arena.arena.plan()?;
        let slots = arena.arena.slots(&plan);
        // Only where the task's results may have been merged is there need to look from the end.
        let n_blocks = job.n_blocks();
        let merges = n_blocks > 1 && (job.vtable.folder)().is_some();
        let parts = if merges { Some(parts(&slots, n_blocks)?) } else { None };
        let mut bytes = Vec::new();
        let mut for_each = |take: &mut dyn FnMut(u32, &[u8]) -> Result<()>| match &parts {
            None => (0..n_blocks).try_for_each(|block| {
                self.read_own_value(job, arena, &slots, block, &mut bytes)?;
                take(0, &bytes)
            }),
            Some(parts) => parts.iter().rev().try_for_each(|&block| {
                let height = self.read_value(job, arena, &slots, block, &mut bytes)?;
                take(height, &bytes)
            }),
        };
        collect(Collected { for_each: &mut for_each, outputs })
    }

    /// As [`read_value`](Self::read_value), of a block whose result is merged with no other in workers.
    fn read_own_value(
        &self,
        job: &JobRecord,
        arena: &OwnedArena,
        slots: &Slots<'_>,
        block: usize,
        bytes: &mut Vec<u8>,
    ) -> Result<()> {
        match self.read_value(job, arena, slots, block, bytes)? {
            0 => Ok(()),
            height => Err(stands_for_others(block, height)),
        }
    }

    /// Copies the result that a slot has or names; for how many blocks it stands, as a power of two.
    fn read_value(
        &self,
        job: &JobRecord,
        arena: &OwnedArena,
        slots: &Slots<'_>,
        block: usize,
        bytes: &mut Vec<u8>,
    ) -> Result<u32> {
        let slot = slots.read(block, bytes)?;
        if slot.kind != SlotKind::Value {
            return Err(Error::new(
                ErrorKind::Segment,
                format!("block {block} is done, but holds a failure"),
            ));
        }
        if let Place::Spilled { offset, len } = slot.place {
            let worker = job.ledger(arena).load(block).worker();
            self.read_spill(worker, offset, len, bytes)?;
            kill_point!("collect.spill_read");
        }
        Ok(slot.height)
    }

    /// The result of one block of a batch that has ended well.
    pub(crate) fn collect_one<R>(
        &self,
        job: &JobRecord,
        arena: &OwnedArena,
        block: usize,
        collect: Collect<'_, R>,
    ) -> Result<R> {
        let plan = arena.arena.plan()?;
        let mut bytes = Vec::new();
        self.read_own_value(job, arena, &arena.arena.slots(&plan), block, &mut bytes)?;
        let mut for_each = |take: &mut dyn FnMut(u32, &[u8]) -> Result<()>| take(0, &bytes);
        collect(Collected { for_each: &mut for_each, outputs: &[] })
    }

    /// Takes the arena of a batch that has ended, to collect its calls one by one.
    pub(crate) fn take_ended(&self, job: &JobRecord) -> Option<OwnedArena> {
        let mut state = job.lock();
        match std::mem::replace(&mut state.phase, Phase::Taken) {
            Phase::Ended { arena } => Some(arena),
            other => {
                state.phase = other;
                None
            }
        }
    }

    /// Why a job ended before it reached the workers.
    pub(crate) fn abort_error(&self, job: &JobRecord) -> Error {
        let error = job.lock().abort.as_ref().map_or_else(Self::closing_error, Error::copy);
        error.with_blocks(job.none_run())
    }

    /// Frees what a collected batch holds.
    pub(crate) fn release_ended(&self, job: &JobRecord, arena: OwnedArena) {
        kill_point!("collect.merged");
        let has_spilled = self.free_spills(job, &arena);
        kill_point!("collect.spills_freed");
        if has_spilled {
            self.widen_windows();
        }
        self.give_back(arena);
        kill_point!("collect.arena_given_back");
    }

    /// Space for results has come back: jobs that were short of it go on with all workers.
    fn widen_windows(&self) {
        let mut n_wide = 0;
        for job in self.open_jobs() {
            if let Phase::Open { arena, .. } = &job.lock().phase {
                n_wide += usize::from(arena.arena.widen());
            }
        }
        if n_wide > 0 {
            self.board.request_rescan();
            self.board.wake(self.config.n_workers);
        }
    }

    /// Throws away the results of a job that has ended.
    pub(super) fn discard(&self, job: &JobRecord) {
        if let Some(arena) = self.take_ended(job) {
            self.release_ended(job, arena);
        }
    }

    fn read_spill(&self, worker: usize, offset: u64, len: u64, bytes: &mut Vec<u8>) -> Result<()> {
        let damaged = || {
            Error::new(
                ErrorKind::Segment,
                format!("a result of {len} bytes at byte {offset} of a spill file cannot be"),
            )
            .with_hint("native code in a task may write outside of its arrays")
        };
        let slot = self.slots.get(worker).ok_or_else(damaged)?;
        let (_, end) = self.board.spill(worker);
        // Looked at before memory is taken for it: the board may say anything.
        let file_len = slot.spill.file().metadata().map_or(0, |metadata| metadata.len());
        let range = spilled(offset, len, end.min(file_len)).ok_or_else(damaged)?;
        bytes.clear();
        let len = range.len();
        bytes.try_reserve_exact(len).map_err(|error| {
            Error::new(ErrorKind::OutOfSpace, format!("no memory for a result of {len} bytes: {error}"))
        })?;
        bytes.resize(len, 0);
        slot.spill.read_at(range.start, bytes)
    }

    /// Gives back the pages of all results that were spilled; whether there were any.
    fn free_spills(&self, job: &JobRecord, arena: &OwnedArena) -> bool {
        if !arena.arena.has_spilled() {
            return false;
        }
        let Ok(plan) = arena.arena.plan() else { return false };
        let mut has_spilled = false;
        let (ledger, slots) = (job.ledger(arena), arena.arena.slots(&plan));
        let state = job.lock();
        let mut inline = Vec::new();
        for block in 0..job.n_blocks() {
            if state.final_death(block).is_some() {
                // Nobody wrote its slot: there may be what an earlier job left, a place that holds another's result by now.
                continue;
            }
            let word = ledger.load(block);
            if matches!(word.state(), State::Done | State::Failed)
                && let Ok(Slot { place: Place::Spilled { offset, len }, .. }) = slots.read(block, &mut inline)
                && let Some(slot) = self.slots.get(word.worker())
                && let Some(range) = spilled(offset, len, self.board.spill(word.worker()).1)
            {
                // Pages that stay cost memory until the pool ends, nothing else.
                let _ = slot.spill.punch(range.start, range.len().next_multiple_of(4096));
                has_spilled = true;
            }
        }
        has_spilled
    }

    /// What went wrong with a job whose words are all terminal, if anything did.
    fn failure_of(&self, job: &JobRecord, state: &JobState, arena: &OwnedArena) -> Option<Error> {
        let ledger = job.ledger(arena);
        let n_blocks = job.n_blocks();
        let first = (0..n_blocks).find(|&block| ledger.load(block).state() != State::Done)?;
        let mut blocks = FailedBlocks { n_blocks, ..FailedBlocks::default() };
        let mut first_failed = None;
        for block in first..n_blocks {
            let word = ledger.load(block);
            let set = match word.state() {
                State::Done => continue,
                _ if may_be_torn(job, state, arena, block, word) => &mut blocks.torn,
                State::Failed => &mut blocks.failed,
                _ => &mut blocks.not_run,
            };
            append(set, block);
            if word.state() == State::Failed {
                first_failed.get_or_insert(block);
            }
        }
        let error = match (&state.abort, first_failed) {
            (Some(why), _) => self.aborted(job, why, &blocks),
            (None, Some(block)) => match state.final_death(block) {
                Some(death) => lost_block(job, block, death),
                None => self.block_error(job, arena, block),
            },
            // Nobody cancelled, and no block failed: words say what no actor writes.
            (None, None) => Error::new(
                ErrorKind::Segment,
                format!(
                    "{}: the table of blocks is damaged: block {first} is {:?}",
                    job.label,
                    ledger.load(first)
                ),
            )
            .with_hint("native code in a task may write outside of its arrays"),
        };
        Some(error.with_blocks(blocks))
    }

    fn aborted(&self, job: &JobRecord, why: &Error, blocks: &FailedBlocks) -> Error {
        let n_missing = blocks.not_applied().len();
        let (message, hint) = why.parts();
        let text =
            format!("{}: {message} ({n_missing} of {} blocks not applied)", job.label, blocks.n_blocks);
        let error = Error::new(why.kind(), text).with_death_of(why);
        match hint {
            Some(hint) => error.with_hint(hint.to_string()),
            None => error,
        }
    }

    /// The error of a block whose worker said why it failed.
    fn block_error(&self, job: &JobRecord, arena: &OwnedArena, block: usize) -> Error {
        let read = |plan: Plan| -> Result<Vec<u8>> {
            let mut bytes = Vec::new();
            let slot = arena.arena.slots(&plan).read(block, &mut bytes)?;
            if let Place::Spilled { offset, len } = slot.place {
                let worker = job.ledger(arena).load(block).worker();
                self.read_spill(worker, offset, len, &mut bytes)?;
            }
            Ok(bytes)
        };
        match arena.arena.plan().and_then(read) {
            Ok(bytes) => failure_error(&job.label, job.call_of(block), &decode_failure(&bytes)),
            Err(error) => error,
        }
    }

    /// The error of one call of a batch that did not end well; `None` if it did.
    pub(crate) fn error_of_call(&self, job: &JobRecord, arena: &OwnedArena, block: usize) -> Option<Error> {
        let word = job.ledger(arena).load(block);
        let state = job.lock();
        let error = match word.state() {
            State::Done => return None,
            State::Failed => match state.final_death(block) {
                Some(death) => lost_block(job, block, death),
                None => {
                    drop(state);
                    self.block_error(job, arena, block)
                }
            },
            _ => state.abort.as_ref().map_or_else(Self::closing_error, Error::copy),
        };
        let mut blocks = FailedBlocks { n_blocks: 1, ..FailedBlocks::default() };
        append(if word.state() == State::Failed { &mut blocks.failed } else { &mut blocks.not_run }, 0);
        Some(error.with_blocks(blocks))
    }
}

impl JobRecord {
    /// The blocks of a job that no worker saw; of a batch, those of one call.
    pub(crate) fn none_run(&self) -> FailedBlocks {
        let n_blocks = if self.descriptor.is_batch { 1 } else { self.n_blocks() };
        FailedBlocks { not_run: iter::once(0..n_blocks).collect(), n_blocks, ..FailedBlocks::default() }
    }

    /// The block's number for messages; a call of a batch has only itself.
    fn call_of(&self, block: usize) -> Option<usize> {
        (!self.descriptor.is_batch && self.n_blocks() > 1).then_some(block)
    }
}

/// The blocks whose slots, together, stand for all blocks: from the last to the first.
fn parts(slots: &Slots<'_>, n_blocks: usize) -> Result<Vec<usize>> {
    let mut parts = Vec::new();
    let mut end = n_blocks;
    while end > 0 {
        let height = slots.height(end - 1);
        let n = 1_usize.checked_shl(height).filter(|n| end.is_multiple_of(*n));
        let n = n.ok_or_else(|| stands_for_others(end - 1, height))?;
        parts.push(end - 1);
        end -= n;
    }
    Ok(parts)
}

fn stands_for_others(block: usize, height: u32) -> Error {
    Error::new(
        ErrorKind::Segment,
        format!("the result of block {block} cannot stand for 2^{height} blocks, as it says"),
    )
    .with_hint("native code in a task may write outside of its arrays")
}

/// The memory of a job whose results are being taken.
struct Held<'c> {
    core: &'c Core,
    job: &'c JobRecord,
    arena: Option<OwnedArena>,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if let Some(arena) = self.arena.take() {
            self.core.release_ended(self.job, arena);
        }
    }
}

/// The place of a result in a spill file of which `end` bytes are in use; `None` if it cannot be there.
fn spilled(offset: u64, len: u64, end: u64) -> Option<Range<usize>> {
    let stop = offset.checked_add(len).filter(|&stop| stop <= end)?;
    // What no file can have is no place, and needs no care about overflow later.
    i64::try_from(stop).ok()?;
    Some(usize::try_from(offset).ok()?..usize::try_from(stop).ok()?)
}

/// The failure that a slot holds.
pub(crate) fn decode_failure(bytes: &[u8]) -> Failure {
    postcard::from_bytes(bytes).unwrap_or_else(|error| Failure {
        kind: FailureKind::Serde,
        message: format!("the reason could not be read: {error}"),
        ..Failure::default()
    })
}

fn subject(label: &str, block: Option<usize>) -> String {
    match block {
        Some(block) => format!("{label}, block {block}"),
        None => label.to_string(),
    }
}

/// The error for a failure that a task reported.
pub(crate) fn failure_error(label: &str, block: Option<usize>, failure: &Failure) -> Error {
    let subject = subject(label, block);
    let (kind, mut text) = match failure.kind {
        FailureKind::Error => (ErrorKind::Task, format!("{subject}: {}", failure.message)),
        FailureKind::Panic => {
            let place = failure.location.as_deref().map(|place| format!(" at {place}")).unwrap_or_default();
            (ErrorKind::Panic, format!("{subject} panicked{place}: {}", failure.message))
        }
        FailureKind::Serde => (ErrorKind::Serde, format!("{subject}: {}", failure.message)),
        FailureKind::Segment => (ErrorKind::Segment, format!("{subject}: {}", failure.message)),
        FailureKind::UnknownTask => (ErrorKind::UnknownTask, format!("{subject}: {}", failure.message)),
        FailureKind::OutOfSpace => (ErrorKind::OutOfSpace, format!("{subject}: {}", failure.message)),
    };
    if let Some(backtrace) = &failure.backtrace {
        text.push_str("\nbacktrace of the worker:\n");
        text.push_str(backtrace);
    }
    let error = Error::new(kind, text);
    match failure.kind {
        FailureKind::OutOfSpace => error.with_hint(
            "return less from a block, for instance by writing to an #[out] array, or free shared memory",
        ),
        _ => error,
    }
}

/// The error for a block that was given up because workers died of it.
fn lost_block(job: &JobRecord, block: usize, lost: &LostWorker) -> Error {
    let subject = subject(&job.label, job.call_of(block));
    let LostWorker { death, attempts, .. } = lost;
    let kind = match death.cause {
        Cause::BlockTimeout => ErrorKind::Timeout,
        Cause::Deadline => ErrorKind::Deadline,
        Cause::MemoryLimit => ErrorKind::MemoryLimit,
        Cause::OutOfMemory => ErrorKind::OutOfMemory,
        _ => ErrorKind::WorkerLost,
    };
    let times = if *attempts == 1 { "after 1 attempt".into() } else { format!("after {attempts} attempts") };
    let mut message = format!("{subject} was given up {times}: worker {} {}", death.worker, death.exit);
    if !matches!(death.cause, Cause::BlockTimeout | Cause::Deadline) {
        message.push_str("\nprobable cause: ");
        message.push_str(&death.why());
    }
    if let Some(block) = &death.block
        && !block.arguments.is_empty()
    {
        message.push_str("\nits arguments: ");
        message.push_str(&join(&block.arguments));
    }
    if let Some(panic) = &death.last_panic {
        message.push_str("\nits last panic: ");
        message.push_str(panic);
    }
    append_lines(&mut message, &death.stderr);
    let error = Error::new(kind, message).with_death(Arc::clone(death));
    match death.cause.hint() {
        Some(hint) => error.with_hint(hint),
        None => error,
    }
}

/// Adds a block to ranges that are in order.
fn append(ranges: &mut Vec<Range<usize>>, block: usize) {
    match ranges.last_mut() {
        Some(last) if last.end == block => last.end += 1,
        _ => ranges.push(block..block + 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn places_outside_of_a_spill_file_are_refused() {
        assert_eq!(spilled(4096, 10, 8192), Some(4096..4106));
        assert_eq!(spilled(0, 0, 0), Some(0..0));
        for (offset, len, end) in
            [(4096, 4097, 8192), (u64::MAX, 1, u64::MAX), (u64::MAX - 8, 8, u64::MAX), (1, 0, 0)]
        {
            assert_eq!(spilled(offset, len, end), None, "{len} bytes at {offset} of {end}");
        }
    }

    proptest! {
        #[test]
        fn no_place_in_a_spill_file_overflows(offset in any::<u64>(), len in any::<u64>(), end in any::<u64>()) {
            if let Some(range) = spilled(offset, len, end) {
                prop_assert!(range.start <= range.end && range.end as u64 <= end);
                prop_assert!(range.len().checked_next_multiple_of(4096).is_some());
            }
        }
    }
}
