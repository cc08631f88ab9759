//! Goal: what others do to the names in `/dev/shm` costs no data and gives nothing away: a name that is planted is neither
//! followed nor replaced, names that are removed under a living pool are not missed, and descriptors that nobody else may
//! look at are not relied on.
//!
//! Method: links and files are planted at the very names that a pool is about to use; all names of a pool are unlinked, as
//! a login manager does at the end of a session; a program makes itself undumpable. The pool's work must be right, or an
//! error that names the cause.

use ndarray::prelude::*;
use ndpool::merge::Sum;
use ndpool::{Backing, ErrorKind, Pool, Stderr, task};
use ndpool_tests::{Actor, Container, Run, become_user, kill, play, role, skip, watchdog};
use std::path::Path;

#[task]
fn add(mut x: ArrayViewMut1<i64>) -> Sum<i64> {
    x += 1;
    Sum(x.sum())
}

#[task]
fn numbers(n: usize) -> Vec<u64> {
    (0..n as u64).collect()
}

fn pool(backing: Backing) -> Pool {
    Pool::builder().workers(2).backing(backing).stderr(Stderr::Keep).build().unwrap()
}

#[ndpool::test]
fn a_planted_name_is_neither_followed_nor_replaced() {
    let _watchdog = watchdog();
    let pool = pool(Backing::Named);
    let run = Run::of(&pool);
    let victim = std::env::temp_dir().join(format!("ndpool-victim.{}", std::process::id()));
    std::fs::write(&victim, "precious").unwrap();
    let last = pool.zeros::<i64, _>(10).unwrap();
    let (prefix, number) =
        last.segment_name().rsplit_once('.').map(|(a, b)| (a.to_owned(), b.parse::<u64>().unwrap())).unwrap();
    let planted = |n: u64| Path::new("/dev/shm").join(format!("{prefix}.{n}"));
    std::os::unix::fs::symlink(&victim, planted(number + 1)).unwrap();
    std::fs::write(planted(number + 2), "somebody's").unwrap();
    std::fs::create_dir(planted(number + 3)).unwrap();
    // Of a size that nothing is kept for. Each attempt takes a number; after the planted ones it works.
    for _ in 0..3 {
        let error = pool.zeros::<i64, _>(5_000_000).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io, "{error}");
        assert!(error.to_string().contains("File exists"), "{error}");
    }
    let mut x = pool.zeros::<i64, _>(5_000_000).unwrap();
    assert_eq!(pool.run(add(&mut x)).unwrap().0, 5_000_000);
    assert_eq!(std::fs::read_to_string(&victim).unwrap(), "precious");
    assert_eq!(std::fs::read_to_string(planted(number + 2)).unwrap(), "somebody's");
    std::fs::remove_file(planted(number + 1)).unwrap();
    std::fs::remove_file(planted(number + 2)).unwrap();
    std::fs::remove_dir(planted(number + 3)).unwrap();
    std::fs::remove_file(victim).unwrap();
    drop((pool, last, x));
    run.assert_gone();
}

#[ndpool::test]
fn names_that_are_removed_under_a_living_pool_are_not_missed() {
    let _watchdog = watchdog();
    let pool = pool(Backing::Named);
    let run = Run::of(&pool);
    let mut x = pool.zeros::<i64, _>(1_000).unwrap();
    pool.run(add(&mut x).block_rows(100)).unwrap();
    for round in 2..6 {
        for name in run.files() {
            std::fs::remove_file(Path::new("/dev/shm").join(name)).unwrap();
        }
        // Fresh workers have mapped nothing yet.
        pool.worker_pids().into_iter().for_each(|pid| _ = kill(pid));
        assert_eq!(pool.run(add(&mut x).block_rows(100)).unwrap().0, 1_000 * round);
        // New names are under a manifest again, so that nobody takes the pool for dead.
        let mut y = pool.zeros::<i64, _>(3_000 + round as usize).unwrap();
        assert!(run.files().iter().any(|name| name.ends_with("manifest")), "{:?}", run.files());
        ndpool::reap(false).unwrap();
        assert_eq!(pool.run(add(&mut y)).unwrap().0, 3_000 + round);
        assert!(y.path().exists());
    }
    drop((pool, x));
    run.assert_gone();
}

/// Results that do not fit their slots go to a file that the supervisor has made.
#[ndpool::test]
fn workers_make_no_names() {
    let _watchdog = watchdog();
    let pool = pool(Backing::Named);
    let run = Run::of(&pool);
    let files = || {
        let mut files = run.files();
        files.sort();
        files
    };
    let work = || {
        let all = pool.map((0..40).map(|_| numbers(50_000))).in_flight(8);
        all.map(|result| result.unwrap().len()).sum::<usize>()
    };
    // The arenas of so many jobs are made, by the supervisor, and kept.
    work();
    let before = files();
    let mut results = pool.map((0..40).map(|_| numbers(50_000))).in_flight(8);
    for _ in 0..40 {
        assert_eq!(results.next().unwrap().unwrap().len(), 50_000);
        let new: Vec<_> = files().into_iter().filter(|name| !before.contains(name)).collect();
        // Numbers come from the supervisor's counter, which its next segment goes on with.
        let next = pool.zeros::<u8, _>(1).unwrap();
        let number = |name: &str| name.rsplit('.').next().unwrap().parse::<u64>().unwrap();
        assert!(new.iter().all(|name| number(name) < number(&next.segment_name())), "{new:?}");
    }
}

#[ndpool::test]
fn a_program_that_nobody_may_look_into_uses_names() {
    const NAME: &str = "a_program_that_nobody_may_look_into_uses_names";
    let _watchdog = watchdog();
    if role().is_none() {
        if !nix::unistd::geteuid().is_root() {
            return skip("only root can become a user who is kept out of its own processes");
        }
        return play(Actor::command(&[], NAME, "undumpable"));
    }
    become_user(54_321);
    nix::sys::prctl::set_dumpable(false).unwrap();
    let error = Pool::builder().workers(1).backing(Backing::Memfd).build().unwrap_err();
    assert!(
        error.to_string().contains("/proc") && error.hint().unwrap().contains("Backing::Named"),
        "{error}"
    );
    let pool = pool(Backing::Auto);
    let mut x = pool.zeros::<i64, _>(1_000).unwrap();
    assert!(x.path().starts_with("/dev/shm"));
    pool.worker_pids().into_iter().for_each(|pid| _ = kill(pid));
    assert_eq!(pool.run(add(&mut x)).unwrap().0, 1_000);
}

/// As above, where `/dev/shm` has no room: an error, not memory that no worker could reach.
#[ndpool::test]
fn a_program_that_nobody_may_look_into_has_no_other_memory() {
    const NAME: &str = "a_program_that_nobody_may_look_into_has_no_other_memory";
    let _watchdog = watchdog();
    if role().is_none() {
        if let Some(container) = Container::with_shared_memory("size=16m") {
            container.play(NAME, "undumpable");
        }
        return;
    }
    let pool = pool(Backing::Auto);
    nix::sys::prctl::set_dumpable(false).unwrap();
    let error = pool.zeros::<u8, _>(64 << 20).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OutOfSpace, "{error}");
    nix::sys::prctl::set_dumpable(true).unwrap();
    let mut x = pool.zeros::<i64, _>(8 << 20).unwrap();
    assert_eq!(pool.run(add(&mut x)).unwrap().0, 8 << 20);
}
