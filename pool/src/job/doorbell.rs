//! Waking without losing a wake-up, and without a system call when nobody sleeps.
//!
//! Both sides follow Dekker's pattern: the ringer stores its news, bumps a sequence and then looks for
//! sleepers; the sleeper announces itself and then looks at the sequence and for news. All four are sequentially
//! consistent, so at least one of the two sees the other. A sleeper whose sequence moved does not sleep.
//!
//! This file depends on `sys::primitive` alone, so that the model checker can take it as it is.

use crate::sys::primitive::{AtomicU32, Ordering, futex_wait, futex_wake};
use std::time::Duration;

/// A bell that any number of waiters hear: the supervisor's threads wait on it for their jobs.
#[derive(Clone, Copy)]
pub(crate) struct Bell<'a> {
    sequence: &'a AtomicU32,
    waiters: &'a AtomicU32,
}

impl<'a> Bell<'a> {
    pub(crate) fn new(sequence: &'a AtomicU32, waiters: &'a AtomicU32) -> Self {
        Self { sequence, waiters }
    }

    /// Wakes every waiter. The news must have been stored before.
    pub(crate) fn ring(&self) {
        self.sequence.fetch_add(1, Ordering::SeqCst);
        if self.waiters.load(Ordering::SeqCst) != 0 {
            futex_wake(self.sequence, u32::MAX);
        }
    }

    /// Sleeps until the bell rings or the time is over, unless `is_ready` already holds.
    pub(crate) fn wait_unless(&self, is_ready: impl FnOnce() -> bool, timeout: Option<Duration>) {
        self.waiters.fetch_add(1, Ordering::SeqCst);
        let seen = self.sequence.load(Ordering::SeqCst);
        if !is_ready() {
            futex_wait(self.sequence, seen, timeout);
        }
        self.waiters.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The epoch that every publication bumps; spinning workers watch it.
#[derive(Clone, Copy)]
pub(crate) struct Epoch<'a>(pub(crate) &'a AtomicU32);

impl Epoch<'_> {
    pub(crate) fn now(&self) -> u32 {
        self.0.load(Ordering::SeqCst)
    }

    /// Tells spinning workers, and those about to park, that there is work.
    pub(crate) fn bump(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// One worker's bed: 1 while it sleeps or is about to, 0 otherwise.
#[derive(Clone, Copy)]
pub(crate) struct Bed<'a>(pub(crate) &'a AtomicU32);

impl Bed<'_> {
    pub(crate) fn is_parked(&self) -> bool {
        self.0.load(Ordering::SeqCst) == 1
    }

    /// Wakes the worker if it is parked; whether it was.
    pub(crate) fn wake(&self) -> bool {
        let was_parked = self.is_parked() && self.0.swap(0, Ordering::SeqCst) == 1;
        if was_parked {
            futex_wake(self.0, 1);
        }
        was_parked
    }

    /// Wakes the worker even if its flag says that it is awake: another worker may have died between clearing the flag
    /// and the call that wakes. Harmless if the worker does not sleep.
    pub(crate) fn rouse(&self) {
        self.0.store(0, Ordering::SeqCst);
        futex_wake(self.0, 1);
    }

    /// Forgets a worker that died, asleep or not.
    pub(crate) fn clear(&self) {
        self.0.store(0, Ordering::SeqCst);
    }

    /// Sleeps until woken, unless the epoch moved on from `seen` or there is work already.
    pub(crate) fn park_unless(&self, epoch: Epoch<'_>, seen: u32, has_work: impl FnOnce() -> bool) {
        self.0.store(1, Ordering::SeqCst);
        if epoch.now() == seen && !has_work() {
            while self.is_parked() {
                futex_wait(self.0, 1, None);
            }
        }
        self.0.store(0, Ordering::SeqCst);
    }
}
