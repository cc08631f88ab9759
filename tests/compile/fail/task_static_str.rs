//! A reference does not outlive its block.

use ndpool::task;

#[task]
fn greet(name: &'static str) {
    let _ = name;
}

fn main() {}
