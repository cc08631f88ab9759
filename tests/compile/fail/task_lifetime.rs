//! A view lives for the time of one block.

use ndpool::task;

#[task]
fn total<'a>(x: ndarray::ArrayView1<'a, f64>) {
    let _ = x;
}

fn main() {}
