//! Bare: calls in slots of shared memory that two spinning processes claim, answer and commit one by one.
//!
//! It does what cannot be left out: an argument goes over, a slot is claimed with a compare-and-swap so that nobody takes it
//! twice, a result comes back, and the caller takes the results in order. Nothing is serialised, nobody sleeps, no death is noticed.

use super::{N_CALLS, N_WORKERS, beside};
use crate::bare::{Bare, Parent, Role, Shared, die_with_parent, spin_until};
use crate::measure::Pair;
use crate::row::Skipped;
use std::sync::atomic::{AtomicU64, Ordering};

/// Answers all slots of its own whenever it is asked to; arguments: the memory, and which of the workers it is.
pub(crate) const SLOTS: Role = Role { name: "slots", play };

/// Words of a slot: state, argument, result; the fourth keeps slots from straddling cache lines.
const SLOT_WORDS: usize = 4;
const FREE: u64 = 1;
const CLAIMED: u64 = 2;
const DONE: u64 = 3;
/// Slots that follow each other and belong to the same worker.
const RUN: usize = 64;
/// Calls that are ahead of the result that is taken next.
const AHEAD: usize = 4096;

pub(super) fn measure() -> Result<Pair, Skipped> {
    let memory = Shared::new(N_CALLS * SLOT_WORDS * size_of::<u64>())?;
    let mut workers = Vec::new();
    for i in 0..N_WORKERS {
        workers.push(Bare::start(SLOTS, &[memory.path(), i.to_string()])?);
    }
    let slots = memory.words();
    beside(N_CALLS, |n| {
        workers.iter_mut().try_for_each(Bare::ask)?;
        let n = n as usize;
        let mut results = Vec::with_capacity(n);
        for i in 0..n + AHEAD {
            if let Some([state, argument, ..]) = slot(slots, i).filter(|_| i < n) {
                argument.store(i as u64, Ordering::Relaxed);
                state.store(FREE, Ordering::Release);
            }
            if let Some([state, _, result, _]) = i.checked_sub(AHEAD).and_then(|i| slot(slots, i)) {
                spin_until(|| state.load(Ordering::Acquire) == DONE);
                results.push(result.load(Ordering::Relaxed));
            }
        }
        Ok(results)
    })
}

fn slot(slots: &[AtomicU64], i: usize) -> Option<&[AtomicU64; SLOT_WORDS]> {
    slots.as_chunks().0.get(i)
}

fn play(args: &[String]) -> Result<(), Skipped> {
    die_with_parent();
    let [path, worker] = args else { return Err(Skipped("slots: a path and a number".into())) };
    let worker: usize = worker.parse().map_err(|_| Skipped("slots: not a number".into()))?;
    let memory = Shared::open(path)?;
    let mut parent = Parent::new()?;
    while parent.is_asked()? {
        let own = (0..N_CALLS).filter(|i| i / RUN % N_WORKERS == worker);
        for [state, argument, result, _] in own.filter_map(|i| slot(memory.words(), i)) {
            while state.compare_exchange(FREE, CLAIMED, Ordering::AcqRel, Ordering::Relaxed).is_err() {
                spin_until(|| state.load(Ordering::Relaxed) == FREE);
            }
            result.store(argument.load(Ordering::Relaxed), Ordering::Relaxed);
            state.store(DONE, Ordering::Release);
        }
    }
    Ok(())
}
