//! Which bytes of a segment which job may touch: the rules of borrowing, for what outlives its borrow.
//!
//! The borrow checker sees to it that two calls never have the same rows for writing, for as long as their handles live. But a
//! handle may be dropped or forgotten while workers still run its job, and then the borrow ends too early. So the job's
//! *record* holds a lease on each array's rows from publication until no worker can touch them, and whoever wants the memory,
//! in whatever way, waits for the leases that are in the way:
//!
//! | who wants | waits for leases that overlap and |
//! |---|---|
//! | to read: `view`, `save_npy`, a job's input | write |
//! | to write: `view_mut`, a job's output | read or write |
//! | to recycle the memory | the segment is not dropped before its jobs' records are, which hold it by `Arc` |
//!
//! Waiting and taking are two steps. Nobody slips in between: the waiter holds the borrow (shared to read, exclusive to
//! write), and new leases come only from borrows.
//!
//! This file depends on `sys::primitive` alone, so that the model checker can take it as it is.

use std::ops::Range;
use std::sync::PoisonError;

use crate::sys::primitive::{AtomicUsize, Condvar, Mutex, MutexGuard, Ordering};

/// The leases on one segment.
#[derive(Debug, Default)]
pub(crate) struct Leases {
    /// Number of leases, so that the common case, none, costs one load.
    n: AtomicUsize,
    held: Mutex<Vec<Held>>,
    released: Condvar,
}

#[derive(Debug)]
struct Held {
    job: u64,
    range: Range<usize>,
    write: bool,
}

impl Held {
    fn conflicts(&self, range: &Range<usize>, write: bool) -> bool {
        let overlap = self.range.start.max(range.start) < self.range.end.min(range.end);
        overlap && (write || self.write)
    }
}

impl Leases {
    /// Gives `job` a lease on a range of the data's bytes, until [`release`](Self::release).
    pub(crate) fn lease(&self, job: u64, range: Range<usize>, write: bool) {
        let mut held = self.lock();
        held.push(Held { job, range, write });
        self.n.store(held.len(), Ordering::Release);
    }

    /// Ends all leases of `job`, after the last worker that could touch the memory is done with it.
    pub(crate) fn release(&self, job: u64) {
        let mut held = self.lock();
        held.retain(|lease| lease.job != job);
        // Release pairs with the acquire in `is_free`: what the job's workers wrote happens before what the waiter does.
        self.n.store(held.len(), Ordering::Release);
        drop(held);
        self.released.notify_all();
    }

    /// Waits until no lease is in the way of reading (or writing) the range.
    pub(crate) fn wait(&self, range: Range<usize>, write: bool) {
        if self.is_free() {
            return;
        }
        let held = self.lock();
        let in_the_way = |held: &mut Vec<Held>| held.iter().any(|lease| lease.conflicts(&range, write));
        drop(self.released.wait_while(held, in_the_way).unwrap_or_else(PoisonError::into_inner));
    }

    /// Whether there is no lease at all.
    pub(crate) fn is_free(&self) -> bool {
        self.n.load(Ordering::Acquire) == 0
    }

    /// The list is whole after every statement, so a panic elsewhere cannot have damaged it.
    fn lock(&self) -> MutexGuard<'_, Vec<Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;
    use std::sync::atomic::AtomicBool;
    use std::thread;

    impl Leases {
        fn conflicts(&self, range: Range<usize>, write: bool) -> bool {
            self.lock().iter().any(|lease| lease.conflicts(&range, write))
        }
    }

    #[test]
    fn readers_share_and_writers_do_not() {
        let leases = Leases::default();
        assert!(!leases.conflicts(0..100, true));
        leases.lease(1, 10..20, false);
        assert!(!leases.conflicts(0..100, false));
        assert!(leases.conflicts(19..30, true));
        assert!(!leases.conflicts(20..30, true));
        leases.lease(2, 20..30, true);
        assert!(leases.conflicts(25..26, false));
        leases.release(2);
        assert!(!leases.conflicts(25..26, true));
        leases.release(1);
        assert!(leases.is_free());
    }

    #[test]
    fn empty_ranges_are_in_nobodys_way() {
        let leases = Leases::default();
        leases.lease(1, 10..20, true);
        leases.lease(2, 15..15, true);
        assert!(!leases.conflicts(15..15, true));
        leases.release(1);
        assert!(!leases.conflicts(0..100, true));
        assert!(!leases.is_free());
    }

    #[test]
    fn a_waiter_returns_only_after_the_release() {
        let leases = Leases::default();
        let released = AtomicBool::new(false);
        let started = Barrier::new(2);
        leases.lease(7, 0..8, true);
        thread::scope(|scope| {
            scope.spawn(|| {
                started.wait();
                leases.wait(4..5, false);
                assert!(released.load(Ordering::Relaxed));
            });
            started.wait();
            leases.wait(8..16, true);
            released.store(true, Ordering::Relaxed);
            leases.release(7);
        });
    }
}
