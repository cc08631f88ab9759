//! An array has elements of a fixed list of types.

use ndarray::prelude::*;
use ndpool::task;

#[task]
fn lengths(x: ArrayView1<String>) {
    let _ = x;
}

fn main() {}
