//! The result of a split task has to merge.

use ndarray::prelude::*;
use ndpool::task;

#[task]
fn total(x: ArrayView1<f64>) -> f64 {
    x.sum()
}

fn main() {}
