//! y ← a·x + y in place, while somebody kills workers: the result is exact.
//!
//! Shows: an array that workers change in place, progress, and what a death costs. A block is computed on a private
//! copy and written back once it is complete, so that a worker that dies half-way leaves no half-changed rows, and
//! the block is simply run again by another worker.
//!
//! Run: `cargo run --release --example saxpy`
//!
//! Prints: for each of some rounds, which worker was killed with SIGKILL and how far the job was then; how many
//! workers were lost and blocks redone; and that every element is what a serial loop gives, bit for bit.

use ndarray::prelude::*;
use ndpool::{Pool, task};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const N: usize = 16_000_000;
const A: f64 = 0.75;
const MIN_ROUNDS: usize = 5;
const MAX_ROUNDS: usize = 100;

/// y ← a·x + y on one block of rows.
#[task]
fn saxpy(a: f64, x: ArrayView1<f64>, mut y: ArrayViewMut1<f64>) {
    y.scaled_add(a, &x);
}

fn main() -> ndpool::Result<()> {
    ndpool::init();
    let pool = Pool::new()?;
    let x = pool.from_shape_fn(N, |i| (i as f64).sqrt())?;
    let mut y = pool.from_shape_fn(N, |i| i as f64)?;

    // As many rounds as it takes to catch a worker in the middle of a block; the first does.
    let mut n_rounds = 0;
    while n_rounds < MIN_ROUNDS || (pool.stats().blocks_redone == 0 && n_rounds < MAX_ROUNDS) {
        n_rounds += 1;
        let mut victim = None;
        let call = saxpy(A, &x, &mut y).on_progress(|progress| {
            let is_midway = (1..progress.n_blocks).contains(&progress.blocks_done);
            let pids = pool.worker_pids();
            if is_midway && victim.is_none() && !pids.is_empty() {
                let pid = pids[n_rounds % pids.len()];
                // It may be gone already, which is just as good.
                let _ = kill(Pid::from_raw(pid as i32), Signal::SIGKILL);
                victim = Some((pid, progress));
            }
        });
        pool.run(call)?;
        match victim {
            Some((pid, at)) => println!(
                "round {n_rounds}: killed worker {pid} after {} of {} blocks; the job went on",
                at.blocks_done, at.n_blocks
            ),
            None => println!("round {n_rounds}: over before anybody could be killed"),
        }
    }

    let stats = pool.stats();
    println!("{} workers lost, {} blocks redone", stats.workers_lost, stats.blocks_redone);
    assert!(
        stats.blocks_redone > 0,
        "no worker could be caught in the middle of a block in {n_rounds} rounds"
    );

    for (i, y) in y.view().iter().enumerate() {
        let mut expected = i as f64;
        for _ in 0..n_rounds {
            expected += (i as f64).sqrt() * A;
        }
        assert_eq!(*y, expected, "y[{i}] after {n_rounds} rounds differs from the serial result");
    }
    println!("all {N} elements are exactly what a serial loop gives");
    Ok(())
}
