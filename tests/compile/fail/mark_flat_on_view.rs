//! `#[flat]` is for slices.

use ndarray::prelude::*;
use ndpool::task;

#[task]
fn total(#[flat] x: ArrayView1<f64>) {
    let _ = x;
}

fn main() {}
