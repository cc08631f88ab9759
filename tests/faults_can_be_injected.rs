//! Goal: what a user injects happens where it was asked for and nowhere else, the same at every run, and the pool does with it
//! what it does with the real thing.
//!
//! Method: each fault at a chosen block of a job, then the rows, the error and the counts; a rate, twice with one seed and once
//! with another; a worker program of another build; `NDPOOL_INJECT` in programs of their own.

use ndarray::prelude::*;
use ndpool::inject::{Fault, Faults, Moment, Rule};
use ndpool::merge::{Concat, Sum};
use ndpool::{Block, ErrorKind, Pool, Stderr, WorkerExit, call, task};
use ndpool_tests::{Actor, Run, assert_applied_but, role, watchdog};
use std::time::Duration;

/// Adds one, and tells the attempt of every block.
#[task]
fn add(block: &Block, mut x: ArrayViewMut1<i64>) -> Concat<u32> {
    x += 1;
    Concat(vec![block.attempt()])
}

#[task]
fn write(#[out] mut x: ArrayViewMut1<i64>) {
    x.fill(1);
}

#[task]
fn square(n: u64) -> u64 {
    n * n
}

#[task(name = "foreign/scale")]
fn scale(k: f64, x: ArrayView1<f64>, mut y: ArrayViewMut1<f64>) -> Sum<f64> {
    let _ = (k, x, y.len());
    y.fill(0.0);
    panic!("the other program's task is run, not this one")
}

const FOREIGN: &str = env!("CARGO_BIN_EXE_foreign-worker");
const LIMIT: Duration = Duration::from_millis(60);

fn pool(faults: Faults) -> Pool {
    Pool::builder().workers(2).stderr(Stderr::Keep).inject(faults).build().unwrap()
}

/// Ten blocks, of which the third was run again.
fn assert_block_2_was_run_again(pool: &Pool) {
    let mut x = pool.zeros::<i64, _>(20).unwrap();
    let attempts = pool.run(add(&mut x).block_rows(2)).unwrap().0;
    assert_eq!(attempts, [0, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(x.view().to_vec(), [1; 20]);
    assert_eq!(pool.stats().workers_lost, 1);
}

#[ndpool::test]
fn a_death_strikes_the_block_that_was_chosen() {
    let _watchdog = watchdog();
    for fault in [Fault::Kill, Fault::Segfault, Fault::Abort, Fault::Exit(0), Fault::Exit(3)] {
        for moment in [Moment::Before, Moment::After] {
            let rule = Rule::new(fault).task("add").block(2).attempt(0).at(moment);
            let pool = pool(Faults::new().add(rule));
            let run = Run::of(&pool);
            assert_block_2_was_run_again(&pool);
            drop(pool);
            run.assert_gone();
        }
    }
}

#[ndpool::test]
fn a_death_at_every_attempt_fails_the_block_alone() {
    let _watchdog = watchdog();
    let signal = |number| WorkerExit::Signal { number, core_dumped: false };
    for (fault, attempts, exit) in [
        (Fault::Exit(3), 3, WorkerExit::Code(3)),
        (Fault::Segfault, 3, signal(libc::SIGSEGV)),
        // Deaths from outside have a budget of their own.
        (Fault::Kill, 30, signal(libc::SIGKILL)),
    ] {
        let pool = pool(Faults::new().add(Rule::new(fault).block(2)));
        let mut x = pool.zeros::<i64, _>(20).unwrap();
        let error = pool.run(add(&mut x).block_rows(2)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WorkerLost, "{error}");
        assert_eq!(error.failed_blocks().not_applied(), [2]);
        match (error.worker_exit().unwrap(), &exit) {
            // Whether there is a core file is the machine's choice.
            (WorkerExit::Signal { number, .. }, WorkerExit::Signal { number: expected, .. }) => {
                assert_eq!(number, expected);
            }
            (found, expected) => assert_eq!(found, expected),
        }
        let text = error.to_string();
        assert!(text.contains(&format!("given up after {attempts} attempts")), "{text}");
        let told =
            format!("ndpool: injected {fault} in {}::add, block 2, attempt {}", module_path!(), attempts - 1);
        assert!(text.contains(&told), "the report says that it was injected: {text}");
        assert_applied_but(&[2], x.view(), 2);
        // A call of one block has only block 0, which no rule names.
        assert_eq!(pool.run(square(3)).unwrap(), 9);
    }
}

#[ndpool::test]
fn a_failure_fails_the_block_and_costs_no_worker() {
    let _watchdog = watchdog();
    for (fault, kind) in [(Fault::Panic, ErrorKind::Panic), (Fault::Error, ErrorKind::Task)] {
        for moment in [Moment::Before, Moment::After] {
            let faults = Faults::new().add(Rule::new(fault).task("add").block(2).at(moment));
            let in_process = Pool::builder().in_process().inject(faults.clone()).build().unwrap();
            for pool in [pool(faults), in_process] {
                let mut x = pool.zeros::<i64, _>(20).unwrap();
                let error = pool.run(add(&mut x).block_rows(2)).unwrap_err();
                assert_eq!(error.kind(), kind, "{error}");
                assert!(error.to_string().contains(&format!("injected {fault} in")), "{error}");
                assert_eq!(error.failed_blocks().not_applied(), [2]);
                assert_applied_but(&[2], x.view(), 2);
                assert_eq!(pool.stats().workers_lost, 0);
                assert_eq!(pool.run(square(3)).unwrap(), 9);
            }
        }
    }
}

#[ndpool::test]
fn after_the_task_an_output_is_written_and_the_block_torn() {
    let _watchdog = watchdog();
    for (moment, expected) in [(Moment::Before, 0), (Moment::After, 1)] {
        let pool = pool(Faults::new().add(Rule::new(Fault::Error).block(1).at(moment)));
        let mut x = pool.zeros::<i64, _>(3).unwrap();
        let error = pool.run(write(&mut x).block_rows(1)).unwrap_err();
        assert_eq!((error.failed_blocks().torn.len(), error.failed_blocks().not_applied()), (1, vec![1]));
        assert_eq!(x.view().to_vec(), [1, expected, 1]);
    }
}

#[ndpool::test]
fn a_hang_ends_with_the_block_timeout() {
    let _watchdog = watchdog();
    for fault in [Fault::Hang, Fault::HangUntilCancelled] {
        let pool = pool(Faults::new().add(Rule::new(fault).block(2).attempt(0)));
        let mut x = pool.zeros::<i64, _>(20).unwrap();
        let attempts = pool.run(add(&mut x).block_rows(2).block_timeout(LIMIT)).unwrap().0;
        assert_eq!(attempts, [0, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(x.view().to_vec(), [1; 20]);
    }
}

#[ndpool::test]
fn a_hang_that_heeds_cancellation_ends_with_it() {
    let _watchdog = watchdog();
    let faults = Faults::new().add(Rule::new(Fault::HangUntilCancelled).block(0));
    let pool = Pool::builder().workers(1).stderr(Stderr::Keep).inject(faults).build().unwrap();
    let mut x = pool.zeros::<i64, _>(3).unwrap();
    let error = pool.run(add(&mut x).block_rows(1).deadline(LIMIT).block_timeout(Duration::MAX)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Deadline, "{error}");
    assert_eq!(error.failed_blocks().n_blocks, 3);
}

#[ndpool::test]
fn slow_blocks_are_exact() {
    let _watchdog = watchdog();
    let faults = Faults::new().add(Fault::Slow(Duration::from_millis(5)));
    let started = std::time::Instant::now();
    let in_process = Pool::builder().in_process().inject(faults.clone()).build().unwrap();
    for pool in [pool(faults), in_process] {
        let mut x = pool.zeros::<i64, _>(10).unwrap();
        assert_eq!(pool.run(add(&mut x).block_rows(1)).unwrap().0, [0; 10]);
    }
    // Five at a time at most, then ten: never less than they were told to take.
    assert!(started.elapsed() >= Duration::from_millis(5 * 5 + 5 * 10));
}

/// Attempts of each block of a job under a rate of kills.
fn attempts_with(faults: &Faults, n_workers: usize) -> Vec<u32> {
    let pool =
        Pool::builder().workers(n_workers).stderr(Stderr::Keep).inject(faults.clone()).build().unwrap();
    let mut x = pool.zeros::<i64, _>(200).unwrap();
    let attempts = pool.run(add(&mut x).block_rows(1)).unwrap().0;
    assert_eq!(x.view().to_vec(), [1; 200]);
    // A worker that is killed holds one block.
    assert_eq!(pool.stats().workers_lost, u64::from(attempts.iter().sum::<u32>()));
    attempts
}

#[ndpool::test]
fn a_rate_strikes_the_same_blocks_at_every_run() {
    let _watchdog = watchdog();
    let faults = Faults::new().seed(4).add(Rule::new(Fault::Kill).rate(0.1));
    let first = attempts_with(&faults, 2);
    assert!(first.iter().any(|&n| n > 0), "no block in 200 at a rate of 0.1");
    assert_eq!(attempts_with(&faults, 3), first, "three workers, the same blocks");
    assert_ne!(attempts_with(&faults.clone().seed(5), 2), first);
}

#[ndpool::test]
fn a_rate_strikes_calls_of_a_map_by_their_arguments() {
    let _watchdog = watchdog();
    let faults = Faults::new().add(Rule::new(Fault::Error).task("square").rate(0.2));
    let failed = |pool: &Pool| -> Vec<bool> { pool.map((0..500).map(square)).map(|r| r.is_err()).collect() };
    let in_process = Pool::builder().in_process().inject(faults.clone()).build().unwrap();
    let expected = failed(&in_process);
    let n_failed = expected.iter().filter(|&&failed| failed).count();
    assert!((40..160).contains(&n_failed), "{n_failed} of 500 at a rate of 0.2");
    // However the calls fall into batches.
    assert_eq!(failed(&pool(faults)), expected);
}

#[ndpool::test]
fn a_worker_program_of_another_build_obeys() {
    let _watchdog = watchdog();
    let faults = Faults::new().add(Rule::new(Fault::Exit(5)).task("foreign/scale").block(1).attempt(0));
    let pool = Pool::builder()
        .workers(2)
        .stderr(Stderr::Keep)
        .worker_program(FOREIGN)
        .inject(faults)
        .build()
        .unwrap();
    let x = pool.full(4, 1.0).unwrap();
    let mut y = pool.full(4, 1.0).unwrap();
    assert_eq!(pool.run(scale(2.0, &x, &mut y).block_rows(1)).unwrap().0, 12.0);
    assert_eq!((y.view().to_vec(), pool.stats().workers_lost), (vec![3.0; 4], 1));
}

#[ndpool::test]
fn without_workers_a_fault_that_needs_one_is_refused() {
    let _watchdog = watchdog();
    for fault in
        [Fault::Kill, Fault::Segfault, Fault::Abort, Fault::Exit(0), Fault::Hang, Fault::HangUntilCancelled]
    {
        let error = Pool::builder().in_process().inject(Faults::new().add(fault)).build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert!(error.to_string().contains(&format!("fault `{fault}`: without worker processes")), "{error}");
    }
    let too_often = Faults::new().add(Rule::new(Fault::Error).rate(1.5));
    let error = Pool::builder().workers(1).inject(too_often).build().unwrap_err();
    assert!(error.to_string().contains("from 0 to 1"), "{error}");
}

/// Not an `ndpool::test`: the actor is started with a variable in its environment, and is the supervisor.
#[test]
fn the_environment_injects_into_a_program_that_says_nothing() {
    if role().is_some() {
        return;
    }
    let _watchdog = watchdog();
    for (text, role) in [
        ("exit=3 task=add block=2 attempt=0", "obeys"),
        ("exit=3 task=add block=2 attempt=0", "wants none"),
        ("kil rate=0.1", "is told"),
        ("kill", "has no workers"),
    ] {
        let mut command = Actor::command(&[], "a_program_under_the_environment", role);
        command.env("NDPOOL_INJECT", text);
        let (output, status) = Actor::spawn(command).wait();
        assert!(status.success(), "{role}: {output}");
    }
}

#[ndpool::test]
fn a_program_under_the_environment() {
    let Some(role) = role() else { return };
    let builder = || Pool::builder().workers(2).stderr(Stderr::Keep);
    match role.as_str() {
        "obeys" => assert_block_2_was_run_again(&builder().build().unwrap()),
        "wants none" => {
            let pool = builder().inject(Faults::new()).build().unwrap();
            let mut x = pool.zeros::<i64, _>(20).unwrap();
            assert_eq!(pool.run(add(&mut x).block_rows(2)).unwrap().0, [0; 10]);
        }
        "is told" => {
            let error = builder().build().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidArgument);
            assert!(error.to_string().contains("NDPOOL_INJECT: `kil` is no fault"), "{error}");
            assert!(error.hint().unwrap().contains("segfault"), "{error}");
        }
        _ => {
            let error = builder().in_process().build().unwrap_err();
            assert!(error.to_string().contains("without worker processes"), "{error}");
            // A call that is run here has no pool of the user's: nothing is injected.
            assert_eq!(call(|n: u64| n + 1, 1).run_here().unwrap(), 2);
        }
    }
}

#[ndpool::test]
fn options_of_a_call_hold_under_faults() {
    let _watchdog = watchdog();
    let pool = pool(Faults::new().add(Rule::new(Fault::Segfault).block(0).attempts(0..2)));
    assert_eq!(pool.run(square(5)).unwrap(), 25, "the third attempt");
    let error = pool.run(square(5).attempts(2)).unwrap_err();
    assert!(error.to_string().contains("given up after 2 attempts"), "{error}");
}
