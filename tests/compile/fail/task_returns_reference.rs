//! A result is sent to another process.

use ndpool::task;

#[task]
fn name(i: usize) -> &'static str {
    ["a", "b"][i]
}

fn main() {}
