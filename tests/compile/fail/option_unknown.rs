//! A misspelt option is not ignored.

use ndpool::task;

#[task(nmae = "saxpy")]
fn saxpy(a: f64) {
    let _ = a;
}

fn main() {}
