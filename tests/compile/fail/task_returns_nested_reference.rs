//! A result is sent to another process.

use ndpool::task;

#[task]
fn words(text: String) -> Result<Vec<&'static str>, String> {
    Err(text)
}

fn main() {}
