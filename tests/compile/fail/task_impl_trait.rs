//! The type of a parameter needs a name.

use ndpool::task;

#[task]
fn show(x: impl Copy) {
    let _ = x;
}

fn main() {}
