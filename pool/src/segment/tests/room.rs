//! Goal: too little room is an error with a remedy, never a signal, and not the end. Method: a `/dev/shm` of 64 MB in a private mount
//! namespace, and resource limits, each in a process of its own.

use std::fs;
use std::path::Path;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::ErrorKind;
use crate::segment::{Backing, DType, Fill, Run, Segment};
use crate::testing::{SMALL_SHARED_MEMORY, actor, role, run, skip};

/// Runs a test again by itself; returns whether this is that process.
fn alone(test: &str, wrapper: &[&str]) -> bool {
    if role().is_some() {
        return true;
    }
    let (status, output) =
        run(actor(wrapper, &format!("segment::tests::room::{test}"), "alone", Path::new("/")));
    if !wrapper.is_empty() && (status.code() == Some(77) || output.contains("unshare failed")) {
        skip(&format!("a private mount namespace is not permitted: {output}"));
    } else {
        assert!(status.success(), "{output}");
        assert!(output.contains("1 passed"), "{output}");
    }
    false
}

const MB: usize = 1 << 20;

fn bytes(run: &std::sync::Arc<Run>, len: usize) -> crate::Result<std::sync::Arc<Segment>> {
    Segment::npy(run, DType::U8, &[len], Fill::Zero)
}

#[test]
fn a_small_shared_memory_is_an_error_or_is_avoided() {
    if !alone("a_small_shared_memory_is_an_error_or_is_avoided", SMALL_SHARED_MEMORY) {
        return;
    }
    let named = Run::create(Backing::Named).unwrap();
    let error = bytes(&named, 100 * MB).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OutOfSpace);
    let text = error.to_string();
    assert!(text.contains("needs 104865792 bytes; /dev/shm has 67"), "{text}");
    assert!(error.hint().unwrap().contains("--shm-size"), "{text}");
    // Nothing of the failure is left, and memory that waits to be used again is no obstacle.
    drop(bytes(&named, 40 * MB).unwrap());
    let segment = bytes(&named, 60 * MB).unwrap();

    let auto = Run::create(Backing::Auto).unwrap();
    let large = bytes(&auto, 100 * MB).unwrap();
    assert!(large.path().starts_with("/proc"));
    large.write_at(100 * MB - 1, &[1]).unwrap();
    drop(segment);
    named.trim();
    assert!(bytes(&auto, MB).unwrap().path().starts_with("/dev/shm"));

    // Filled by others after creation: what was reserved is there.
    let reserved = bytes(&named, 30 * MB).unwrap();
    let filled = fs::write("/dev/shm/others", vec![1; 64 * MB]);
    assert_eq!(filled.unwrap_err().raw_os_error(), Some(libc::ENOSPC));
    let mapping = reserved.mapping().unwrap();
    mapping.write_bytes(reserved.data_offset(), &vec![1; 30 * MB]);
    // A run that wants to be here says why it cannot, and one that need not be here is elsewhere.
    let error = Run::create(Backing::Named).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OutOfSpace, "{error}");
    assert!(error.hint().unwrap().contains("Backing::Memfd"), "{error}");
    let elsewhere = Run::create(Backing::Auto).unwrap();
    bytes(&elsewhere, MB).unwrap();
    // Growing where there is no room fails and leaves the segment as it was.
    fs::remove_file("/dev/shm/others").unwrap();
    let raw = Segment::raw(&named, 1000).unwrap();
    assert_eq!(raw.grow_raw(100 * MB).unwrap_err().kind(), ErrorKind::OutOfSpace);
    assert_eq!(raw.data_len(), 1000);
    raw.grow_raw(MB).unwrap();
}

#[test]
fn a_read_only_shared_memory_is_an_error_or_is_avoided() {
    let remount = "mount -t tmpfs -o ro none /dev/shm || exit 77; exec \"$0\" \"$@\"";
    if !alone(
        "a_read_only_shared_memory_is_an_error_or_is_avoided",
        &["unshare", "--mount", "sh", "-c", remount],
    ) {
        return;
    }
    let error = Run::create(Backing::Named).unwrap_err();
    assert!(error.to_string().contains("cannot keep segments in /dev/shm"), "{error}");
    let auto = Run::create(Backing::Auto).unwrap();
    assert!(bytes(&auto, 10).unwrap().path().starts_with("/proc"));
    assert_eq!(auto.dirs(), [std::env::temp_dir()]);
}

#[test]
fn a_file_system_that_cannot_reserve_gets_zeros_written() {
    let mount = "mount -t ramfs none /dev/shm || exit 77; exec \"$0\" \"$@\"";
    let wrapper = ["unshare", "--mount", "sh", "-c", mount];
    if !alone("a_file_system_that_cannot_reserve_gets_zeros_written", &wrapper) {
        return;
    }
    let run = Run::create(Backing::Named).unwrap();
    for _ in 0..2 {
        let segment = bytes(&run, 3 * MB + 5).unwrap();
        assert_eq!(fs::metadata(segment.path()).unwrap().len(), 4096 * 771);
        let mut found = vec![1; 3 * MB + 5];
        segment.read_at(0, &mut found).unwrap();
        assert!(found.iter().all(|&byte| byte == 0));
        segment.write_at(0, &found.iter().map(|_| 1).collect::<Vec<_>>()).unwrap();
        Segment::raw(&run, 10).unwrap().grow_raw(10_000).unwrap();
    }
    drop(run);
    assert_eq!(fs::read_dir("/dev/shm").unwrap().count(), 0);
}

#[test]
fn a_file_size_limit_is_an_error() {
    if !alone("a_file_size_limit_is_an_error", &[]) {
        return;
    }
    let (_, hard) = getrlimit(Resource::RLIMIT_FSIZE).unwrap();
    setrlimit(Resource::RLIMIT_FSIZE, MB as u64, hard).unwrap();
    for backing in [Backing::Named, Backing::Memfd] {
        let run = Run::create(backing).unwrap();
        let error = bytes(&run, MB).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::OutOfSpace);
        assert!(error.hint().unwrap().contains("ulimit -f"), "{error}");
        bytes(&run, MB / 2).unwrap();
    }
}

#[test]
fn running_out_of_descriptors_is_an_error_and_not_the_end() {
    if !alone("running_out_of_descriptors_is_an_error_and_not_the_end", &[]) {
        return;
    }
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, 50, hard).unwrap();
    for backing in [Backing::Named, Backing::Memfd] {
        let run = Run::create(backing).unwrap();
        let mut segments = Vec::new();
        let error = loop {
            match bytes(&run, 10) {
                Ok(segment) => segments.push(segment),
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), ErrorKind::OutOfSpace);
        assert!(error.hint().unwrap().contains("ulimit -n"), "{error}");
        segments.clear();
        bytes(&run, 10).unwrap();
    }
}

#[test]
fn running_out_of_address_space_is_an_error() {
    if !alone("running_out_of_address_space_is_an_error", &[]) {
        return;
    }
    let run = Run::create(Backing::Auto).unwrap();
    let segment = bytes(&run, 512 * MB).unwrap();
    let (_, hard) = getrlimit(Resource::RLIMIT_AS).unwrap();
    setrlimit(Resource::RLIMIT_AS, 256 << 20, hard).unwrap();
    let error = segment.mapping().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OutOfSpace);
    setrlimit(Resource::RLIMIT_AS, hard, hard).unwrap();
    segment.mapping().unwrap();
}

#[test]
fn sizes_that_overflow_are_shape_errors() {
    let run = Run::create(Backing::Memfd).unwrap();
    for shape in [&[usize::MAX][..], &[usize::MAX, 0], &[1 << 32, 1 << 32]] {
        let error = Segment::npy(&run, DType::F64, shape, Fill::Zero).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Shape, "{shape:?}");
    }
    let error = Segment::npy(&run, DType::U8, &[isize::MAX as usize], Fill::Zero).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Shape);
    // Larger than any machine's memory, but not than its addresses.
    let error = Segment::npy(&run, DType::U8, &[1 << 60], Fill::Zero).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OutOfSpace, "{error}");
}
