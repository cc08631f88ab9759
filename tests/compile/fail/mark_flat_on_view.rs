//! `#[flat]` is for slices.

use ndpool::task;

#[task]
fn total(#[flat] x: ndarray::ArrayView1<f64>) {
    let _ = x;
}

fn main() {}
