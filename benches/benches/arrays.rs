//! What does an array cost: its making, out of fresh memory and out of memory that was there before, and being seen by a worker for the
//! first time?

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput};
use ndarray::ArrayView1;
use ndpool::merge::Sum;
use ndpool::{Pool, task};
use std::hint::black_box;

#[task]
fn first(x: ArrayView1<f64>) -> Sum<f64> {
    Sum(x[0])
}

fn in_process() -> Pool {
    Pool::builder().in_process().build().expect("nothing is started")
}

fn making(c: &mut Criterion) {
    let mut group = c.benchmark_group("arrays");
    for bytes in [4 << 10, 16 << 20] {
        let n = bytes / 8;
        group.throughput(Throughput::Bytes(bytes as u64));
        // A pool that has had no array has no memory to give again.
        group.bench_function(BenchmarkId::new("zeros, fresh", bytes), |b| {
            let make = |pool: Pool| {
                let x = pool.zeros::<f64, _>(n).expect("there is room");
                (pool, x)
            };
            b.iter_batched(in_process, make, BatchSize::PerIteration);
        });
        let pool = in_process();
        group.bench_function(BenchmarkId::new("zeros, recycled", bytes), |b| {
            b.iter(|| drop(black_box(pool.zeros::<f64, _>(n).expect("there is room"))));
        });
    }
    group.finish();
}

/// A job with an array that its worker has not seen, beside one with an array that it has: the difference is the mapping.
fn attaching(c: &mut Criterion) {
    let pool = Pool::builder().workers(1).build().expect("a worker can be started");
    let array = || pool.zeros::<f64, _>(512).expect("there is room");
    let run = |x: &ndpool::SharedArray<f64, ndarray::Ix1>| pool.run(first(x)).expect("the job is possible");
    let known = array();
    let mut group = c.benchmark_group("arrays");
    group.bench_function("a job with a known array", |b| b.iter(|| run(&known)));
    group.bench_function("a job with a new array", |b| {
        // Kept, so that none gets the memory of another.
        b.iter_batched_ref(array, |x| run(x), BatchSize::NumIterations(64));
    });
    group.finish();
}

fn main() {
    ndpool::init();
    let mut criterion = Criterion::default().configure_from_args();
    making(&mut criterion);
    attaching(&mut criterion);
    criterion.final_summary();
}
