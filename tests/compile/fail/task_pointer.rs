//! A pointer means nothing in another process.

use ndpool::task;

#[task]
fn peek(x: *const f64) {
    let _ = x;
}

fn main() {}
