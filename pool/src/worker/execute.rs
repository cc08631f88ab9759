//! One block, from claim to commit.
//!
//! 1. The word says *claimed by this worker*. Descriptor, arguments and arrays are looked at from here on.
//! 2. Staged arrays are copied into the staging buffer; the task sees the copy.
//! 3. The board is told that the task runs. Deaths before this are not the block's doing.
//! 4. The task runs; a panic is caught.
//! 5. The outcome goes into the slot, or into the spill file and its place into the slot.
//! 6. If arrays are staged: the word becomes *staged*, the copy is written back, the word becomes *done*. If not,
//!    it becomes *done*. A failure becomes *failed*.
//!
//! A block that this process cannot map anything for, or whose result finds no space that others may give back, is given back:
//! its word becomes *free*, and nothing is counted against it.
//!
//! A word that is not what this worker left it was condemned: the supervisor is about to kill this process, and
//! nothing may be done but wait for it.

use super::context::{JobContext, JobEntry, Unmade};
use super::panic::{forget_last_panic, take_last_panic};
use super::serve::Worker;
use crate::inject::{Faults, Site};
use crate::job::arena::{Arena, Payload, Plan, SLOT_HEADER_BYTES, SlotKind};
use crate::job::descriptor::Mode;
use crate::job::ledger::Ledger;
use crate::job::word::{BlockWord, State};
use crate::segment::Attachment;
use crate::sys::kill_point;
use crate::task::{Args, Block, BlockArray, Failure, FailureKind, Outcome, TaskError, TaskVtable, Values};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Fresh processes that a block may find unable to map what it needs, before it fails.
const MAX_FRESH_FAILURES: u32 = 2;

/// Runs a task on one block, with the faults that are injected; a panic becomes a failure.
pub(crate) fn run_task(
    vtable: &TaskVtable,
    args: &mut Args<'_>,
    outcome: &mut Outcome,
    injected: Option<(&Faults, &Site<'_>)>,
) -> Result<(), Failure> {
    forget_last_panic();
    // Unwind safety: after a failure nobody looks at the block's arrays, and the arguments are not written.
    match catch_unwind(AssertUnwindSafe(|| match injected {
        None => (vtable.run)(args, outcome),
        Some((faults, site)) => faults.around(site, || (vtable.run)(args, outcome)),
    })) {
        Ok(Ok(())) => Ok(()),
        Ok(Err(TaskError(failure))) => Err(failure),
        Err(payload) => {
            let failure = take_last_panic(&*payload);
            // Dropping a payload can panic too; the process has no use for it.
            std::mem::forget(payload);
            Err(failure)
        }
    }
}

/// Runs a block that this worker has claimed, and commits it.
pub(super) fn execute(
    worker: &mut Worker,
    entry: &mut JobEntry,
    ledger: &Ledger<'_>,
    block: usize,
    word: BlockWord,
) {
    let plan = *entry.plan.get_or_insert_with(|| match entry.arena.plan() {
        Ok(plan) => plan,
        // Without a plan there is no slot to write to; the supervisor's sweep decides.
        Err(error) => super::bootstrap::give_up(&error.to_string()),
    });
    if entry.context.is_none() {
        match JobContext::new(&entry.arena, &plan, &mut worker.cache) {
            Err(unmade) if unmade.is_want => {
                return make_way(worker, entry, ledger, &plan, block, word, &unmade.failure);
            }
            made => entry.context = Some(made.map_err(|unmade| unmade.failure)),
        }
    }
    kill_point!("block.described");
    let outcome = match &mut entry.context {
        Some(Ok(context)) => match prepare_arrays(worker, context, block) {
            Ok(()) => {
                kill_point!("block.prepared");
                run_block(worker, context, &entry.arena, &plan, block, word)
            }
            Err(unmade) if unmade.is_want => {
                return make_way(worker, entry, ledger, &plan, block, word, &unmade.failure);
            }
            Err(unmade) => Err(unmade.failure),
        },
        Some(Err(failure)) => Err(failure.clone()),
        None => unreachable!("made above"),
    };
    let outcome = match outcome {
        Ok(outcome) => outcome,
        Err(failure) => return fail(worker, entry, ledger, &plan, block, word, &failure),
    };
    let stored = store(worker, entry, &plan, block, SlotKind::Value, outcome.bytes());
    let stored = match stored {
        Err(_) if ledger.n_held() > 1 => return give_way(worker, entry, ledger, &plan, block, word),
        Err(_) => {
            // Nobody else of the job takes space, and but for who is about to claim nobody will while this block is held. So
            // once more: who took some a moment ago has given it back.
            entry.arena.narrow(1);
            let n_freed = entry.arena.n_freed();
            let stored = store(worker, entry, &plan, block, SlotKind::Value, outcome.bytes());
            // In this order: who is not counted as a holder any more has said that it let something go.
            if stored.is_err() && (ledger.n_held() > 1 || entry.arena.n_freed() != n_freed) {
                return give_way(worker, entry, ledger, &plan, block, word);
            }
            stored
        }
        stored => stored,
    };
    match stored {
        Ok(()) => settle(commit(worker, entry, ledger, block, word)),
        Err(failure) => fail(worker, entry, ledger, &plan, block, word, &failure),
    }
}

/// Goes on after a change of the word in hand, if it was one.
fn settle(changed: Result<(), BlockWord>) {
    if changed.is_err() {
        kill_point!("block.condemned");
        wait_to_be_killed();
    }
}

/// Fails a block for good.
fn fail(
    worker: &Worker,
    entry: &JobEntry,
    ledger: &Ledger<'_>,
    plan: &Plan,
    block: usize,
    word: BlockWord,
    failure: &Failure,
) {
    kill_point!("failure.begin");
    store_failure(worker, entry, plan, block, failure);
    kill_point!("failure.stored");
    settle(ledger.advance(block, word, word.with_state(State::Failed)));
}

/// Gives a block back for whose result there is no space while others of the job hold blocks: they may take or give back
/// what it needs, and nobody waits for space with a block in hand.
fn give_way(
    worker: &Worker,
    entry: &JobEntry,
    ledger: &Ledger<'_>,
    plan: &Plan,
    block: usize,
    word: BlockWord,
) {
    kill_point!("give_back.begin");
    entry.arena.narrow((ledger.n_held() / 2).max(1));
    kill_point!("give_back.narrowed");
    // For the report, should the block never be run again: `#[out]` rows are written.
    let sequence = entry.sequence.to_le_bytes();
    entry.arena.write_slot(plan, block, SlotKind::GivenBack, Payload::Inline(&sequence));
    entry.arena.note_freed();
    kill_point!("give_back.noted");
    settle(ledger.advance(block, word, word.with_state(State::Free)));
    kill_point!("give_back.free");
    // Cursors are past it. Nobody is woken: this worker goes on looking, and comes first once the window lets it.
    worker.board.request_rescan();
}

/// Gives a block back that this process cannot map anything for, and has the process replaced: tasks may have used up its
/// descriptors or its address space. If that happens to fresh processes too, again and again, the block fails.
fn make_way(
    worker: &Worker,
    entry: &JobEntry,
    ledger: &Ledger<'_>,
    plan: &Plan,
    block: usize,
    word: BlockWord,
    failure: &Failure,
) {
    worker.board.ask_to_retire(worker.slot);
    kill_point!("make_way.begin");
    let is_fresh = worker.is_fresh();
    let next = if is_fresh { word.charge_external() } else { word };
    if is_fresh && next.external() > MAX_FRESH_FAILURES {
        return fail(worker, entry, ledger, plan, block, word, failure);
    }
    settle(ledger.advance(block, word, next.with_state(State::Free)));
    kill_point!("make_way.free");
    worker.board.request_rescan();
    worker.board.wake(1);
}

fn run_block(
    worker: &mut Worker,
    context: &mut JobContext,
    arena: &Arena,
    plan: &Plan,
    block: usize,
    word: BlockWord,
) -> Result<Outcome, Failure> {
    let rows = context.descriptor.grid.rows(block);
    let of_this_call;
    let values = if context.descriptor.is_batch {
        of_this_call = Values::new(arena.arguments(plan, Some(block)), context.descriptor.n_values);
        &of_this_call
    } else {
        &context.values
    };
    let is_cancelled = || arena.is_cancelled();
    let told = Block {
        index: block,
        rows,
        attempt: word.attempt(),
        worker: worker.slot,
        is_cancelled: &is_cancelled,
        states: &worker.states,
    };
    #[expect(unsafe_code, reason = "the arrays of a block were mapped and validated here")]
    // SAFETY: `prepare_arrays` has pointed every array at memory that stays mapped while `context` does and was
    // checked to hold its block. Elements are valid: arrays are made of valid ones, and foreign bytes were checked
    // when they were loaded. Nobody writes what is read, and nobody else touches what is written, while the block
    // is claimed: the job's leases see to it in the supervisor, and the ledger between workers.
    let mut args = unsafe { Args::new(values, &context.block_arrays, &told) };
    let mut outcome = Outcome::new();
    worker.board.forget_last_words(worker.slot);
    kill_point!("task.before");
    worker.board.set_running(worker.slot, word.bits());
    let site = Site {
        task: context.vtable.name,
        arguments: values.bytes(),
        block: if context.descriptor.is_batch { 0 } else { block },
        attempt: word.attempt(),
        is_cancelled: &is_cancelled,
    };
    let injected = worker.faults.as_ref().map(|faults| (faults, &site));
    kill_point!("task.running");
    let result = run_task(context.vtable, &mut args, &mut outcome, injected);
    kill_point!("task.after");
    worker.board.set_running(worker.slot, 0);
    kill_point!("task.over");
    result.map(|()| outcome)
}

/// Points every array at the block's rows, and copies those that are staged.
fn prepare_arrays(worker: &mut Worker, context: &mut JobContext, block: usize) -> Result<(), Unmade> {
    let JobContext { descriptor, attachments, block_arrays, staging_len, .. } = context;
    let rows = descriptor.grid.rows(block);
    for ((array, attachment), target) in
        descriptor.arrays.iter().zip(attachments.iter()).zip(block_arrays.iter_mut())
    {
        let BlockArray { first, shape, mode, .. } = target;
        match mode {
            Mode::Read | Mode::Out => {
                let bytes = array.bytes(&rows);
                attachment.populate(bytes.clone());
                *first = part(attachment, bytes.start);
            }
            Mode::Whole => *first = part(attachment, array.offset_bytes),
            Mode::Stage => {}
        }
        if *mode != Mode::Whole
            && let Some(n_rows) = shape.first_mut()
        {
            *n_rows = rows.len();
        }
    }
    if *staging_len == 0 {
        // No rows, or rows without elements: nothing is copied, but a view has a pointer.
        for (attachment, target) in attachments.iter().zip(block_arrays.iter_mut()) {
            if target.mode == Mode::Stage {
                target.first = part(attachment, 0);
            }
        }
    } else {
        let staging = worker.staging(*staging_len).map_err(|error| Unmade::new(&error))?;
        kill_point!("stage.mapped");
        for staged in descriptor.staging(block) {
            staging.copy_in(staged.buffer.start, &attachments[staged.index], staged.target.clone());
            kill_point!("stage.array_copied");
            block_arrays[staged.index].first = staging.data_mut_ptr().wrapping_add(staged.buffer.start);
        }
    }
    Ok(())
}

fn part(attachment: &Attachment, offset: usize) -> *mut u8 {
    attachment.data_ptr().wrapping_add(offset).cast_mut()
}

/// Puts an outcome where the supervisor finds it once the word says so.
fn store(
    worker: &Worker,
    entry: &JobEntry,
    plan: &Plan,
    block: usize,
    kind: SlotKind,
    bytes: &[u8],
) -> Result<(), Failure> {
    let payload = if bytes.len() <= plan.slot_bytes - SLOT_HEADER_BYTES {
        Payload::Inline(bytes)
    } else {
        let offset = worker.spill.write(&worker.board, bytes).map_err(|error| Failure {
            kind: FailureKind::OutOfSpace,
            message: format!("no space for a result of {} bytes: {error}", bytes.len()),
            ..Failure::default()
        })?;
        Payload::Spilled { offset, len: bytes.len() as u64 }
    };
    kill_point!("outcome.begin");
    entry.arena.write_slot(plan, block, kind, payload);
    kill_point!("outcome.stored");
    Ok(())
}

fn store_failure(worker: &Worker, entry: &JobEntry, plan: &Plan, block: usize, failure: &Failure) {
    let serialised = |failure: &Failure| postcard::to_stdvec(failure).unwrap_or_default();
    if store(worker, entry, plan, block, SlotKind::Failure, &serialised(failure)).is_ok() {
        return;
    }
    // No space to spill: as much of the message as the slot holds.
    let room = plan.slot_bytes - SLOT_HEADER_BYTES - 16;
    let mut short = Failure { kind: failure.kind, ..Failure::default() };
    short.message = failure.message.chars().take(room / 4).collect();
    entry.arena.write_slot(plan, block, SlotKind::Failure, Payload::Inline(&serialised(&short)));
}

/// Applies a block whose outcome is in its slot.
fn commit(
    worker: &mut Worker,
    entry: &JobEntry,
    ledger: &Ledger<'_>,
    block: usize,
    word: BlockWord,
) -> Result<(), BlockWord> {
    let done = word.with_state(State::Done);
    let Some(Ok(context)) = &entry.context else { return ledger.advance(block, word, done) };
    kill_point!("commit.begin");
    if context.staging_len == 0 {
        return ledger.advance(block, word, done);
    }
    let staged_word = word.with_state(State::Staged);
    ledger.advance(block, word, staged_word)?;
    kill_point!("commit.staged");
    for staged in context.descriptor.staging(block) {
        let staging = worker.staging(context.staging_len);
        let target = &context.attachments[staged.index];
        let written = staging.map_err(|error| error.to_string()).and_then(|staging| {
            staging.write_back(staged.buffer, target, staged.target.start).map_err(|error| error.to_string())
        });
        if let Err(what) = written {
            // The block is decided and cannot be given back: the supervisor finishes it after this death.
            super::bootstrap::give_up(&format!("cannot write a block back: {what}"));
        }
        kill_point!("commit.array_written");
    }
    kill_point!("commit.written_back");
    ledger.advance(block, staged_word, done)
}

/// The block was condemned: the supervisor kills this process and sweeps the block then.
fn wait_to_be_killed() -> ! {
    loop {
        std::thread::park();
    }
}
