//! How long do 64 results of 1 MB take that are returned by value, beside rayon?
//!
//! A result that does not fit its slot goes through a file, serialised, and is read back by the caller. A thread gives a pointer.

use super::of;
use crate::measure::{Pair, in_turns, timed};
use crate::row::{Question, Skipped, Unit};
use ndpool::{Pool, task};
use rayon::prelude::*;

pub(super) const QUESTION: Question =
    of("results_of_1mb", "rayon, which gives pointers", Unit::Milliseconds, measure);

const N_RESULTS: u64 = 64;
const N: u64 = 1 << 17;
const N_RUNS: usize = 15;

#[task]
fn count_from(first: u64) -> Vec<u64> {
    (first..first + N).collect()
}

fn measure() -> Result<Pair, Skipped> {
    let pool = Pool::builder().workers(2).build()?;
    let expected: Vec<Vec<u64>> = (0..N_RESULTS).map(|first| (first..first + N).collect()).collect();
    in_turns(
        N_RUNS,
        || {
            timed(&expected, || {
                Ok(pool.map((0..N_RESULTS).map(count_from)).collect::<ndpool::Result<_>>()?)
            })
        },
        || {
            timed(&expected, || {
                Ok((0..N_RESULTS).into_par_iter().map(|first| (first..first + N).collect()).collect())
            })
        },
    )
}
