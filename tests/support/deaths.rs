use crate::wait_until;
use ndpool::{Death, Pool};
use std::sync::Arc;

/// Waits for so many records of a pool.
pub fn wait_for_deaths(pool: &Pool, n: usize) -> Vec<Arc<Death>> {
    wait_until(|| pool.deaths().len() >= n);
    pool.deaths()
}
