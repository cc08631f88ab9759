//! What does a call cost that does nothing, if there are many of them and their results are collected in order?
//!
//! A call takes a number and gives it back, so that both sides can check that no result is missing or out of place.
//! Workers run before. A peer that is slow is given fewer calls than the million; costs are per call. Programs: `map_*.py`.
//!
//! Each peer hands over one call at a time, as the same pools do for calls that differ in length and may fail. Two of them
//! are measured in the way that suits calls without work, too: `Pool.map` as it comes cuts the million into eight lists, and
//! joblib as it comes sends batches. A list is a loop in Python within the worker, and no call of it has a fate of its own: it
//! is lost as a whole with its worker, one slow call holds up the rest, and no result is seen before the last. There the
//! peer may win, and the goal only says where to look.

use super::N_WORKERS;
use crate::measure::{Pair, in_turns};
use crate::python::Python;
use crate::row::{Goal, Question, Skipped, Unit};
use ndpool::{Pool, task};
use std::ffi::OsStr;
use std::time::Instant;

pub(crate) const VS_MULTIPROCESSING: Question = Question {
    name: "noop_map_vs_multiprocessing",
    peer_name: "multiprocessing.Pool.map(chunksize=1)",
    goal: Goal::Ratio(1.0 / 30.0),
    unit: Unit::Microseconds,
    measure: || against("map_multiprocessing.py", &[], 100_000, &["1"]),
};

pub(crate) const VS_EXECUTOR: Question = Question {
    name: "noop_map_vs_executor",
    peer_name: "ProcessPoolExecutor.map",
    goal: Goal::Ratio(1.0 / 200.0),
    unit: Unit::Microseconds,
    measure: || against("map_executor.py", &[], 20_000, &[]),
};

pub(crate) const VS_JOBLIB: Question = Question {
    name: "noop_map_vs_joblib",
    peer_name: "joblib Parallel(batch_size=1) on loky",
    goal: Goal::Ratio(1.0 / 30.0),
    unit: Unit::Microseconds,
    measure: || against("map_joblib.py", &["joblib"], 10_000, &["1"]),
};

pub(crate) const VS_MPIRE: Question = Question {
    name: "noop_map_vs_mpire",
    peer_name: "mpire WorkerPool.map(chunk_size=1)",
    goal: Goal::Ratio(1.0 / 30.0),
    unit: Unit::Microseconds,
    measure: || against("map_mpire.py", &["mpire"], 10_000, &[]),
};

/// Ray does more: its tasks may depend on each other, and run on other machines.
pub(crate) const VS_RAY: Question = Question {
    name: "noop_map_vs_ray",
    peer_name: "ray.get of remote tasks",
    goal: Goal::Ratio(1.0 / 30.0),
    unit: Unit::Microseconds,
    measure: || against("map_ray.py", &["ray"], 2_000, &[]),
};

pub(crate) const VS_POOL_IN_LISTS: Question = Question {
    name: "noop_map_vs_pool_in_lists",
    peer_name: "multiprocessing.Pool.map, eight lists",
    goal: Goal::Ratio(3.0),
    unit: Unit::Microseconds,
    measure: || against("map_multiprocessing.py", &[], 1_000_000, &["0"]),
};

pub(crate) const VS_JOBLIB_BATCHES: Question = Question {
    name: "noop_map_vs_joblib_batches",
    peer_name: "joblib Parallel on loky, batches of its choice",
    goal: Goal::Ratio(1.0),
    unit: Unit::Microseconds,
    measure: || against("map_joblib.py", &["joblib"], 200_000, &["0"]),
};

const N_CALLS: u64 = 1_000_000;
const N_RUNS: usize = 9;

#[task]
fn same(i: u64) -> u64 {
    i
}

/// Measures `Pool::map` against a program that takes its number of calls as first argument.
fn against(program: &str, modules: &[&str], n_calls: u64, args: &[&str]) -> Result<Pair, Skipped> {
    let n_calls_arg = n_calls.to_string();
    let all_args: Vec<&OsStr> =
        [n_calls_arg.as_ref()].into_iter().chain(args.iter().map(OsStr::new)).collect();
    let mut peer = Python::start(program, modules, &all_args)?;
    let pool = Pool::builder().workers(N_WORKERS).build()?;
    let pair = in_turns(
        N_RUNS,
        || {
            let start = Instant::now();
            let found = pool.map((0..N_CALLS).map(same)).collect::<Result<Vec<u64>, _>>()?;
            let took = start.elapsed();
            assert!(found.iter().copied().eq(0..N_CALLS), "results are missing or out of order");
            Ok(took)
        },
        || {
            let (took, sum) = peer.run::<u64>()?;
            assert_eq!(sum, n_calls * (n_calls - 1) / 2, "{program} gives the wrong answer");
            Ok(took)
        },
    )?;
    Ok(pair.per_item(N_CALLS as usize, n_calls as usize))
}
