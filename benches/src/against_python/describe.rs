//! How long do mean, standard deviation and largest element of 1 GB of `f64` take, beside NumPy?
//!
//! A Python process maps the very same segment with `np.load(path, mmap_mode="r")` and computes `mean`, `std` and `max`
//! in turn, as one does there. ndpool's `describe` finds all of them, and more, in one pass.

use super::N_WORKERS;
use crate::measure::{Pair, in_turns};
use crate::python::Python;
use crate::row::{Goal, Question, Skipped, Unit};
use crate::sum_shared::numbers;
use ndpool::{Pool, ops};
use std::time::Instant;

pub(crate) const QUESTION: Question = Question {
    name: "describe_1gb",
    peer_name: "numpy mean, std, max in turn",
    goal: Goal::Ratio(1.0 / 14.0),
    unit: Unit::Milliseconds,
    measure,
};

const N: usize = 125_000_000;
const N_RUNS: usize = 9;

fn measure() -> Result<Pair, Skipped> {
    let pool = Pool::builder().workers(N_WORKERS).build()?;
    let x = pool.from_shape_fn(N, numbers)?;
    let mut numpy = Python::start("describe.py", &["numpy"], &[x.path()])?;
    let (_, [mean, std, max]) = numpy.run::<[f64; 3]>()?;
    in_turns(
        N_RUNS,
        || {
            let start = Instant::now();
            let found = pool.run(ops::describe(&x))?;
            let took = start.elapsed();
            let is_same =
                (found.mean - mean).abs() < 1e-12 && (found.std - std).abs() < 1e-12 && found.max == max;
            assert!(is_same, "{found:?} is not NumPy's answer ({mean}, {std}, {max})");
            Ok(took)
        },
        || Ok(numpy.run::<[f64; 3]>()?.0),
    )
}
