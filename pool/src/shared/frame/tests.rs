//! Goal: a file that is not what its maker made of it is refused, or read with an error, and never harms the reader. Method: the file of a
//! good frame, with bytes changed, under another name.

use std::fs;
use std::mem::ManuallyDrop;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::{Schema, SharedFrame};
use crate::error::{ErrorKind, Result};
use crate::segment::PAGE_BYTES;
use crate::shared::Options;
use crate::sys::fork::fork_for_test;
use crate::testing::{runs_alone, scratch_directory};

const N_ROWS: usize = 100;

fn schema() -> Schema {
    Schema::new(N_ROWS).column::<f64>("price").column::<bool>("up")
}

/// The bytes of a frame at version 2.
fn good(directory: &Path) -> Vec<u8> {
    let frame = SharedFrame::create_with(&Options::new().directory(directory), "good", &schema()).unwrap();
    frame.write(|frame| frame.column_mut::<bool>("up").map(|mut up| up.fill(true))).unwrap();
    fs::read(frame.path()).unwrap()
}

/// Attaches to a file of these bytes.
fn attach(directory: &Path, bytes: &[u8], read_only: bool) -> Result<SharedFrame> {
    let path = directory.join("ndpool.changed");
    let _ = fs::remove_file(&path);
    fs::write(&path, bytes).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    SharedFrame::attach_any_with(&Options::new().directory(directory).read_only(read_only), "changed")
}

fn set_word(bytes: &mut [u8], at: usize, value: u64) {
    bytes[at..at + 8].copy_from_slice(&value.to_ne_bytes());
}

fn word(bytes: &[u8], at: usize) -> u64 {
    u64::from_ne_bytes(bytes[at..at + 8].try_into().unwrap())
}

#[test]
fn headers_and_pages_that_do_not_fit_are_refused() {
    let directory = scratch_directory("frame-damaged");
    let good = good(&directory);
    let page = good.len() - PAGE_BYTES;
    attach(&directory, &good, false).unwrap();
    let refused = |kind: ErrorKind, change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = good.clone();
        change(&mut bytes);
        assert_ne!(bytes, good);
        for read_only in [false, true] {
            let error = attach(&directory, &bytes, read_only).unwrap_err();
            assert_eq!(error.kind(), kind, "{error}");
        }
    };
    let replace = |from: &'static str, to: &'static str| {
        assert_eq!(from.len(), to.len());
        move |bytes: &mut Vec<u8>| {
            let at = bytes.windows(from.len()).position(|window| window == from.as_bytes()).unwrap();
            bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
        }
    };
    // The header: other columns, paddings, numbers of buffers.
    refused(ErrorKind::Npy, &replace("'price', '<f8'", "'price', '<f4'"));
    refused(ErrorKind::Npy, &replace("(100,)), ('', '|V32')", "(101,)), ('', '|V24')"));
    refused(ErrorKind::Npy, &replace("|V32", "|V96"));
    refused(ErrorKind::Npy, &replace("'up'", "'!!'"));
    refused(ErrorKind::Segment, &replace("'shape': (4,)", "'shape': (5,)"));
    refused(ErrorKind::Segment, &replace("'shape': (4,), ", "'shape': (3,), "));
    // More rows than there are data.
    refused(ErrorKind::Segment, &|bytes| {
        for (from, to) in [
            ("'<f8', (100,)), ('', '|V32')", "'<f8', (800,)), ('', '|V00')"),
            ("'|b1', (100,)), ('', '|V28')", "'|b1', (800,)), ('', '|V32')"),
        ] {
            replace(from, to)(bytes);
        }
        replace(", ('', '|V00')", "              ")(bytes);
    });
    // The page: numbers of buffers, columns, pins.
    for n in [10, 11, 12] {
        for value in [0, 1, 3, u64::MAX] {
            refused(ErrorKind::Segment, &|bytes| set_word(bytes, page + 8 * n, value));
        }
    }
    fs::remove_dir_all(directory).unwrap();
}

#[test]
fn stamps_and_bytes_that_mean_nothing_are_errors_of_the_reader() {
    let directory = scratch_directory("frame-nonsense");
    let good = good(&directory);
    let page = good.len() - PAGE_BYTES;
    let tables = usize::try_from(word(&good, page + 8 * 13)).unwrap();
    let row = 8 * 5;
    for stamps in [[0; 4], [u64::MAX; 4]] {
        let mut bytes = good.clone();
        for (buffer, stamp) in stamps.into_iter().enumerate() {
            set_word(&mut bytes, tables + row + 8 * buffer, stamp);
        }
        let frame = attach(&directory, &bytes, false).unwrap();
        let read = |column| {
            frame.read(|snapshot| {
                snapshot
                    .column::<f64>(column)
                    .map(|_| ())
                    .or_else(|_| snapshot.column::<bool>(column).map(|_| ()))
            })
        };
        read("price").unwrap();
        assert_eq!(read("up").unwrap_err().kind(), ErrorKind::Segment);
        // Nothing is in the way of a reader that copies, so it looks as if the writer were faster.
        assert_eq!(frame.try_copy().unwrap_err().kind(), ErrorKind::TooSlow);
    }
    // A version from the future, whose data there are.
    let mut bytes = good.clone();
    set_word(&mut bytes, page + 8 * 8, 1 << 40);
    assert_eq!(attach(&directory, &bytes, true).unwrap().try_copy().unwrap().version(), 1 << 40);
    // A byte that is no bool.
    let mut bytes = good.clone();
    let ones = bytes.windows(N_ROWS).position(|window| window.iter().all(|&byte| byte == 1)).unwrap();
    bytes[ones + 7] = 2;
    for read_only in [false, true] {
        let frame = attach(&directory, &bytes, read_only).unwrap();
        let error = frame.read(|snapshot| snapshot.column::<bool>("up").map(|_| ())).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Segment);
        assert!(error.to_string().contains("up holds bytes that are no bool"), "{error}");
        if !read_only {
            let error = frame.write(|frame| frame.column_mut::<bool>("up").map(|_| ())).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Segment);
            // What is written as a whole need not be read.
            frame
                .write(|frame| frame.assign("up", ndarray::Array1::from_elem(N_ROWS, false).view()))
                .unwrap();
            frame.read(|snapshot| snapshot.column::<bool>("up").map(|_| ())).unwrap();
        }
    }
    fs::remove_dir_all(directory).unwrap();
}

#[test]
fn a_frame_that_is_dropped_lets_others_write_though_its_snapshots_live() {
    let directory = scratch_directory("frame-writer-dropped");
    let options = Options::new().directory(&directory);
    let schema = Schema::new(3).column::<f64>("price");
    let frame = SharedFrame::create_with(&options, "x", &schema).unwrap();
    let other = SharedFrame::attach_with(&options, "x", &schema).unwrap();
    let fill = |frame: &SharedFrame, value: f64| {
        frame.write(|frame| frame.column_mut::<f64>("price").map(|mut price| price.fill(value)))
    };
    fill(&frame, 1.0).unwrap();
    let (lent, copied) = (frame.try_snapshot().unwrap(), frame.try_copy().unwrap());
    assert_eq!(fill(&other, 2.0).unwrap_err().kind(), ErrorKind::Busy);
    drop(frame);
    fill(&other, 2.0).unwrap();
    for snapshot in [lent, copied] {
        assert_eq!(snapshot.column::<f64>("price").unwrap().to_vec(), [1.0; 3]);
        assert_eq!(snapshot.n_behind(), 1);
    }
    fs::remove_dir_all(directory).unwrap();
}

#[test]
fn a_forked_child_gets_errors_and_leaves_its_parent_alone() {
    const TEST: &str = "shared::frame::tests::a_forked_child_gets_errors_and_leaves_its_parent_alone";
    // A fork wants a process in which no other thread is in the middle of anything.
    if !runs_alone(TEST) {
        return;
    }
    let directory = scratch_directory("frame-forked");
    let options = Options::new().directory(&directory);
    let frame = ManuallyDrop::new(SharedFrame::create_with(&options, "x", &schema()).unwrap());
    frame.write(|frame| frame.column_mut::<bool>("up").map(|mut up| up.fill(true))).unwrap();
    let lent = ManuallyDrop::new(frame.try_snapshot().unwrap());
    let child = fork_for_test(|| {
        assert_eq!(frame.read(|_| Ok(())).unwrap_err().kind(), ErrorKind::Segment);
        assert_eq!(frame.try_snapshot().unwrap_err().kind(), ErrorKind::Segment);
        assert_eq!(frame.try_copy().unwrap_err().kind(), ErrorKind::Segment);
        drop((ManuallyDrop::into_inner(lent), ManuallyDrop::into_inner(frame)));
    });
    let status = nix::sys::wait::waitpid(child, None).unwrap();
    assert_eq!(status, nix::sys::wait::WaitStatus::Exited(child, 0));
    let other = SharedFrame::attach_with(&options, "x", &schema()).unwrap();
    assert_eq!(other.write(|_| Ok(())).unwrap_err().kind(), ErrorKind::Busy);
    assert_eq!(other.try_snapshot().unwrap().version(), 2);
    fs::remove_dir_all(directory).unwrap();
}
