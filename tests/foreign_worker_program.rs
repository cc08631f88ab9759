//! Goal: a pool can run workers of another program, which find tasks by name; what they do not have, or have otherwise,
//! is refused before any worker sees it.
//!
//! Method: `support/bin/foreign_worker.rs` is another program with tasks of the same names, one of them with other
//! parameters; `support/bin/twins.rs` has two tasks of one name.

use ndarray::prelude::*;
use ndpool::merge::Sum;
use ndpool::{Block, Element, ErrorKind, Pool, Stderr, call, ops, task};
use ndpool_tests::{Run, watchdog};

const FOREIGN: &str = env!("CARGO_BIN_EXE_foreign-worker");
const TWINS: &str = env!("CARGO_BIN_EXE_twins");

#[task(name = "foreign/scale")]
fn scale(k: f64, x: ArrayView1<f64>, mut y: ArrayViewMut1<f64>) -> Sum<f64> {
    let _ = (k, x, y.len());
    y.fill(0.0);
    panic!("the other program's task is run, not this one")
}

#[task(name = "foreign/who")]
fn who(name: &str) -> (String, String) {
    panic!("not here, {name}")
}

#[task(name = "foreign/crash")]
fn crash(block: &Block, mut x: ArrayViewMut1<f64>) {
    let _ = block;
    x.fill(f64::NAN);
}

#[task(name = "foreign/changed")]
fn changed(x: i32) -> i32 {
    x
}

#[task]
fn only_here() {}

#[task]
fn generic<T: Element>(x: ArrayView1<T>) -> Sum<usize> {
    Sum(x.len())
}

fn pool() -> Pool {
    Pool::builder().workers(2).stderr(Stderr::Keep).worker_program(FOREIGN).build().unwrap()
}

#[ndpool::test]
fn named_tasks_run_in_the_other_program() {
    let _watchdog = watchdog();
    let pool = pool();
    let run = Run::of(&pool);
    let (hello, program) = pool.run(who("you")).unwrap();
    assert_eq!((hello.as_str(), program.as_str()), ("hello you", FOREIGN));
    let x = pool.from_shape_fn(1_000, |i| i as f64).unwrap();
    let mut y = pool.full(1_000, 1.0).unwrap();
    let sum = pool.run(scale(2.0, &x, &mut y)).unwrap().0;
    assert_eq!(sum, 2.0 * 499_500.0 + 1_000.0);
    assert_eq!(y.view()[999], 1999.0);
    let all: Vec<_> =
        pool.map((0..100).map(|i| who(&i.to_string()))).map(|result| result.unwrap().0).collect();
    assert_eq!(all[99], "hello 99");
    // Deaths there are as deaths here.
    pool.run(crash(&mut y).block_rows(250)).unwrap();
    assert_eq!(y.view()[999], 2000.0);
    assert_eq!(pool.stats().workers_lost, 4);
    drop((pool, x, y));
    run.assert_gone();
}

#[ndpool::test]
fn what_the_other_program_does_not_have_is_refused() {
    let _watchdog = watchdog();
    let pool = pool();
    let x = pool.zeros::<f64, _>(10).unwrap();
    for error in [
        pool.run(only_here()).unwrap_err(),
        pool.run(generic(&x)).unwrap_err(),
        pool.run(call(|x: u8| x, 1)).unwrap_err(),
        pool.submit(only_here()).unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::UnknownTask, "{error}");
        assert!(error.hint().is_some(), "{error}");
    }
    assert!(pool.run(only_here()).unwrap_err().to_string().contains("foreign_worker_program::only_here"));
    // The same in a map, in its place.
    let kinds: Vec<_> =
        pool.map((0..3).map(|_| only_here())).map(|result| result.unwrap_err().kind()).collect();
    assert_eq!(kinds, [ErrorKind::UnknownTask; 3]);
    let error = pool.run(changed(1)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BuildMismatch, "{error}");
    assert!(error.to_string().contains("i32") && error.to_string().contains("f32"), "both sides: {error}");
    // Built-in reductions are linked into every worker program, or are unknown there: never something else.
    match pool.run(ops::sum(&x)) {
        Ok(sum) => assert_eq!(sum, 0.0),
        Err(error) => assert_eq!(error.kind(), ErrorKind::UnknownTask),
    }
    assert_eq!(pool.stats().workers_lost, 0);
}

#[ndpool::test]
fn two_tasks_of_one_name_are_refused_on_either_side() {
    let _watchdog = watchdog();
    let output = std::process::Command::new(TWINS).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("DuplicateTask\n") && text.contains("twins/one"), "{text}");
    let error = Pool::builder().workers(1).worker_program(TWINS).build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DuplicateTask, "{error}");
    assert!(error.to_string().contains("twins/one") && error.to_string().contains(TWINS), "{error}");
}

#[ndpool::test]
fn a_worker_program_started_by_hand_says_so() {
    let _watchdog = watchdog();
    let output = std::process::Command::new(FOREIGN).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    // With the name of a worker, but no pool.
    use std::os::unix::process::CommandExt;
    let output = std::process::Command::new(FOREIGN).arg0("ndpool-worker").output().unwrap();
    assert!(!output.status.success());
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("workers are started by a pool"), "{text}");
}
