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
use crate::job::arena::Arena;
use crate::job::ledger::Ledger;
use crate::job::slots::{Payload, SlotKind, Slots};
use crate::job::word::{BlockWord, State};
use crate::sys::kill_point;
use crate::task::{Args, Block, Failure, FailureKind, Outcome, TaskError, TaskVtable};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

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

/// A block that this worker has claimed, and where its outcome goes.
struct InHand<'j> {
    sequence: u64,
    arena: &'j Arena,
    ledger: Ledger<'j>,
    slots: Slots<'j>,
    block: usize,
    /// As this worker left it.
    word: BlockWord,
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
    let arena = &*entry.arena;
    let hand =
        InHand { sequence: entry.sequence, arena, ledger: *ledger, slots: arena.slots(&plan), block, word };
    if entry.context.is_none() {
        match JobContext::new(arena, &plan, &mut worker.cache, entry.earlier.take()) {
            Err(unmade) if unmade.is_want => return hand.make_way(worker, &unmade.failure),
            made => entry.context = Some(made.map_err(|unmade| unmade.failure)),
        }
    }
    kill_point!("block.described");
    let context = match &mut entry.context {
        Some(Ok(context)) => context,
        Some(Err(failure)) => return hand.fail(worker, failure),
        None => unreachable!("made above"),
    };
    let rows = context.descriptor.grid.rows(block);
    match prepare_arrays(worker, context, block, &rows) {
        Ok(()) => {}
        Err(unmade) if unmade.is_want => return hand.make_way(worker, &unmade.failure),
        Err(unmade) => return hand.fail(worker, &unmade.failure),
    }
    kill_point!("block.prepared");
    if context.descriptor.is_batch {
        context.values.renew(|bytes| arena.read_arguments(&plan, Some(block), bytes));
    }
    match hand.run(worker, context, rows) {
        Ok(()) => {
            if hand.store_result(worker, &context.outcome) {
                hand.commit(context);
            }
        }
        Err(failure) => hand.fail(worker, &failure),
    }
}

/// Points every array at the block's rows, and copies those that are staged.
fn prepare_arrays(
    worker: &mut Worker,
    context: &mut JobContext,
    block: usize,
    rows: &Range<usize>,
) -> Result<(), Unmade> {
    context.point_at(rows);
    // No rows, or rows without elements: nothing is copied, but a view has a pointer, which it has by now.
    if context.staging_len == 0 {
        return Ok(());
    }
    let staging = match &context.staging {
        Some(staging) => Rc::clone(staging),
        None => {
            let staging = worker.staging(context.staging_len).map_err(|error| Unmade::new(&error))?;
            Rc::clone(context.staging.insert(staging))
        }
    };
    kill_point!("stage.mapped");
    context.stage(&staging, block, rows);
    Ok(())
}

impl InHand<'_> {
    /// Runs the task, and merges its result with those of the blocks before.
    fn run(&self, worker: &Worker, context: &mut JobContext, rows: Range<usize>) -> Result<(), Failure> {
        let is_cancelled = || self.arena.is_cancelled();
        let told = Block {
            index: self.block,
            rows,
            attempt: self.word.attempt(),
            worker: worker.slot,
            is_cancelled: &is_cancelled,
            states: &worker.states,
        };
        #[expect(unsafe_code, reason = "the arrays of a block were mapped and validated here")]
        // SAFETY: `prepare_arrays` has pointed every array at memory that stays mapped while `context` does and was
        // checked to hold its block. Elements are valid: arrays are made of valid ones, and foreign bytes were checked
        // when they were loaded. Nobody writes what is read, and nobody else touches what is written, while the block
        // is claimed: the job's leases see to it in the supervisor, and the ledger between workers.
        let mut args = unsafe { Args::new(&context.values, &context.block_arrays, &told) };
        let (board, slot) = (&worker.board, worker.slot);
        board.forget_last_words(slot);
        kill_point!("task.before");
        board.set_running(slot, self.word.bits());
        let site = Site {
            task: context.vtable.name,
            arguments: context.values.bytes(),
            block: if context.descriptor.is_batch { 0 } else { self.block },
            attempt: self.word.attempt(),
            is_cancelled: &is_cancelled,
        };
        let injected = worker.faults.as_ref().map(|faults| (faults, &site));
        kill_point!("task.running");
        let outcome = &mut context.outcome;
        let result = run_task(context.vtable, &mut args, outcome, injected);
        if let Some(folder) = context.folder
            && result.is_ok()
        {
            // The user's code too: a death in it is the task's doing.
            context.fold.add(folder, outcome, self.block, self.slots.room());
        }
        kill_point!("task.after");
        board.set_running(slot, 0);
        kill_point!("task.over");
        result
    }

    /// Puts the result where the supervisor finds it once the word says so; whether the block is still in hand then.
    fn store_result(&self, worker: &Worker, outcome: &Outcome) -> bool {
        if self.store(worker, SlotKind::Value, outcome.height(), outcome.bytes()).is_ok() {
            return true;
        }
        if self.ledger.n_held() > 1 {
            self.give_way(worker);
            return false;
        }
        // Nobody else of the job takes space, and but for who is about to claim nobody will while this block is held. So
        // once more: who took some a moment ago has given it back.
        self.arena.narrow(1);
        let n_freed = self.arena.n_freed();
        let Err(failure) = self.store(worker, SlotKind::Value, outcome.height(), outcome.bytes()) else {
            return true;
        };
        // In this order: who is not counted as a holder any more has said that it let something go.
        if self.ledger.n_held() > 1 || self.arena.n_freed() != n_freed {
            self.give_way(worker);
        } else {
            self.fail(worker, &failure);
        }
        false
    }

    fn store(&self, worker: &Worker, kind: SlotKind, height: u32, bytes: &[u8]) -> Result<(), Failure> {
        let payload = if bytes.len() <= self.slots.room() {
            Payload::Inline(bytes)
        } else {
            self.arena.note_spilled();
            let offset = worker.spill.write(&worker.board, bytes).map_err(|error| Failure {
                kind: FailureKind::OutOfSpace,
                message: format!("no space for a result of {} bytes: {error}", bytes.len()),
                ..Failure::default()
            })?;
            Payload::Spilled { offset, len: bytes.len() as u64 }
        };
        kill_point!("outcome.begin");
        self.slots.write(self.block, kind, height, payload);
        kill_point!("outcome.stored");
        Ok(())
    }

    fn store_failure(&self, worker: &Worker, failure: &Failure) {
        let serialised = |failure: &Failure| postcard::to_stdvec(failure).unwrap_or_default();
        if self.store(worker, SlotKind::Failure, 0, &serialised(failure)).is_ok() {
            return;
        }
        // No space to spill: as much of the message as the slot holds, which may be none.
        let room = self.slots.room().saturating_sub(16);
        let mut short = Failure { kind: failure.kind, ..Failure::default() };
        short.message = failure.message.chars().take(room / 4).collect();
        self.slots.write(self.block, SlotKind::Failure, 0, Payload::Inline(&serialised(&short)));
    }

    /// Fails the block for good.
    fn fail(&self, worker: &Worker, failure: &Failure) {
        kill_point!("failure.begin");
        self.store_failure(worker, failure);
        kill_point!("failure.stored");
        settle(self.advance(State::Failed));
    }

    /// Gives the block back because there is no space for its result while others of the job hold blocks: they may take or give
    /// back what it needs, and nobody waits for space with a block in hand.
    fn give_way(&self, worker: &Worker) {
        kill_point!("give_back.begin");
        self.arena.narrow((self.ledger.n_held() / 2).max(1));
        kill_point!("give_back.narrowed");
        // For the report, should the block never be run again: `#[out]` rows are written.
        let sequence = self.sequence.to_le_bytes();
        self.slots.write(self.block, SlotKind::GivenBack, 0, Payload::Inline(&sequence));
        self.arena.note_freed();
        kill_point!("give_back.noted");
        settle(self.advance(State::Free));
        kill_point!("give_back.free");
        // Cursors are past it. Nobody is woken: this worker goes on looking, and comes first once the window lets it.
        worker.board.request_rescan();
    }

    /// Gives the block back because this process cannot map anything for it, and has the process replaced: tasks may have used
    /// up its descriptors or its address space. If that happens to fresh processes too, again and again, the block fails.
    fn make_way(&self, worker: &Worker, failure: &Failure) {
        worker.board.ask_to_retire(worker.slot);
        kill_point!("make_way.begin");
        let is_fresh = worker.is_fresh();
        let next = if is_fresh { self.word.charge_external() } else { self.word };
        if is_fresh && next.external() > MAX_FRESH_FAILURES {
            return self.fail(worker, failure);
        }
        settle(self.ledger.advance(self.block, self.word, next.with_state(State::Free)));
        kill_point!("make_way.free");
        worker.board.request_rescan();
        worker.board.wake(1);
    }

    /// Applies the block, whose outcome is in its slot.
    fn commit(&self, context: &mut JobContext) {
        kill_point!("commit.begin");
        if context.staging_len == 0 {
            settle(self.advance(State::Done));
        } else {
            settle(self.advance(State::Staged));
            kill_point!("commit.staged");
            if let Err(error) = context.write_back(self.block) {
                // The block is decided and cannot be given back: the supervisor finishes it after this death.
                super::bootstrap::give_up(&format!("cannot write a block back: {error}"));
            }
            kill_point!("commit.written_back");
            let staged = self.word.with_state(State::Staged);
            settle(self.ledger.advance(self.block, staged, self.word.with_state(State::Done)));
        }
        context.fold.applied(self.block);
    }

    fn advance(&self, state: State) -> Result<(), BlockWord> {
        self.ledger.advance(self.block, self.word, self.word.with_state(state))
    }
}

/// Goes on after a change of the word in hand, if it was one.
fn settle(changed: Result<(), BlockWord>) {
    if changed.is_err() {
        kill_point!("block.condemned");
        wait_to_be_killed();
    }
}

/// The block was condemned: the supervisor kills this process and sweeps the block then.
fn wait_to_be_killed() -> ! {
    loop {
        std::thread::park();
    }
}
