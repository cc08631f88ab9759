//! The element type is needed.

use ndarray::prelude::*;
use ndpool::task;

#[task]
fn total(x: ArrayView1) {}

fn main() {}
