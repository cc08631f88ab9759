//! An error in the body points at the body.

use ndarray::prelude::*;
use ndpool::task;

#[task]
fn total(x: ArrayView1<f64>) {
    let sum: u32 = x.sum();
    drop(sum);
}

fn main() {}
