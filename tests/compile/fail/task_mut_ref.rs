//! A worker would change its own copy.

use ndpool::task;

#[task]
fn count(n: &mut u32) {
    *n += 1;
}

fn main() {}
