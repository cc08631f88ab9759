//! A view does not outlive its block.

use ndpool::task;

#[task]
fn total(x: ndarray::ArrayView1<'static, f64>) {
    let _ = x;
}

fn main() {}
