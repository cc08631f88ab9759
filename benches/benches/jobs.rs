//! What does it cost to hand work over: a call, a job, a block of a job, a call of a map?

use criterion::{Criterion, Throughput};
use ndarray::{ArrayView1, ArrayViewMut1};
use ndpool::merge::Sum;
use ndpool::{Pool, task};
use std::hint::black_box;

const N: usize = 10_000;

#[task]
fn nothing() {}

#[task]
fn triple(x: u64) -> u64 {
    3 * x
}

#[task]
fn first(x: ArrayView1<f64>) -> Sum<f64> {
    Sum(x[0])
}

#[task]
fn add(mut x: ArrayViewMut1<f64>) {
    x[0] += 1.0;
}

#[task]
fn set(#[out] mut x: ArrayViewMut1<f64>) {
    x[0] = 1.0;
}

fn jobs(c: &mut Criterion) {
    let pool = Pool::new().expect("workers can be started");
    let mut x = pool.full(N, 1.0_f64).expect("there is room");
    let mut group = c.benchmark_group("jobs");
    group.bench_function("a call is made", |b| b.iter(|| black_box(triple(black_box(1)))));
    group.bench_function("a job that does nothing", |b| {
        b.iter(|| pool.run(nothing()).expect("it can be run"))
    });

    // From here on, for each block or call.
    group.throughput(Throughput::Elements(N as u64));
    group.bench_function("blocks that read", |b| {
        b.iter(|| pool.run(first(&x).block_rows(1)).expect("it can be run"));
    });
    group.bench_function("blocks that change rows", |b| {
        b.iter(|| pool.run(add(&mut x).block_rows(1)).expect("it can be run"));
    });
    group.bench_function("blocks that set rows", |b| {
        b.iter(|| pool.run(set(&mut x).block_rows(1)).expect("it can be run"));
    });
    group.bench_function("calls of a map", |b| {
        b.iter(|| {
            pool.map((0..N as u64).map(triple)).for_each(|result| {
                black_box(result.expect("it can be run"));
            });
        });
    });
    group.finish();
}

fn main() {
    ndpool::init();
    let mut criterion = Criterion::default().configure_from_args();
    jobs(&mut criterion);
    criterion.final_summary();
}
