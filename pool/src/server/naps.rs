//! How one waits for what has no bell: with pauses that grow, and not for ever.

use std::thread;
use std::time::{Duration, Instant};

/// Pauses, the first so short that nobody notices, until time is over.
#[derive(Debug)]
pub(super) struct Naps {
    start: Instant,
    limit: Duration,
    pause: Duration,
}

impl Naps {
    const SHORTEST: Duration = Duration::from_micros(50);
    const LONGEST: Duration = Duration::from_millis(5);

    /// From now on, for so long.
    pub(super) fn new(limit: Duration) -> Self {
        Self { start: Instant::now(), limit, pause: Self::SHORTEST }
    }

    /// Sleeps a little; `false`, without that, once time is over.
    pub(super) fn nap(&mut self) -> bool {
        if self.start.elapsed() > self.limit {
            return false;
        }
        thread::sleep(self.pause);
        self.pause = Self::LONGEST.min(self.pause * 2);
        true
    }

    /// Tries until something comes of it; `None` once time is over.
    pub(super) fn until<T, E>(
        mut self,
        mut attempt: impl FnMut() -> Result<Option<T>, E>,
    ) -> Result<Option<T>, E> {
        loop {
            let made = attempt()?;
            if made.is_some() || !self.nap() {
                return Ok(made);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    #[test]
    fn attempts_in_vain_are_few() {
        let mut n_attempts = 0;
        let vain = || {
            n_attempts += 1;
            Ok::<_, Infallible>(None::<()>)
        };
        assert_eq!(Naps::new(Duration::from_millis(50)).until(vain), Ok(None));
        // Seven pauses, each twice the one before, take 6.35 ms, and all others 5 ms.
        assert!(n_attempts <= 18, "{n_attempts} attempts in 50 ms");
    }

    #[test]
    fn what_comes_in_time_or_fails_ends_the_wait() {
        let mut n_attempts = 0;
        let third = || {
            n_attempts += 1;
            Ok::<_, &str>((n_attempts == 3).then_some("third"))
        };
        assert_eq!(Naps::new(Duration::MAX).until(third), Ok(Some("third")));
        assert_eq!(Naps::new(Duration::MAX).until(|| Err::<Option<()>, _>("no")), Err("no"));
        assert!(!Naps { start: Instant::now() - Duration::from_secs(1), ..Naps::new(Duration::ZERO) }.nap());
    }
}
