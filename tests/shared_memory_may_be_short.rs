//! Goal: a small, full, read-only or absent `/dev/shm` is no surprise: the pool uses other memory, or says what it needs,
//! what there is, and what to do.
//!
//! Method: programs with pools run in mount namespaces of their own in which `/dev/shm` is made so. Where that is not
//! permitted, the tests print why, and end.

use ndarray::prelude::*;
use ndpool::merge::Sum;
use ndpool::{Backing, ErrorKind, Pool, task};
use ndpool_tests::{Actor, role, watchdog};

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

/// Exit code of a wrapper that is not permitted to do what it should.
const NOT_PERMITTED: i32 = 77;

/// Plays the role of `test` in a namespace of its own, made by a shell script; says so if it cannot be made.
fn in_a_namespace(test: &str, script: &str) {
    let script = format!("{{ {script}; }} || exit {NOT_PERMITTED}; exec \"$0\" \"$@\"");
    let wrapper = ["unshare", "--mount", "--propagation", "private", "sh", "-c", &script];
    let output = Actor::command(&wrapper, test, "namespace").output();
    match output {
        Ok(output) if output.status.success() => {}
        Ok(output)
            if output.status.code() == Some(NOT_PERMITTED)
                || String::from_utf8_lossy(&output.stderr).contains("unshare") =>
        {
            println!("skipped, no mount namespace can be made: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(output) => panic!(
            "{}\n{}\n{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        ),
        Err(error) => println!("skipped, there is no `unshare`: {error}"),
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
        return in_a_namespace("more_than_a_small_one_holds", "mount -t tmpfs -o size=64m none /dev/shm");
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
        let script = "mount -t tmpfs -o size=64m none /dev/shm";
        return in_a_namespace("a_full_one_is_an_error_with_numbers_and_a_remedy", script);
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
    #[task]
    fn add(mut x: ArrayViewMut1<f64>) {
        x += 1.0;
    }
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
        let script = "mount -t tmpfs -o ro none /dev/shm";
        return in_a_namespace("a_read_only_one_is_not_needed", script);
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
        return in_a_namespace("an_absent_one_is_not_needed", script);
    }
    assert!(!std::path::Path::new("/dev/shm").exists());
    a_large_job(&Pool::builder().workers(2).build().unwrap());
}
