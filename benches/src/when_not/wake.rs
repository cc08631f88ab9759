//! What does the first job cost of a pool that has gone to sleep?
//!
//! Beside rayon, whose threads sleep too, and beside a call on the caller's own thread, which needs nobody.

use super::of;
use crate::measure::{Pair, in_turns};
use crate::noop_parked::wait_until_asleep;
use crate::row::{Question, Skipped, Unit};
use ndpool::{Pool, task};
use std::hint::black_box;
use std::time::{Duration, Instant};

pub(super) const VS_RAYON: Question = of(
    "first_wake_vs_rayon",
    "rayon ThreadPool::install of the same, its threads asleep",
    Unit::Microseconds,
    vs_rayon,
);
pub(super) const VS_CALL: Question = of(
    "first_wake_vs_call",
    "a call on the caller's thread, as long asleep before",
    Unit::Microseconds,
    vs_call,
);

const N_RUNS: usize = 201;
/// Long enough for rayon's threads to sleep, which do not say when they do.
const REST: Duration = Duration::from_millis(3);

#[task]
fn twice(x: u64) -> u64 {
    2 * x
}

fn ndpool_after_rest(pool: &Pool) -> Result<Duration, Skipped> {
    std::thread::sleep(REST);
    pool.worker_pids().into_iter().try_for_each(wait_until_asleep)?;
    let start = Instant::now();
    let found = pool.run(twice(21))?;
    let took = start.elapsed();
    assert_eq!(found, 42);
    Ok(took)
}

fn after_rest(call: impl FnOnce() -> u64) -> Result<Duration, Skipped> {
    std::thread::sleep(REST);
    // As the other side does.
    wait_until_asleep_for_nothing();
    let start = Instant::now();
    let found = call();
    let took = start.elapsed();
    assert_eq!(found, 42);
    Ok(took)
}

/// Spends about the time that waiting for two sleepers takes.
fn wait_until_asleep_for_nothing() {
    std::thread::sleep(REST);
}

fn vs_rayon() -> Result<Pair, Skipped> {
    let pool = Pool::builder().workers(2).build()?;
    let threads =
        rayon::ThreadPoolBuilder::new().num_threads(2).build().map_err(|error| Skipped(error.to_string()))?;
    let pair = in_turns(
        N_RUNS,
        || ndpool_after_rest(&pool),
        || after_rest(|| threads.install(|| 2 * black_box(21))),
    )?;
    Ok(pair.by_median())
}

fn vs_call() -> Result<Pair, Skipped> {
    let pool = Pool::builder().workers(2).build()?;
    let pair = in_turns(N_RUNS, || ndpool_after_rest(&pool), || after_rest(|| 2 * black_box(21)))?;
    Ok(pair.by_median())
}
