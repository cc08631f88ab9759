//! procspawn's pool: a message for every call, and a channel of its own for every result.

use super::{N_WORKERS, beside};
use crate::measure::Pair;
use crate::row::Skipped;
use procspawn::Pool;

const N_CALLS: usize = 4_000;
/// Calls that are handed over before the first result is asked for: each holds file descriptors.
const AHEAD: u64 = 500;

pub(super) fn measure() -> Result<Pair, Skipped> {
    let failed = |error: procspawn::SpawnError| Skipped(error.to_string());
    let pool = Pool::new(N_WORKERS).map_err(failed)?;
    let pair = beside(N_CALLS, |n| {
        let mut results = Vec::new();
        for first in (0..n).step_by(AHEAD as usize) {
            let handles: Vec<_> = (first..n.min(first + AHEAD)).map(|x| pool.spawn(x, |x: u64| x)).collect();
            for handle in handles {
                results.push(handle.join().map_err(failed)?);
            }
        }
        Ok(results)
    });
    pool.shutdown();
    pair
}
