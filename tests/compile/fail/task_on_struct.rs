//! Only functions are tasks.

use ndpool::task;

#[task]
struct Saxpy;

fn main() {}
