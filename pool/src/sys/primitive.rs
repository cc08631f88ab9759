//! Atomics, the futex, and locks: the only source of them for protocol code.
//!
//! A model checker replaces this module by one with the same names, so nothing that a model runs may take its atomics from
//! elsewhere.

use std::ptr;
use std::time::Duration;

pub(crate) use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};
pub(crate) use std::sync::{Condvar, Mutex, MutexGuard};

/// Sleeps until another thread or process wakes `word`, unless `word` no longer holds `expected`.
///
/// Returns after a wake, at once when the value differs, after `timeout`, and after a signal; so the caller looks at the
/// state again, whatever the reason. The word may lie in memory shared between processes: the futex is never private. The
/// clock is the monotonic one.
pub(crate) fn futex_wait(word: &AtomicU32, expected: u32, timeout: Option<Duration>) {
    let limit = timeout.map(|timeout| libc::timespec {
        tv_sec: libc::time_t::try_from(timeout.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: timeout.subsec_nanos().into(),
    });
    let limit = limit.as_ref().map_or(ptr::null(), ptr::from_ref);
    // SAFETY: FUTEX_WAIT reads four aligned bytes at `word`, which a reference to an atomic vouches for, and the time at
    // `limit`, which is null or points to a local that lives until after the call. The other arguments are ignored.
    let _ = unsafe {
        libc::syscall(
            libc::SYS_futex,
            word.as_ptr(),
            libc::FUTEX_WAIT,
            expected,
            limit,
            ptr::null::<u32>(),
            0_u32,
        )
    };
}

/// Wakes up to `n` sleepers on `word`, of any process, and returns how many there were.
pub(crate) fn futex_wake(word: &AtomicU32, n: u32) -> u32 {
    let n = i32::try_from(n).unwrap_or(i32::MAX);
    // SAFETY: FUTEX_WAKE uses the address of `word` only as a key and reads no other pointer.
    let woken = unsafe {
        libc::syscall(
            libc::SYS_futex,
            word.as_ptr(),
            libc::FUTEX_WAKE,
            n,
            ptr::null::<libc::timespec>(),
            ptr::null::<u32>(),
            0_u32,
        )
    };
    u32::try_from(woken).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_waiter_sees_the_change_that_it_is_woken_for() {
        let word = AtomicU32::new(0);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while word.load(Ordering::Acquire) == 0 {
                    futex_wait(&word, 0, None);
                }
            });
            word.store(1, Ordering::Release);
            futex_wake(&word, u32::MAX);
        });
    }

    #[test]
    fn a_changed_word_and_a_timeout_end_the_wait() {
        let word = AtomicU32::new(5);
        futex_wait(&word, 4, None);
        futex_wait(&word, 5, Some(Duration::from_millis(1)));
        assert_eq!(futex_wake(&word, 1), 0);
    }
}
