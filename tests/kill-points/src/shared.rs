use crate::scenario::prelude_file;
use ndarray::Ix1;
use ndpool::ErrorKind;
use ndpool::server::{self, AfterKill, DataClient, DataServer};
use ndpool::shared::{self, DoubleBuffer, Event, LockError, Mutex, Options, Schema, SharedFrame};
use ndpool_tests::wait_until;
use std::os::unix::process::{ExitStatusExt, parent_id};
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::Duration;

/// Set by the director: where structures lie.
pub const DIRECTORY: &str = "NDPOOL_KILL_SHARED";

/// The process that has started a part.
const PLAYER: &str = "NDPOOL_KILL_PLAYER";

/// Something that a process of its own does, and that it may be killed in.
type Part = (&'static str, fn());

const PARTS: &[Part] = &[
    ("use-event", use_event),
    ("keep-event", keep_event),
    ("remove-event", remove_event),
    ("leave-events", leave_events),
    ("reap", reap),
    ("make-buffer", make_buffer),
    ("write-buffer", write_buffer),
    ("read-buffer", read_buffer),
    ("write-columns", write_columns),
    ("read-columns", read_columns),
    ("lock", lock),
    ("lock-briefly", lock_briefly),
    ("panic-locked", panic_locked),
    ("wait", wait),
    ("serve", serve),
    ("reap-servers", reap_servers),
];

/// Does a part, if it is the name of one.
pub fn play_part(name: &str) -> bool {
    let part = PARTS.iter().find(|(part, _)| *part == name);
    part.map(|(_, play)| play()).is_some()
}

/// Starts a part.
fn start(name: &str) -> Child {
    assert!(PARTS.iter().any(|(part, _)| *part == name), "no part {name}");
    let mut part = Command::new("/proc/self/exe");
    part.args(["play", name]).env(PLAYER, std::process::id().to_string()).spawn().unwrap()
}

/// Waits for a part; whether it came to its end. It may be killed, and nothing else.
fn ends(mut part: Child) -> bool {
    let status = part.wait().unwrap();
    assert!(status.success() || status.signal() == Some(libc::SIGKILL), "a part ended with {status}");
    status.success()
}

fn play(name: &str) -> bool {
    ends(start(name))
}

/// Starts a part that is to wait at a point of the prelude, and waits until it does, or has ended. So often is the point passed by then.
fn start_up_to(name: &str, prelude: usize, n_hits: u64) -> Child {
    let mut part = start(name);
    wait_until(|| self::n_hits(prelude) >= n_hits || part.try_wait().unwrap().is_some());
    part
}

/// How often a point of the prelude was passed.
fn n_hits(prelude: usize) -> u64 {
    std::fs::metadata(prelude_file(prelude)).map_or(0, |found| found.len())
}

fn directory() -> PathBuf {
    std::env::var_os(DIRECTORY).expect("a director says where").into()
}

fn options() -> Options {
    Options::new().directory(directory())
}

fn kept() -> Options {
    options().keep(true)
}

fn names() -> Vec<String> {
    shared::list_in(&directory()).unwrap().into_iter().map(|info| info.name).collect()
}

/// Removes what is left, kept or not, and sees that nothing is.
fn clean() {
    shared::reap_in(&directory(), true, false).unwrap();
    let left: Vec<_> = std::fs::read_dir(directory()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(left.is_empty(), "after reaping: {left:?}");
}

/// What has a name in all its lives: created, attached, left, kept, removed, left by the dead, replaced, reaped.
pub fn lives() {
    if play("use-event") {
        assert!(names().is_empty(), "the last one out has left {:?}", names());
    }
    // Whatever is left of the other one, the name can be had.
    drop(Event::create_with(&options(), "event").unwrap());

    let was_kept = play("keep-event");
    match Event::attach_with(&options(), "kept") {
        Ok(event) => assert!(event.is_set() || !was_kept),
        Err(error) => assert!(error.kind() == ErrorKind::Segment && !was_kept, "{error}"),
    }
    let was_removed = play("remove-event");
    assert!(!(was_removed && names().contains(&"kept".into())));

    let was_left = play("leave-events");
    // What nobody uses is found as long as nobody has removed it; then this process is the last one out.
    assert!(!was_left || Event::attach_with(&options(), "left").unwrap().is_set());
    drop(Event::create_with(&options(), "left").unwrap());
    if play("reap") {
        assert_eq!(names(), if was_removed || !was_kept { vec![] } else { vec!["kept".to_owned()] });
    }
    clean();
}

fn use_event() {
    let event = Event::create_with(&options(), "event").unwrap();
    let same = Event::attach_with(&options(), "event").unwrap();
    event.set();
    assert!(same.is_set() && same.wait_timeout(Duration::ZERO));
    drop(event);
    assert!(same.clear() && same.is_current());
    // Nobody sets it.
    assert!(!same.wait_timeout(Duration::from_millis(3)));
}

fn keep_event() {
    let event = Event::create_with(&kept(), "kept").unwrap();
    event.set();
}

fn remove_event() {
    // Its maker may have been killed.
    if names().contains(&"kept".into()) {
        shared::remove_with(&options(), "kept").unwrap();
    }
}

/// As a process leaves them that is killed.
fn leave_events() {
    for name in ["left", "left-too"] {
        let event = Event::create_with(&options(), name).unwrap();
        event.set();
        std::mem::forget(event);
    }
    std::process::exit(0);
}

fn reap() {
    shared::reap_in(&directory(), false, false).unwrap();
}

type Buffer = DoubleBuffer<u64, Ix1>;

/// Frames whose elements are all their number. Few buffers: one pin.
fn buffer() -> Buffer {
    let made = Buffer::builder().buffers(3).options(&kept()).create("buffer", 100);
    made.or_else(|_| Buffer::attach_with(&options(), "buffer")).unwrap()
}

fn make_buffer() {
    drop(buffer());
}

/// Frames by one writer after the other, read all the time.
pub fn buffers() {
    play("make-buffer");
    let kept = buffer();
    let mut last = 0;
    for part in ["write-buffer", "read-buffer", "write-buffer"] {
        let before = kept.number();
        let is_done = play(part);
        let frame = kept.reader().read().unwrap();
        assert!(frame.array.iter().all(|&x| x == frame.number), "{}: {:?}", frame.number, frame.array);
        let n = if part == "write-buffer" { 3 } else { 0 };
        assert!(frame.number <= before + n && (!is_done || frame.number == before + n));
        // Whoever comes next is the writer.
        let mut writer = kept.writer().unwrap();
        let number = writer.write(|mut frame| frame.fill(before + 99));
        assert_eq!(number, frame.number + 1);
        // That one was another frame: what is written next repairs it.
        last = writer.write(|mut frame| frame.fill(number + 1));
        drop(writer);
        let (seen, sum) = lent(&kept);
        assert_eq!((seen, sum), (last, 100 * last));
    }
    assert_eq!(kept.number(), last);
    drop(kept);
    clean();
}

/// Number and sum of a frame that is lent.
fn lent(buffer: &Buffer) -> (u64, u64) {
    let mut reader = buffer.reader();
    let sum = reader.read_with(|frame| frame.sum()).unwrap();
    (reader.number(), sum)
}

fn write_buffer() {
    let buffer = buffer();
    let mut writer = buffer.writer().unwrap();
    let next = writer.number() + 1;
    assert_eq!(writer.write(|mut frame| frame.fill(next)), next);
    let refused = writer.try_write(|mut frame| {
        frame.fill(u64::MAX);
        Err("no")
    });
    assert_eq!(refused, Err("no"));
    writer.update(|mut frame| frame += 1);
    writer.update(|mut frame| frame += 1);
}

fn read_buffer() {
    let buffer = buffer();
    let (number, sum) = lent(&buffer);
    assert_eq!(sum, 100 * number);
    let mut reader = buffer.reader();
    let frame = reader.read().unwrap();
    assert!(frame.array.iter().all(|&x| x == frame.number));
    // Somebody may be writing.
    let newer = reader.wait_newer(frame.number, Duration::from_millis(3));
    assert!(newer.is_none_or(|newer| newer > frame.number));
    let copier = Buffer::attach_with(&options().read_only(true), "buffer").unwrap();
    let (number, sum) = lent(&copier);
    assert_eq!(sum, 100 * number);
}

/// What a reader and a writer have left that were killed is found and cleared by others.
pub fn heirs() {
    let kept = buffer();
    kept.writer().unwrap().write(|mut frame| frame.fill(1));
    // A seat of its own, so that it does not get that of the dead.
    assert_eq!(lent(&kept), (1, 100));
    // It dies as it has pinned, or as it is told to.
    play("read-buffer");
    // There is no other pin.
    assert_eq!(lent(&kept), (1, 100));
    // Waits, pinned, for the next frame. That the first was committed must not count for it.
    let _ = std::fs::remove_file(prelude_file(1).with_extension("go"));
    let reader = start_up_to("read-buffer", 1, 3);
    kept.writer().unwrap().write(|mut frame| frame.fill(2));
    ends(reader);
    // It dies as it writes the second frame.
    play("write-buffer");
    let before = kept.number();
    assert_eq!(lent(&kept), (before, 100 * before));
    if play("write-buffer") {
        assert_eq!(lent(&kept), (before + 3, 100 * (before + 3)));
    }
    drop(kept);
    clean();
}

/// Two columns that are the same in each version.
fn columns() -> SharedFrame {
    let schema = Schema::new(50).column::<u64>("a").column::<u32>("b");
    let made = SharedFrame::create_with(&kept(), "columns", &schema);
    made.or_else(|_| SharedFrame::attach_with(&options(), "columns", &schema)).unwrap()
}

pub fn frames() {
    let kept = columns();
    for part in ["write-columns", "read-columns", "write-columns"] {
        let before = kept.version();
        let is_done = play(part);
        let version = check_columns(&kept);
        let n = if part == "write-columns" { 2 } else { 0 };
        assert!(version <= before + n && (!is_done || version == before + n), "{before} {version} {is_done}");
        fill_columns(&kept);
        kept.stop_writing().unwrap();
        assert_eq!(check_columns(&kept), version + 1);
    }
    drop(kept);
    clean();
}

fn check_columns(frame: &SharedFrame) -> u64 {
    let check = |snapshot: &shared::Snapshot| {
        let (a, b) = (snapshot.column::<u64>("a")?, snapshot.column::<u32>("b")?);
        let version = snapshot.version();
        // The first is all zeros.
        let value = if version == 1 { 0 } else { version };
        assert!(
            a.iter().all(|&a| a == value) && b.iter().all(|&b| u64::from(b) == value),
            "{version}: {a} {b}"
        );
        Ok(version)
    };
    let version = frame.read(check).unwrap();
    assert_eq!(check(&frame.try_snapshot().unwrap()).unwrap(), version);
    assert_eq!(check(&frame.try_copy().unwrap()).unwrap(), version);
    version
}

fn fill_columns(frame: &SharedFrame) {
    frame
        .write(|frame| {
            let version = frame.version();
            frame.column_out::<u64>("a")?.fill(version);
            frame.column_out::<u32>("b")?.fill(version as u32);
            Ok(())
        })
        .unwrap();
}

fn write_columns() {
    let frame = columns();
    fill_columns(&frame);
    let refused = frame.write(|frame| {
        frame.column_mut::<u64>("a")?.fill(u64::MAX);
        frame.column_mut::<u64>("no such column")?;
        Ok(())
    });
    assert!(refused.is_err());
    fill_columns(&frame);
}

fn read_columns() {
    let frame = columns();
    let version = check_columns(&frame);
    assert_eq!(frame.wait_newer(version, Duration::from_millis(3)), None);
}

/// Two numbers that are the same whenever the lock is free and not poisoned.
fn pair() -> Mutex<u64, Ix1> {
    let made = Mutex::create_with(&kept(), "pair", 2);
    made.or_else(|_| Mutex::attach_with(&options(), "pair")).unwrap()
}

/// Adds one to both; whether that had to be made good first, and what they are then.
fn add(pair: &Mutex<u64, Ix1>) -> (bool, u64) {
    let (mut guard, was_poisoned) = match pair.lock() {
        Ok(guard) => (guard, false),
        Err(LockError::Poisoned(mut poisoned)) => {
            let pair = poisoned.guard_mut();
            pair[1] = pair[0];
            (poisoned.recover(), true)
        }
        Err(error) => panic!("{error}"),
    };
    assert_eq!(guard[0], guard[1]);
    guard[0] += 1;
    guard[1] += 1;
    (was_poisoned, guard[0])
}

pub fn mutexes() {
    let pair = pair();
    let mut n = add(&pair).1;
    for parts in [&["lock"][..], &["lock", "lock"], &["panic-locked"], &["lock-briefly"]] {
        let guard = (parts[0] == "lock-briefly").then(|| pair.lock().unwrap());
        let started: Vec<_> = parts.iter().map(|part| start(part)).collect();
        let n_done = started.into_iter().filter_map(|part| ends(part).then_some(())).count();
        drop(guard);
        let (was_poisoned, now) = add(&pair);
        let n_most = if parts[0] == "lock" { 20 * parts.len() as u64 } else { 1 };
        assert!(now > n && now <= n + n_most + 1, "{n} {now}");
        if n_done == parts.len() {
            assert!(parts[0] != "lock" || now == n + n_most + 1);
            assert_eq!(was_poisoned, parts[0] == "panic-locked");
        }
        n = now;
    }
    drop(pair);
    clean();
}

/// A lock whose holder was killed is another's, who is told.
pub fn bequests() {
    let pair = pair();
    let n = add(&pair).1;
    // It dies as it has the lock for the second time, or as it is told to.
    assert!(!play("lock"));
    let has_died_there = n_hits(0) >= 3;
    let (was_poisoned, now) = add(&pair);
    assert!((was_poisoned || !has_died_there) && now <= n + 2, "{n} {now}");
    // Another one does, and the next has its seat, unless it was the other before.
    play("lock");
    play("lock");
    let then = add(&pair).1;
    assert!(then > now && then <= now + 41, "{now} {then}");
    drop(pair);
    clean();
}

/// A lock that somebody waits for when it is given back.
pub fn queues() {
    let pair = pair();
    let n = add(&pair).1;
    let guard = pair.lock().unwrap();
    let waiter = start_up_to("lock", 0, 1);
    drop(guard);
    let is_done = ends(waiter);
    let (was_poisoned, now) = add(&pair);
    assert!(now <= n + 21 && (!is_done || !was_poisoned && now == n + 21), "{n} {now}");
    drop(pair);
    clean();
}

fn lock() {
    let pair = pair();
    (0..20).for_each(|_| _ = add(&pair));
}

/// Somebody else has it all the time, unless that one was killed.
fn lock_briefly() {
    let _ = pair().lock_timeout(Duration::from_millis(5));
}

fn panic_locked() {
    let pair = pair();
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let mut guard = pair.lock().unwrap_or_else(|error| match error {
            LockError::Poisoned(poisoned) => poisoned.recover(),
            error => panic!("{error}"),
        });
        guard[0] += 1;
        panic!("between the two");
    }));
    assert!(panic.is_err());
}

/// An event that somebody waits for is set, though others are killed.
pub fn events() {
    let event = Event::create_with(&kept(), "waited-for").unwrap();
    let waiters = [start("wait"), start("wait")];
    event.set();
    waiters.into_iter().for_each(|waiter| _ = ends(waiter));
    event.clear();
    drop(event);
    clean();
}

fn wait() {
    let player: u32 = std::env::var(PLAYER).unwrap().parse().unwrap();
    let Ok(event) = Event::attach_with(&options(), "waited-for") else { return };
    // Whoever was to set it may be dead.
    while !event.wait_timeout(Duration::from_millis(50)) && parent_id() == player {}
}

const SERVER: &str = "server";

fn server() -> DataServer {
    DataServer::builder(SERVER).directory(directory()).start().unwrap()
}

/// Serves, and does all that a client can, and ends.
fn serve() {
    let server = DataServer::builder(SERVER).directory(directory()).max_items(3).start().unwrap();
    publish(&server);
    server.close().unwrap();
}

fn publish(client: &DataClient) {
    let array = |n: usize, value: u64| ndarray::Array1::from_elem(n, value);
    // Created, unless there is one; the next version; another in its place; gone.
    for (n, value) in [(10, 1), (10, 2), (20, 3)] {
        client.put("a", &array(n, value)).unwrap();
    }
    client.put("b", &array(5, 4)).unwrap();
    client.remove("b").unwrap();
    client.put("c", &array(5, 5)).unwrap();
}

/// What is served is whole: its elements are all the same, and one of those that were put.
fn check_items(client: &DataClient) {
    for item in client.items().unwrap() {
        let mut array = client.array::<u64, Ix1>(&item.name).unwrap();
        let (first, is_whole) =
            array.read_with(|view| (view[0], view.iter().all(|&x| x == view[0]))).unwrap();
        let version = array.version();
        assert!(is_whole && (1..=5).contains(&first), "{}, version {version}: {first}", item.name);
    }
}

/// A server that may be killed, and the next of its name.
pub fn servers() {
    if play("serve") {
        assert!(names().is_empty(), "a server that ended has left {:?}", names());
    }
    let next = server();
    check_items(&next);
    publish(&next);
    check_items(&next);
    next.close().unwrap();
    clean();
}

/// A server that was killed: the next one takes over what it had, or it is reaped.
pub fn successors() {
    // It dies with an item published, or as it is told to.
    assert!(!play("serve"));
    let next = server();
    check_items(&next);
    drop(next);
    // It dies as it swaps.
    play("serve");
    play("reap-servers");
    server::reap_in(&directory(), true, false).unwrap();
    let last =
        DataServer::builder(SERVER).directory(directory()).after_kill(AfterKill::Remove).start().unwrap();
    publish(&last);
    last.close().unwrap();
    play("reap");
    clean();
}

fn reap_servers() {
    server::reap_in(&directory(), true, false).unwrap();
}
