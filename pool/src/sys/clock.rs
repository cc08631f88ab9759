//! The system's clocks, in nanoseconds.

use std::time::Duration;

/// Nanoseconds of the monotonic clock, which stands still while the machine is suspended.
pub(crate) fn monotonic_nanos() -> u64 {
    // `CLOCK_MONOTONIC` exists on every Linux; zero would only make one idle worker look older.
    nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC)
        .map(|now| Duration::from(now).as_nanos() as u64)
        .unwrap_or(0)
}

/// Nanoseconds since 1970; 0 before. Asked with each version that is published, so it is no more than the clock and a sum.
pub(crate) fn realtime_nanos() -> u64 {
    nix::time::clock_gettime(nix::time::ClockId::CLOCK_REALTIME).map_or(0, |now| {
        let seconds = u64::try_from(now.tv_sec()).unwrap_or(0);
        seconds.wrapping_mul(1_000_000_000).wrapping_add(now.tv_nsec() as u64)
    })
}
