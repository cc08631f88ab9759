//! How long does a job take that does nothing, given to a worker that is warm, one at a time?
//!
//! The peer is two processes that spin, each on a word of its own in shared memory, and answer each other: the least that any
//! hand-over between processes can cost on the machine. A second row hands a closure that does nothing to rayon's pool from
//! a thread outside of it (`ThreadPool::install`): the same hand-over, between threads.

use crate::bare::{Bare, Role, Shared, die_with_parent, futex_wait, futex_wake};
use crate::measure::{Pair, in_turns};
use crate::row::{Goal, Question, Skipped, Unit};
use ndpool::{Pool, task};
use std::hint::{black_box, spin_loop};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

pub(crate) const QUESTION: Question = Question {
    name: "noop_warm",
    peer_name: "two processes that spin on words in shared memory",
    goal: Goal::Limit { limit: 1.2, bare: 0.5 },
    unit: Unit::Microseconds,
    measure,
};

pub(crate) const BESIDE_RAYON: Question = Question {
    name: "noop_warm_vs_rayon",
    peer_name: "rayon ThreadPool::install of a no-op from outside the pool",
    goal: Goal::Ratio(1.0),
    measure: measure_rayon,
    ..QUESTION
};

/// Answers every change of word 0 in word 1.
pub(crate) const SPIN: Role = Role { name: "spin", play: spin };

const N_RUNS: usize = 201;
/// Round trips of one run.
const BATCH: usize = 500;

#[task]
fn noop() {}

fn measure() -> Result<Pair, Skipped> {
    let pool = Pool::new()?;
    let memory = Shared::new(0)?;
    let _other = Bare::start(SPIN, &[memory.path()])?;
    let (question, answer) = (memory.word(0), memory.word(1));
    let mut n = 0;
    let mut bare = || {
        n += 1;
        question.store(n, Ordering::Release);
        while answer.load(Ordering::Acquire) != n {
            spin_loop();
        }
        Ok(())
    };
    let pair = in_turns(
        N_RUNS,
        || batch(|| Ok(pool.run(noop())?)),
        || {
            futex_wake(question, AWAKE);
            bare()?;
            let took = batch(&mut bare);
            // A process that spins in vain would take a core from the workers.
            question.store(ASLEEP, Ordering::Release);
            took
        },
    )?;
    Ok(pair.per_item(BATCH, BATCH))
}

fn measure_rayon() -> Result<Pair, Skipped> {
    let pool = Pool::new()?;
    let threads = rayon::ThreadPoolBuilder::new().build().map_err(|error| Skipped(error.to_string()))?;
    let pair = in_turns(
        N_RUNS,
        || batch(|| Ok(pool.run(noop())?)),
        || {
            batch(|| {
                threads.install(|| black_box(()));
                Ok(())
            })
        },
    )?;
    Ok(pair.per_item(BATCH, BATCH))
}

/// The time of many round trips, one after the other.
fn batch(mut round_trip: impl FnMut() -> Result<(), Skipped>) -> Result<Duration, Skipped> {
    let start = Instant::now();
    for _ in 0..BATCH {
        round_trip()?;
    }
    Ok(start.elapsed())
}

/// Has the other process sleep.
const ASLEEP: u32 = 0;
/// Has it look for questions.
const AWAKE: u32 = u32::MAX;

fn spin(args: &[String]) -> Result<(), Skipped> {
    die_with_parent();
    let memory = Shared::open(args.first().map_or("", String::as_str))?;
    let (question, answer) = (memory.word(0), memory.word(1));
    loop {
        match question.load(Ordering::Acquire) {
            ASLEEP => futex_wait(question, ASLEEP),
            AWAKE => spin_loop(),
            n if n != answer.load(Ordering::Relaxed) => answer.store(n, Ordering::Release),
            _ => spin_loop(),
        }
    }
}
