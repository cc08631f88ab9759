//! Waking that survives the death of those who wake and those who sleep.
//!
//! Both sides follow Dekker's pattern, as the bell of a job does: the ringer stores its news, bumps the sequence and then looks for
//! sleepers; a sleeper says that it sleeps and then looks at the sequence. All four are sequentially consistent, so at least one of the
//! two sees the other.
//!
//! Here, unlike there, nobody sweeps after the dead. So sleepers are not counted, since a dead one would be counted for ever, but
//! leave a flag, which a ringer takes down before it wakes all of them; who goes on sleeping puts it up again. A sleeper whose flag is
//! taken down together with an older one's may not be asleep yet when the others are woken, so the sequence moves once more after
//! the flag. A ringer that dies between flag and wake-up leaves sleepers unwoken, and so no sleep is longer than [`LONGEST_SLEEP`]. The
//! same goes for sleepers that cannot leave a flag, because they may not write.
//!
//! This file depends on `sys::primitive` alone, so that the model checker can take it as it is.

use std::time::Duration;

use crate::sys::primitive::{AtomicU32, Ordering, futex_wait, futex_wake};

/// After how long a sleeper looks by itself.
pub(crate) const LONGEST_SLEEP: Duration = Duration::from_millis(50);

/// What any process may ring and wait for.
#[derive(Clone, Copy)]
pub(crate) struct Bell<'a> {
    sequence: &'a AtomicU32,
    sleepers: &'a AtomicU32,
}

impl<'a> Bell<'a> {
    pub(crate) fn new(sequence: &'a AtomicU32, sleepers: &'a AtomicU32) -> Self {
        Self { sequence, sleepers }
    }

    /// What [`wait`](Self::wait) compares with. To be read before one looks whether there is news.
    pub(crate) fn sequence(&self) -> u32 {
        self.sequence.load(Ordering::SeqCst)
    }

    /// Wakes all sleepers. The news must have been stored before.
    ///
    /// `always` calls the kernel even if nobody says that he sleeps, for those who cannot say so.
    pub(crate) fn ring(&self, always: bool) {
        self.sequence.fetch_add(1, Ordering::SeqCst);
        if self.sleepers.load(Ordering::SeqCst) != 0 {
            self.sleepers.store(0, Ordering::SeqCst);
            self.sequence.fetch_add(1, Ordering::SeqCst);
            futex_wake(self.sequence, u32::MAX);
        } else if always {
            futex_wake(self.sequence, u32::MAX);
        }
    }

    /// Sleeps until the bell rings, unless it has since `seen`; not longer than `limit` or [`LONGEST_SLEEP`]. May return early.
    ///
    /// Without `may_write` it leaves no flag.
    pub(crate) fn wait(&self, seen: u32, limit: Option<Duration>, may_write: bool) {
        if may_write {
            self.sleepers.store(1, Ordering::SeqCst);
        }
        if self.sequence() == seen {
            let limit = limit.map_or(LONGEST_SLEEP, |limit| limit.min(LONGEST_SLEEP));
            futex_wait(self.sequence, seen, Some(limit));
        }
    }
}
