//! A call must fit every build.

use ndpool::task;

#[task]
fn show(#[cfg(unix)] name: String) {
    let _ = name;
}

fn main() {}
