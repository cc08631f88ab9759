//! How long does the sum of 1 GB of `f64` take that lies in shared memory already, with two processes on both sides?
//!
//! Programs: `sum_*.py`. Each peer gives one half to each of its workers, whose NumPy sums it; its workers have seen the
//! array before.
//!
//! `multiprocessing` and joblib map our very segment. In `SharedMemory` and in Ray's object store the array lies a second time, in
//! other pages, and how fast those are read differs from one start of `versus` to the next on both sides: eight runs
//! against `SharedMemory` gave ratios from 0.79 to 1.46, while the spread within a run is a few hundredths. One run of such
//! a row says little.

use super::{N_WORKERS, with_numbers};
use crate::measure::{Pair, in_turns, timed};
use crate::python::Python;
use crate::row::{Goal, Question, Skipped, Unit};
use crate::sum_shared::numbers;
use ndpool::{Pool, SharedArray, ops};
use std::path::Path;

pub(crate) const VS_MULTIPROCESSING: Question = Question {
    name: "sum_vs_multiprocessing",
    peer_name: "multiprocessing.Pool, NumPy sum of our segment",
    goal: Goal::Ratio(1.0),
    unit: Unit::Milliseconds,
    measure: || {
        against(|path| {
            Python::start("sum_multiprocessing.py", &["numpy"], &[path.as_os_str(), "mapped".as_ref()])
        })
    },
};

pub(crate) const VS_SHARED_MEMORY: Question = Question {
    name: "sum_vs_shared_memory",
    peer_name: "multiprocessing.Pool, NumPy sum of a SharedMemory",
    goal: Goal::Ratio(1.0),
    unit: Unit::Milliseconds,
    measure: || against(|_| with_numbers(N, "sum_multiprocessing.py", &["numpy"], &["shared_memory"])),
};

pub(crate) const VS_JOBLIB: Question = Question {
    name: "sum_vs_joblib",
    peer_name: "joblib Parallel on loky, NumPy sum of a memmap",
    goal: Goal::Ratio(1.0),
    unit: Unit::Milliseconds,
    measure: || against(|path| Python::start("sum_joblib.py", &["numpy", "joblib"], &[path.as_os_str()])),
};

pub(crate) const VS_RAY: Question = Question {
    name: "sum_vs_ray",
    peer_name: "remote tasks of Ray, NumPy sum of an object",
    goal: Goal::Ratio(1.0),
    unit: Unit::Milliseconds,
    measure: || against(|_| with_numbers(N, "sum_ray.py", &["numpy", "ray"], &[])),
};

/// 1 GB.
const N: usize = 125_000_000;
const N_RUNS: usize = 21;

/// Measures against a program that is started with the path of our array.
fn against(start: fn(&Path) -> Result<Python, Skipped>) -> Result<Pair, Skipped> {
    let pool = Pool::builder().workers(N_WORKERS).build()?;
    let x: SharedArray<f64, _> = pool.from_shape_fn(N, numbers)?;
    let mut peer = start(&x.path())?;
    // Every order of adding gives the same, exact sum.
    let expected = x.view().sum();
    in_turns(
        N_RUNS,
        || timed(&expected, || Ok(pool.run(ops::sum(&x))?)),
        || {
            let (took, total) = peer.run::<f64>()?;
            assert_eq!(total, expected, "the peer gives the wrong answer");
            Ok(took)
        },
    )
}
