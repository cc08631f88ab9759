//! A bare number does not say how it merges.

use ndpool::Merge;
use ndpool::merge::Sum;

#[derive(Merge)]
struct Stats {
    n: Sum<u64>,
    mean: f64,
}

fn main() {}
