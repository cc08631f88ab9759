//! A task is run to its end; there is nothing to await it.

use ndpool::task;

#[task]
async fn fetch(url: String) -> usize {
    url.len()
}

fn main() {}
