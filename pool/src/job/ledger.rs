//! The ledger: one [word](super::word) per block, and the few ways in which it changes.
//!
//! Every change is a compare-and-swap from the exact word that the actor saw; whoever loses publishes nothing.
//! Claiming acquires, so that what the publisher or an earlier holder wrote is seen; every other change
//! releases, so that a block's result is complete before its word says so. There are no counters: completion,
//! cursors and wake-ups are hints, and the words are the truth.
//!
//! This file depends on the atomics of `sys::primitive` alone, so that the model checker can take it as it is.

use super::word::{BlockWord, State};
use crate::sys::primitive::{AtomicU64, Ordering};
use std::ops::Range;

/// The words of one job.
#[derive(Clone, Copy)]
pub(crate) struct Ledger<'a> {
    words: &'a [AtomicU64],
    sequence: u64,
}

impl<'a> Ledger<'a> {
    /// The ledger of job `sequence` over its words.
    pub(crate) fn new(words: &'a [AtomicU64], sequence: u64) -> Self {
        Self { words, sequence }
    }

    /// Opens every block. The descriptor must be complete: this is what publishes it.
    pub(crate) fn publish(&self) {
        let free = BlockWord::free(self.sequence).bits();
        for word in self.words {
            // Release: pairs with the acquire of `claim`.
            word.store(free, Ordering::Release);
        }
    }

    /// The word of a block as it is now. Acquires, so that a result may be read once it says *done*.
    pub(crate) fn load(&self, block: usize) -> BlockWord {
        BlockWord::from_bits(self.words[block].load(Ordering::Acquire))
    }

    /// The word of a block if it can be claimed now. A block that the job does not have cannot: the cursor of a worker that
    /// was paused in a larger job of the same arena points beyond the words of the smaller one that came after.
    pub(crate) fn peek_free(&self, block: usize) -> Option<BlockWord> {
        let word = BlockWord::from_bits(self.words.get(block)?.load(Ordering::Relaxed));
        (word.state() == State::Free && word.is_of(self.sequence)).then_some(word)
    }

    /// Claims a block that is free. Loads before it swaps, so that a taken block costs no write.
    pub(crate) fn claim(&self, block: usize, worker: usize) -> Option<BlockWord> {
        let free = self.peek_free(block)?;
        let claimed = free.claimed_by(worker);
        self.words[block]
            // Acquire: pairs with `publish`, and with the release of whoever gave the block back.
            .compare_exchange(free.bits(), claimed.bits(), Ordering::Acquire, Ordering::Relaxed)
            .ok()
            .map(|_| claimed)
    }

    /// Moves a block from the exact word that the caller saw to another state.
    ///
    /// # Errors
    ///
    /// The word that was found instead; nothing has been published then.
    pub(crate) fn advance(&self, block: usize, seen: BlockWord, next: BlockWord) -> Result<(), BlockWord> {
        debug_assert!(seen.is_of(self.sequence) && next.is_of(self.sequence));
        #[cfg(debug_assertions)]
        assert!(
            super::word::EDGES.iter().any(|&(from, to, _)| (from, to) == (seen.state(), next.state())),
            "no edge from {seen:?} to {next:?}"
        );
        self.words[block]
            // Release: result, staged rows and written-back rows come before the word. Acquire on failure: the
            // loser may look at what the winner wrote.
            .compare_exchange(seen.bits(), next.bits(), Ordering::AcqRel, Ordering::Acquire)
            .map(|_| ())
            .map_err(BlockWord::from_bits)
    }

    /// Blocks that workers hold: a look at every word, and a hint by the time it is over.
    pub(crate) fn n_held(&self) -> usize {
        let is_held = |block: &usize| {
            let word = self.load(*block);
            let holds = matches!(word.state(), State::Claimed | State::Staged | State::Condemned);
            holds && word.is_of(self.sequence)
        };
        (0..self.words.len()).filter(is_held).count()
    }

    /// Cancels every block that is still free; returns how many.
    pub(crate) fn cancel(&self) -> usize {
        let mut n_cancelled = 0;
        for block in 0..self.words.len() {
            while let Some(word) = self.peek_free(block) {
                if self.advance(block, word, word.with_state(State::Cancelled)).is_ok() {
                    n_cancelled += 1;
                }
            }
        }
        n_cancelled
    }

    /// First block at or after `from` that is not in a terminal state, or the number of blocks.
    pub(crate) fn first_unfinished(&self, from: usize) -> usize {
        (from..self.words.len())
            .find(|&block| !self.load(block).state().is_terminal())
            .unwrap_or(self.words.len())
    }

    /// Calls `judge` with every block that a dead worker holds, and moves it to the word that comes back.
    ///
    /// Only for a worker that has been waited for: it can no longer write, so no swap here can lose to it; one
    /// that loses to the monitor's condemnation looks again.
    pub(crate) fn sweep(&self, worker: usize, mut judge: impl FnMut(usize, BlockWord) -> BlockWord) -> usize {
        let mut n_swept = 0;
        for block in 0..self.words.len() {
            loop {
                let word = self.load(block);
                let held = matches!(word.state(), State::Claimed | State::Condemned | State::Staged);
                if !held || word.worker() != worker || !word.is_of(self.sequence) {
                    break;
                }
                let next = judge(block, word);
                if self.advance(block, word, next).is_ok() {
                    n_swept += 1;
                }
            }
        }
        n_swept
    }
}

/// Where a worker looks for its next block: its own region first, front to back, then the others' from their far
/// end, so that owner and helper meet only once. A hint: a sweep or a rescan starts it anew.
#[derive(Debug, Clone)]
pub(crate) struct Cursor {
    worker: usize,
    n_workers: usize,
    n_blocks: usize,
    /// Regions after the own one that have been looked through, with that which is being looked through.
    n_helped: usize,
    /// Blocks of the own region that have not been looked at.
    own: Range<usize>,
    /// Blocks of the region being helped that have not been looked at, which is done from the far end.
    helped: Range<usize>,
}

impl Cursor {
    /// A cursor at the start of the worker's own region.
    pub(crate) fn new(worker: usize, n_workers: usize, n_blocks: usize) -> Self {
        let worker = worker % n_workers;
        let mut cursor = Self { worker, n_workers, n_blocks, n_helped: 0, own: 0..0, helped: 0..0 };
        cursor.own = cursor.region(worker);
        cursor
    }

    /// The blocks of a worker's region.
    fn region(&self, worker: usize) -> Range<usize> {
        // The product of two lengths may not fit 64 bits; where it does, which is always in earnest, dividing is many times quicker.
        let bound = |w: usize| match w.checked_mul(self.n_blocks) {
            Some(product) => product / self.n_workers,
            None => (w as u128 * self.n_blocks as u128 / self.n_workers as u128) as usize,
        };
        bound(worker)..bound(worker + 1)
    }

    /// The block that is looked at next, if the worker has one left in its own region.
    pub(crate) fn first(&self) -> usize {
        self.own.start
    }

    /// Moves on to the next block that is free and that `wanted` accepts, without claiming it.
    pub(crate) fn next_free(
        &mut self,
        ledger: &Ledger<'_>,
        mut wanted: impl FnMut(BlockWord) -> bool,
    ) -> Option<usize> {
        let mut is_wanted = |block| ledger.peek_free(block).is_some_and(&mut wanted);
        while !self.own.is_empty() {
            if is_wanted(self.own.start) {
                return Some(self.own.start);
            }
            self.own.start += 1;
        }
        loop {
            while !self.helped.is_empty() {
                if is_wanted(self.helped.end - 1) {
                    return Some(self.helped.end - 1);
                }
                self.helped.end -= 1;
            }
            if self.n_helped + 1 >= self.n_workers {
                return None;
            }
            self.n_helped += 1;
            self.helped = self.region((self.worker + self.n_helped) % self.n_workers);
        }
    }

    /// Claims the next block that `wanted` accepts.
    pub(crate) fn claim(
        &mut self,
        ledger: &Ledger<'_>,
        slot: usize,
        mut wanted: impl FnMut(BlockWord) -> bool,
    ) -> Option<(usize, BlockWord)> {
        loop {
            let block = self.next_free(ledger, &mut wanted)?;
            // Whether this claim succeeds or another's did: the block is no longer free, and is passed next time.
            if let Some(word) = ledger.claim(block, slot) {
                return Some((block, word));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(n: usize) -> Vec<AtomicU64> {
        (0..n).map(|_| AtomicU64::new(0)).collect()
    }

    #[test]
    fn every_block_is_claimed_once_by_any_mix_of_workers() {
        for (n_workers, n_blocks) in [(1, 0), (1, 7), (3, 1), (3, 10), (7, 5), (2, 64)] {
            let memory = words(n_blocks);
            let ledger = Ledger::new(&memory, 9);
            ledger.publish();
            let mut cursors: Vec<_> = (0..n_workers).map(|w| Cursor::new(w, n_workers, n_blocks)).collect();
            let mut seen = vec![0; n_blocks];
            let mut turn = 0;
            let mut idle = 0;
            while idle < n_workers {
                let slot = turn % n_workers;
                match cursors[slot].claim(&ledger, slot, |_| true) {
                    Some((block, word)) => {
                        idle = 0;
                        seen[block] += 1;
                        ledger.advance(block, word, word.with_state(State::Done)).unwrap();
                    }
                    None => idle += 1,
                }
                turn += 1;
            }
            assert!(seen.iter().all(|&n| n == 1), "{n_workers} workers, {n_blocks} blocks: {seen:?}");
            assert_eq!(ledger.first_unfinished(0), n_blocks);
        }
    }

    #[test]
    fn a_word_of_an_older_job_can_be_neither_claimed_nor_committed() {
        let memory = words(2);
        let old = Ledger::new(&memory, 1);
        old.publish();
        let held = old.claim(0, 0).unwrap();
        let before = old.claim(1, 0).unwrap();
        old.advance(1, before, before.with_state(State::Done)).unwrap();
        // The holder was waited for and swept; the memory then went to job 2.
        assert_eq!(old.sweep(0, |_, word| word.with_state(State::Failed)), 1);
        let new = Ledger::new(&memory, 2);
        new.publish();
        assert!(old.claim(1, 0).is_none());
        assert!(old.advance(0, held, held.with_state(State::Done)).is_err());
        assert_eq!(old.cancel(), 0);
        assert!(new.claim(0, 1).is_some());
    }

    #[test]
    fn a_cursor_of_a_larger_job_finds_nothing_in_the_smaller_one_that_followed() {
        let memory = words(8);
        let mut cursor = Cursor::new(1, 2, 8);
        let shrunk = Ledger::new(&memory[..3], 1);
        shrunk.publish();
        let newer = Ledger::new(&memory[..3], 2);
        newer.publish();
        assert!(cursor.claim(&shrunk, 1, |_| true).is_none());
        assert!(newer.peek_free(7).is_none());
    }

    #[test]
    fn a_sweep_frees_what_the_dead_worker_held_and_nothing_else() {
        let memory = words(3);
        let ledger = Ledger::new(&memory, 5);
        ledger.publish();
        let dead = ledger.claim(0, 3).unwrap();
        let alive = ledger.claim(1, 4).unwrap();
        ledger.advance(0, dead, dead.with_state(State::Condemned)).unwrap();
        let n = ledger.sweep(3, |_, word| word.charge().with_state(State::Free));
        assert_eq!(n, 1);
        assert_eq!(ledger.load(1), alive);
        let again = ledger.claim(0, 4).unwrap();
        assert_eq!((again.charged(), again.worker()), (1, 4));
    }
}
