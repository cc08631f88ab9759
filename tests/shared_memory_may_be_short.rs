//! Goal: a small, full, read-only, forbidden or absent `/dev/shm` is no surprise: the pool uses other memory, or says what
//! it needs, what there is, and what to do. What was had before others filled it stays usable to the last page.
//!
//! Method: programs with pools run in mount namespaces of their own in which `/dev/shm` is made so. Where that is not
//! permitted, the tests print why, and end; with `NDPOOL_TEST_REQUIRE_NAMESPACES` they fail then.

use ndarray::prelude::*;
use ndpool::merge::Sum;
use ndpool::{Backing, ErrorKind, Pool, task};
use ndpool_tests::{Container, Run, become_user, role, skip, watchdog};

#[task]
fn fill(
    #[flat]
    #[out]
    x: &mut [f64],
    value: f64,
) {
    x.fill(value);
}

#[task]
fn ends(x: ArrayView1<f64>) -> Sum<f64> {
    Sum(x[0] + x[x.len() - 1])
}

#[task]
fn add(mut x: ArrayViewMut1<f64>) -> Sum<f64> {
    x += 1.0;
    Sum(x.sum())
}

/// Plays the role of `test` in a container, if there is one.
fn play(test: &str, container: Option<Container>) {
    if let Some(container) = container {
        container.play(test, "contained");
    }
}

/// A job on 300 MB.
fn a_large_job(pool: &Pool) {
    let mut x = pool.zeros::<f64, _>(37_500_000).unwrap();
    pool.run(fill(&mut x, 2.0)).unwrap();
    let n_blocks = 37_500_000_f64 / 65_536.0;
    assert_eq!(pool.run(ends(&x).block_rows(65_536)).unwrap().0, 4.0 * n_blocks.ceil());
}

#[ndpool::test]
fn more_than_a_small_one_holds() {
    let _watchdog = watchdog();
    if role().is_none() {
        return play("more_than_a_small_one_holds", Container::with_shared_memory("size=64m"));
    }
    let pool = Pool::builder().workers(2).build().unwrap();
    a_large_job(&pool);
    drop(pool);
    assert_eq!(std::fs::read_dir("/dev/shm").unwrap().count(), 0);
}

#[ndpool::test]
fn a_full_one_is_an_error_with_numbers_and_a_remedy() {
    let _watchdog = watchdog();
    if role().is_none() {
        let container = Container::with_shared_memory("size=64m");
        return play("a_full_one_is_an_error_with_numbers_and_a_remedy", container);
    }
    let pool = Pool::builder().workers(1).backing(Backing::Named).build().unwrap();
    let small = pool.zeros::<f64, _>(1 << 20).unwrap();
    let error = pool.zeros::<f64, _>(10 << 20).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OutOfSpace);
    let text = error.to_string();
    // The data, with the pages before and behind it.
    let need = text.split(' ').filter_map(|word| word.parse::<usize>().ok()).next().expect("what it needs");
    assert!((80 << 20..(80 << 20) + (64 << 10)).contains(&need), "{text}");
    let free = text.split(' ').filter_map(|word| word.parse::<usize>().ok()).nth(1).expect("what there is");
    assert!(free > 0 && free < 64 << 20, "{text}");
    let hint = error.hint().unwrap();
    assert!(hint.contains("--shm-size") && hint.contains("Backing::Memfd"), "{hint}");
    // By its numbers, not by a signal; and what was there is as it was.
    assert_eq!(pool.run(ends(&small)).unwrap().0, 0.0);
    let mut arrays = Vec::new();
    let error = loop {
        match pool.zeros::<f64, _>(1 << 17) {
            Ok(array) => arrays.push(array),
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::OutOfSpace, "{error}");
    assert!(arrays.len() > 40, "{} arrays of a MiB", arrays.len());
    // A job that needs room of its own fails alone, and works when there is room again.
    let mut last = arrays.pop().unwrap();
    let _ = pool.run(add(&mut last).block_rows(1 << 17));
    drop(arrays);
    last.view_mut().fill(1.0);
    pool.run(add(&mut last).block_rows(1 << 17)).unwrap();
    assert_eq!(last.view()[7], 2.0);
}

#[ndpool::test]
fn a_read_only_one_is_not_needed() {
    let _watchdog = watchdog();
    if role().is_none() {
        return play("a_read_only_one_is_not_needed", Container::with_shared_memory("ro"));
    }
    a_large_job(&Pool::builder().workers(2).build().unwrap());
    let error = Pool::builder().workers(1).backing(Backing::Named).build().unwrap_err();
    assert!(error.to_string().contains("/dev/shm"), "{error}");
}

#[ndpool::test]
fn an_absent_one_is_not_needed() {
    let _watchdog = watchdog();
    if role().is_none() {
        // Another `/dev`, with what programs need and no more.
        let script = "d=$(mktemp -d) && mount -t tmpfs none $d && cp -a /dev/null /dev/zero /dev/urandom $d && mount --bind $d /dev && umount $d && rmdir $d";
        let container = Container::new(&["--mount", "--propagation", "private"], script);
        return play("an_absent_one_is_not_needed", container);
    }
    assert!(!std::path::Path::new("/dev/shm").exists());
    a_large_job(&Pool::builder().workers(2).build().unwrap());
}

#[ndpool::test]
fn a_forbidden_one_is_not_needed() {
    const NAME: &str = "a_forbidden_one_is_not_needed";
    let _watchdog = watchdog();
    if role().is_none() {
        if !nix::unistd::geteuid().is_root() {
            return skip("only root can become a user who may not look into another's directory");
        }
        return play(NAME, Container::with_shared_memory("mode=700"));
    }
    become_user(54_321);
    std::fs::read_dir("/dev/shm").unwrap_err();
    a_large_job(&Pool::builder().workers(2).build().unwrap());
    let error = Pool::builder().workers(1).backing(Backing::Named).build().unwrap_err();
    assert!(error.to_string().contains("/dev/shm"), "{error}");
    assert!(error.hint().unwrap().contains("Backing::Memfd"), "{error}");
}

#[ndpool::test]
fn one_that_others_fill_up_costs_nobody_what_he_has() {
    const NAME: &str = "one_that_others_fill_up_costs_nobody_what_he_has";
    #[task]
    fn repeat(n: usize) -> Vec<u8> {
        vec![7; n]
    }
    let _watchdog = watchdog();
    if role().is_none() {
        return play(NAME, Container::with_shared_memory("size=64m"));
    }
    let pool = Pool::builder().workers(2).backing(Backing::Named).build().unwrap();
    let run = Run::of(&pool);
    let n = 3 << 20;
    let mut x = pool.zeros::<f64, _>(n).unwrap();
    // Made while there is room, written for the first time when there is none: no page may be missing.
    let mut y = pool.zeros::<f64, _>(n / 2).unwrap();
    pool.run(add(x.rows_mut(..1 << 16)).block_rows(1 << 16)).unwrap();
    let filler = std::fs::write("/dev/shm/others", vec![1; 64 << 20]);
    assert_eq!(filler.unwrap_err().raw_os_error(), Some(libc::ENOSPC));
    pool.run(fill(&mut y, 3.0)).unwrap();
    assert_eq!(y.view().sum(), 1.5 * n as f64);
    assert_eq!(pool.run(add(&mut x).block_rows(1 << 16)).unwrap().0, (n + (1 << 16)) as f64);
    // What needs more says so, and takes no worker with it: a result that is spilled, a larger staging buffer.
    let error = pool.run(repeat(1 << 20)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OutOfSpace, "{error}");
    let error = pool.run(add(&mut x).block_rows(n)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OutOfSpace, "{error}");
    assert_eq!(pool.stats().workers_lost, 0);
    std::fs::remove_file("/dev/shm/others").unwrap();
    assert_eq!(pool.run(repeat(1 << 20)).unwrap(), vec![7; 1 << 20]);
    pool.run(add(&mut x).block_rows(1 << 20)).unwrap();
    assert_eq!(x.view()[n - 1], 2.0);
    drop((pool, x, y));
    run.assert_gone();
    assert_eq!(std::fs::read_dir("/dev/shm").unwrap().count(), 0);
}
