//! What surrounds a ledger: arrays, slots, staging buffers, and a worker that can die between any two steps.

use crate::job::ledger::{Cursor, Ledger};
use crate::job::word::{BlockWord, State};
use crate::sys::primitive::AtomicU64;
use loom::cell::UnsafeCell;
use std::cell::Cell;

/// Rows of a block: more than one, so that a write-back can be half done.
pub(crate) const BLOCK_ROWS: usize = 2;

/// Runs a model with a bound on preemptions.
pub(crate) fn check(max_preemptions: usize, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(max_preemptions);
    builder.max_branches = 10_000;
    builder.check(model);
}

/// Memory that is not atomic: loom fails if two threads access it with nothing in between that orders them.
pub(crate) struct Plain(UnsafeCell<u64>);

#[expect(unsafe_code, reason = "loom's cell, in which it looks for races")]
// SAFETY: loom runs one thread at a time, and ends the model at an access that nothing orders.
unsafe impl Sync for Plain {}

impl Plain {
    pub(crate) fn new(value: u64) -> Self {
        Self(UnsafeCell::new(value))
    }

    pub(crate) fn get(&self) -> u64 {
        #[expect(unsafe_code, reason = "loom's cell, in which it looks for races")]
        // SAFETY: the pointer is the cell's, and loom has just seen that nobody writes it now.
        self.0.with(|value| unsafe { *value })
    }

    pub(crate) fn set(&self, new: u64) {
        #[expect(unsafe_code, reason = "loom's cell, in which it looks for races")]
        // SAFETY: the pointer is the cell's, and loom has just seen that nobody else accesses it now.
        self.0.with_mut(|value| unsafe { *value = new });
    }
}

/// The steps that a worker makes before it dies.
pub(crate) struct Fuel(Cell<usize>);

impl Fuel {
    pub(crate) fn of(n_steps: usize) -> Self {
        Self(Cell::new(n_steps))
    }

    pub(crate) fn endless() -> Self {
        Self::of(usize::MAX)
    }

    /// Right before a step: `None` if the worker dies instead.
    pub(crate) fn step(&self) -> Option<()> {
        self.0.set(self.0.get().checked_sub(1)?);
        Some(())
    }
}

/// A job's memory and one array, which the task increments in place.
pub(crate) struct World {
    pub(crate) words: Vec<AtomicU64>,
    /// What a worker may read only under a claim.
    pub(crate) descriptor: Plain,
    /// Results of the blocks.
    pub(crate) slots: Vec<Plain>,
    pub(crate) rows: Vec<[Plain; BLOCK_ROWS]>,
    /// One buffer a worker.
    pub(crate) staging: Vec<[Plain; BLOCK_ROWS]>,
}

fn zeros<T>(n: usize, make: impl Fn() -> T) -> Vec<T> {
    (0..n).map(|_| make()).collect()
}

fn zero_rows() -> [Plain; BLOCK_ROWS] {
    std::array::from_fn(|_| Plain::new(0))
}

impl World {
    pub(crate) fn new(n_blocks: usize, n_workers: usize) -> Self {
        Self {
            words: zeros(n_blocks, || AtomicU64::new(0)),
            descriptor: Plain::new(0),
            slots: zeros(n_blocks, || Plain::new(0)),
            rows: zeros(n_blocks, zero_rows),
            staging: zeros(n_workers, zero_rows),
        }
    }

    pub(crate) fn ledger(&self, sequence: u64) -> Ledger<'_> {
        Ledger::new(&self.words, sequence)
    }

    /// A worker: claims what it finds and runs it, until it finds nothing or dies, which is `None`.
    pub(crate) fn serve(&self, ledger: &Ledger<'_>, worker: usize, fuel: &Fuel) -> Option<()> {
        let mut cursor = Cursor::new(worker, self.staging.len(), self.words.len());
        loop {
            fuel.step()?;
            let Some((block, word)) = cursor.claim(ledger, worker, |_| true) else { return Some(()) };
            self.run_block(ledger, worker, block, word, fuel)?;
        }
    }

    /// Increments a claimed block by way of the staging buffer. `None` if the worker dies, or was condemned: then it waits to be
    /// killed.
    pub(crate) fn run_block(
        &self,
        ledger: &Ledger<'_>,
        worker: usize,
        block: usize,
        word: BlockWord,
        fuel: &Fuel,
    ) -> Option<()> {
        for (old, staged) in self.rows[block].iter().zip(&self.staging[worker]) {
            fuel.step()?;
            staged.set(old.get() + 1);
        }
        fuel.step()?;
        self.slots[block].set(result_of(block));
        let staged = word.with_state(State::Staged);
        fuel.step()?;
        ledger.advance(block, word, staged).ok()?;
        for (target, new) in self.rows[block].iter().zip(&self.staging[worker]) {
            fuel.step()?;
            target.set(new.get());
        }
        fuel.step()?;
        ledger.advance(block, staged, staged.with_state(State::Done)).ok()
    }

    /// The sweeper: finishes what the dead worker had staged, and frees the rest.
    pub(crate) fn sweep(&self, ledger: &Ledger<'_>, worker: usize) -> usize {
        ledger.sweep(worker, |block, word| {
            if word.state() != State::Staged {
                return word.charge().with_state(State::Free);
            }
            for (target, new) in self.rows[block].iter().zip(&self.staging[worker]) {
                target.set(new.get());
            }
            word.with_state(State::Done)
        })
    }

    /// How often each row of a block was incremented; all rows alike.
    ///
    /// # Panics
    ///
    /// If the block was applied in part.
    pub(crate) fn n_applied(&self, block: usize) -> u64 {
        let first = self.rows[block][0].get();
        assert!(self.rows[block].iter().all(|row| row.get() == first), "block {block} is half applied");
        first
    }

    /// Checks that every block was applied once and left its result.
    pub(crate) fn assert_all_applied_once(&self, ledger: &Ledger<'_>) {
        for block in 0..self.words.len() {
            assert_eq!(ledger.load(block).state(), State::Done, "block {block}");
            assert_eq!(self.n_applied(block), 1, "block {block}");
            assert_eq!(self.slots[block].get(), result_of(block));
        }
    }
}

/// What a block leaves in its slot.
pub(crate) fn result_of(block: usize) -> u64 {
    100 + block as u64
}
