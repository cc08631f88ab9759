//! The type of a result needs a name.

use ndpool::task;

#[task]
fn count(n: u64) -> impl Copy {
    n
}

fn main() {}
