//! A view does not outlive its block.

use ndarray::prelude::*;
use ndpool::task;

static KEEP: std::sync::Mutex<Option<ArrayView1<f64>>> = std::sync::Mutex::new(None);

#[task]
fn keep(x: ArrayView1<f64>) {
    *KEEP.lock().unwrap() = Some(x);
}

fn main() {}
