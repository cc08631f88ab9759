//! How long does y ← a·x + y take over 1 GB that lies in shared memory, beside rayon on the same memory?
//!
//! In place, ndpool computes every block on a private copy and writes it back when it is whole, so that no death leaves half
//! of it; rayon updates in place and has nothing to lose but everything. With `#[out]` the result is a third array, every
//! block of which is written once, and both do the same.

use crate::measure::{Pair, in_turns};
use crate::row::{Goal, Question, Skipped, Unit};
use crate::sum_shared::numbers;
use ndarray::Zip;
use ndarray::prelude::*;
use ndpool::{Pool, task};
use rayon::prelude::*;
use std::cell::RefCell;
use std::time::Instant;

/// In place, staged.
pub(crate) const STAGED: Question = Question {
    name: "saxpy_staged_1gb",
    peer_name: "rayon par_chunks_mut in place + ndarray scaled_add",
    goal: Goal::Ratio(1.3),
    unit: Unit::Milliseconds,
    measure: measure_staged,
};

/// Into a third array.
pub(crate) const OUT: Question = Question {
    name: "saxpy_out_1gb",
    peer_name: "rayon par_chunks_mut into a third array + ndarray Zip",
    goal: Goal::Ratio(1.08),
    measure: measure_out,
    ..STAGED
};

const N: usize = 125_000_000;
const N_RUNS: usize = 11;
/// 512 KiB.
const CHUNK: usize = 1 << 16;

#[task]
fn saxpy(a: f64, x: ArrayView1<f64>, mut y: ArrayViewMut1<f64>) {
    y.scaled_add(a, &x);
}

#[task]
fn saxpy_into(a: f64, x: ArrayView1<f64>, y: ArrayView1<f64>, #[out] z: ArrayViewMut1<f64>) {
    Zip::from(z).and(&x).and(&y).for_each(|z, &x, &y| *z = a * x + y);
}

fn measure_staged() -> Result<Pair, Skipped> {
    let pool = Pool::new()?;
    let x = pool.from_shape_fn(N, numbers)?;
    let y = RefCell::new(pool.from_shape_fn(N, |i| numbers(N + i))?);
    // All numbers are multiples of 2⁻²⁰ and stay small, so every order of adding gives the same, exact sum.
    let sum_of_x = sum(x.view());
    let expected = RefCell::new(sum(y.borrow().view()));
    let check = || {
        *expected.borrow_mut() += sum_of_x;
        assert_eq!(sum(y.borrow().view()), *expected.borrow(), "an update is lost or was made twice");
    };
    in_turns(
        N_RUNS,
        || {
            let start = Instant::now();
            pool.run(saxpy(1.0, &x, &mut *y.borrow_mut()))?;
            let took = start.elapsed();
            check();
            Ok(took)
        },
        || {
            let took = {
                let (x, mut y) = (x.view(), y.borrow_mut());
                let mut y = y.view_mut();
                let (x, y) = (x.as_slice().expect("C order"), y.as_slice_mut().expect("C order"));
                let start = Instant::now();
                y.par_chunks_mut(CHUNK)
                    .zip(x.par_chunks(CHUNK))
                    .for_each(|(y, x)| ArrayViewMut1::from(y).scaled_add(1.0, &ArrayView1::from(x)));
                start.elapsed()
            };
            check();
            Ok(took)
        },
    )
}

fn measure_out() -> Result<Pair, Skipped> {
    let pool = Pool::new()?;
    let x = pool.from_shape_fn(N, numbers)?;
    let y = pool.from_shape_fn(N, |i| numbers(N + i))?;
    let z = RefCell::new(pool.zeros::<f64, _>(N)?);
    let expected = sum(x.view()) * 2.0 + sum(y.view());
    let check = || {
        let mut z = z.borrow_mut();
        assert_eq!(sum(z.view()), expected, "the third array is not the sum");
        // So that the next run has something to do; by threads, as both sides find the array then.
        z.view_mut().as_slice_mut().expect("C order").par_chunks_mut(CHUNK).for_each(|z| z.fill(0.0));
    };
    in_turns(
        N_RUNS,
        || {
            let start = Instant::now();
            pool.run(saxpy_into(2.0, &x, &y, &mut *z.borrow_mut()))?;
            let took = start.elapsed();
            check();
            Ok(took)
        },
        || {
            let took = {
                let (x, y, mut z) = (x.view(), y.view(), z.borrow_mut());
                let mut z = z.view_mut();
                let (x, y) = (x.as_slice().expect("C order"), y.as_slice().expect("C order"));
                let z = z.as_slice_mut().expect("C order");
                let start = Instant::now();
                z.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK)).zip(y.par_chunks(CHUNK)).for_each(
                    |((z, x), y)| {
                        let (x, y) = (ArrayView1::from(x), ArrayView1::from(y));
                        Zip::from(ArrayViewMut1::from(z))
                            .and(&x)
                            .and(&y)
                            .for_each(|z, &x, &y| *z = 2.0 * x + y);
                    },
                );
                start.elapsed()
            };
            check();
            Ok(took)
        },
    )
}

/// The sum, outside of any time that is taken.
fn sum(x: ArrayView1<f64>) -> f64 {
    x.as_slice().expect("arrays lie in C order").par_chunks(CHUNK).map(|x| ArrayView1::from(x).sum()).sum()
}
