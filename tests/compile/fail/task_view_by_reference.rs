//! A view is passed by value.

use ndpool::task;

#[task]
fn total(x: &ndarray::ArrayView1<f64>) {
    let _ = x;
}

fn main() {}
