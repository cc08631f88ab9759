//! How long does the sum of 1 GB of `f64` take that lies in shared memory already, beside rayon on the same memory?
//!
//! Both go through the same pages in turns: ndpool's built-in sum, which is compensated, and rayon's parallel chunks
//! with ndarray's sum, which is not.

use crate::measure::{Pair, in_turns, timed};
use crate::row::{Goal, Question, Skipped, Unit};
use ndarray::ArrayView1;
use ndpool::{Pool, ops};
use rayon::prelude::*;

pub(crate) const QUESTION: Question = Question {
    name: "sum_shared_1gb",
    peer_name: "rayon par_chunks + ndarray sum",
    goal: Goal::Ratio(1.08),
    unit: Unit::Milliseconds,
    measure,
};

const N: usize = 125_000_000;
const N_RUNS: usize = 15;
/// 512 KiB, the best size of those tried; smaller and larger ones are within 3 %.
const CHUNK: usize = 1 << 16;

fn measure() -> Result<Pair, Skipped> {
    let pool = Pool::new()?;
    let x = pool.from_shape_fn(N, numbers)?;
    let view = x.view();
    let slice = view.as_slice().expect("arrays lie in C order");
    // Every order of adding gives the same, exact sum.
    let expected: f64 = slice.iter().sum();
    in_turns(
        N_RUNS,
        || timed(&expected, || Ok(pool.run(ops::sum(&x))?)),
        || timed(&expected, || Ok(slice.par_chunks(CHUNK).map(|chunk| ArrayView1::from(chunk).sum()).sum())),
    )
}

/// Numbers without a pattern, multiples of 2⁻²⁰ below 1.
pub(crate) fn numbers(i: usize) -> f64 {
    ((i as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 44) as f64 / 1_048_576.0
}
