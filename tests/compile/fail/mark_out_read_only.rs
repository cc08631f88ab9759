//! `#[out]` is for arrays that are written.

use ndpool::task;

#[task]
fn clear(#[out] y: ndarray::ArrayView1<f64>) {
    let _ = y;
}

fn main() {}
