//! What does a call cost that does nothing, if there are many of them and their results are collected in order?
//!
//! A call takes a number and gives it back, so that both sides can check that no result is missing or out of place.
//! Workers are running before. Where a peer is slow it is given fewer calls than the million; times are per call.

use super::N_WORKERS;
use crate::measure::{Pair, in_turns};
use crate::python::Python;
use crate::row::Skipped;
use ndpool::{Pool, task};
use std::time::{Duration, Instant};

const N_CALLS: u64 = 1_000_000;
const N_RUNS: usize = 9;

#[task]
fn same(i: u64) -> u64 {
    i
}

/// Measures `Pool::map` against a program that takes its number of calls as first argument.
pub(super) fn against(program: &str, modules: &[&str], n_calls: u64, args: &[&str]) -> Result<Pair, Skipped> {
    let mut all_args = vec![n_calls.to_string()];
    all_args.extend(args.iter().map(|&arg| arg.to_owned()));
    let mut peer = Python::start(program, modules, &all_args)?;
    let pool = Pool::builder().workers(N_WORKERS).build()?;
    in_turns(
        N_RUNS,
        || {
            let start = Instant::now();
            let found = pool.map((0..N_CALLS).map(same)).collect::<Result<Vec<u64>, _>>()?;
            let took = start.elapsed();
            assert!(found.iter().copied().eq(0..N_CALLS), "results are missing or out of order");
            Ok(per_call(took, N_CALLS))
        },
        || {
            let (took, sum) = peer.run::<u64>()?;
            assert_eq!(sum, n_calls * (n_calls - 1) / 2, "{program} gives the wrong answer");
            Ok(per_call(took, n_calls))
        },
    )
}

fn per_call(took: Duration, n_calls: u64) -> Duration {
    took.div_f64(n_calls as f64)
}
