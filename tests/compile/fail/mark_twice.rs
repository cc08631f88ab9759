//! Once is enough.

use ndarray::prelude::*;
use ndpool::task;

#[task]
fn fill(#[out] #[out] mut y: ArrayViewMut1<f64>) {
    y.fill(1.0);
}

fn main() {}
