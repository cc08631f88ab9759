//! `#[out]` is for arrays that are written.

use ndarray::prelude::*;
use ndpool::task;

#[task]
fn clear(#[out] y: ArrayView1<f64>) {
    let _ = y;
}

fn main() {}
