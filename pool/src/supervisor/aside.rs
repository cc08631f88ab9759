//! The user's code in the service of the pool's threads: what reads and formats the arguments of a lost block, and what listens to
//! events.
//!
//! It may panic, or never end, or want a lock that a caller holds until its job has ended, or a deeper stack than there is. A slot's
//! thread has to get past all of that: blocks wait for its sweep, and its next worker waits for it. So such code runs on a thread of
//! its own, with nothing of the pool's; it is waited for for a moment, and then left behind.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

/// How long the user's code is waited for: long beside the formatting of a line on a busy machine, short beside the start of the
/// next worker as somebody notices it.
const PATIENCE: Duration = Duration::from_millis(250);
/// Threads left behind that have not ended yet, above which nothing more is tried: their stacks are address space.
const MAX_LEFT_BEHIND: usize = 16;
/// The stack of such a thread: several times that of the main thread on which a worker decodes. Only what is touched is memory.
pub(super) const STACK_BYTES: usize = 64 << 20;

/// Why there is no result.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Missed {
    /// No thread could be started.
    NoThread,
    /// It panicked, takes too long, or would be one of too many that do.
    NoAnswer,
}

/// Runs the user's code beside a pool's threads. Dropped, it waits for nobody.
#[derive(Debug, Default)]
pub(super) struct Aside {
    left_behind: Mutex<Vec<JoinHandle<()>>>,
}

impl Aside {
    /// What `run` returns, if it does so soon enough.
    pub(super) fn run<R: Send + 'static>(
        &self,
        stack_bytes: usize,
        run: impl FnOnce() -> R + Send + 'static,
    ) -> Result<R, Missed> {
        let left_behind = || self.left_behind.lock().unwrap_or_else(PoisonError::into_inner);
        let n_left = {
            let mut left = left_behind();
            left.retain(|thread| !thread.is_finished());
            left.len()
        };
        if n_left >= MAX_LEFT_BEHIND {
            return Err(Missed::NoAnswer);
        }
        let (sender, results) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("ndpool aside".into())
            .stack_size(stack_bytes)
            .spawn(move || {
                if let Some(result) = contained(run) {
                    // Nobody may be waiting any more.
                    let _ = sender.send(result);
                }
            })
            .map_err(|_| Missed::NoThread)?;
        results.recv_timeout(PATIENCE).map_err(|_| {
            left_behind().push(thread);
            Missed::NoAnswer
        })
    }

    /// Sends an event to whoever listens.
    pub(super) fn tell(&self, event: impl Fn() + Send + Sync + 'static) {
        let event = Arc::new(event);
        let elsewhere = Arc::clone(&event);
        if self.run(STACK_BYTES, move || elsewhere()) == Err(Missed::NoThread) {
            // Just then it matters to be told. A listener that waits for ever would now keep the slot empty, but no block
            // unswept: events come after the sweep.
            contained(|| event());
        }
    }
}

/// Runs the user's code on this thread, which no panic of it ends; `None` if it panicked.
pub(super) fn contained<R>(run: impl FnOnce() -> R) -> Option<R> {
    // Unwind safety: what the code has left half done is its own. A payload's destructor could panic too.
    catch_unwind(AssertUnwindSafe(run)).map_err(std::mem::forget).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Panics again when it is dropped.
    struct Payload;
    impl Drop for Payload {
        fn drop(&mut self) {
            panic!("a payload was dropped")
        }
    }

    #[test]
    fn what_panics_or_never_ends_is_left_behind_and_no_more_than_so_many_times() {
        let aside = Aside::default();
        assert_eq!(aside.run(STACK_BYTES, || 7), Ok(7));
        assert_eq!(aside.run(STACK_BYTES, || std::panic::panic_any(Payload)), Err::<(), _>(Missed::NoAnswer));
        let (release, held) = mpsc::channel::<()>();
        let held = Arc::new(Mutex::new(held));
        for _ in 0..MAX_LEFT_BEHIND {
            let held = Arc::clone(&held);
            let waits = move || drop(held.lock().map(|held| held.recv()));
            assert_eq!(aside.run(STACK_BYTES, waits), Err(Missed::NoAnswer));
        }
        assert_eq!(aside.run(STACK_BYTES, || 7), Err(Missed::NoAnswer));
        drop(release);
        while aside.left_behind.lock().unwrap().iter().any(|thread| !thread.is_finished()) {
            std::thread::yield_now();
        }
        assert_eq!(aside.run(STACK_BYTES, || 7), Ok(7));
    }
}
