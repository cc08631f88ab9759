//! How long does a process take that is started for it to sum 100 MB that this program has?
//!
//! Program: `fresh_worker.py`. There is one worker. On both sides the time begins before the process is asked for and
//! ends when the sum is here; ending the process and removing the memory come after that and are not counted. Python's
//! processes are started by `spawn`, which, as ours, is an exec and inherits nothing.
//!
//! - Copied in: the array lies in private memory. ndpool copies it into a new segment; the peers send it through a
//!   `Queue`, or copy it into a new `SharedMemory`.
//! - Born shared: the array is in shared memory before, and filling it is not counted. Since an array of ndpool's belongs
//!   to a pool, the time is made of two parts: from nothing to the worker's first answer, and, once the array is filled,
//!   the sum by that worker, which has never seen the array.
//!
//! Some 90 ms of what the peers take is the start of an interpreter that imports NumPy; ours starts in 2 ms. The rows
//! `fresh_worker_*` ask the same of ndpool with a worker that was started before, and `running_*` of both sides.

use super::with_numbers;
use crate::measure::{Pair, in_turns};
use crate::row::{Goal, Question, Skipped, Unit};
use crate::sum_shared::numbers;
use ndarray::Array1;
use ndpool::{Pool, ops, task};
use std::time::{Duration, Instant};

pub(crate) const VS_QUEUE: Question = Question {
    name: "fresh_vs_queue",
    peer_name: "multiprocessing.Queue, spawn",
    goal: Goal::Ratio(1.0 / 6.0),
    unit: Unit::Milliseconds,
    measure: || against("queue", copied_in),
};

pub(crate) const VS_SHARED_MEMORY: Question = Question {
    name: "fresh_vs_shared_memory",
    peer_name: "copied into SharedMemory, spawn",
    goal: Goal::Ratio(1.0 / 3.0),
    unit: Unit::Milliseconds,
    measure: || against("shared_memory", copied_in),
};

pub(crate) const BORN_SHARED: Question = Question {
    name: "fresh_born_shared",
    peer_name: "filled SharedMemory, spawn",
    goal: Goal::Ratio(1.0 / 3.0),
    unit: Unit::Milliseconds,
    measure: || against("born_shared", born_shared),
};

/// 100 MB.
const N: usize = 12_500_000;
const N_RUNS: usize = 15;

#[task]
fn answer() -> u32 {
    42
}

/// How long it took, and the sum.
type Answer = Result<(Duration, f64), Skipped>;

fn against(way: &str, ours: fn(&Array1<f64>) -> Answer) -> Result<Pair, Skipped> {
    let mut peer = with_numbers(N, "fresh_worker.py", &["numpy"], &[way])?;
    let x = Array1::from_shape_fn(N, numbers);
    let expected = x.sum();
    let checked = |(took, total): (Duration, f64)| {
        assert_eq!(total, expected, "what is measured gives the wrong answer");
        took
    };
    in_turns(N_RUNS, || ours(&x).map(checked), || peer.run().map(checked))
}

fn copied_in(x: &Array1<f64>) -> Answer {
    let start = Instant::now();
    let pool = Pool::builder().workers(1).build()?;
    let shared = pool.from_array(x)?;
    let total = pool.run(ops::sum(&shared))?;
    Ok((start.elapsed(), total))
}

fn born_shared(x: &Array1<f64>) -> Answer {
    let start = Instant::now();
    let pool = Pool::builder().workers(1).build()?;
    assert_eq!(pool.run(answer())?, 42);
    let starting = start.elapsed();
    let shared = pool.from_array(x)?;
    let start = Instant::now();
    let total = pool.run(ops::sum(&shared))?;
    Ok((starting + start.elapsed(), total))
}
