//! An array is a parameter of its own.

use ndarray::prelude::*;
use ndpool::task;

#[task]
fn maybe(x: Option<ArrayView1<f64>>) {
    let _ = x;
}

fn main() {}
