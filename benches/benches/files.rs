//! How long does it take to get an array out of a `.npy` file, and into one? For a tiny one that is opening and parsing; for one of 16 MiB
//! it is copying. Files lie among the temporary ones, and are in the page cache.

use criterion::{BenchmarkId, Criterion, Throughput};
use ndarray::Ix1;
use ndpool::Pool;
use std::hint::black_box;

fn files(c: &mut Criterion) {
    let pool = Pool::builder().in_process().build().expect("nothing is started");
    let directory = tempfile::tempdir().expect("there is a directory for temporary files");
    let mut group = c.benchmark_group("files");
    for bytes in [64, 16 << 20] {
        let path = directory.path().join(format!("{bytes}.npy"));
        let x = pool.full(bytes / 8, 0.5_f64).expect("there is room");
        group.throughput(Throughput::Bytes(bytes as u64));
        group.bench_function(BenchmarkId::new("save_npy", bytes), |b| {
            b.iter(|| x.save_npy(&path).expect("there is room"));
        });
        group.bench_function(BenchmarkId::new("load_npy", bytes), |b| {
            b.iter(|| drop(black_box(pool.load_npy::<f64, Ix1>(&path).expect("it was saved"))));
        });
    }
    group.finish();
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    files(&mut criterion);
    criterion.final_summary();
}
