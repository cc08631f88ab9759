//! Threads that stand for processes, and die between any two of their steps, in the middle of the code under test too.
//!
//! A step is counted where a process can be killed with an effect: around each of the model's own steps, in the callbacks of the code
//! under test, and before each wake-up.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// What a death looks like from within.
struct Death;

loom::thread_local! {
    /// Steps that are left to this thread; none: it is immortal.
    static LEFT: Cell<Option<usize>> = Cell::new(None);
}

/// Right before a step of a thread: it dies instead, if it has none left.
pub(crate) fn step() {
    let dies = LEFT.with(|left| match left.get() {
        None => false,
        Some(0) => true,
        Some(n) => {
            left.set(Some(n - 1));
            false
        }
    });
    if dies {
        resume_unwind(Box::new(Death));
    }
}

/// Runs a life of so many steps; what came of it, or nothing if it ended before. The process is gone after that: nothing of
/// it is cleaned up, but by the caller.
pub(crate) fn live<R>(n_steps: usize, life: impl FnOnce() -> R) -> Option<R> {
    LEFT.with(|left| left.set(Some(n_steps)));
    let lived = catch_unwind(AssertUnwindSafe(life));
    LEFT.with(|left| left.set(None));
    match lived {
        Ok(result) => Some(result),
        Err(cause) if cause.is::<Death>() => None,
        Err(cause) => resume_unwind(cause),
    }
}
