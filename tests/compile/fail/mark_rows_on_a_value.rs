//! `#[rows]` wants an alias of a view.

use ndpool::task;

struct Names<'a>(&'a str);

#[task]
fn show(#[rows] names: Names) {
    let _ = names.0;
}

fn main() {}
