//! An argument has to be a serde value.

use ndpool::task;

#[task]
fn wait(handle: std::thread::JoinHandle<()>) {
    handle.join().unwrap();
}

fn main() {}
