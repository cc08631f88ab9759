use std::cell::Cell;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::mem::ManuallyDrop;
use std::sync::Barrier;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::Instant;

use super::file::{Plan, Published};
use super::name::Name;
use super::named::Named;
use super::page::Kind;
use super::role::Role;
use super::*;
use crate::error::{ErrorKind, Result};
use crate::segment::{DType, PAGE_BYTES, write_header};
use crate::sys::primitive::Ordering;
use crate::sys::{fork, host};
use crate::testing::{actor, ready, role, runs_alone, scratch_directory, wait_until_ready};

thread_local! {
    /// Has this thread find a file system that knows no files without names; and a reaper that finds so many of its files before they
    /// are locked.
    pub(super) static FOUND_BY_A_REAPER: Cell<Option<u32>> = const { Cell::new(None) };
    /// Has this thread find that files which it looks at cannot be opened, with this error.
    pub(crate) static LOOKS_FAIL: Cell<Option<i32>> = const { Cell::new(None) };
}

fn plan(n: usize) -> Plan {
    Plan {
        kind: Kind::Matrix,
        header: write_header(DType::F64, &[n], PAGE_BYTES),
        data_len: 8 * n,
        n_buffers: 2,
        n_columns: 1,
        n_table_words: 3,
    }
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn create(options: &Options, text: &str) -> Result<Published> {
    Published::create(options, &name(text), &plan(1000), |published| {
        published.mapping().write_bytes(published.data_offset(), &1.5_f64.to_ne_bytes());
        Ok(())
    })
}

fn create_over(options: &Options, text: &str) -> Published {
    Published::create_over(options, &name(text), &plan(7), |_| Ok(()), None).unwrap()
}

fn attach(options: &Options, text: &str) -> Result<Published> {
    Published::attach(options, &name(text), &[Kind::Matrix])
}

#[test]
fn what_cannot_be_looked_at_is_not_taken_for_what_is_not_there() {
    let directory = scratch_directory("unseen");
    let options = Options::new().directory(&directory).keep(true);
    drop(create(&options, "a").unwrap());
    for (errno, is_told) in [
        (libc::EMFILE, true),
        (libc::ENFILE, true),
        (libc::ENOMEM, true),
        (libc::EIO, true),
        (libc::EAGAIN, true),
        (libc::ENOENT, false),
        (libc::EACCES, false),
        (libc::ELOOP, false),
        (libc::ENXIO, false),
    ] {
        LOOKS_FAIL.set(Some(errno));
        let results = [
            list_in(&directory).map(|found| found.len()),
            items_of(&directory, "a").map(|found| found.len()),
            reap_in(&directory, true, true).map(|reaped| reaped.len()),
        ];
        LOOKS_FAIL.set(None);
        let told = results.map(|result| {
            result.map_err(|error| assert!(error.to_string().contains("cannot look at"), "{error}"))
        });
        // There are no items of `a`.
        let wanted = if is_told { Err(()) } else { Ok(0) };
        assert_eq!(told, [wanted, Ok(0), wanted], "{errno}");
    }
    assert_eq!(list_in(&directory).unwrap().len(), 1);
    // Another user can have his file refuse to be opened, but not use up this program's descriptors.
    if host::effective_uid() == 0 {
        std::os::unix::fs::chown(directory.join("ndpool.a"), Some(54_321), None).unwrap();
        for (errno, is_told) in [(libc::EAGAIN, false), (libc::EIO, false), (libc::EMFILE, true)] {
            LOOKS_FAIL.set(Some(errno));
            assert_eq!(list_in(&directory).is_err(), is_told, "{errno}");
        }
        LOOKS_FAIL.set(None);
    }
    // What is no structure is none.
    fs::write(directory.join("ndpool.b"), "b").unwrap();
    fs::create_dir(directory.join("ndpool.c")).unwrap();
    std::os::unix::fs::symlink("ndpool.a", directory.join("ndpool.d")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(directory.join("ndpool.e")).unwrap();
    File::create(directory.join("ndpool.f")).unwrap().set_len(2 * PAGE_BYTES as u64).unwrap();
    assert_eq!(list_in(&directory).unwrap().len(), 1);
    fs::remove_dir_all(directory).unwrap();
}

#[test]
fn the_last_one_out_removes_what_is_not_kept() {
    let directory = scratch_directory("shared-last");
    let options = Options::new().directory(&directory);
    let first = create(&options, "a").unwrap();
    let second = attach(&options, "a").unwrap();
    let third = attach(&options.clone().read_only(true), "a").unwrap();
    drop(first);
    assert!(attach(&options, "a").is_ok());
    drop(second);
    assert_eq!(list_in(&directory).unwrap().len(), 1);
    drop(third);
    assert_eq!(fs::read_dir(&directory).unwrap().count(), 0);

    drop(create(&options.clone().keep(true), "b/c").unwrap());
    let [info] = &list_in(&directory).unwrap()[..] else { panic!("one structure") };
    assert!(info.kept && !info.attached && info.name == "b/c" && !info.group_read);
    assert!(reap_in(&directory, false, false).unwrap().is_empty());
    assert_eq!(reap_in(&directory, true, true).unwrap().len(), 1);
    assert_eq!(reap_in(&directory, true, false).unwrap().len(), 1);
    fs::remove_dir(directory).unwrap();
}

#[test]
fn a_name_is_taken_by_the_living_and_free_after_the_dead() {
    let directory = scratch_directory("shared-taken");
    let options = Options::new().directory(&directory);
    let living = create(&options, "a").unwrap();
    let error = create(&options, "a").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Segment);
    assert!(error.to_string().contains("already"), "{error}");
    // As a process leaves it that is killed.
    std::mem::forget(living);
    fs::write(directory.join("ndpool.b"), "not ours").unwrap();
    let error = create(&options, "b").unwrap_err();
    assert!(error.kind() == ErrorKind::Segment && error.to_string().contains("no structure"), "{error}");
    assert!(attach(&options, "b").unwrap_err().to_string().contains("no structure"));
    fs::remove_dir_all(directory).unwrap();
}

#[test]
fn who_replaces_and_who_removes_is_noticed() {
    let directory = scratch_directory("shared-swap");
    let options = Options::new().directory(&directory);
    let old = create(&options, "a").unwrap();
    assert!(old.is_current());
    let seen = old.page().bell().sequence();
    let new = Published::create_over(&options, &name("a"), &plan(7), |_| Ok(()), None).unwrap();
    assert!(!old.is_current() && new.is_current());
    assert_ne!(old.page().bell().sequence(), seen, "whoever waits is woken");
    assert_eq!(attach(&options, "a").unwrap().nonce(), new.nonce());
    drop(old);
    assert!(new.is_current(), "the old one does not take the name of the new one with it");
    remove_with(&options, "a").unwrap();
    assert!(!new.is_current());
    assert_eq!(attach(&options, "a").unwrap_err().kind(), ErrorKind::Segment);
    assert_eq!(remove_with(&options, "a").unwrap_err().kind(), ErrorKind::Segment);
    let over_nothing = Published::create_over(&options, &name("a"), &plan(7), |_| Ok(()), None).unwrap();
    assert!(over_nothing.is_current());
    drop((new, over_nothing));
    assert_eq!(fs::read_dir(&directory).unwrap().count(), 0);
    fs::remove_dir(directory).unwrap();
}

#[test]
fn roles_and_seats_are_had_by_one_at_a_time() {
    let directory = scratch_directory("shared-roles");
    let options = Options::new().directory(&directory);
    let (a, b) = (create(&options, "a").unwrap(), attach(&options, "a").unwrap());
    assert!(a.try_take(Role::Writer).unwrap() && !b.try_take(Role::Writer).unwrap());
    assert!(b.is_taken(Role::Writer) && !a.is_taken(Role::Writer));
    a.give_back(Role::Writer);
    assert!(b.try_take(Role::Writer).unwrap());
    let mut settled = Vec::new();
    let seats = [&a, &b].map(|handle| handle.seat(|seat| settled.push(seat)).unwrap());
    assert_eq!((seats, a.seat(|_| unreachable!()).unwrap()), ([1, 2], 1));
    assert_eq!(settled, [1, 2]);
    assert!(b.is_taken(Role::Seat(1)) && a.is_taken(Role::Seat(2)) && !a.is_taken(Role::Seat(3)));
    drop(b);
    assert!(!a.is_taken(Role::Seat(2)) && a.try_take(Role::Writer).unwrap());
    let reader = attach(&options.clone().read_only(true), "a").unwrap();
    assert!(reader.seat(|_| ()).is_err() && reader.try_take(Role::Writer).is_err());
    assert_eq!(reader.page().n_buffers.load(Ordering::Relaxed), 2);
    drop((a, reader));
    fs::remove_dir(directory).unwrap();
}

#[test]
fn others_files_and_modes_are_refused() {
    use std::os::unix::fs::PermissionsExt;
    let directory = scratch_directory("shared-modes");
    let options = Options::new().directory(&directory).group_read(true);
    let a = create(&options, "a").unwrap();
    let mode = |path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(a.path()), 0o640);
    assert!(list_in(&directory).unwrap()[0].group_read);
    let error = attach(&options.clone().owner(12345), "a").unwrap_err();
    assert!(error.to_string().contains("wanted 12345"), "{error}");
    fs::set_permissions(a.path(), fs::Permissions::from_mode(0o660)).unwrap();
    assert!(attach(&options, "a").unwrap_err().to_string().contains("others may write"));
    fs::set_permissions(a.path(), fs::Permissions::from_mode(0o640)).unwrap();
    std::os::unix::fs::symlink(a.path(), directory.join("ndpool.link")).unwrap();
    assert!(attach(&options, "link").is_err());
    let error = Published::attach(&options, &name("a"), &[Kind::Event]).unwrap_err();
    assert!(error.to_string().contains("it is a matrix, wanted an event"), "{error}");
    let error = attach(&options, "nothing").unwrap_err();
    assert!(error.hint().unwrap().contains("there are a"), "{error}");
    drop(a);
    fs::remove_dir_all(directory).unwrap();
}

#[test]
fn a_forked_child_neither_holds_nor_removes_anything() {
    const TEST: &str = "shared::tests::a_forked_child_neither_holds_nor_removes_anything";
    // A fork wants a process in which no other thread is in the middle of anything.
    if !runs_alone(TEST) {
        return;
    }
    let directory = scratch_directory("shared-fork");
    let options = Options::new().directory(&directory);
    let a = create(&options, "a").unwrap();
    let path = a.path().to_owned();
    let held = ManuallyDrop::new(a);
    let child = fork::fork_for_test(|| {
        // It may get the number of a descriptor that is closed here.
        let _other = File::create(directory.join("other")).unwrap();
        assert!(held.try_take(Role::Writer).is_err() && held.is_taken(Role::Server));
        drop(ManuallyDrop::into_inner(held));
        assert!(path.exists());
    });
    let status = nix::sys::wait::waitpid(child, None).unwrap();
    assert_eq!(status, nix::sys::wait::WaitStatus::Exited(child, 0));
    assert!(list_in(&directory).unwrap()[0].attached);
    fs::remove_dir_all(directory).unwrap();
}

#[test]
fn damaged_files_are_refused() {
    let directory = scratch_directory("shared-damaged");
    let options = Options::new().directory(&directory);
    let a = create(&options, "a").unwrap();
    let good = fs::read(a.path()).unwrap();
    let page = good.len() - PAGE_BYTES;
    let refuse = |text: &str, change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = good.clone();
        change(&mut bytes);
        let path = directory.join("ndpool.b");
        fs::write(&path, bytes).unwrap();
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        let error = attach(&options, "b").unwrap_err().to_string();
        assert!(error.contains(text), "{error}");
        assert_eq!(Name::of_file(OsStr::new("ndpool.b")), Some(name("b")));
    };
    refuse("no control page", &|bytes| bytes[page] ^= 1);
    refuse("layout is version 2", &|bytes| bytes[page + 8] = 2);
    refuse("kind 77", &|bytes| bytes[page + 24] = 77);
    refuse("tables at", &|bytes| bytes[page + 13 * 8 + 6] = 1);
    refuse("tables at", &|bytes| bytes[page + 13 * 8..page + 14 * 8].fill(0));
    refuse("no header", &|bytes| bytes[0] = 0);
    refuse("no header", &|bytes| bytes[9] = 0xff);
    refuse("no structure", &|bytes| bytes.truncate(PAGE_BYTES));
    refuse("no structure", &|bytes| bytes.truncate(5 * PAGE_BYTES / 2));
    drop(a);
    fs::remove_dir_all(directory).unwrap();
}

#[test]
fn of_two_who_leave_together_one_removes_the_file() {
    let directory = scratch_directory("shared-together");
    let options = Options::new().directory(&directory);
    let barrier = Barrier::new(2);
    for round in 0..300 {
        let first = create(&options, "a").unwrap();
        let second = attach(&options.clone().read_only(round % 3 == 0), "a").unwrap();
        thread::scope(|scope| {
            for handle in [first, second] {
                let barrier = &barrier;
                scope.spawn(move || {
                    barrier.wait();
                    drop(handle);
                });
            }
        });
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 0, "round {round}");
    }
    fs::remove_dir(directory).unwrap();
}

#[test]
fn a_second_name_and_a_copy_are_not_taken_for_the_file() {
    let directory = scratch_directory("shared-second");
    let options = Options::new().directory(&directory);
    let old = create(&options, "a").unwrap();
    // What somebody else may do, and what a file system does that publishes by links.
    fs::hard_link(old.path(), directory.join("backup")).unwrap();
    let new = create_over(&options, "a");
    assert!(!old.is_current(), "it has a name, but not this one");
    old.remove_name().unwrap();
    assert!(new.is_current());
    drop((old, new));
    assert!(!directory.join("ndpool.a").exists());

    let first = create(&options, "b").unwrap();
    fs::copy(first.path(), directory.join("copy")).unwrap();
    fs::rename(directory.join("copy"), first.path()).unwrap();
    first.remove_name().unwrap();
    drop(first);
    assert!(directory.join("ndpool.b").exists(), "the name is the copy's, which somebody may use");
    fs::remove_dir_all(directory).unwrap();
}

#[test]
fn who_must_name_a_file_at_once_is_in_nobodys_way() {
    let directory = scratch_directory("shared-named");
    let options = Options::new().directory(&directory);
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                reap_in(&directory, true, false).unwrap();
            }
        });
        for round in 0..100 {
            FOUND_BY_A_REAPER.set(Some(round % 3));
            let made = create(&options, "a").and_then(|first| Ok((first, attach(&options, "a")?)));
            let swapped = Published::create_over(&options, &name("a"), &plan(7), |_| Ok(()), None);
            if made.is_err() || swapped.is_err() {
                is_over.store(true, Ordering::Relaxed);
                panic!("round {round}: {made:?} {swapped:?}");
            }
        }
        is_over.store(true, Ordering::Relaxed);
    });
    assert_eq!(fs::read_dir(&directory).unwrap().count(), 0);
    fs::remove_dir(directory).unwrap();
}

#[test]
fn what_the_dead_left_at_a_seat_is_cleared_by_who_keeps_the_seat_free() {
    let directory = scratch_directory("shared-settle");
    let options = Options::new().directory(&directory);
    let (a, b) = (create(&options, "a").unwrap(), attach(&options, "a").unwrap());
    assert_eq!((a.seat(|_| ()).unwrap(), b.seat(|_| ()).unwrap()), (1, 2));
    assert!(!a.settle_if_dead(1, || unreachable!()) && !a.settle_if_dead(2, || unreachable!()));
    drop(b);
    let c = attach(&options, "a").unwrap();
    let mut seat = 0;
    assert!(a.settle_if_dead(2, || seat = c.seat(|_| ()).unwrap()));
    assert_eq!(seat, 3, "2 is not free before it is settled");
    assert_eq!(attach(&options, "a").unwrap().seat(|_| ()).unwrap(), 2);
    drop((a, c));
    fs::remove_dir(directory).unwrap();
}

#[test]
fn a_relative_directory_is_where_it_was() {
    assert!(Options::new().directory("here").directory.is_absolute());
}

#[test]
fn who_is_stopped_with_a_name_in_hand_is_in_nobodys_way_for_long() {
    const TEST: &str = "shared::tests::who_is_stopped_with_a_name_in_hand_is_in_nobodys_way_for_long";
    if let Some((_, directory)) = role() {
        let hold = |file: &str| Named::hold(&directory.join(file), Instant::now()).unwrap().unwrap();
        let (_used, unused) = (hold("ndpool.used"), hold("ndpool.unused"));
        assert!(unused.is_dead().unwrap());
        ready();
        return;
    }
    let directory = scratch_directory("shared-stopped");
    let options = Options::new().directory(&directory);
    let used = create(&options, "used").unwrap();
    drop(create(&options.clone().keep(true), "unused").unwrap());
    let mut actor = actor(&[], TEST, "holder", &directory).spawn().unwrap();
    assert!(wait_until_ready(&mut actor));
    let pid = nix::unistd::Pid::from_raw(i32::try_from(actor.id()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGSTOP).unwrap();
    let stopped = |error: crate::Error| {
        assert!(error.kind() == ErrorKind::Io && error.to_string().contains("is it stopped?"), "{error}");
    };
    thread::scope(|scope| {
        // Each waits as long as anybody would, and says why.
        scope.spawn(|| stopped(remove_with(&options, "used").unwrap_err()));
        scope.spawn(|| stopped(attach(&options, "unused").unwrap_err()));
        scope.spawn(|| {
            stopped(Published::create_over(&options, &name("used"), &plan(7), |_| Ok(()), None).unwrap_err())
        });
        // Those who use it go on, and others come.
        assert!(used.is_current() && attach(&options, "used").is_ok());
        assert_eq!(list_in(&directory).unwrap().len(), 2);
    });
    actor.kill().unwrap();
    actor.wait().unwrap();
    assert!(attach(&options, "unused").is_ok());
    remove_with(&options, "used").unwrap();
    drop(used);
    fs::remove_dir_all(directory).unwrap();
}
