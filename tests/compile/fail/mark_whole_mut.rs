//! Every block would write all of the array.

use ndpool::task;

#[task]
fn clear(#[whole] mut y: ndarray::ArrayViewMut1<f64>) {
    y.fill(0.0);
}

fn main() {}
