//! Time that does not run while the machine sleeps.

use std::time::Duration;

/// Nanoseconds of the monotonic clock, which stands still while the machine is suspended.
pub(crate) fn monotonic_nanos() -> u64 {
    // `CLOCK_MONOTONIC` exists on every Linux; zero would only make one idle worker look older.
    nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC)
        .map(|now| Duration::from(now).as_nanos() as u64)
        .unwrap_or(0)
}
