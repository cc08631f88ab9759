//! Goal: a segment's memory is right for each of its owners, and goes when it should. Method: look at names, bytes, blocks and
//! descriptors of real files.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use crate::segment::{Access, Backing, DType, Fill, Run, Segment, attach};
use crate::testing::{runs_alone, scratch_directory};

fn count(directory: &Path) -> usize {
    fs::read_dir(directory).unwrap().count()
}

fn f64s(run: &Arc<Run>, n: usize) -> Arc<Segment> {
    Segment::npy(run, DType::F64, &[n], Fill::Zero).unwrap()
}

fn bytes(segment: &Segment) -> Vec<u8> {
    let mut bytes = vec![9; segment.data_len()];
    segment.read_at(0, &mut bytes).unwrap();
    bytes
}

#[test]
fn what_is_made_of_bytes_has_them_and_memory_behind_all_of_it() {
    let directory = scratch_directory("contents");
    for backing in [Backing::Named, Backing::Memfd, Backing::File(directory.clone())] {
        let run = Run::create(backing).unwrap();
        for len in [0, 1, 4095, 4096, 4097, 3 << 20, (5 << 20) + 77] {
            let wanted: Vec<u8> = (0..len).map(|i| (i % 251) as u8).collect();
            // Fresh first, then in memory that has other bytes, once without having been mapped as a whole before.
            for other in [None, Some(1), Some(2)] {
                if let Some(other) = other {
                    let piece = vec![other; len.min(1 << 20)];
                    drop(Segment::npy(&run, DType::U8, &[len], Fill::With(&piece)).unwrap());
                }
                let fill = Fill::With(&wanted);
                let segment = Segment::npy(&run, DType::U8, &[len], fill).unwrap();
                assert!(bytes(&segment) == wanted, "{len} bytes, {other:?}");
                let metadata = segment.file().metadata().unwrap();
                let file_len = len.next_multiple_of(4096) + 8192;
                // What was used before may be a little longer.
                assert!(metadata.len() == file_len as u64 || other.is_some(), "{len}");
                assert!(metadata.blocks() * 512 >= metadata.len(), "{len} bytes, {other:?}: {metadata:?}");
                attach(&segment.locator(), Access::Read).unwrap();
            }
        }
    }
    fs::remove_dir_all(directory).unwrap();
}

#[test]
fn a_run_leaves_nothing() {
    let directory = scratch_directory("run");
    let run = Run::create_at(Backing::Named, &directory).unwrap();
    assert_eq!(run.dirs(), std::slice::from_ref(&directory));
    let first = f64s(&run, 3);
    let second = f64s(&run, 0);
    assert_eq!(first.path(), directory.join(format!("ndpool.{}.1", run.id())));
    assert_eq!(first.name(), format!("ndpool.{}.1", run.id()));
    assert_eq!(fs::metadata(first.path()).unwrap().mode() & 0o777, 0o600);
    assert_eq!(count(&directory), 3);
    drop((run, first));
    assert_eq!(count(&directory), 3, "the run lives as long as any of its segments");
    drop(second);
    assert_eq!(count(&directory), 0);
    fs::remove_dir(directory).unwrap();
}

#[test]
fn a_file_backing_has_manifests_at_home_and_there() {
    let (home, there) = (scratch_directory("home"), scratch_directory("there"));
    let run = Run::create_at(Backing::File(there.clone()), &home).unwrap();
    assert_eq!(run.dirs(), [there.clone(), home.clone()]);
    let segment = f64s(&run, 10);
    assert_eq!(segment.path().parent(), Some(&*there));
    assert_eq!((count(&home), count(&there)), (1, 2));
    drop((run, segment));
    assert_eq!((count(&home), count(&there)), (0, 0));
    fs::remove_dir(home).unwrap();
    fs::remove_dir(there).unwrap();
}

#[test]
fn a_backing_that_cannot_be_is_refused() {
    let nowhere = Path::new("/nonexistent/ndpool");
    let error = Run::create_at(Backing::File(nowhere.into()), nowhere).unwrap_err();
    assert_eq!(error.kind(), crate::ErrorKind::InvalidArgument);
    let error = Run::create_at(Backing::Named, nowhere).unwrap_err();
    assert!(error.hint().unwrap().contains("Backing::Memfd"), "{error}");
    let run = Run::create_at(Backing::Auto, nowhere).unwrap();
    assert!(f64s(&run, 10).path().starts_with("/proc"));
}

#[test]
fn recycled_memory_is_zero_for_its_new_owner_and_has_a_new_name() {
    for backing in [Backing::Named, Backing::Memfd] {
        let directory = scratch_directory("recycle");
        let run = Run::create_at(backing, &directory).unwrap();
        // Large enough for several threads.
        let n = (9 << 20) / 8;
        let old = f64s(&run, n);
        old.write_at(0, &vec![7; n * 8]).unwrap();
        let (old_name, old_locator) = (old.name(), old.locator());
        drop(old);
        let new = f64s(&run, n - 1000);
        let locator = new.locator();
        assert_eq!(locator.nonce, old_locator.nonce, "the file is used again");
        assert_eq!(locator.file_len, old_locator.file_len, "and keeps its length");
        assert_ne!(new.name(), old_name);
        assert_ne!(locator.generation, old_locator.generation);
        assert!(bytes(&new).iter().all(|&byte| byte == 0));
        assert!(attach(&old_locator, Access::Read).is_err());
        attach(&locator, Access::Read).unwrap();
        drop(new);
        // Much smaller ones get a file of their own, raw ones too.
        assert_ne!(f64s(&run, 10).locator().nonce, locator.nonce);
        assert_ne!(Segment::raw(&run, n * 8 - 8000).unwrap().locator().nonce, locator.nonce);
        drop(run);
        fs::remove_dir(directory).unwrap();
    }
}

#[test]
fn a_segment_dropped_under_a_lease_is_not_recycled() {
    let directory = scratch_directory("leased");
    let run = Run::create_at(Backing::Named, &directory).unwrap();
    let segment = f64s(&run, 10);
    let nonce = segment.locator().nonce;
    segment.leases().lease(1, 0..80, true);
    drop(segment);
    assert_ne!(f64s(&run, 10).locator().nonce, nonce);
    drop(run);
    fs::remove_dir(directory).unwrap();
}

#[test]
fn a_file_that_was_cut_is_not_recycled() {
    let directory = scratch_directory("cut");
    let run = Run::create_at(Backing::Named, &directory).unwrap();
    let segment = f64s(&run, 10_000);
    let nonce = segment.locator().nonce;
    segment.file().set_len(4096).unwrap();
    drop(segment);
    assert_ne!(f64s(&run, 10_000).locator().nonce, nonce);
    drop(run);
    fs::remove_dir(directory).unwrap();
}

#[test]
fn raw_segments_grow_and_keep_their_bytes() {
    for backing in [Backing::Named, Backing::Memfd] {
        let directory = scratch_directory("raw");
        let run = Run::create_at(backing, &directory).unwrap();
        let raw = Segment::raw(&run, 100).unwrap();
        raw.write_at(0, &[5; 100]).unwrap();
        let worker = attach(&raw.locator(), Access::Write).unwrap();
        raw.grow_raw(10_000).unwrap();
        raw.grow_raw(50).unwrap();
        assert_eq!(raw.data_len(), 10_000);
        assert_eq!(&bytes(&raw)[..101], [&[5; 100][..], &[0]].concat());
        // As a worker makes it longer, and writes there.
        worker.write_at(19_999, &[8; 481]).unwrap();
        let mapping = raw.map_fresh().unwrap();
        let mut byte = [0];
        mapping.read_bytes(raw.data_offset() + 19_999, &mut byte);
        assert_eq!(byte, [8]);
        // A longer one is attached by an older locator too.
        let nonce = raw.locator().nonce;
        drop((raw, mapping));
        let again = Segment::raw(&run, 19_000).unwrap();
        assert_ne!(again.locator().nonce, nonce, "scratch is never given to another owner");
        assert!(bytes(&again).iter().all(|&byte| byte == 0));
        drop((again, run, worker));
        fs::remove_dir(directory).unwrap();
    }
}

#[test]
fn punched_memory_is_free_though_mapped() {
    let run = Run::create(Backing::Memfd).unwrap();
    let n = 1 << 20;
    let segment = f64s(&run, n / 8);
    segment.write_at(0, &vec![1; n]).unwrap();
    let worker = attach(&segment.locator(), Access::Read).unwrap();
    let mut byte = [0];
    worker.mapping().read_bytes(worker.data_offset(), &mut byte);
    assert_eq!(byte, [1]);
    segment.punch(0, n).unwrap();
    assert_eq!(segment.file().metadata().unwrap().blocks(), 2 * 4096 / 512, "header and control page");
    worker.mapping().read_bytes(worker.data_offset(), &mut byte);
    assert_eq!(byte, [0], "and reading it is no SIGBUS");
    let file = segment.file().try_clone().unwrap();
    drop(segment);
    run.trim();
    assert_eq!(file.metadata().unwrap().blocks(), 0);
}

#[test]
fn many_arrays_leave_memory_descriptors_and_mappings_as_they_were() {
    const TEST: &str =
        "segment::tests::living::many_arrays_leave_memory_descriptors_and_mappings_as_they_were";
    // Others must not open files meanwhile.
    if !runs_alone(TEST) {
        return;
    }
    let state = || {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let shared = status.lines().find(|line| line.starts_with("RssShmem")).unwrap().to_owned();
        let maps = fs::read_to_string("/proc/self/maps").unwrap();
        let ours = maps.lines().filter(|line| line.contains("ndpool.")).count();
        (count(Path::new("/proc/self/fd")), ours, shared)
    };
    for backing in [Backing::Named, Backing::Memfd] {
        let directory = scratch_directory("many");
        let run = Run::create_at(backing, &directory).unwrap();
        let before = (state(), count(&directory));
        for i in 0..10_000 {
            let segment = f64s(&run, (i * 37) % 100_000);
            segment.mapping().unwrap().write_bytes(4096, &vec![1; segment.data_len()]);
        }
        let waiting = count(Path::new("/proc/self/fd")) - before.0.0;
        assert!(waiting <= super::super::recycle::MAX_FILES, "{waiting} files wait to be used again");
        run.trim();
        assert_eq!((state(), count(&directory)), before);
        drop(run);
        fs::remove_dir(directory).unwrap();
    }
}
