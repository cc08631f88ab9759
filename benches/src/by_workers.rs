//! How does the cost of a job grow with the number of workers, from 1 to 64 on the cores that there are?
//!
//! A job of as many blocks as there are workers, each of which does nothing. The peer is rayon with as many threads and tasks. What a
//! job costs above its work may be 20 µs and 1 µs per worker. The last row is a job of one block, which concerns one of 64.

use crate::measure::{Pair, in_turns};
use crate::row::{Goal, Question, Skipped, Unit};
use ndarray::ArrayView1;
use ndpool::{Pool, merge::Sum, task};
use rayon::prelude::*;
use std::hint::black_box;
use std::time::Instant;

pub(crate) const W_1: Question = of("job_of_1_worker", 1, measure::<1, 1>);
pub(crate) const W_2: Question = of("job_of_2_workers", 2, measure::<2, 2>);
pub(crate) const W_4: Question = of("job_of_4_workers", 4, measure::<4, 4>);
pub(crate) const W_8: Question = of("job_of_8_workers", 8, measure::<8, 8>);
pub(crate) const W_16: Question = of("job_of_16_workers", 16, measure::<16, 16>);
pub(crate) const W_32: Question = of("job_of_32_workers", 32, measure::<32, 32>);
pub(crate) const W_64: Question = of("job_of_64_workers", 64, measure::<64, 64>);
pub(crate) const ONE_OF_64: Question = of("job_of_one_of_64_workers", 64, measure::<64, 1>);

const fn of(name: &'static str, n_workers: usize, measure: fn() -> Result<Pair, Skipped>) -> Question {
    Question {
        name,
        peer_name: "rayon with as many threads and tasks",
        goal: Goal::Within(20.0 + 1.0 * n_workers as f64),
        unit: Unit::Microseconds,
        measure,
    }
}

const N_RUNS: usize = 51;
/// Jobs of a run.
const BATCH: usize = 100;

#[task]
fn count(x: ArrayView1<u8>) -> Sum<usize> {
    Sum(x.len())
}

fn measure<const WORKERS: usize, const BLOCKS: usize>() -> Result<Pair, Skipped> {
    let pool = Pool::builder().workers(WORKERS).build()?;
    let x = pool.zeros::<u8, _>(BLOCKS)?;
    let threads = rayon::ThreadPoolBuilder::new()
        .num_threads(WORKERS)
        .build()
        .map_err(|error| Skipped(error.to_string()))?;
    let pair = in_turns(
        N_RUNS,
        || {
            let start = Instant::now();
            for _ in 0..BATCH {
                let Sum(found) = pool.run(count(&x).block_rows(1))?;
                assert_eq!(found, BLOCKS);
            }
            Ok(start.elapsed())
        },
        || {
            let start = Instant::now();
            for _ in 0..BATCH {
                let tasks =
                    || (0..BLOCKS).into_par_iter().with_max_len(1).map(|_| black_box(1)).sum::<usize>();
                assert_eq!(threads.install(tasks), BLOCKS);
            }
            Ok(start.elapsed())
        },
    )?;
    Ok(pair.per_item(BATCH, BATCH))
}
