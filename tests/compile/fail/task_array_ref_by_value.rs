//! An `ArrayRef` has no size.

use ndpool::task;

#[task]
fn total(x: ndarray::ArrayRef1<f64>) {}

fn main() {}
