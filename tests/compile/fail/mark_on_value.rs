//! A mark belongs on an array.

use ndpool::task;

#[task]
fn show(#[whole] name: &str) {
    let _ = name;
}

fn main() {}
