//! A worker would not know what to make.

use ndpool::task;

#[task]
fn draw(shape: &dyn std::fmt::Debug) {
    let _ = shape;
}

fn main() {}
