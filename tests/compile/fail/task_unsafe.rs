//! A task may be called with any arguments.

use ndpool::task;

#[task]
unsafe fn poke(address: usize) {
    let _ = address;
}

fn main() {}
