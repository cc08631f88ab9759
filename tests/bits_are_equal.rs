//! Goal: a reduction of floating-point numbers has the same bits for any number of workers, whichever of them die, and
//! without processes.
//!
//! Method: sums and products whose last bits depend on the order of merging, over numbers of very different size, are
//! compared bit by bit between pools of 1, 2, 3 and 8 workers, in process, and under kills.

use ndarray::prelude::*;
use ndpool::merge::{Max, Min, Prod, Sum};
use ndpool::{Pool, Stderr, ops, task};
use ndpool_tests::{Killer, Random, watchdog};
use std::time::Duration;

type Moments = (Sum<f64>, Sum<f64>, Prod<f64>, Min<f64>, Max<f64>);

#[task]
fn moments(x: ArrayView2<f64>) -> Moments {
    let square = x.iter().map(|v| v * v).sum();
    let product = x.iter().step_by(97).map(|v| 1.0 + v * 1e-9).product();
    (
        Sum(x.sum()),
        Sum(square),
        Prod(product),
        Min(x.fold(f64::MAX, |a, &b| a.min(b))),
        Max(x.fold(f64::MIN, |a, &b| a.max(b))),
    )
}

#[task]
fn cosine(x: f64) -> Sum<f64> {
    Sum(x.cos() * 1e8)
}

/// The bits of everything that could differ.
fn results(pool: &Pool) -> Vec<u64> {
    let mut random = Random::new(99);
    let mut number = || (random.unit() - 0.5) * 10.0_f64.powi(random.below(0..12) as i32);
    let numbers = Array2::from_shape_simple_fn((3_001, 50), &mut number);
    let x = pool.from_array(&numbers).unwrap();
    let mut all = Vec::new();
    for rows in [None, Some(1), Some(7), Some(5_000)] {
        let call = moments(&x);
        let (a, b, c, d, e) = pool
            .run(match rows {
                Some(rows) => call.block_rows(rows),
                None => call,
            })
            .unwrap();
        all.extend([a.0, b.0, c.0, d.0, e.0].map(f64::to_bits));
    }
    let calls = (0..777).map(|i| cosine(f64::from(i)));
    all.push(pool.map(calls).merged().unwrap().unwrap().0.to_bits());
    all.push(pool.run(ops::sum(&x)).unwrap().to_bits());
    all.push(pool.run(ops::mean(&x)).unwrap().to_bits());
    all
}

fn pool(workers: usize) -> Pool {
    Pool::builder().workers(workers).stderr(Stderr::Keep).build().unwrap()
}

#[ndpool::test]
fn for_any_number_of_workers_and_none() {
    let _watchdog = watchdog();
    let expected = results(&pool(1));
    for workers in [2, 3, 8] {
        assert_eq!(results(&pool(workers)), expected, "{workers} workers");
    }
    assert_eq!(results(&Pool::builder().in_process().build().unwrap()), expected, "in process");
    // The blocks matter, or there would be nothing to show.
    assert_ne!(expected[0], expected[5]);
}

#[ndpool::test]
fn whichever_workers_die() {
    let _watchdog = watchdog();
    let expected = results(&pool(2));
    let pool = pool(3);
    let mut round = 0;
    while pool.stats().workers_lost < 150 {
        round += 1;
        let (found, _) = Killer::new(round, Duration::from_millis(5)).during(&pool, || results(&pool));
        assert_eq!(found, expected, "round {round}");
    }
}
