//! How long does an update of a few rows in place take, beside the caller's own thread?
//!
//! A block is computed on a copy, and the copy written back with a system call: that is what makes its death harmless, and it costs
//! more than the rows themselves.

use super::of;
use crate::measure::{Pair, in_turns};
use crate::row::{Question, Skipped, Unit};
use ndarray::prelude::*;
use ndpool::{Pool, task};
use std::cell::RefCell;
use std::time::Instant;

pub(super) const QUESTION: Question =
    of("tiny_staged_updates", "the same on the caller's thread", Unit::Microseconds, measure);

const N_ROWS: usize = 64;
const N_RUNS: usize = 51;
/// Updates of a run, one after the other.
const BATCH: usize = 50;

#[task]
fn add_one(mut y: ArrayViewMut2<f64>) {
    y += 1.0;
}

fn measure() -> Result<Pair, Skipped> {
    let pool = Pool::builder().workers(2).build()?;
    let y = RefCell::new(pool.zeros::<f64, _>((N_ROWS, 8))?);
    let n_updates = RefCell::new(0.0);
    let check = || {
        *n_updates.borrow_mut() += BATCH as f64;
        assert!(y.borrow().view().iter().all(|&y| y == *n_updates.borrow()), "an update is lost");
    };
    let pair = in_turns(
        N_RUNS,
        || {
            let start = Instant::now();
            for _ in 0..BATCH {
                pool.run(add_one(&mut *y.borrow_mut()))?;
            }
            let took = start.elapsed();
            check();
            Ok(took)
        },
        || {
            let start = Instant::now();
            for _ in 0..BATCH {
                let mut y = y.borrow_mut();
                let mut y = y.view_mut();
                y += 1.0;
            }
            let took = start.elapsed();
            check();
            Ok(took)
        },
    )?;
    Ok(pair.per_item(BATCH, BATCH))
}
