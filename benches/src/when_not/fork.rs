//! How long does the sum of 100 MB take that lie in the program's own memory, beside children made by `fork`?
//!
//! A forked child has the parent's memory at once; ndpool has to copy it first. Two children sum a half each, and say so through a
//! pipe.

use super::of;
use crate::measure::{Pair, in_turns};
use crate::row::{Question, Skipped, Unit};
use crate::sum_shared::numbers;
use ndarray::{Array1, ArrayView1};
use ndpool::{Pool, ops};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, fork, read, write};
use std::time::Instant;

pub(super) const QUESTION: Question =
    of("inherited_by_fork_100mb", "two forked children that sum a half each", Unit::Milliseconds, measure);

const N: usize = 12_500_000;
const N_RUNS: usize = 15;

fn measure() -> Result<Pair, Skipped> {
    let pool = Pool::builder().workers(2).build()?;
    let data = Array1::from_shape_fn(N, numbers);
    let halves = data.as_slice().expect("C order").split_at(N / 2);
    let expected = data.sum();
    in_turns(
        N_RUNS,
        || {
            let start = Instant::now();
            let x = pool.from_array(&data)?;
            let found = pool.run(ops::sum(&x))?;
            let took = start.elapsed();
            assert_eq!(found, expected);
            Ok(took)
        },
        || {
            let start = Instant::now();
            let found = forked_sum(halves)?;
            let took = start.elapsed();
            assert_eq!(found, expected);
            Ok(took)
        },
    )
}

fn forked_sum((one, two): (&[f64], &[f64])) -> Result<f64, Skipped> {
    let failed = |error: nix::Error| Skipped(error.to_string());
    let (out, back) = nix::unistd::pipe().map_err(failed)?;
    let mut children = Vec::new();
    for half in [one, two] {
        // SAFETY: the child calls nothing that may hold a lock of another thread: it adds, writes to a pipe and ends.
        match unsafe { fork() }.map_err(failed)? {
            ForkResult::Parent { child } => children.push(child),
            ForkResult::Child => {
                let sum = ArrayView1::from(half).sum();
                let is_sent = write(&back, &sum.to_ne_bytes()) == Ok(8);
                // SAFETY: ends the process, whatever else there is.
                unsafe { libc::_exit(if is_sent { 0 } else { 1 }) }
            }
        }
    }
    let mut total = 0.0;
    for _ in &children {
        let mut bytes = [0; 8];
        if read(&out, &mut bytes).map_err(failed)? != bytes.len() {
            return Err(Skipped("a child said half a number".into()));
        }
        total += f64::from_ne_bytes(bytes);
    }
    for child in children {
        waitpid(child, None).map_err(failed)?;
    }
    Ok(total)
}
