//! How long do a million tasks take that each sum 64 numbers in shared memory, as blocks of 1, 64 or 1024 rows?
//!
//! A block is claimed, run and committed by itself, and its result merged with the others'. rayon cuts the same memory into
//! the same chunks with its defaults, which join chunks that lie side by side as long as nobody is idle: it does less.

use crate::measure::{Pair, in_turns, timed};
use crate::row::{Goal, Question, Skipped, Unit};
use crate::sum_shared::numbers;
use ndarray::{ArrayView1, ArrayView2};
use ndpool::{Pool, merge::Sum, task};
use rayon::prelude::*;

/// Blocks of 1 row.
pub(crate) const OF_1: Question = Question {
    name: "tiny_blocks_of_1",
    peer_name: "rayon par_chunks(64) + ndarray sum",
    goal: Goal::Ratio(1.3),
    unit: Unit::Milliseconds,
    measure: measure::<1>,
};

/// Blocks of 64 rows.
pub(crate) const OF_64: Question = Question {
    name: "tiny_blocks_of_64",
    peer_name: "rayon par_chunks(64 * 64) + ndarray sum",
    goal: Goal::Ratio(1.1),
    measure: measure::<64>,
    ..OF_1
};

/// Blocks of 1024 rows.
pub(crate) const OF_1024: Question = Question {
    name: "tiny_blocks_of_1024",
    peer_name: "rayon par_chunks(1024 * 64) + ndarray sum",
    goal: Goal::Ratio(1.05),
    measure: measure::<1024>,
    ..OF_1
};

const N_ROWS: usize = 1_000_000;
const ROW: usize = 64;
const N_RUNS: usize = 21;

#[task]
fn sum_rows(x: ArrayView2<f64>) -> Sum<f64> {
    Sum(x.sum())
}

fn measure<const BLOCK_ROWS: usize>() -> Result<Pair, Skipped> {
    let pool = Pool::new()?;
    let x = pool.from_shape_fn((N_ROWS, ROW), |(i, j)| numbers(i * ROW + j))?;
    let view = x.view();
    let slice = view.as_slice().expect("arrays lie in C order");
    // Every order of adding gives the same, exact sum.
    let expected: f64 = slice.iter().sum();
    in_turns(
        N_RUNS,
        || timed(&expected, || Ok(pool.run(sum_rows(&x).block_rows(BLOCK_ROWS))?.0)),
        || {
            timed(&expected, || {
                Ok(slice.par_chunks(BLOCK_ROWS * ROW).map(|rows| ArrayView1::from(rows).sum()).sum())
            })
        },
    )
}
