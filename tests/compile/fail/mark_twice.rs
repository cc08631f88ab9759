//! Once is enough.

use ndpool::task;

#[task]
fn fill(
    #[out]
    #[out]
    mut y: ndarray::ArrayViewMut1<f64>,
) {
    y.fill(1.0);
}

fn main() {}
