//! A view lives for the time of one block.

use ndarray::prelude::*;
use ndpool::task;

#[task]
fn total<'a>(x: ArrayView1<'a, f64>) {
    let _ = x;
}

fn main() {}
