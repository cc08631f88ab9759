use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::Duration;

use ndarray::{Array2, ArrayD, ArrayView, Ix0, Ix1, Ix2, IxDyn, arr0, array};

use super::*;
use crate::segment::DType;
use crate::sys::fork::fork_for_test;
use crate::testing::{actor, ready, role, runs_alone, scratch_directory, wait_until_ready};

/// A directory of one test's own, removed with all that is in it.
struct Scratch(std::path::PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        Self(scratch_directory(name))
    }

    fn options(&self) -> Options {
        options(&self.0)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Whether a view is of the memory that all share, and not a copy.
fn is_lent<T: Element, D: Dimension>(buffer: &DoubleBuffer<T, D>, view: &ArrayView<'_, T, D>) -> bool {
    let mapping = buffer.shared.versioned.published().mapping();
    (0..mapping.len()).contains(&view.as_ptr().addr().wrapping_sub(mapping.as_ptr().addr()))
}

fn options(directory: &Path) -> Options {
    Options::new().directory(directory)
}

#[test]
fn what_is_written_is_read_by_all_ways_and_handles() {
    let scratch = Scratch::new("frames");
    let options = scratch.options();
    let made = DoubleBuffer::<i32, Ix2>::create_with(&options, "a", (2, 3)).unwrap();
    let found = DoubleBuffer::<i32, Ix2>::attach_with(&options, "a").unwrap();
    let copies = DoubleBuffer::<i32, Ix2>::attach_with(&options.clone().read_only(true), "a").unwrap();
    assert_eq!((found.shape(), found.n_buffers(), found.number()), (&[2, 3][..], 4, 0));
    let mut readers = [&made, &found, &copies].map(DoubleBuffer::reader);
    let mut writer = made.writer().unwrap();
    let mut target = Array2::from_elem((2, 3), -1);
    for number in 0..20 {
        let wanted = Array2::from_elem((2, 3), number as i32);
        match number {
            0 => {}
            n if n % 3 == 0 => assert_eq!(writer.assign(&wanted), n),
            n if n % 3 == 1 => assert_eq!(writer.update(|mut frame| frame += 1), n),
            n => assert_eq!(writer.write(|mut frame| frame.fill(n as i32)), n),
        }
        for reader in &mut readers {
            let frame = reader.read().unwrap();
            assert_eq!((frame.number, frame.missed, &frame.array), (number, 0, &wanted));
            assert_eq!(reader.read_into(&mut target).unwrap(), number);
            assert_eq!(target, wanted);
            assert_eq!(
                reader.read_into(&mut target.view_mut().reversed_axes().reversed_axes()).unwrap(),
                number
            );
            assert!(reader.read_with(|frame| frame == wanted).unwrap());
        }
    }
    drop(writer);
    assert!(found.writer().is_ok());
}

#[test]
fn frames_may_be_of_any_type_and_rank() {
    let scratch = Scratch::new("ranks");
    let options = scratch.options();
    let flags = DoubleBuffer::<bool, Ix1>::create_with(&options, "flags", 3).unwrap();
    assert_eq!(flags.writer().unwrap().assign(&array![true, false, true]), 1);
    let mut target = array![false, false, false];
    assert_eq!(flags.reader().read_into(&mut target).unwrap(), 1);
    assert_eq!(
        (target, flags.reader().read().unwrap().array),
        (array![true, false, true], array![true, false, true])
    );

    let single = DoubleBuffer::<f64, Ix0>::create_with(&options, "single", ()).unwrap();
    single.writer().unwrap().assign(&arr0(1.5));
    assert_eq!(single.reader().read().unwrap().array, arr0(1.5));

    let empty = DoubleBuffer::<f64, IxDyn>::create_with(&options, "empty", IxDyn(&[2, 0])).unwrap();
    empty.writer().unwrap().assign(&ArrayD::zeros(IxDyn(&[2, 0])));
    let read = DoubleBuffer::<f64, IxDyn>::attach_with(&options, "empty").unwrap().reader().read().unwrap();
    assert_eq!((read.number, read.array.shape()), (1, &[2, 0][..]));
}

#[test]
fn bytes_that_are_no_values_are_refused_in_copies() {
    let scratch = Scratch::new("values");
    let flags = DoubleBuffer::<bool, Ix1>::create_with(&scratch.options(), "flags", 3).unwrap();
    flags.writer().unwrap().assign(&array![true, false, true]);
    let versioned = &flags.shared.versioned;
    let buffer = versioned.versions().find(0, 1).unwrap().buffer;
    versioned.published().mapping().write_bytes(versioned.offset(0, buffer) + 1, &[2]);
    assert_eq!(flags.reader().read().unwrap_err().kind(), ErrorKind::Segment);
}

#[test]
fn what_does_not_fit_is_refused() {
    let scratch = Scratch::new("refused");
    let options = scratch.options();
    let made = DoubleBuffer::<f32, Ix1>::create_with(&options, "a", 10).unwrap();
    assert_eq!(made.raw_dim(), Ix1(10));
    let kind = |result: Result<()>| result.unwrap_err().kind();
    assert_eq!(kind(DoubleBuffer::<f64, Ix1>::attach_with(&options, "a").map(drop)), ErrorKind::Npy);
    assert_eq!(kind(DoubleBuffer::<f32, Ix2>::attach_with(&options, "a").map(drop)), ErrorKind::Npy);
    assert_eq!(kind(DoubleBuffer::<f32, Ix1>::attach_with(&options, "b").map(drop)), ErrorKind::Segment);
    assert_eq!(kind(DoubleBuffer::<f32, Ix1>::create_with(&options, "a", 10).map(drop)), ErrorKind::Segment);
    assert_eq!(
        kind(DoubleBuffer::<f32, Ix1>::create_with(&options, "b", usize::MAX).map(drop)),
        ErrorKind::Shape
    );
    for n_buffers in [0, 1, MAX_BUFFERS + 1] {
        let builder = DoubleBuffer::<f32, Ix1>::builder().buffers(n_buffers).options(&options);
        assert_eq!(kind(builder.create("b", 1).map(drop)), ErrorKind::InvalidArgument);
    }
    // A page that says something else than the header.
    made.shared.versioned.published().page().n_buffers.store(5, crate::sys::primitive::Ordering::Relaxed);
    assert_eq!(kind(DoubleBuffer::<f32, Ix1>::attach_with(&options, "a").map(drop)), ErrorKind::Segment);
}

#[test]
fn there_is_one_writer_at_a_time() {
    let scratch = Scratch::new("writers");
    let options = scratch.options();
    let made = DoubleBuffer::<f32, Ix1>::create_with(&options, "a", 10).unwrap();
    let found = DoubleBuffer::<f32, Ix1>::attach_with(&options, "a").unwrap();
    assert!(!made.has_writer() && !found.has_writer());
    let writer = made.writer().unwrap();
    assert!(made.has_writer() && found.has_writer());
    for handle in [&made, &found] {
        assert_eq!(handle.writer().unwrap_err().kind(), ErrorKind::Busy);
    }
    drop(writer);
    let mut writer = found.writer().unwrap();
    assert_eq!(made.writer().unwrap_err().kind(), ErrorKind::Busy);
    assert_eq!(writer.write(|_| ()), 1);
    let read_only = DoubleBuffer::<f32, Ix1>::attach_with(&options.read_only(true), "a").unwrap();
    drop(writer);
    assert_eq!(read_only.writer().unwrap_err().kind(), ErrorKind::Io);
}

#[test]
fn a_frame_that_fails_or_panics_never_was() {
    let scratch = Scratch::new("panics");
    let buffer = DoubleBuffer::<u8, Ix1>::create_with(&scratch.options(), "a", 4).unwrap();
    let mut writer = buffer.writer().unwrap();
    writer.assign(&array![1, 2, 3, 4]);
    for _ in 0..10 {
        let failed = writer.try_write(|mut frame| {
            frame[0] = 99;
            Err("no")
        });
        assert_eq!(failed, Err("no"));
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            writer.update(|mut frame| {
                frame[0] = 98;
                panic!("in the middle");
            })
        }));
        assert!(panicked.is_err());
        let frame = buffer.reader().read().unwrap();
        assert_eq!((frame.number, frame.array), (1, array![1, 2, 3, 4]));
    }
    assert_eq!(writer.update(|mut frame| frame[0] = 7), 2);
    assert_eq!(buffer.reader().read().unwrap().array, array![7, 2, 3, 4]);
}

#[test]
fn readers_know_what_they_missed() {
    let scratch = Scratch::new("missed");
    let buffer = DoubleBuffer::<u64, Ix0>::create_with(&scratch.options(), "a", ()).unwrap();
    let (mut writer, mut reader) = (buffer.writer().unwrap(), buffer.reader());
    assert_eq!(reader.wait_newer(0, Duration::ZERO), None);
    assert_eq!(reader.wait_newer(0, Duration::from_millis(1)), None);
    for (n_written, missed) in [(3, 0), (1, 0), (2, 1), (0, 0), (10, 9)] {
        for _ in 0..n_written {
            writer.write(|_| ());
        }
        let number = writer.number();
        let is_new = reader.number() < number;
        assert_eq!(reader.wait_newer(reader.number(), Duration::ZERO), is_new.then_some(number));
        let frame = reader.read().unwrap();
        assert_eq!((frame.number, frame.missed), (number, missed));
    }
    // Who got the zeros that there were before the first frame has missed it, too.
    let buffer = DoubleBuffer::<u64, Ix0>::create_with(&scratch.options(), "b", ()).unwrap();
    let (mut writer, mut early) = (buffer.writer().unwrap(), buffer.reader());
    assert_eq!(early.read().unwrap().number, 0);
    for _ in 0..3 {
        writer.write(|_| ());
    }
    assert_eq!((early.read().unwrap().missed, early.missed()), (2, 2));
}

#[test]
fn what_is_lent_stays_while_the_writer_goes_on_and_others_get_copies() {
    let scratch = Scratch::new("lent");
    let buffer = DoubleBuffer::<u64, Ix1>::create_with(&scratch.options(), "a", 8).unwrap();
    let mut writer = buffer.writer().unwrap();
    let [mut first, mut second, mut third] = [(); 3].map(|()| buffer.reader());
    writer.write(|mut frame| frame.fill(1));
    first
        .read_with(|one| {
            writer.write(|mut frame| frame.fill(2));
            second
                .read_with(|two| {
                    for number in 3..30 {
                        assert_eq!(writer.write(|mut frame| frame.fill(number)), number);
                        // Both pins are taken, so this is a copy.
                        let read = third.read_with(|three| (is_lent(&buffer, &three), three.sum() / 8));
                        assert_eq!(read.unwrap(), (false, number));
                        assert!(one.iter().all(|&x| x == 1) && two.iter().all(|&x| x == 2));
                    }
                })
                .unwrap();
            // Now one is free.
            let read = third.read_with(|three| (is_lent(&buffer, &three), three.sum() / 8));
            assert_eq!(read.unwrap(), (true, 29));
        })
        .unwrap();
    assert_eq!((first.number(), second.number()), (1, 2));
}

#[test]
fn two_buffers_are_enough_for_copies() {
    let scratch = Scratch::new("two");
    let buffer =
        DoubleBuffer::<u64, Ix1>::builder().buffers(2).options(&scratch.options()).create("a", 8).unwrap();
    let (mut writer, mut reader) = (buffer.writer().unwrap(), buffer.reader());
    for number in 1..10 {
        writer.write(|mut frame| frame.fill(number));
        assert_eq!(reader.read_with(|frame| frame.sum()).unwrap(), 8 * number);
    }
}

#[test]
fn the_file_is_one_that_numpy_opens() {
    let scratch = Scratch::new("npy");
    let buffer = DoubleBuffer::<f32, Ix2>::create_with(&scratch.options(), "a/b", (3, 5)).unwrap();
    let header = crate::npy_header(buffer.path()).unwrap();
    assert_eq!((header.dtype, header.shape.as_slice()), (DType::F32, &[4, 3, 5][..]));
}

#[test]
fn a_forked_child_gets_errors_and_leaves_its_parent_alone() {
    const TEST: &str = "shared::double_buffer::tests::a_forked_child_gets_errors_and_leaves_its_parent_alone";
    // A fork wants a process in which no other thread is in the middle of anything.
    if !runs_alone(TEST) {
        return;
    }
    let scratch = Scratch::new("forked");
    let buffer = DoubleBuffer::<u64, Ix1>::create_with(&scratch.options(), "a", 8).unwrap();
    let mut writer = ManuallyDrop::new(buffer.writer().unwrap());
    let mut reader = buffer.reader();
    writer.write(|mut frame| frame.fill(1));
    let held = ManuallyDrop::new(buffer.shared.versioned.hold_for_long().unwrap());
    let child = fork_for_test(|| {
        assert_eq!(reader.read().unwrap_err().kind(), ErrorKind::Segment);
        assert_eq!(reader.read_with(|_| ()).unwrap_err().kind(), ErrorKind::Segment);
        assert!(catch_unwind(AssertUnwindSafe(|| writer.write(|_| ()))).is_err());
        drop((ManuallyDrop::into_inner(held), ManuallyDrop::into_inner(writer)));
    });
    let status = nix::sys::wait::waitpid(child, None).unwrap();
    assert_eq!(status, nix::sys::wait::WaitStatus::Exited(child, 0));
    let other = DoubleBuffer::<u64, Ix1>::attach_with(&scratch.options(), "a").unwrap();
    assert_eq!(other.writer().unwrap_err().kind(), ErrorKind::Busy);
    let pins = buffer.shared.versioned.versions().pinned_seats().count();
    assert_eq!((pins, other.reader().read().unwrap().number), (1, 1));
}

const DEAD: &str = "shared::double_buffer::tests::the_dead_hold_nothing_for_long";

/// Processes are killed while they hold a frame each and while one writes: their pins are cleared when somebody wants one, and
/// another writer goes on.
#[test]
fn the_dead_hold_nothing_for_long() {
    if let Some((role, directory)) = role() {
        let buffer = DoubleBuffer::<u64, Ix1>::attach_with(&options(&directory), "a").unwrap();
        match role.as_str() {
            "reader" => buffer.reader().read_with(|_| ready()).unwrap(),
            _ => {
                buffer.writer().unwrap().write(|mut frame| {
                    frame.fill(999);
                    ready();
                });
            }
        }
        return;
    }
    let scratch = Scratch::new("dead");
    let buffer = DoubleBuffer::<u64, Ix1>::create_with(&scratch.options(), "a", 8).unwrap();
    for round in 1..4 {
        assert_eq!(buffer.writer().unwrap().write(|mut frame| frame.fill(round)), round);
        let mut children =
            ["reader", "reader", "writer"].map(|role| actor(&[], DEAD, role, &scratch.0).spawn().unwrap());
        assert!(children.iter_mut().all(wait_until_ready));
        assert_eq!(buffer.writer().unwrap_err().kind(), ErrorKind::Busy);
        assert!(buffer.shared.versioned.hold().is_none());
        for mut child in children {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        // A new handle looks for the dead at once; one that has just looked, not again so soon.
        let buffer = DoubleBuffer::<u64, Ix1>::attach_with(&scratch.options(), "a").unwrap();
        let mut reader = buffer.reader();
        let read = reader.read_with(|frame| (is_lent(&buffer, &frame), frame.sum()));
        assert_eq!((read.unwrap(), reader.number()), ((true, 8 * round), round));
    }
}

#[test]
fn bytes_that_are_no_values_are_never_lent() {
    use std::os::unix::fs::FileExt;
    let scratch = Scratch::new("no-values");
    let buffer = DoubleBuffer::<bool, Ix1>::create_with(&scratch.options(), "a", 3).unwrap();
    let file = std::fs::File::options().write(true).open(buffer.path()).unwrap();
    let mut writer = buffer.writer().unwrap();
    writer.write(|mut frame| frame.fill(true));
    let at = buffer.published().data_offset() as u64;
    file.write_all_at(&[2; 4 * 3], at).unwrap();
    let mut reader = buffer.reader();
    let mut is_called = false;
    let error = reader.read_with(|_| is_called = true).unwrap_err();
    assert_eq!((error.kind(), is_called, reader.number()), (ErrorKind::Segment, false, 0));
    // A buffer that is to be written, and one with the last frame in it.
    writer.write(|frame| assert_eq!(frame.to_vec(), [false; 3]));
    file.write_all_at(&[2; 4 * 3], at).unwrap();
    writer.update(|mut frame| {
        assert_eq!(frame.to_vec(), [false; 3]);
        frame[1] = true;
    });
    assert_eq!(reader.read_with(|frame| frame.to_vec()).unwrap(), [false, true, false]);
}
