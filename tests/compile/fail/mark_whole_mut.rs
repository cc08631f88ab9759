//! Every block would write all of the array.

use ndarray::prelude::*;
use ndpool::task;

#[task]
fn clear(#[whole] mut y: ArrayViewMut1<f64>) {
    y.fill(0.0);
}

fn main() {}
