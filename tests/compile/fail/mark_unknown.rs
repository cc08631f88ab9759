//! A misspelt mark is not ignored.

use ndarray::prelude::*;
use ndpool::task;

#[task]
fn total(#[hole] x: ArrayView1<f64>) {
    let _ = x;
}

fn main() {}
