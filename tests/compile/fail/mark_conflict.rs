//! An array is split or seen whole.

use ndarray::prelude::*;
use ndpool::task;

#[task]
fn total(#[rows] #[whole] x: ArrayView1<f64>) {
    let _ = x;
}

fn main() {}
