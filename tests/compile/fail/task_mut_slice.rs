//! A slice to write is the rows of an array, and is marked so.

use ndpool::task;

#[task]
fn clear(y: &mut [f64]) {
    y.fill(0.0);
}

fn main() {}
