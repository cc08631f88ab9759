//! The result of a split task has to merge, inside of a `Result` too.

use ndarray::prelude::*;
use ndpool::task;

#[task]
fn total(x: ArrayView1<f64>) -> Result<Vec<f64>, String> {
    Ok(x.to_vec())
}

fn main() {}
