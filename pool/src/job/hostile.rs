//! Goal: nothing that a worker which writes wildly leaves in the words leads the supervisor astray. Method: any words at all. (Plans, slots
//! and the board: see `fuzzing`.) Not beside the ledger, whose file the models compile too.

use super::ledger::Ledger;
use super::word::{BlockWord, MAX_ATTEMPTS, State};
use crate::sys::primitive::{AtomicU64, Ordering};
use proptest::prelude::*;

proptest! {
    /// What a worker that writes wildly leaves in the words is read back by the supervisor.
    #[test]
    fn no_words_whatsoever_lead_a_sweep_or_a_cancellation_astray(
        bits in proptest::collection::vec(any::<u64>(), 0..20),
        // Few sequences and workers, so that words are often of this job and of this worker.
        sequence in 0u64..3,
        worker in 0usize..3,
    ) {
        let fields = 0xff_ffff_u64;
        let memory: Vec<_> = bits.iter().map(|b| {
            let of_worker = b & !(0x7fc << 13);
            AtomicU64::new(if b >> 63 == 0 { of_worker & fields | (b >> 40 & 3) << 24 } else { *b })
        }).collect();
        let before: Vec<_> = memory.iter().map(|word| BlockWord::from_bits(word.load(Ordering::Relaxed))).collect();
        let ledger = Ledger::new(&memory, sequence);
        prop_assert!(ledger.first_unfinished(0) <= memory.len());
        let n_cancelled = ledger.cancel();
        let n_swept = ledger.sweep(worker, |_, word| word.charge().charge_external().with_state(State::Failed));
        let is_held = |word: &BlockWord| matches!(word.state(), State::Claimed | State::Condemned | State::Staged);
        let count = |of: &dyn Fn(&BlockWord) -> bool| {
            before.iter().filter(|word| word.is_of(sequence) && of(word)).count()
        };
        prop_assert_eq!(n_cancelled, count(&|word| word.state() == State::Free));
        prop_assert_eq!(n_swept, count(&|word| is_held(word) && word.worker() == worker));
        for (block, old) in before.iter().enumerate() {
            let new = ledger.load(block);
            if !old.is_of(sequence) {
                prop_assert_eq!(new, *old);
                prop_assert!(ledger.claim(block, worker).is_none());
            }
            prop_assert!(new.attempt() <= 2 * MAX_ATTEMPTS);
        }
    }
}
