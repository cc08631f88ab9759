//! Goal: a job has its effect exactly once, whichever worker is killed at whichever instruction.
//!
//! Method: jobs of every kind run in a loop while a thread sends SIGKILL to random workers at random moments, until
//! enough of them were killed; blocks are many and large, so that workers die before, in and after the task, while
//! staging and while writing back. After every job each element must have been changed exactly once, and results
//! must have the bits that no kill could change. In the end nothing of the pool is left.

use ndarray::prelude::*;
use ndpool::merge::{Concat, Sum};
use ndpool::{Block, Pool, Stderr, task};
use ndpool_tests::{Killer, Random, Run, watchdog};
use std::time::Duration;

#[task]
fn increment(mut x: ArrayViewMut2<u64>) {
    x += 1;
}

/// Depends on what it reads, so that a block that is applied twice or never cannot go unnoticed.
#[task]
fn step(
    #[whole]
    #[flat]
    table: &[f64],
    mut x: ArrayViewMut2<f64>,
    mut y: ArrayViewMut2<u64>,
) -> Sum<f64> {
    let before = x.sum();
    for ((x, y), k) in x.iter_mut().zip(y.iter_mut()).zip(table) {
        *x = *x * 0.75 + k;
        *y = y.rotate_left(7) ^ x.to_bits();
    }
    Sum(before)
}

#[task]
fn mix(a: u64, x: ArrayView2<u64>, #[out] mut y: ArrayViewMut2<u64>) {
    y.zip_mut_with(&x, |y, &x| *y = (x ^ a).wrapping_mul(0x9e37_79b9_7f4a_7c15));
}

#[task]
fn total(block: &Block, x: ArrayView2<u64>) -> (Sum<u64>, Sum<f64>, Concat<usize>) {
    let float = x.iter().map(|&v| (v as f64).sqrt()).sum();
    (Sum(x.iter().map(|&v| v >> 32).sum()), Sum(float), Concat(vec![block.index()]))
}

#[task]
fn distances(x: ArrayView2<u64>, #[whole] all: ArrayView2<u64>, #[out] mut y: ArrayViewMut2<u64>) {
    let rows: Vec<u64> = all.rows().into_iter().map(|row| row[0]).collect();
    for (mut y, x) in y.rows_mut().into_iter().zip(x.rows()) {
        y.iter_mut().zip(&x).for_each(|(y, x)| *y = rows.iter().fold(*x, |sum, r| sum.wrapping_add(r ^ x)));
    }
}

#[task]
fn hash(seed: u64, len: usize) -> Vec<u64> {
    let mut random = Random::new(seed);
    (0..len).map(|_| random.next_u64()).collect()
}

/// Rows and columns of the arrays: blocks of 128 KiB, some hundred of them.
const SHAPE: (usize, usize) = (4096, 256);
const BLOCK_ROWS: usize = 64;

fn pool(workers: usize) -> Pool {
    // What workers say as they die is not of interest here.
    Pool::builder().workers(workers).stderr(Stderr::Keep).build().unwrap()
}

/// Repeats `round` under kills until the pool has lost `n_lost` workers and blocks were redone, and, if `stages`, the
/// supervisor has finished blocks whose worker died while it wrote them back. Nothing may be left in the end.
fn until_lost(seed: u64, n_lost: u64, workers: usize, stages: bool, mut round: impl FnMut(&Pool, u64)) {
    let pool = pool(workers);
    let run = Run::of(&pool);
    let killer = Killer::new(seed, Duration::from_millis(3));
    let (mut n_killed, mut n_rounds) = (0, 0);
    let has_seen_enough = || {
        let stats = pool.stats();
        stats.workers_lost >= n_lost && stats.blocks_redone > 0 && (!stages || stats.blocks_finished > 0)
    };
    while !has_seen_enough() {
        n_killed += killer.during(&pool, || round(&pool, n_rounds)).1;
        n_rounds += 1;
    }
    let stats = pool.stats();
    println!("{n_rounds} rounds, {n_killed} signals, {stats:?}");
    // One worker may get several signals before it is seen dead, but dies once.
    assert!(stats.workers_lost <= n_killed, "{n_killed} signals, {stats:?}");
    drop(pool);
    run.assert_gone();
}

#[ndpool::test]
fn staged_updates_are_applied_exactly_once() {
    let _watchdog = watchdog();
    until_lost(1, 1_000, 3, true, |pool, round| {
        let mut x = pool.from_shape_fn(SHAPE, |(i, j)| (i * j) as u64).unwrap();
        for _ in 0..4 {
            pool.run(increment(&mut x).block_rows(BLOCK_ROWS)).unwrap();
        }
        let wrong = x.view().indexed_iter().filter(|&((i, j), &v)| v != (i * j) as u64 + 4).count();
        assert_eq!(wrong, 0, "elements in round {round}");
    });
}

#[ndpool::test]
fn two_staged_arrays_and_a_merged_result_keep_their_bits() {
    let _watchdog = watchdog();
    let table: Vec<f64> = (0..SHAPE.1 * BLOCK_ROWS).map(|i| (i as f64).sin()).collect();
    let calm = |pool: &Pool| {
        let mut x = pool.from_shape_fn(SHAPE, |(i, j)| (i + 3 * j) as f64 / 7.0).unwrap();
        let mut y = pool.zeros::<u64, _>(SHAPE).unwrap();
        let table = pool.from_array(&ArrayView1::from(&table)).unwrap();
        let mut sums = Vec::new();
        for _ in 0..3 {
            let call = step(&table, &mut x, &mut y).block_rows(BLOCK_ROWS);
            sums.push(pool.run(call).unwrap().0.to_bits());
        }
        (x.view().mapv(f64::to_bits), y.view().to_owned(), sums)
    };
    let expected = calm(&pool(2));
    until_lost(2, 600, 2, true, |pool, round| assert!(calm(pool) == expected, "round {round}"));
}

#[ndpool::test]
fn outputs_whole_arrays_and_merged_results_are_exact() {
    let _watchdog = watchdog();
    let reference = |x: &Array2<u64>| {
        let mixed = x.mapv(|x| (x ^ 5).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let firsts: Vec<u64> = mixed.rows().into_iter().map(|row| row[0]).collect();
        let far =
            mixed.slice(s![..256, ..]).mapv(|x| firsts[..32].iter().fold(x, |s, r| s.wrapping_add(r ^ x)));
        (mixed, far)
    };
    let x = Array2::from_shape_fn(SHAPE, |(i, j)| (i * 1000 + j) as u64);
    let (mixed, far) = reference(&x);
    let calm = {
        let pool = pool(2);
        pool.run(total(&pool.from_array(&mixed).unwrap()).block_rows(BLOCK_ROWS)).unwrap()
    };
    until_lost(3, 500, 3, false, |pool, round| {
        let x = pool.from_array(&x).unwrap();
        let mut y = pool.full(SHAPE, u64::MAX).unwrap();
        pool.run(mix(5, &x, &mut y).block_rows(BLOCK_ROWS)).unwrap();
        assert!(y.view() == mixed, "output of round {round}");
        let totals = pool.run(total(&y).block_rows(BLOCK_ROWS)).unwrap();
        assert_eq!(totals.2.0, (0..SHAPE.0 / BLOCK_ROWS).collect::<Vec<_>>());
        assert_eq!((totals.0, totals.1.0.to_bits()), (calm.0, calm.1.0.to_bits()), "sums of round {round}");
        let mut z = pool.zeros((256, SHAPE.1)).unwrap();
        pool.run(distances(y.rows(..256), y.rows(..32), &mut z).block_rows(8)).unwrap();
        assert!(z.view() == far, "distances of round {round}");
    });
}

#[ndpool::test]
fn maps_give_every_result_once_and_in_order() {
    let _watchdog = watchdog();
    // Results of 8 bytes to 16 KiB: inline and spilled ones.
    let len = |seed: u64| if seed.is_multiple_of(7) { 2048 } else { (seed % 3) as usize };
    let expected: Vec<_> = (0..2_000).map(Random::new).collect();
    until_lost(4, 400, 2, false, |pool, round| {
        let map = pool.map((0..2_000u64).map(|seed| hash(seed, len(seed))));
        let mut n = 0;
        for (seed, result) in map.enumerate() {
            let mut random = expected[seed].clone();
            let result = result.unwrap();
            assert_eq!(result.len(), len(seed as u64), "call {seed} of round {round}");
            assert!(result.into_iter().all(|v| v == random.next_u64()), "call {seed} of round {round}");
            n += 1;
        }
        assert_eq!(n, 2_000);
    });
}
