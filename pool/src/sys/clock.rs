//! The system's clocks, in nanoseconds.

use std::time::Duration;

use nix::time::ClockId;

/// Nanoseconds of the monotonic clock, which stands still while the machine is suspended.
pub(crate) fn monotonic_nanos() -> u64 {
    // `CLOCK_MONOTONIC` exists on every Linux; zero would only make one idle worker look older.
    nix::time::clock_gettime(ClockId::CLOCK_MONOTONIC)
        .map(|now| Duration::from(now).as_nanos() as u64)
        .unwrap_or(0)
}

/// Nanoseconds since 1970; 0 before.
pub(crate) fn realtime_nanos() -> u64 {
    nanos_since_1970(ClockId::CLOCK_REALTIME)
}

/// As [`realtime_nanos`], at the kernel's last tick: up to 10 ms ago, as a file's time of change is.
///
/// Asked with each version that is published. It is a load or two, where the exact time takes longer than all else of a small frame.
pub(crate) fn realtime_nanos_of_tick() -> u64 {
    nanos_since_1970(ClockId::CLOCK_REALTIME_COARSE)
}

fn nanos_since_1970(clock: ClockId) -> u64 {
    nix::time::clock_gettime(clock).map_or(0, |now| {
        let seconds = u64::try_from(now.tv_sec()).unwrap_or(0);
        seconds.wrapping_mul(1_000_000_000).wrapping_add(now.tv_nsec() as u64)
    })
}
