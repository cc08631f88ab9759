//! Workers call a task as a Rust function.

use ndpool::task;

#[task]
extern "C" fn legacy(x: f64) -> f64 {
    x
}

fn main() {}
