//! A task needs a name.

use ndpool::task;

#[task(name = "")]
fn saxpy(a: f64) {
    let _ = a;
}

fn main() {}
