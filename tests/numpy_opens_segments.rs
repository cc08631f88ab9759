//! Goal: what stands in shared memory, and in files that arrays were saved to, is what NumPy reads.
//!
//! Method: Python opens segments by their path while the pool lives, and saved files, of several element types and shapes,
//! and prints type, shape and a weighted sum of every element. Without Python or NumPy the test says so and ends;
//! with `NDPOOL_TEST_REQUIRE_NUMPY=1` that is a failure. `NDPOOL_TEST_PYTHON` names another interpreter.

use ndarray::prelude::*;
use ndpool::num_complex::Complex;
use ndpool::{Backing, Element, Pool, SharedArray, task};
use ndpool_tests::{has_numpy, python, watchdog};
use std::path::Path;

#[task]
fn increment(mut x: ArrayViewMut2<f64>) {
    x += 1.0;
}

const SCRIPT: &str = "
import sys, numpy as np
for path in sys.argv[1:]:
    a = np.load(path, mmap_mode='r')
    assert a.flags.c_contiguous and not a.flags.writeable
    weights = 1 + np.arange(a.size) % 7
    total = (a.reshape(-1).astype(complex) * weights).sum()
    print(a.dtype.str, list(a.shape), int(total.real), int(total.imag))
";

/// What Python says of arrays at these paths.
fn read(paths: &[&Path]) -> Vec<String> {
    let paths = paths.iter().map(|path| path.to_str().unwrap());
    let arguments: Vec<_> = ["-c", SCRIPT].into_iter().chain(paths).collect();
    let output = python().args(&arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// What it should say.
fn expected<T: Element, D: Dimension>(
    x: &SharedArray<T, D>,
    name: &str,
    parts: impl Fn(T) -> (f64, f64),
) -> String {
    let weighted = |part: fn((f64, f64)) -> f64| -> f64 {
        x.view().iter().enumerate().map(|(i, &v)| part(parts(v)) * (1 + i % 7) as f64).sum()
    };
    format!("{name} {:?} {} {}", x.shape(), weighted(|p| p.0) as i64, weighted(|p| p.1) as i64)
}

fn arrays_are_read(backing: Backing) {
    if !has_numpy() {
        return;
    }
    let pool = Pool::builder().workers(2).backing(backing).build().unwrap();
    let mut floats = pool.from_shape_fn((100, 30), |(i, j)| (i * j) as f64).unwrap();
    pool.run(increment(&mut floats).block_rows(7)).unwrap();
    let small = pool.from_shape_fn((2, 3, 4), |(i, j, k)| (i + 2 * j) as i16 - k as i16).unwrap();
    let bytes = pool.from_shape_fn(5_000, |i| i as u8).unwrap();
    let bools = pool.from_shape_fn((3, 5), |(i, j)| (i + j) % 2 == 0).unwrap();
    let complex = pool.from_shape_fn(9, |i| Complex::new(i as f32, -2.0 * i as f32)).unwrap();
    let scalar = pool.full((), 42_u64).unwrap();
    let empty = pool.zeros::<f32, _>((0, 3)).unwrap();
    let real = |v: f64| (v, 0.0);
    let wanted = [
        expected(&floats, "<f8", real),
        expected(&small, "<i2", |v| real(f64::from(v))),
        expected(&bytes, "|u1", |v| real(f64::from(v))),
        expected(&bools, "|b1", |v| real(f64::from(u8::from(v)))),
        expected(&complex, "<c8", |v| (f64::from(v.re), f64::from(v.im))),
        expected(&scalar, "<u8", |v| real(v as f64)),
        expected(&empty, "<f4", |v| real(f64::from(v))),
    ];
    let directory =
        std::env::temp_dir().join(format!("ndpool-numpy.{}.{}", std::process::id(), floats.segment_name()));
    std::fs::create_dir(&directory).unwrap();
    let mut n_saved = 0;
    let mut file = || {
        n_saved += 1;
        directory.join(format!("{n_saved}.npy"))
    };
    let saved: [_; 7] = std::array::from_fn(|_| file());
    floats.save_npy(&saved[0]).unwrap();
    small.save_npy(&saved[1]).unwrap();
    bytes.save_npy(&saved[2]).unwrap();
    bools.save_npy(&saved[3]).unwrap();
    complex.save_npy(&saved[4]).unwrap();
    scalar.save_npy(&saved[5]).unwrap();
    empty.save_npy(&saved[6]).unwrap();
    // NumPy cannot map nothing at all.
    assert_eq!(read(&saved.iter().take(6).map(|path| &**path).collect::<Vec<_>>()), wanted[..6], "files");
    let paths = [floats.path(), small.path(), bytes.path(), bools.path(), complex.path(), scalar.path()];
    assert_eq!(read(&paths.iter().map(|path| &**path).collect::<Vec<_>>()), wanted[..6], "segments");
    let script = "import sys, numpy as np; print(np.load(sys.argv[1]).shape, np.load(sys.argv[2]).shape)";
    let output = python().args(["-c", script]).args([&empty.path(), &saved[6]]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "(0, 3) (0, 3)");
    std::fs::remove_dir_all(directory).unwrap();
}

#[ndpool::test]
fn named_segments_and_saved_files_are_numpys() {
    let _watchdog = watchdog();
    arrays_are_read(Backing::Named);
}

#[ndpool::test]
fn anonymous_memory_is_numpys_too() {
    let _watchdog = watchdog();
    arrays_are_read(Backing::Memfd);
}

#[ndpool::test]
fn what_numpy_saves_is_loaded() {
    let _watchdog = watchdog();
    if !has_numpy() {
        return;
    }
    let path = std::env::temp_dir().join(format!("ndpool-from-numpy.{}.npy", std::process::id()));
    let script = "import sys, numpy as np; np.save(sys.argv[1], np.arange(3000.0).reshape(1000, 3))";
    assert!(python().args(["-c", script]).arg(&path).status().unwrap().success());
    let pool = Pool::builder().workers(1).build().unwrap();
    let mut x = pool.load_npy::<f64, Ix2>(&path).unwrap();
    pool.run(increment(&mut x)).unwrap();
    assert_eq!(x.view()[(999, 2)], 3000.0);
    std::fs::remove_file(path).unwrap();
}
