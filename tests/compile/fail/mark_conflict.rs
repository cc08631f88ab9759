//! An array is split or seen whole.

use ndpool::task;

#[task]
fn total(
    #[rows]
    #[whole]
    x: ndarray::ArrayView1<f64>,
) {
    let _ = x;
}

fn main() {}
