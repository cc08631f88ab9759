//! Only a whole parameter can be a reference.

use ndpool::task;

#[task]
fn join(words: Vec<&str>) -> usize {
    words.len()
}

fn main() {}
