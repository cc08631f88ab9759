//! The element type is needed.

use ndpool::task;

#[task]
fn total(x: ndarray::ArrayView1) {}

fn main() {}
