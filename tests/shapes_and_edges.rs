//! Goal: arrays of every shape and element type go through tasks with the right rows and the right bits, and what does not
//! fit is refused with both sides named.
//!
//! Method: a round trip for each of the 13 element types, shapes from none to many axes, grids with more workers than
//! rows, ranges and splits; `.npy` files that each have one property that is refused.

use ndarray::prelude::*;
use ndpool::merge::{Concat, Sum};
use ndpool::num_complex::Complex;
use ndpool::{Block, Element, ErrorKind, NpyError, Pool, task};
use ndpool_tests::{Random, watchdog};
use std::path::PathBuf;

#[task]
fn copy<T: Element, D: Dimension>(x: ArrayView<T, D>, #[out] mut y: ArrayViewMut<T, D>) {
    y.assign(&x);
}

#[task]
fn pass<T: Element, D: Dimension>(mut x: ArrayViewMut<T, D>) {
    // Staged, and so copied twice, though nothing changes.
    x.map_inplace(|v| *v = std::hint::black_box(*v));
}

#[task]
fn blocks<T: Element, D: Dimension>(block: &Block, x: ArrayView<T, D>) -> Concat<(usize, Vec<usize>)> {
    Concat(vec![(block.rows().start, x.shape().to_vec())])
}

#[task]
fn increment<D: Dimension>(mut x: ArrayViewMut<i64, D>) -> Sum<usize> {
    x += 1;
    Sum(x.len())
}

#[task]
fn dot(x: ArrayView1<f64>, y: ArrayView1<f64>) -> Sum<f64> {
    Sum(x.dot(&y))
}

fn pool() -> Pool {
    Pool::builder().workers(3).build().unwrap()
}

fn round_trip<T: Element + std::fmt::Debug>(pool: &Pool, values: &[T]) {
    let x = pool.from_array(&ArrayView1::from(values)).unwrap();
    let mut y = pool.zeros::<T, _>(values.len()).unwrap();
    pool.run(copy(&x, &mut y).block_rows(3)).unwrap();
    pool.run(pass(&mut y).block_rows(2)).unwrap();
    assert_eq!(describe(y.view().as_slice().unwrap()), describe(values), "{:?}", T::DTYPE);
    let path = scratch("round-trip");
    y.save_npy(&path).unwrap();
    let again = pool.load_npy::<T, Ix1>(&path).unwrap();
    assert_eq!(describe(again.view().as_slice().unwrap()), describe(values), "{:?} in a file", T::DTYPE);
    std::fs::remove_file(path).unwrap();
}

fn describe<T: Element + std::fmt::Debug>(values: &[T]) -> Vec<String> {
    values.iter().map(|v| format!("{v:?}")).collect()
}

fn scratch(name: &str) -> PathBuf {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    std::env::temp_dir().join(format!("ndpool-{name}.{}.{number}.npy", std::process::id()))
}

#[ndpool::test]
fn every_element_type_goes_there_and_back() {
    let _watchdog = watchdog();
    let pool = pool();
    round_trip(&pool, &[i8::MIN, -1, 0, 1, i8::MAX]);
    round_trip(&pool, &[i16::MIN, -1, 0, 1, i16::MAX]);
    round_trip(&pool, &[i32::MIN, -1, 0, 1, i32::MAX]);
    round_trip(&pool, &[i64::MIN, -1, 0, 1, i64::MAX]);
    round_trip(&pool, &[0, 1, u8::MAX]);
    round_trip(&pool, &[0, 1, u16::MAX]);
    round_trip(&pool, &[0, 1, u32::MAX]);
    round_trip(&pool, &[0, 1, u64::MAX]);
    round_trip(&pool, &[true, false, false, true, true, true, false]);
    round_trip(
        &pool,
        &[0.0_f32, -0.0, f32::MIN_POSITIVE / 2.0, f32::INFINITY, f32::NEG_INFINITY, f32::EPSILON],
    );
    round_trip(
        &pool,
        &[0.0_f64, -0.0, f64::MIN_POSITIVE / 2.0, f64::INFINITY, f64::NEG_INFINITY, f64::EPSILON],
    );
    round_trip(&pool, &[Complex::new(0.0_f32, -0.0), Complex::new(f32::INFINITY, 1.5)]);
    round_trip(&pool, &[Complex::new(0.0_f64, -0.0), Complex::new(f64::INFINITY, 1.5)]);
}

#[ndpool::test]
fn bits_of_nan_are_kept() {
    let _watchdog = watchdog();
    let pool = pool();
    // Quiet and signalling, of both signs, with payloads.
    let patterns =
        [0x7ff8_0000_0000_0001, 0xfff8_dead_beef_0000, 0x7ff0_0000_0000_0001, 0xffff_ffff_ffff_ffff, 1];
    let values: Vec<f64> = patterns.iter().map(|&bits| f64::from_bits(bits)).collect();
    let x = pool.from_array(&ArrayView1::from(&values)).unwrap();
    let mut y = pool.zeros(5).unwrap();
    pool.run(copy(&x, &mut y).block_rows(2)).unwrap();
    assert_eq!(y.view().iter().map(|v| v.to_bits()).collect::<Vec<_>>(), patterns);
}

#[ndpool::test]
fn scalars_and_empty_arrays() {
    let _watchdog = watchdog();
    let pool = pool();
    let mut scalar = pool.full((), 41_i64).unwrap();
    assert_eq!(pool.run(increment(&mut scalar)).unwrap().0, 1);
    assert_eq!(scalar.view()[()], 42);
    assert_eq!(pool.run(blocks(&scalar)).unwrap().0, [(0, vec![])]);
    // No rows are one empty block, and so is what has rows without elements, or several.
    for shape in [[0, 5], [0, 0]] {
        let mut x = pool.zeros::<i64, _>(shape).unwrap();
        assert_eq!(pool.run(increment(&mut x)).unwrap().0, 0, "{shape:?}");
        assert_eq!(pool.run(blocks(&x)).unwrap().0, [(0, shape.to_vec())]);
        let mut y = pool.zeros(shape).unwrap();
        pool.run(copy(&x, &mut y)).unwrap();
        assert_eq!(x.view().shape(), shape);
    }
    let mut x = pool.zeros::<i64, _>((4, 0)).unwrap();
    assert_eq!(pool.run(increment(&mut x).block_rows(3)).unwrap().0, 0);
    assert_eq!(pool.run(blocks(&x).block_rows(3)).unwrap().0, [(0, vec![3, 0]), (3, vec![1, 0])]);
    let mut x = pool.zeros::<i64, _>(10).unwrap();
    assert_eq!(pool.run(increment(x.rows_mut(4..4))).unwrap().0, 0);
    assert_eq!(x.view().sum(), 0);
}

#[ndpool::test]
fn fewer_rows_than_workers_and_blocks_of_all_lengths() {
    let _watchdog = watchdog();
    let pool = Pool::builder().workers(4).build().unwrap();
    for n in [1, 2, 3, 5] {
        let mut x = pool.zeros::<i64, _>((n, 3)).unwrap();
        assert_eq!(pool.run(increment(&mut x)).unwrap().0, 3 * n);
        assert_eq!(x.view().to_owned(), Array2::ones((n, 3)));
        assert_eq!(pool.run(increment(&mut x).block_rows(usize::MAX)).unwrap().0, 3 * n);
    }
    let x = pool.zeros::<u8, _>((10, 2, 2)).unwrap();
    for rows in 1..12 {
        let found = pool.run(blocks(&x).block_rows(rows)).unwrap().0;
        let expected: Vec<_> =
            (0..10).step_by(rows).map(|start| (start, vec![rows.min(10 - start), 2, 2])).collect();
        assert_eq!(found, expected);
    }
}

#[ndpool::test]
fn many_axes_of_any_number() {
    let _watchdog = watchdog();
    let pool = pool();
    let mut x =
        pool.from_shape_fn((3, 2, 2, 1, 2, 2), |(a, b, c, d, e, f)| (a + b + c + d + e + f) as i64).unwrap();
    pool.run(increment(&mut x).block_rows(1)).unwrap();
    assert_eq!(x.view()[[2, 1, 1, 0, 1, 1]], 7);
    let mut x = pool.zeros::<i64, _>(IxDyn(&[2, 1, 1, 1, 1, 1, 1, 1, 3])).unwrap();
    pool.run(increment(&mut x)).unwrap();
    assert_eq!(x.view().sum(), 6);
}

#[ndpool::test]
fn arrays_in_lockstep_must_be_as_long() {
    let _watchdog = watchdog();
    let pool = pool();
    let (x, y) = (pool.zeros(10).unwrap(), pool.zeros(12).unwrap());
    let error = pool.run(dot(&x, &y)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Shape);
    assert!(error.to_string().contains("10") && error.to_string().contains("12"), "{error}");
    assert_eq!(pool.run(dot(x.rows(2..8), y.rows(6..))).unwrap().0, 0.0);
    let scalar = pool.zeros::<f64, _>(1).unwrap();
    assert_eq!(pool.run(dot(&x, &scalar)).unwrap_err().kind(), ErrorKind::Shape, "there is no broadcasting");
}

#[ndpool::test]
fn ranges_splits_and_chunks_touch_their_rows_alone() {
    let _watchdog = watchdog();
    let pool = pool();
    let mut x = pool.zeros::<i64, _>((20, 3)).unwrap();
    pool.run(increment(x.rows_mut(5..7))).unwrap();
    pool.run(increment(x.rows_mut(..=5).rows(4..))).unwrap();
    let (low, high) = x.split_at_mut(10);
    let (_middle, end) = high.split_at(5);
    pool.join(increment(low).block_rows(3), increment(end)).unwrap();
    let rows: Vec<i64> = x.view().rows().into_iter().map(|row| row.sum() / 3).collect();
    let expected: Vec<i64> = (0..20)
        .map(|i| {
            i64::from((5..7).contains(&i))
                + i64::from((4..6).contains(&i))
                + i64::from(!(10..15).contains(&i))
        })
        .collect();
    assert_eq!(rows, expected);
    let mut y = pool.zeros::<i64, _>(23).unwrap();
    let sizes: Vec<usize> = pool.map(y.row_chunks_mut(5).map(increment)).map(|sum| sum.unwrap().0).collect();
    assert_eq!(sizes, [5, 5, 5, 5, 3]);
    assert_eq!(y.view().to_vec(), [1; 23]);
    let starts =
        pool.map(y.row_chunks(10).map(|rows| blocks(rows).block_rows(100))).map(|found| found.unwrap().0);
    assert_eq!(starts.collect::<Vec<_>>(), [[(0, vec![10])], [(0, vec![10])], [(0, vec![3])]]);
}

#[ndpool::test]
fn sources_of_any_strides_are_copied_in_order() {
    let _watchdog = watchdog();
    let pool = pool();
    let mut random = Random::new(5);
    let a = Array3::from_shape_simple_fn((6, 5, 4), || random.next_u64());
    let reversed = a.slice(s![..;-1, 1..;2, ..;-2]);
    let turned = a.view().permuted_axes([2, 0, 1]);
    let lying = Array2::from_shape_vec((4, 3).f(), (0..12).collect::<Vec<i64>>()).unwrap();
    let wide = a.slice(s![0..1, 0..1, ..]).broadcast((3, 2, 4)).map(|view| view.to_owned()).unwrap();
    for source in [reversed, turned, wide.view()] {
        let x = pool.from_array(&source).unwrap();
        let mut y = pool.zeros(source.raw_dim()).unwrap();
        pool.run(copy(&x, &mut y).block_rows(1)).unwrap();
        assert_eq!(y.view(), source);
    }
    assert_eq!(pool.from_array(&lying).unwrap().view(), lying);
    assert_eq!(pool.from_array(&lying.t()).unwrap().view(), lying.t());
}

/// Writes a `.npy` file with this header and data, and tries to load it: it must be refused for a reason that is as
/// expected.
#[track_caller]
fn refused<T: Element, D: Dimension>(
    pool: &Pool,
    header: &str,
    data: &[u8],
    is_expected: fn(&NpyError) -> bool,
) {
    let path = scratch("refused");
    let mut text = header.to_owned();
    while !(10 + text.len() + 1).is_multiple_of(64) {
        text.push(' ');
    }
    text.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((text.len() as u16).to_le_bytes());
    bytes.extend(text.as_bytes());
    bytes.extend(data);
    std::fs::write(&path, bytes).unwrap();
    let error = pool.load_npy::<T, D>(&path).unwrap_err();
    // SAFETY: nobody else knows the file.
    let mapped = unsafe { pool.mmap_npy::<T, D>(&path) };
    std::fs::remove_file(&path).unwrap();
    assert_eq!(error.kind(), ErrorKind::Npy, "{error}");
    assert_eq!(mapped.unwrap_err().kind(), ErrorKind::Npy, "{error}");
    assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    let source = std::error::Error::source(&error).expect("the reason");
    assert!(source.downcast_ref().is_some_and(is_expected), "{source:?}");
}

#[ndpool::test]
fn files_that_are_something_else_are_refused_by_what_they_are() {
    let _watchdog = watchdog();
    let pool = pool();
    let header = |descr: &str, fortran: &str, shape: &str| {
        format!("{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {shape}, }}")
    };
    let zeros = vec![0; 48];
    refused::<f64, Ix1>(&pool, &header("<f4", "False", "(12,)"), &zeros, |e| {
        matches!(e, NpyError::DType { .. })
    });
    refused::<i64, Ix1>(&pool, &header("<u8", "False", "(6,)"), &zeros, |e| {
        matches!(e, NpyError::DType { .. })
    });
    refused::<f64, Ix1>(&pool, &header("<f8", "False", "(2, 3)"), &zeros, |e| {
        matches!(e, NpyError::Rank { found: 2, wanted: 1, .. })
    });
    refused::<f64, Ix2>(&pool, &header(">f8", "False", "(2, 3)"), &zeros, |e| {
        matches!(e, NpyError::ByteOrder { .. })
    });
    refused::<f64, Ix2>(&pool, &header("<f8", "True", "(2, 3)"), &zeros, |e| {
        matches!(e, NpyError::FortranOrder { .. })
    });
    refused::<f64, Ix2>(&pool, &header("<f8", "False", "(2, 4)"), &zeros, |e| {
        matches!(e, NpyError::Truncated { .. })
    });
    refused::<f64, Ix1>(&pool, &header("|O", "False", "(6,)"), &zeros, |e| matches!(e, NpyError::Objects));
    refused::<f64, Ix1>(&pool, &header("<f8", "False", "6"), &zeros, |e| {
        matches!(e, NpyError::Header { .. })
    });
    refused::<bool, Ix1>(&pool, &header("|b1", "False", "(4,)"), &[0, 1, 2, 0], |e| {
        matches!(e, NpyError::BadBool { index: 2, found: 2 })
    });
    let missing = pool.load_npy::<f64, Ix1>("/no/such/file.npy").unwrap_err();
    assert!(missing.to_string().contains("/no/such/file.npy"), "{missing}");
}

#[ndpool::test]
fn a_mapped_file_is_read_without_a_copy() {
    let _watchdog = watchdog();
    let pool = pool();
    let path = scratch("mapped");
    let x = pool.from_shape_fn((1_000, 4), |(i, j)| (i * j) as f64).unwrap();
    x.save_npy(&path).unwrap();
    // SAFETY: nobody else knows the file, and it is removed after its last use.
    let mapped = unsafe { pool.mmap_npy::<f64, Ix2>(&path) }.unwrap();
    let mut y = pool.zeros((1_000, 4)).unwrap();
    pool.run(copy(&mapped, &mut y)).unwrap();
    assert_eq!(y.view(), x.view());
    std::fs::remove_file(&path).unwrap();
}

#[ndpool::test]
fn sizes_that_overflow_are_errors() {
    let _watchdog = watchdog();
    let pool = pool();
    for shape in [(usize::MAX, 2), (1 << 62, 1), (1 << 40, 1 << 40)] {
        assert_eq!(pool.zeros::<f64, _>(shape).unwrap_err().kind(), ErrorKind::Shape, "{shape:?}");
    }
    let error = pool.zeros::<f64, _>(1 << 50).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OutOfSpace, "{error}");
    assert!(error.hint().is_some());
}
