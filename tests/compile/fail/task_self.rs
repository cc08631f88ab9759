//! A task is a free function.

use ndpool::task;

struct Model;

impl Model {
    #[task]
    fn predict(&self, x: f64) -> f64 {
        x
    }
}

fn main() {}
