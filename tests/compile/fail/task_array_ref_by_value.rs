//! An `ArrayRef` has no size.

use ndarray::prelude::*;
use ndpool::task;

#[task]
fn total(x: ArrayRef1<f64>) {}

fn main() {}
