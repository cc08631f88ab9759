//! A batch program puts itself to the test: a tenth of its blocks loses its worker, and the result is exact.
//!
//! Shows: fault injection. The same program is run without faults, then with a rate of kills and crashes and some slow
//! blocks, then with a block that cannot be saved. Whether *your* batch program survives is a matter of what its tasks do
//! outside of their arrays (files that they write, services that they call): this is how to find out.
//!
//! Run: `cargo run --release --example inject_faults`, or any other program, without a change, with
//! `NDPOOL_INJECT='seed=7; kill rate=0.1' cargo run …`
//!
//! Prints: what is injected, what it cost in workers and blocks, that the sum has the same bits, and the error of the block
//! that is lost at every attempt.

use ndarray::prelude::*;
use ndpool::inject::{Fault, Faults, Moment, Rule};
use ndpool::merge::Sum;
use ndpool::{ErrorKind, Pool, Stderr, task};
use std::time::Duration;

const N: usize = 1_000_000;
const BLOCK_ROWS: usize = 10_000;

/// One step of the batch: changes its rows and gives their sum.
#[task]
fn step(k: f64, mut x: ArrayViewMut1<f64>) -> Sum<f64> {
    x.mapv_inplace(|x| (x * k).sin() + 1.0);
    Sum(x.sum())
}

/// The batch program: what it computes, and what happened meanwhile.
fn batch(faults: Faults) -> ndpool::Result<Vec<u64>> {
    println!("faults: {}", if faults.is_empty() { "none".into() } else { faults.to_string() });
    let pool = Pool::builder().workers(4).stderr(Stderr::Keep).inject(faults).build()?;
    let mut x = pool.from_shape_fn(N, |i| i as f64 / N as f64)?;
    let sums: ndpool::Result<Vec<u64>> = (1..=3)
        .map(|k| Ok(pool.run(step(f64::from(k), &mut x).block_rows(BLOCK_ROWS))?.0.to_bits()))
        .collect();
    let stats = pool.stats();
    println!(
        "  {} workers lost, {} blocks run again, {} written back for a dead worker",
        stats.workers_lost, stats.blocks_redone, stats.blocks_finished
    );
    sums
}

fn main() -> ndpool::Result<()> {
    ndpool::init();
    let expected = batch(Faults::new())?;

    let often = Faults::new()
        .seed(7)
        .add(Rule::new(Fault::Kill).task("step").rate(0.06))
        .add(Rule::new(Fault::Kill).task("step").rate(0.03).at(Moment::After))
        .add(Rule::new(Fault::Segfault).attempt(0).rate(0.01))
        .add(Rule::new(Fault::Slow(Duration::from_millis(5))).rate(0.05));
    let found = batch(often)?;
    assert_eq!(found, expected, "faults have changed the result");
    println!("  the sums have the same bits: {found:x?}");

    let error = batch(Faults::new().add(Rule::new(Fault::Segfault).block(42))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WorkerLost);
    assert_eq!(error.failed_blocks().not_applied(), [42]);
    println!("  {}", error.to_string().replace('\n', "\n  "));
    Ok(())
}
