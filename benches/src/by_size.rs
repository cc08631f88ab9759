//! How does the cost of a job grow with its array, from 1 MB to 8 GB?
//!
//! A job costs what its memory costs, and a little that does not depend on the size: at most 20 µs and 1 µs per worker. So the sum
//! of an array may take 1.08 times as long as rayon's, and that much.

use crate::measure::{Pair, in_turns, timed};
use crate::row::{Goal, Question, Skipped, Unit};
use crate::sum_shared::numbers;
use ndarray::ArrayView1;
use ndpool::{Pool, ops};
use rayon::prelude::*;

pub(crate) const MB_1: Question = of("sum_by_size_1mb", measure::<1>);
pub(crate) const MB_3: Question = of("sum_by_size_3mb", measure::<3>);
pub(crate) const MB_10: Question = of("sum_by_size_10mb", measure::<10>);
pub(crate) const MB_30: Question = of("sum_by_size_30mb", measure::<30>);
pub(crate) const MB_100: Question = of("sum_by_size_100mb", measure::<100>);
pub(crate) const MB_300: Question = of("sum_by_size_300mb", measure::<300>);
pub(crate) const GB_1: Question = of("sum_by_size_1000mb", measure::<1_000>);
pub(crate) const GB_3: Question = of("sum_by_size_3000mb", measure::<3_000>);
pub(crate) const GB_8: Question = of("sum_by_size_8000mb", measure::<8_000>);

const fn of(name: &'static str, measure: fn() -> Result<Pair, Skipped>) -> Question {
    Question {
        name,
        peer_name: "rayon par_chunks + ndarray sum",
        goal: Goal::Overhead { factor: 1.08, overhead: 20.0 + 1.0 * N_WORKERS as f64 },
        unit: Unit::Microseconds,
        measure,
    }
}

const N_WORKERS: usize = 2;
/// 512 KiB.
const CHUNK: usize = 1 << 16;
/// What is gone through in all runs of a side together, about.
const TOTAL_MB: usize = 24_000;

fn measure<const MB: usize>() -> Result<Pair, Skipped> {
    let n_runs = (TOTAL_MB / MB).clamp(5, 301);
    let pool = Pool::builder().workers(N_WORKERS).build()?;
    let x = pool.from_shape_fn(MB * 125_000, numbers)?;
    let view = x.view();
    let slice = view.as_slice().expect("arrays lie in C order");
    let sum = || slice.par_chunks(CHUNK).map(|chunk| ArrayView1::from(chunk).sum()).sum();
    let expected: f64 = sum();
    in_turns(n_runs, || timed(&expected, || Ok(pool.run(ops::sum(&x))?)), || timed(&expected, || Ok(sum())))
}
