//! An array is a parameter of its own.

use ndpool::task;

#[task]
fn maybe(x: Option<ndarray::ArrayView1<f64>>) {
    let _ = x;
}

fn main() {}
