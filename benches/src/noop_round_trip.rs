//! How long does a job take that does nothing, on workers that are warm?
//!
//! The peer hands a closure that does nothing to rayon's pool from a thread outside of it and waits for it
//! (`ThreadPool::install`): the same hand-over, between threads.

use crate::measure::{Pair, in_turns};
use crate::row::{Goal, Question, Skipped, Unit};
use ndpool::{Pool, task};
use std::hint::black_box;
use std::time::{Duration, Instant};

pub(crate) const QUESTION: Question = Question {
    name: "noop_round_trip",
    peer_name: "rayon ThreadPool::install of a no-op",
    goal: Goal::Time(2.0),
    unit: Unit::Microseconds,
    measure,
};

const N_RUNS: usize = 201;
/// Round trips of one sample.
const BATCH: u32 = 500;

#[task]
fn noop() {}

fn measure() -> Result<Pair, Skipped> {
    let pool = Pool::new()?;
    let threads = rayon::ThreadPoolBuilder::new().build().map_err(|error| Skipped(error.to_string()))?;
    in_turns(
        N_RUNS,
        || batch(|| Ok(pool.run(noop())?)),
        || {
            batch(|| {
                threads.install(|| black_box(()));
                Ok(())
            })
        },
    )
}

/// The mean time of one of many round trips in a row.
fn batch(mut round_trip: impl FnMut() -> Result<(), Skipped>) -> Result<Duration, Skipped> {
    let start = Instant::now();
    for _ in 0..BATCH {
        round_trip()?;
    }
    Ok(start.elapsed() / BATCH)
}
