//! A view is passed by value.

use ndarray::prelude::*;
use ndpool::task;

#[task]
fn total(x: &ArrayView1<f64>) {
    let _ = x;
}

fn main() {}
