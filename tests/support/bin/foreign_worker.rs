//! A worker program of another build: it knows some tasks of `foreign_worker_program.rs` by name, and nothing of that
//! test otherwise.

use ndpool::merge::Sum;
use ndpool::ndarray::{ArrayView1, ArrayViewMut1};
use ndpool::task;

#[task(name = "foreign/scale")]
fn scale(k: f64, x: ArrayView1<f64>, mut y: ArrayViewMut1<f64>) -> Sum<f64> {
    y.scaled_add(k, &x);
    Sum(y.sum())
}

#[task(name = "foreign/who")]
fn who(name: &str) -> (String, String) {
    let program = std::env::current_exe().map(|path| path.display().to_string()).unwrap_or_default();
    (format!("hello {name}"), program)
}

#[task(name = "foreign/crash")]
fn crash(block: &ndpool::Block, mut x: ArrayViewMut1<f64>) {
    x += 1.0;
    if block.attempt() == 0 {
        std::process::abort();
    }
}

/// The test believes that it takes an integer.
#[task(name = "foreign/changed")]
fn changed(x: f32) -> f32 {
    x
}

fn main() {
    ndpool::init();
    eprintln!("foreign-worker: this program is a worker; a pool starts it");
    std::process::exit(2);
}
