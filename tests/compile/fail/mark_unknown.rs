//! A misspelt mark is not ignored.

use ndpool::task;

#[task]
fn total(#[hole] x: ndarray::ArrayView1<f64>) {
    let _ = x;
}

fn main() {}
