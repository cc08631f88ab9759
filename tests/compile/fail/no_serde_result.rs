//! A result has to be a serde value.

use ndpool::task;

struct Handle;

#[task]
fn open(name: String) -> Handle {
    let _ = name;
    Handle
}

fn main() {}
