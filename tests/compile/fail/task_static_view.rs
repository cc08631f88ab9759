//! A view does not outlive its block.

use ndarray::prelude::*;
use ndpool::task;

#[task]
fn total(x: ArrayView1<'static, f64>) {
    let _ = x;
}

fn main() {}
