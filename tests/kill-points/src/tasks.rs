use ndarray::prelude::*;
use ndpool::merge::{Concat, Sum};
use ndpool::{Block, task};
use ndpool_tests::{Gate, wait_until};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::path::Path;

/// Bytes of an array that is large.
pub const LARGE_BYTES: usize = 12 << 20;

/// Changes two staged arrays so that a block that is applied twice, never, or in part shows; the sum of what it found.
#[task]
pub fn step(k: u64, mut x: ArrayViewMut2<u64>, mut y: ArrayViewMut2<u64>) -> Sum<u64> {
    ndpool::kill_points::during_task();
    let before = x.sum();
    y.zip_mut_with(&x, |y, &x| *y = *y * 3 + x);
    x.mapv_inplace(|x| x * 5 + k);
    Sum(before)
}

/// What [`step`] does, in this process.
pub fn step_here(k: u64, x: &mut Array2<u64>, y: &mut Array2<u64>) -> u64 {
    let before = x.sum();
    y.zip_mut_with(x, |y, &x| *y = *y * 3 + x);
    x.mapv_inplace(|x| x * 5 + k);
    before
}

/// Writes an array that it does not read.
#[task]
pub fn square(x: ArrayView2<u64>, #[out] mut y: ArrayViewMut2<u64>) {
    y.zip_mut_with(&x, |y, &x| *y = x * x + 1);
}

#[task]
pub fn total(x: ArrayView2<u64>) -> Sum<u64> {
    Sum(x.sum())
}

/// Numbers, many or few.
#[task]
pub fn numbers(n: usize) -> Vec<u64> {
    (0..n as u64).map(|i| i * i).collect()
}

/// A result that does not fit its slot, for each block.
#[task]
pub fn many(x: ArrayView2<u64>) -> Concat<u64> {
    Concat((0..2000).map(|i| i ^ x[[0, 1]]).collect())
}

/// Adds one; at a gate, if it has a name.
#[task]
pub fn increment(gate: &str, mut x: ArrayViewMut1<u64>) {
    if !gate.is_empty() {
        Gate::pass(gate);
    }
    x += 1;
}

/// Adds one, but one block hangs in its first attempts.
#[task]
pub fn increment_or_hang(which: usize, attempts: u32, block: &Block, mut x: ArrayViewMut1<u64>) {
    if block.index() == which && block.attempt() < attempts {
        loop {
            std::thread::park();
        }
    }
    x += 1;
}

/// Adds one, but its first attempt ends only when a file is there.
#[task]
pub fn increment_after(file: &str, block: &Block, mut x: ArrayViewMut1<u64>) {
    if block.attempt() == 0 {
        wait_until(|| Path::new(file).exists());
    }
    x += 1;
}

/// Adds one, but one block says no.
#[task]
pub fn increment_or_fail(which: usize, block: &Block, mut x: ArrayViewMut1<u64>) -> Result<(), String> {
    x += 1;
    if block.index() == which { Err("no".into()) } else { Ok(()) }
}

/// Adds one; block 0 gives so many bytes, the others none, but they wait at a gate.
#[task]
pub fn increment_with_result(
    gate: &str,
    len: usize,
    block: &Block,
    mut x: ArrayViewMut1<u64>,
) -> Concat<String> {
    x += 1;
    if block.index() == 0 {
        return Concat(vec!["x".repeat(len)]);
    }
    Gate::pass(gate);
    Concat(vec![String::new()])
}

/// Leaves its worker too little address space for a large array, and enough to count what points it passes.
#[task]
pub fn use_up_address_space() {
    let (_, hard) = getrlimit(Resource::RLIMIT_AS).unwrap();
    let n_pages = || -> u64 {
        let sizes = std::fs::read_to_string("/proc/self/statm").unwrap();
        sizes.split(' ').next().unwrap().parse().unwrap()
    };
    // Other threads may have reserved some since it was read.
    let mut known = 0;
    while known != n_pages() {
        known = n_pages();
        setrlimit(Resource::RLIMIT_AS, known * 4096 + LARGE_BYTES as u64 / 2, hard).unwrap();
    }
}

/// Adds one, but ends its first worker.
#[task]
pub fn increment_at_second_attempt(block: &Block, mut x: ArrayViewMut1<u64>) {
    if block.attempt() == 0 {
        std::process::exit(3);
    }
    x += 1;
}
