//! Where a program becomes a worker.

use super::bootstrap::{self, Host};
use crate::control::WORKER_ARG0;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, Ordering};

/// What this process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Role {
    /// Nobody called [`init`].
    Unknown = 0,
    /// May build pools.
    Supervisor = 1,
    /// Runs blocks.
    Worker = 2,
}

static ROLE: AtomicU8 = AtomicU8::new(Role::Unknown as u8);
static TEST_PATH: OnceLock<&'static str> = OnceLock::new();

pub(crate) fn role() -> Role {
    match ROLE.load(Ordering::Acquire) {
        1 => Role::Supervisor,
        2 => Role::Worker,
        _ => Role::Unknown,
    }
}

/// The test in which this process calls [`init_in_test`], for its workers to be started at the same one.
pub(crate) fn test_path() -> Option<&'static str> {
    TEST_PATH.get().copied()
}

/// Makes this program able to be its own worker. Call it first thing in `main`.
///
/// A pool starts its workers by executing the running program again. In such a process this function serves and
/// never returns; in the program that the user started it returns at once. What stands before it in `main` runs
/// in every worker too. [`#[ndpool::main]`](macro@crate::main) puts it where it belongs, and
/// [`#[ndpool::test]`](macro@crate::test) does so for a test.
///
/// # Example
///
/// ```
/// fn main() -> ndpool::Result<()> {
///     ndpool::init();
///     let pool = ndpool::Pool::builder().workers(2).build()?;
///     assert_eq!(pool.run(ndpool::call(|x: u32| x + 1, 41))?, 42);
///     Ok(())
/// }
/// ```
pub fn init() {
    init_under(Host::Program);
}

fn init_under(host: Host) {
    if std::env::args_os().next().is_some_and(|name| name == WORKER_ARG0) {
        ROLE.store(Role::Worker as u8, Ordering::Release);
        bootstrap::become_worker(host);
    }
    ROLE.store(Role::Supervisor as u8, Ordering::Release);
}

/// As [`init`], for a test of the standard test harness: its workers execute the test binary at this very test.
///
/// `path` is the full path of the test's function, its crate first.
pub fn init_in_test(path: &'static str) {
    // The harness names tests without their crate.
    let name = path.split_once("::").map_or(path, |(_, name)| name);
    // The first test of a process names it: with `cargo test` several tests share a process, and a worker may
    // start at any of them, since each begins by becoming a worker.
    let _ = TEST_PATH.set(name);
    init_under(Host::TestHarness);
}
