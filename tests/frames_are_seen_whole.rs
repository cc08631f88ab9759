//! Goal: a reader of a shared frame sees one version of it, whole, whatever dies; and the last complete version outlives its writer.
//!
//! Method: real processes. A writer writes versions as fast as it can, whose columns must agree with each other and with the number of the
//! version; readers of all kinds (lent, copied by need, copied as a whole, read-only) check every one that they get, while writers
//! and other readers are killed again and again. Then writers that die, fail and panic in the middle, schemas that differ, and handles that
//! may only read.

use ndpool::shared::{FrameMut, Options, Schema, SharedFrame, Snapshot};
use ndpool::{Error, ErrorKind, NpyError};
use ndpool_tests::{Actor, Random, role, say, wait_to_be_told, wait_until, watchdog};
use std::error::Error as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const N_ROWS: usize = 3_000;

/// A name that no other test and no other run has.
fn name(test: &str) -> String {
    format!("test-{test}-{}", std::process::id())
}

fn schema() -> Schema {
    Schema::new(N_ROWS)
        .column::<u64>("each")
        .column::<f64>("second")
        .column::<i16>("third")
        .column::<bool>("even")
}

/// What version `v` holds: `each` is v; `second` and `third` are written in every second and third version only, and are the number
/// of the last one; the first version is all zeros.
fn write_version(frame: &mut FrameMut<'_>) -> ndpool::Result<()> {
    let version = frame.version();
    frame.column_out::<u64>("each")?.fill(version);
    if version.is_multiple_of(2) {
        frame.column_mut::<f64>("second")?.fill(version as f64);
    }
    if version.is_multiple_of(3) {
        frame.column_mut::<i16>("third")?.fill(version as i16);
    }
    frame.column_mut::<bool>("even")?.fill(version.is_multiple_of(2));
    Ok(())
}

/// Refuses anything else.
fn check(snapshot: &Snapshot) -> ndpool::Result<u64> {
    let version = snapshot.version();
    let last = |n: u64| if version < n { 0 } else { version / n * n };
    let is_whole =
        snapshot.column::<u64>("each")?.iter().all(|&x| x == if version == 1 { 0 } else { version })
            && snapshot.column::<f64>("second")?.iter().all(|&x| x == last(2) as f64)
            && snapshot.column::<i16>("third")?.iter().all(|&x| x == last(3) as i16)
            && snapshot.column::<bool>("even")?.iter().all(|&x| x == (version.is_multiple_of(2)));
    assert!(is_whole, "a mixture at version {version}: {snapshot:?}");
    Ok(version)
}

/// Plays the part of a process that reads or writes as its role says, until it is killed or has read as often as it is told.
fn play(role: &str) {
    let (name, n_reads) = (wait_to_be_told(), wait_to_be_told().parse::<u64>().unwrap());
    let options = Options::new().read_only(role == "read-only");
    let frame = SharedFrame::attach_with(&options, &name, &schema()).unwrap();
    say("ready");
    let (mut n, mut n_slow, mut last) = (0, 0, 0);
    while n < n_reads {
        let seen = match role {
            "writer" => frame.write(|frame| write_version(frame).map(|()| frame.version())),
            "whole copies" => frame.try_copy().and_then(|snapshot| check(&snapshot)),
            "snapshots" => frame.try_snapshot().and_then(|snapshot| check(&snapshot)),
            _ => frame.read(check),
        };
        match seen {
            Ok(version) => {
                assert!(version >= last, "version {version} after {last}");
                (n, last) = (n + 1, version);
            }
            Err(error) if error.kind() == ErrorKind::TooSlow => n_slow += 1,
            Err(error) => panic!("{error}"),
        }
    }
    say(&format!("{n} reads, too slow {n_slow} times"));
}

fn start(test: &str, role: &str, name: &str, n_reads: u64) -> Actor {
    let mut actor = Actor::start(test, role);
    actor.tell(name);
    actor.tell(&n_reads.to_string());
    assert_eq!(actor.hear(), "ready");
    actor
}

#[test]
fn no_reader_sees_a_mixture_while_writers_and_readers_are_killed() {
    const TEST: &str = "no_reader_sees_a_mixture_while_writers_and_readers_are_killed";
    const FOREVER: u64 = u64::MAX;
    let _watchdog = watchdog();
    if let Some(role) = role() {
        return play(&role);
    }
    let n_reads = std::env::var("NDPOOL_TEST_READS").map_or(3_000, |n| n.parse().unwrap());
    let name = name("mixture");
    // One that can be lent: the others have to copy.
    let frame = SharedFrame::create_lending(&Options::new(), &name, &schema(), 1).unwrap();
    let kinds = ["lent", "read-only", "whole copies", "snapshots"];
    let n_left = AtomicUsize::new(kinds.len());
    std::thread::scope(|scope| {
        for kind in kinds {
            let reader = start(TEST, kind, &name, n_reads);
            let n_left = &n_left;
            scope.spawn(move || {
                let (text, status) = reader.wait();
                n_left.fetch_sub(1, Ordering::Relaxed);
                assert!(status.success(), "{kind}: {text}");
                println!("{kind}: {}", text.lines().find(|line| line.starts_with('@')).unwrap_or("nothing"));
            });
        }
        let mut random = Random::new(5);
        let mut n_killed = 0;
        while n_left.load(Ordering::Relaxed) > 0 {
            let writer = start(TEST, "writer", &name, FOREVER);
            let victim = start(TEST, kinds[random.below(0..kinds.len() as u64) as usize], &name, FOREVER);
            // At some moment of some version.
            let mut version = frame.version();
            for _ in 0..random.below(1..200) {
                version = frame.wait_newer(version, Duration::from_secs(60)).expect("the writer writes");
            }
            drop(writer);
            drop(victim);
            frame.read(check).unwrap();
            n_killed += 2;
        }
        println!("{n_killed} processes killed, {} versions", frame.version());
    });
}

#[test]
fn a_dead_writer_leaves_the_last_complete_version() {
    const TEST: &str = "a_dead_writer_leaves_the_last_complete_version";
    let _watchdog = watchdog();
    if role().is_some() {
        let frame = SharedFrame::attach(&wait_to_be_told(), &schema()).unwrap();
        let _ = frame.write(|frame| {
            write_version(frame)?;
            frame.column_mut::<u64>("each")?.fill(77);
            say("half");
            wait_to_be_told();
            Ok(())
        });
        return;
    }
    let name = name("dead");
    let frame = SharedFrame::create(&name, &schema()).unwrap();
    for _ in 0..10 {
        frame.write(write_version).unwrap();
        let version = frame.version();
        frame.stop_writing().unwrap();
        let snapshot = frame.try_snapshot().unwrap();
        let mut writer = Actor::start(TEST, "writer");
        writer.tell(&name);
        assert_eq!(writer.hear(), "half");
        assert_eq!(frame.read(check).unwrap(), version, "what is half written is not seen");
        assert_eq!(frame.write(write_version).unwrap_err().kind(), ErrorKind::Busy, "one writer at a time");
        drop(writer);
        assert_eq!(frame.read(check).unwrap(), version);
        assert_eq!(check(&frame.try_copy().unwrap()).unwrap(), version);
        // The next writer is another process, and takes over.
        frame.write(write_version).unwrap();
        assert_eq!(frame.read(check).unwrap(), version + 1);
        assert_eq!((check(&snapshot).unwrap(), snapshot.n_behind()), (version, 1));
    }
}

#[test]
fn one_handle_writes_until_it_lets_another() {
    let name = name("one");
    let first = SharedFrame::create(&name, &schema()).unwrap();
    let second = SharedFrame::attach(&name, &schema()).unwrap();
    let writes = |frame: &SharedFrame| frame.write(write_version).map_err(|error| error.kind());
    assert_eq!((writes(&first), writes(&second)), (Ok(()), Err(ErrorKind::Busy)));
    let within = first.write(|frame| write_version(frame).map(|()| (writes(&first), writes(&second))));
    assert_eq!(within.unwrap(), (Err(ErrorKind::Busy), Err(ErrorKind::Busy)));
    first.stop_writing().unwrap();
    assert_eq!((writes(&second), writes(&first)), (Ok(()), Err(ErrorKind::Busy)));
    drop(second);
    assert_eq!(writes(&first), Ok(()));
    assert_eq!(first.read(check).unwrap(), 5);
}

#[test]
fn a_writer_that_fails_or_panics_leaves_the_last_version() {
    let frame = SharedFrame::create(&name("fails"), &schema()).unwrap();
    frame.write(write_version).unwrap();
    let spoil = |frame: &mut FrameMut<'_>| frame.column_mut::<u64>("each").map(|mut each| each.fill(7));
    for _ in 0..5 {
        let version = frame.version();
        let error =
            frame.write(|frame| spoil(frame).and(frame.column_mut::<f32>("second").map(|_| ()))).unwrap_err();
        assert_eq!(error.to_string(), "column `second` has elements of type float64, wanted float32");
        let panics = || frame.write(|frame| spoil(frame).map(|()| panic!("on purpose")));
        catch_unwind(AssertUnwindSafe(panics)).unwrap_err();
        assert_eq!(frame.read(check).unwrap(), version);
        frame.write(write_version).unwrap();
        assert_eq!(frame.read(check).unwrap(), version + 1);
    }
}

#[test]
fn several_columns_are_written_at_a_time() {
    let frame = SharedFrame::create(&name("several"), &schema()).unwrap();
    for _ in 0..5 {
        let written = frame.write(|frame| {
            write_version(frame)?;
            let version = frame.version();
            let names = ["even", "each", "third"];
            let (even, mut each, third) = frame.columns_mut::<(bool, u64, i16)>(names)?;
            assert!(even.iter().all(|&even| even == version.is_multiple_of(2)));
            assert!(third.iter().all(|&third| third == (version / 3 * 3) as i16));
            each.fill(0);
            each += version;
            // As it is by now, and as it was, which costs no copy.
            assert!(frame.column::<u64>("each")?.iter().all(|&each| each == version));
            assert!(frame.column::<f64>("second")?.iter().all(|&second| second == (version / 2 * 2) as f64));
            Ok(())
        });
        written.unwrap();
        frame.read(check).unwrap();
    }
    let mut refused = Vec::new();
    let _ = frame.write(|frame| {
        refused.push(frame.columns_mut::<(u64, u64)>(["each", "each"]).map(|_| ()).unwrap_err());
        refused.push(frame.columns_mut::<(u64, u64)>(["each", "even"]).map(|_| ()).unwrap_err());
        frame.columns_mut::<(u64, u64)>(["each", "none"]).map(|_| ())
    });
    assert_eq!(refused[0].to_string(), "column `each` is asked for twice at a time");
    assert_eq!(refused[1].to_string(), "column `even` has elements of type bool, wanted uint64");
}

#[test]
fn versions_are_kept_for_who_holds_them_and_copies_are_told_when_they_are_late() {
    let name = name("held");
    let frame = SharedFrame::create_lending(&Options::new(), &name, &schema(), 2).unwrap();
    let mut held = Vec::new();
    for n in 0..6 {
        frame.write(write_version).unwrap();
        let snapshot = frame.try_snapshot().unwrap();
        assert_eq!(snapshot.is_pinned(), n < 2, "two can be lent");
        assert!(snapshot.is_newest());
        held.push(snapshot);
    }
    for _ in 0..100 {
        frame.write(write_version).unwrap();
    }
    for (snapshot, version) in held.iter().zip(2..) {
        assert_eq!((check(snapshot).unwrap(), snapshot.n_behind()), (version, 107 - version));
    }
    // A reader that copies is lapped as often as it tries, if the writer goes on between its columns.
    let reader = SharedFrame::attach_with(&Options::new().read_only(true), &name, &schema()).unwrap();
    let mut n_tries = 0;
    let lapped = |snapshot: &Snapshot| {
        n_tries += 1;
        snapshot.column::<u64>("each")?;
        for _ in 0..4 {
            frame.write(write_version).unwrap();
        }
        snapshot.column::<bool>("even").map(|even| even[0])
    };
    let error = reader.read(lapped).unwrap_err();
    assert_eq!((error.kind(), n_tries), (ErrorKind::TooSlow, 3));
    assert!(error.to_string().contains("4 versions behind"), "{error}");
    drop(held);
    assert!(frame.try_snapshot().unwrap().is_pinned());
}

#[test]
fn a_pin_of_the_dead_is_used_again() {
    const TEST: &str = "a_pin_of_the_dead_is_used_again";
    let _watchdog = watchdog();
    if role().is_some() {
        let frame = SharedFrame::attach(&wait_to_be_told(), &schema()).unwrap();
        let snapshot = frame.try_snapshot().unwrap();
        say(&snapshot.is_pinned().to_string());
        wait_to_be_told();
        return;
    }
    let name = name("pins");
    let frame = SharedFrame::create_lending(&Options::new(), &name, &schema(), 1).unwrap();
    for _ in 0..10 {
        let mut reader = Actor::start(TEST, "reader");
        reader.tell(&name);
        assert_eq!(reader.hear(), "true");
        assert!(!frame.try_snapshot().unwrap().is_pinned());
        drop(reader);
        // Asking for the dead costs calls of the system, so it is not done at every read.
        wait_until(|| frame.try_snapshot().unwrap().is_pinned());
    }
}

#[test]
fn another_schema_is_refused_with_both() {
    let name = name("schemas");
    let frame = SharedFrame::create(&name, &schema()).unwrap();
    assert_eq!(SharedFrame::attach_any(&name).unwrap().schema(), &schema());
    let refused = |wanted: &Schema| -> Error { SharedFrame::attach(&name, wanted).unwrap_err() };
    let error = refused(&schema().column::<u8>("more"));
    assert_eq!(error.kind(), ErrorKind::Npy);
    let source = error.source().and_then(|source| source.downcast_ref::<NpyError>());
    let Some(NpyError::Schema { difference, found, wanted }) = source else { panic!("{error}") };
    assert_eq!(difference, "4 columns, wanted 5");
    assert_eq!(*found, schema().to_string());
    assert_eq!(*wanted, schema().column::<u8>("more").to_string());
    assert!(
        refused(&Schema::matrix::<f64>(N_ROWS, 4)).to_string().contains("named columns, wanted a matrix")
    );
    for (unusable, problem) in [
        (Schema::new(0).column::<f64>("a"), "hold nothing"),
        (Schema::new(1), "hold nothing"),
        (Schema::new(1).column::<f64>("a b"), "no name"),
        (Schema::matrix::<f64>(usize::MAX, 2), "overflow"),
    ] {
        let error = SharedFrame::create("unusable", &unusable).unwrap_err();
        assert!(error.kind() == ErrorKind::InvalidArgument && error.to_string().contains(problem), "{error}");
    }
    let error = SharedFrame::create(&name, &schema()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Segment, "{error}");
    drop(frame);
    assert_eq!(SharedFrame::attach_any(&name).unwrap_err().kind(), ErrorKind::Segment);
}

#[test]
fn a_matrix_is_written_and_read() {
    let name = name("matrix");
    let frame = SharedFrame::create(&name, &Schema::matrix::<f32>(100, 7)).unwrap();
    for version in 2..10 {
        let written = frame.write(|frame| {
            let version = frame.version();
            let mut matrix = frame.matrix_mut::<f32>()?;
            assert_eq!(matrix[(99, 6)], if version == 2 { 0.0 } else { (version - 1) as f32 });
            matrix.fill(version as f32);
            Ok(version)
        });
        assert_eq!(written.unwrap(), version);
        let reader = SharedFrame::attach_any_with(&Options::new().read_only(true), &name).unwrap();
        let copy = reader.try_snapshot().unwrap();
        assert!(!copy.is_pinned());
        let matrix = copy.matrix::<f32>().unwrap();
        assert!(matrix.dim() == (100, 7) && matrix.iter().all(|&x| x == version as f32));
        assert!(copy.column::<f32>("a").is_err() && copy.matrix::<f64>().is_err());
    }
}

#[test]
fn a_read_only_handle_reads_and_waits_and_never_writes() {
    let name = name("read-only");
    let frame = SharedFrame::create(&name, &schema()).unwrap();
    let reader = SharedFrame::attach_with(&Options::new().read_only(true), &name, &schema()).unwrap();
    assert!(reader.is_read_only() && reader.write(|_| Ok(())).is_err());
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| reader.wait_newer(1, Duration::from_secs(100)));
        frame.write(write_version).unwrap();
        assert_eq!(waiting.join().unwrap(), Some(2));
    });
    assert_eq!(reader.wait_newer(2, Duration::ZERO), None);
    assert_eq!(reader.read(check).unwrap(), 2);
    assert!(reader.is_current());
    ndpool::shared::remove(&name).unwrap();
    assert!(!reader.is_current());
    assert_eq!(reader.read(check).unwrap(), 2, "who has it keeps it");
}
