//! How fast do the built-in reductions go through memory that is in the cache, on one core and without processes?

use criterion::{Criterion, Throughput};
use ndarray::Ix1;
use ndpool::{Element, Pool, SharedArray, ops};
use std::hint::black_box;

/// The size of a block of a large array.
const N_BYTES: usize = 512 << 10;

fn full<T: Element + Clone>(pool: &Pool, value: T) -> SharedArray<T, Ix1> {
    pool.full(N_BYTES / size_of::<T>(), value).expect("there is room")
}

fn kernels(c: &mut Criterion) {
    let pool = Pool::builder().in_process().build().expect("nothing is started");
    let (f64s, f32s) = (full(&pool, 0.5_f64), full(&pool, 0.5_f32));
    let (i64s, u8s) = (full(&pool, 5_i64), full(&pool, 5_u8));
    let mut group = c.benchmark_group("kernels");
    group.throughput(Throughput::Bytes(N_BYTES as u64));
    macro_rules! bench {
        ($($op:ident($array:ident)),*) => {$(
            group.bench_function(concat!(stringify!($op), " of ", stringify!($array)), |b| {
                b.iter(|| black_box(pool.run(ops::$op(&$array)).expect("it can be run")));
            });
        )*};
    }
    bench!(sum(f64s), sum(f32s), sum(i64s), sum(u8s));
    bench!(max(f64s), max(f32s), max(i64s), max(u8s));
    bench!(describe(f64s), describe(f32s));
    group.finish();
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    kernels(&mut criterion);
    criterion.final_summary();
}
