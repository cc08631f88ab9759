//! A task's name is free to be that of its module, its parameter, the macro's own words; inside its body it is the plain
//! function.
#![deny(warnings)]

use ndarray::prelude::*;
use ndpool::task;

mod simulate {
    #[ndpool::task]
    pub fn simulate(x: u32) -> u32 {
        if x == 0 { 0 } else { 1 + simulate(x - 1) }
    }
}

#[task]
fn run(args: u32, arg1: u32, later: u32) -> u32 {
    args + arg1 + later
}

#[task]
fn x(x: f64, mut y: ArrayViewMut1<f64>) {
    y += x;
}

#[task]
fn r#match(r#type: u32) -> u32 {
    r#type
}

#[task]
fn __task(block: &ndpool::Block, call: u8) -> usize {
    block.index() + usize::from(call)
}

struct Model;

impl Model {
    #[task]
    fn score(x: f64) -> f64 {
        x
    }
}

fn main() {
    /// A task of a function.
    #[task(name = "names_do_not_collide::main::score")]
    fn score(x: f64) -> f64 {
        x
    }
    drop((Model::score(1.0), score(2.0)));
    drop((simulate::simulate(3), run(1, 2, 3), r#match(1), __task(1)));
    let _ = |pool: &ndpool::Pool, y: &mut ndpool::SharedArray<f64, Ix1>| pool.run(x(1.0, y));
}
