//! How long a process waits in shared memory, and how it sleeps meanwhile.

use std::time::{Duration, Instant};

use super::bell::LONGEST_SLEEP;
use super::lock::Patience;
use crate::sys::kill_point;
use crate::sys::primitive::{AtomicU32, futex_wait};

/// After how long a waiter asks that it be next: some wake-ups, and not yet what anybody would notice.
const LONG: Duration = Duration::from_millis(1);

/// Waits for ever, or for so long. Time runs from when it is first asked for, so that nobody asks the clock in vain.
#[derive(Debug)]
pub(crate) struct Until {
    start: Option<Instant>,
    limit: Option<Duration>,
}

impl Until {
    /// Without an end if there is no limit.
    #[inline]
    pub(crate) fn limit(limit: Option<Duration>) -> Self {
        Self { start: None, limit }
    }

    fn elapsed(&mut self) -> Duration {
        self.start.get_or_insert_with(Instant::now).elapsed()
    }
}

impl Patience for Until {
    fn is_over(&mut self) -> bool {
        self.limit.is_some_and(|limit| limit.is_zero() || self.elapsed() >= limit)
    }

    fn is_long(&mut self) -> bool {
        self.elapsed() >= LONG
    }

    fn nap(&mut self, word: &AtomicU32, value: u32) {
        let elapsed = self.elapsed();
        let left = self.limit.map_or(LONGEST_SLEEP, |limit| limit.saturating_sub(elapsed));
        kill_point!("shared.wait.sleep");
        futex_wait(word, value, Some(left.min(LONGEST_SLEEP)));
        kill_point!("shared.wait.woken");
    }
}
