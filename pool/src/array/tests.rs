//! Goal: arrays hold what was put into them, in memory and in files, and are lent as the borrow checker would. Method: every dtype
//! and odd shape against plain ndarray arrays, `ndarray-npy` as an independent reader, leases taken by hand.

use std::fs;
use std::sync::Arc;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use ndarray::prelude::*;
use ndarray_npy::{read_npy, write_npy};
use num_complex::Complex;

use super::*;
use crate::segment::{Access, Backing, Run, attach, write_header};
use crate::testing::scratch_directory;
use crate::{Error, ErrorKind, NpyError};

fn run() -> Arc<Run> {
    Run::create(Backing::Memfd).unwrap()
}

fn round_trip<T>(values: &[T])
where
    T: Element + PartialEq + std::fmt::Debug + ndarray_npy::ReadableElement + ndarray_npy::WritableElement,
{
    let (run, directory) = (run(), scratch_directory("round-trip"));
    let path = directory.join("a.npy");
    let shapes = [&[][..], &[0], &[1], &[7], &[0, 3], &[3, 0], &[4, 5], &[2, 3, 4], &[1, 1, 1, 6]];
    for shape in shapes {
        let n: usize = shape.iter().product();
        let items: Vec<T> = values.iter().copied().cycle().take(n).collect();
        let plain = ArrayD::from_shape_vec(shape, items).unwrap();
        let shared = SharedArray::from_array_in(&run, &plain).unwrap();
        assert_eq!(shared.view(), plain);
        shared.save_npy(&path).unwrap();
        assert_eq!(read_npy::<_, ArrayD<T>>(&path).unwrap(), plain, "{shape:?} read by others");
        write_npy(&path, &plain).unwrap();
        let loaded = SharedArray::<T, IxDyn>::load_npy_in(&run, &path).unwrap();
        assert_eq!(loaded.view(), plain, "{shape:?} written by others");
        let mut zeros = SharedArray::<T, _>::zeros_in(&run, IxDyn(shape)).unwrap();
        assert_eq!(zeros.view(), ArrayD::from_elem(shape, T::ZERO));
        zeros.assign(&plain);
        assert_eq!(zeros.view(), plain);
        let full = SharedArray::full_in(&run, IxDyn(shape), values[0]).unwrap();
        assert_eq!(full.view(), ArrayD::from_elem(shape, values[0]));
        assert_eq!((full.len(), full.ndim(), full.shape()), (n, shape.len(), shape));
        assert_eq!(full.n_rows(), shape.first().copied().unwrap_or(1));
    }
    fs::remove_dir_all(directory).unwrap();
}

#[test]
fn every_type_and_shape_goes_through_memory_and_files() {
    round_trip(&[1.5_f32, -0.0, f32::INFINITY]);
    round_trip(&[1.5_f64, -0.0, f64::MIN_POSITIVE / 2.0]);
    round_trip(&[i8::MIN, 0, 1]);
    round_trip(&[i16::MIN, 0, 1]);
    round_trip(&[i32::MIN, 0, 1]);
    round_trip(&[i64::MIN, 0, 1]);
    round_trip(&[u8::MAX, 0, 1]);
    round_trip(&[u16::MAX, 0, 1]);
    round_trip(&[u32::MAX, 0, 1]);
    round_trip(&[u64::MAX, 0, 1]);
    round_trip(&[true, false, false]);
    round_trip(&[Complex::new(1.0_f32, -2.0), Complex::new(0.0, 3.0)]);
    round_trip(&[Complex::new(1.0_f64, -2.0), Complex::new(0.0, 3.0)]);
}

#[test]
fn strides_are_undone() {
    let run = run();
    // Small and large: copied by one thread and by several.
    for n in [3, 800] {
        let plain = Array3::from_shape_fn((n, 4, 101), |(i, j, k)| (i * 1000 + j * 200 + k) as f64);
        let check =
            |view: ArrayView3<f64>| assert_eq!(SharedArray::from_array_in(&run, &view).unwrap().view(), view);
        check(plain.view());
        check(plain.view().reversed_axes());
        check(plain.slice(s![..;-1, 1..3, ..;2]));
        check(plain.slice(s![.., ..;-2, ..;-1]));
        check(plain.slice(s![..1, ..1, ..]).broadcast((n, 4, 101)).unwrap());
    }
}

#[test]
fn functions_of_the_index_are_ndarrays() {
    let run = run();
    for shape in [[3, 5], [700, 301], [0, 5], [5, 0]] {
        let function = |(i, j): (usize, usize)| (i as f64).sin() * 100.0 + j as f64;
        let shared = SharedArray::from_shape_fn_in(&run, Dim(shape), function).unwrap();
        assert_eq!(shared.view(), Array2::from_shape_fn(shape, function));
    }
    let large = |i: usize| u32::try_from(i).unwrap();
    let shared = SharedArray::from_shape_fn_in(&run, Ix1(3_000_000), large).unwrap();
    assert_eq!(shared.view(), Array1::from_shape_fn(3_000_000, large));
    let scalar = SharedArray::from_shape_fn_in(&run, Ix0(), |()| 7_u8).unwrap();
    assert_eq!(scalar.view().into_scalar(), &7);
    let function = |i: IxDyn| i[0] * 10 + i[1];
    let dynamic = SharedArray::from_shape_fn_in(&run, IxDyn(&[2, 3]), |i| function(i) as u64).unwrap();
    assert_eq!(dynamic.view()[[1, 2]], 12);
}

#[test]
fn recycled_bytes_never_show() {
    let run = run();
    let n = 1_000_000;
    for _ in 0..3 {
        drop(SharedArray::full_in(&run, Ix1(n), 7_u8).unwrap());
        let zeros = SharedArray::<bool, _>::zeros_in(&run, Ix1(n)).unwrap();
        assert!(zeros.view().iter().all(|&value| !value));
        drop(zeros);
        drop(SharedArray::full_in(&run, Ix1(n), 7_u8).unwrap());
        let every = SharedArray::from_shape_fn_in(&run, Ix1(n), |i| i % 3 == 0).unwrap();
        assert_eq!(every.view().iter().filter(|&&value| value).count(), n.div_ceil(3));
    }
}

#[test]
fn sizes_that_overflow_are_refused() {
    let run = run();
    let error = SharedArray::<f64, _>::zeros_in(&run, Ix2(usize::MAX, 2)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Shape);
    let error = SharedArray::<u8, _>::zeros_in(&run, Ix3(usize::MAX, usize::MAX, 0)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Shape);
}

#[test]
fn rows_are_those_of_ndarray() {
    let run = run();
    let plain = Array2::from_shape_fn((10, 3), |(i, j)| (i * 3 + j) as i64);
    let mut shared = SharedArray::from_array_in(&run, &plain).unwrap();
    assert_eq!(shared.rows(2..5).view(), plain.slice(s![2..5, ..]));
    assert_eq!(shared.rows(..=3).rows(1..).view(), plain.slice(s![1..4, ..]));
    assert_eq!(shared.rows(4..4).view().shape(), [0, 3]);
    let (above, below) = shared.rows(1..).split_at(4);
    assert_eq!((above.view(), below.view()), (plain.slice(s![1..5, ..]), plain.slice(s![5.., ..])));
    let chunks: Vec<_> = shared.row_chunks(4).collect();
    assert_eq!(chunks.iter().map(Rows::n_rows).collect::<Vec<_>>(), [4, 4, 2]);
    assert_eq!(chunks[2].view(), plain.slice(s![8.., ..]));

    shared.row_chunks_mut(4).enumerate().for_each(|(i, rows)| rows.into_view_mut().fill(i as i64));
    assert_eq!(shared.view().column(0).to_vec(), [0, 0, 0, 0, 1, 1, 1, 1, 2, 2]);
    let (mut above, below) = shared.split_at_mut(5);
    above.reborrow().rows(1..3).into_view_mut().fill(-1);
    below.into_view_mut().fill(-2);
    assert_eq!(above.view().column(2).to_vec(), [0, -1, -1, 0, 1]);
    shared.rows_mut(9..).into_view_mut().fill(5);
    assert_eq!(shared.view().column(1).to_vec(), [0, -1, -1, 0, 1, -2, -2, -2, -2, 5]);
    assert_eq!(SharedArray::<u8, _>::zeros_in(&run, Ix1(0)).unwrap().row_chunks_mut(3).count(), 0);
    let mut scalar = SharedArray::full_in(&run, Ix0(), 3.5).unwrap();
    scalar.rows_mut(..).into_view_mut().fill(4.5);
    assert_eq!(scalar.rows(0..1).view().into_scalar(), &4.5);
}

#[test]
#[should_panic(expected = "rows 3..11 of an array with 10 rows")]
fn rows_beyond_the_end_are_refused() {
    let _ = SharedArray::<u8, _>::zeros_in(&run(), Ix1(10)).unwrap().rows(3..11);
}

#[test]
#[should_panic(expected = "one row, which cannot be split")]
fn a_scalar_cannot_be_split() {
    let _ = SharedArray::<u8, _>::zeros_in(&run(), Ix0()).unwrap().split_at_mut(0);
}

#[test]
fn views_wait_for_jobs_that_outlived_their_borrow() {
    let run = run();
    let mut shared = SharedArray::<u64, _>::zeros_in(&run, Ix1(100)).unwrap();
    let leased = (&mut shared.rows_mut(10..20)).into_rows_mut_arg();
    let ArraySource::Segment(segment) = &leased.source else { panic!("{leased:?}") };
    segment.leases().lease(1, 80..160, true);
    // Not in the way: other rows.
    assert_eq!(shared.rows(20..).view().len(), 80);
    let (released, started) = (AtomicBool::new(false), Barrier::new(2));
    thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            started.wait();
            let mut view = shared.view_mut();
            assert!(released.load(Ordering::Relaxed));
            view[0] += 1;
        });
        started.wait();
        let worker = attach(&leased.locator(), Access::Write).unwrap();
        worker.mapping().write_bytes(leased.locator().data_offset, &5_u64.to_ne_bytes());
        released.store(true, Ordering::Relaxed);
        segment.leases().release(1);
        waiter.join().unwrap();
    });
    assert_eq!(shared.view()[0], 6);
}

#[test]
fn arguments_say_where_the_rows_lie() {
    let run = run();
    let shared =
        Arc::new(SharedArray::from_shape_fn_in(&run, Ix2(10, 4), |(i, j)| (i * 4 + j) as i32).unwrap());
    let whole = (&shared).into_rows_arg();
    assert_eq!((&whole.shape[..], whole.offset_bytes), (&[10, 4][..], 0));
    let some = shared.rows(3..7).into_rows_arg();
    assert_eq!((&some.shape[..], some.offset_bytes), (&[4, 4][..], 48));
    let flat = some.clone().flattened();
    assert_eq!((&flat.shape[..], flat.offset_bytes), (&[16][..], 48));
    let worker = attach(&some.locator(), Access::Read).unwrap();
    let mut bytes = [0; 4];
    worker.mapping().read_bytes(worker.data_offset() + some.offset_bytes, &mut bytes);
    assert_eq!(i32::from_ne_bytes(bytes), 12);
}

#[test]
fn nobody_writes_an_array_that_a_call_shares() {
    let mut shared = Arc::new(SharedArray::<i32, _>::zeros_in(&run(), Ix1(4)).unwrap());
    let arg = shared.clone().into_rows_arg();
    assert!(Arc::get_mut(&mut shared).is_none(), "a call that nobody has submitted yet has no lease");
    drop(arg);
    assert!(Arc::get_mut(&mut shared).is_some());
}

#[track_caller]
fn refused<T: Element, D: Dimension>(bytes: &[u8]) -> NpyError {
    let directory = scratch_directory("refused");
    let path = directory.join("a.npy");
    fs::write(&path, bytes).unwrap();
    let loaded = SharedArray::<T, D>::load_npy_in(&run(), &path).unwrap_err();
    #[expect(unsafe_code, reason = "nobody else knows the file")]
    // SAFETY: nobody else knows the file.
    let mapped = unsafe { MappedArray::<T, D>::open(&path) }.unwrap_err();
    fs::remove_dir_all(directory).unwrap();
    assert_eq!((loaded.kind(), mapped.kind()), (ErrorKind::Npy, ErrorKind::Npy));
    assert_eq!(loaded.hint(), mapped.hint());
    let source = |error: Error| {
        std::error::Error::source(&error).unwrap().downcast_ref::<NpyError>().unwrap().to_string()
    };
    let text = source(mapped);
    assert_eq!(source(loaded), text);
    let mut reader = bytes;
    let header = crate::segment::Header::read(&mut reader);
    match header.and_then(|header| header.expect(T::DTYPE, D::NDIM)) {
        Err(error) => error,
        Ok(()) => NpyError::NotNpy { found: text },
    }
}

#[test]
fn files_that_are_something_else_are_refused_alike_loaded_and_mapped() {
    let file = |dtype, shape: &[usize], data: &[u8]| [&write_header(dtype, shape, 64), data].concat();
    use crate::DType::{Bool, F32, F64};
    assert!(matches!(refused::<f64, Ix1>(&file(F32, &[1], &[0; 4])), NpyError::DType { .. }));
    assert!(matches!(refused::<f64, Ix2>(&file(F64, &[1], &[0; 8])), NpyError::Rank { .. }));
    let text = |error| match error {
        NpyError::NotNpy { found } => found,
        error => panic!("{error}"),
    };
    assert_eq!(
        text(refused::<f64, Ix1>(&file(F64, &[2], &[0; 15]))),
        "143 bytes where the header promises 144"
    );
    let bools = text(refused::<bool, Ix1>(&file(Bool, &[4], &[0, 1, 2, 1])));
    assert_eq!(bools, "element 2 is the byte 2, which is no bool");
    let missing = SharedArray::<f64, Ix1>::load_npy_in(&run(), "/nonexistent.npy".as_ref()).unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::Io);
}

#[test]
fn what_follows_the_array_is_left_alone_as_in_numpy() {
    let (run, directory) = (run(), scratch_directory("trailing"));
    let path = directory.join("a.npy");
    fs::write(&path, [&write_header(crate::DType::U8, &[2], 64), &[7, 8, 9][..]].concat()).unwrap();
    let loaded = SharedArray::<u8, Ix1>::load_npy_in(&run, &path).unwrap();
    assert_eq!(loaded.view().to_vec(), [7, 8]);
    // So a segment, whose control page follows, can be loaded like any file.
    let again = SharedArray::<u8, Ix1>::load_npy_in(&run, &loaded.path()).unwrap();
    assert_eq!(again.view(), loaded.view());
    fs::remove_dir_all(directory).unwrap();
}

#[test]
fn large_files_are_loaded_by_several_threads_and_checked_by_all() {
    let (run, directory) = (run(), scratch_directory("large"));
    let path = directory.join("a.npy");
    let n = 3_000_001;
    let plain = Array1::from_shape_fn(n, |i| i % 7 == 0);
    write_npy(&path, &plain).unwrap();
    assert_eq!(SharedArray::<bool, Ix1>::load_npy_in(&run, &path).unwrap().view(), plain);
    let mut bytes = fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() = 0xff;
    fs::write(&path, bytes).unwrap();
    let error = SharedArray::<bool, Ix1>::load_npy_in(&run, &path).unwrap_err();
    assert!(error.to_string().contains("element 3000000 is the byte 255"), "{error}");
    fs::remove_dir_all(directory).unwrap();
}

#[test]
fn a_mapped_file_is_read_here_and_in_workers() {
    let directory = scratch_directory("mapped");
    let path = directory.join("a.npy");
    let plain = Array2::from_shape_fn((100, 7), |(i, j)| (i * 7 + j) as f32);
    write_npy(&path, &plain).unwrap();
    #[expect(unsafe_code, reason = "nobody else knows the file")]
    // SAFETY: nobody else knows the file, and it is only replaced below.
    let mapped = Arc::new(unsafe { MappedArray::<f32, Ix2>::open(&path) }.unwrap());
    assert_eq!(mapped.view(), plain);
    let argument = (&mapped).into_rows_arg();
    let locator = argument.locator();
    let worker = attach(&locator, Access::Read).unwrap();
    let mut bytes = [0; 4];
    worker.mapping().read_bytes(worker.data_offset() + 4 * 699, &mut bytes);
    assert_eq!(f32::from_ne_bytes(bytes), 699.0);
    SharedArray::from_array_in(&run(), &(plain.clone() + 1.0)).unwrap().save_npy(&path).unwrap();
    assert_eq!(mapped.view(), plain, "saving replaces the file and does not change it");
    assert!(attach(&locator, Access::Read).unwrap_err().to_string().contains("another file by now"));
    fs::remove_dir_all(directory).unwrap();
}

#[test]
fn saving_replaces_whole_files_or_nothing() {
    let (run, directory) = (run(), scratch_directory("save"));
    let path = directory.join("a.npy");
    let link = directory.join("link.npy");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    let shared = SharedArray::full_in(&run, Ix1(5), 2_u16).unwrap();
    fs::write(&path, "old").unwrap();
    shared.save_npy(&link).unwrap();
    assert!(link.is_symlink());
    assert_eq!(read_npy::<_, Array1<u16>>(&path).unwrap(), shared.view());
    let error = shared.save_npy(directory.join("missing/a.npy")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
    fs::create_dir(directory.join("folder")).unwrap();
    shared.save_npy(directory.join("folder")).unwrap_err();
    assert_eq!(fs::read_dir(&directory).unwrap().count(), 3, "no temporary file is left");
    fs::remove_dir_all(directory).unwrap();
}

#[test]
fn what_is_no_regular_file_is_neither_read_nor_replaced() {
    let (run, directory) = (run(), scratch_directory("irregular"));
    let pipe = directory.join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let link = directory.join("link");
    std::os::unix::fs::symlink(&pipe, &link).unwrap();
    let shared = SharedArray::full_in(&run, Ix1(5), 2_u16).unwrap();
    for path in [&pipe, &link] {
        let saved = shared.save_npy(path).unwrap_err();
        // It would wait for somebody to open the other end.
        let loaded = SharedArray::<u16, Ix1>::load_npy_in(&run, path).unwrap_err();
        for error in [saved, loaded] {
            assert!(error.to_string().contains("it is a device, a pipe or a socket"), "{error}");
            assert_eq!(error.hint(), Some("name a regular file"));
        }
    }
    assert!(std::os::unix::fs::FileTypeExt::is_fifo(&fs::metadata(&pipe).unwrap().file_type()));
    assert_eq!(fs::read_dir(&directory).unwrap().count(), 2, "no temporary file is left");
    fs::remove_dir_all(directory).unwrap();
}

#[test]
fn arrays_are_sent_and_shared_between_threads() {
    fn check<T: Send + Sync>() {}
    check::<SharedArray<f64, Ix2>>();
    check::<MappedArray<f64, Ix2>>();
    check::<Rows<'static, f64, Ix2>>();
    check::<RowsMut<'static, f64, Ix2>>();
}
