//! Goal: however a task ends, its caller is told which block failed, how, and what became of every other block; and the
//! next job works.
//!
//! Method: tasks that end their worker, or themselves, in every way there is: real signals from native code, `abort`, a
//! stack overflow, `exit`, panics of all kinds, errors. Kinds, exits, texts and the exact lists of blocks are
//! compared, and the data looked at.

use ndarray::prelude::*;
use ndpool::merge::Sum;
use ndpool::{Block, Error, ErrorKind, Pool, Stderr, WorkerExit, task};
use ndpool_tests::{End, Run, assert_applied_but, watchdog};

/// Adds one, but for blocks that end as they are told.
#[task]
fn staged(block: &Block, ends: &[(usize, End)], mut x: ArrayViewMut1<i64>) -> Sum<i64> {
    x += 1;
    ends.iter().filter(|&&(index, _)| index == block.index()).for_each(|(_, end)| end.happen());
    Sum(x.len() as i64)
}

#[task]
fn output(block: &Block, ends: &[(usize, End)], #[out] mut y: ArrayViewMut1<i64>) {
    y.fill(1);
    ends.iter().filter(|&&(index, _)| index == block.index()).for_each(|(_, end)| end.happen());
}

#[task]
fn alone(end: End) -> u32 {
    end.happen();
    7
}

#[task]
fn once(block: &Block, end: End, odd_only: bool, mut x: ArrayViewMut1<i64>) -> Sum<u32> {
    x += 1;
    if block.attempt() == 0 && (!odd_only || block.index() % 2 == 1) {
        end.happen();
    }
    Sum(block.attempt())
}

#[task]
fn refuses(block: &Block, which: &[usize], mut x: ArrayViewMut1<i64>) -> Result<Sum<i64>, String> {
    x += 1;
    if which.contains(&block.index()) {
        Err(format!("block {} is not to my taste", block.index()))
    } else {
        Ok(Sum(1))
    }
}

/// Fails with an error that panics when it is to be told.
#[task]
fn cannot_say_why() -> Result<u8, Unspeakable> {
    Err(Unspeakable)
}

struct Unspeakable;

impl std::fmt::Display for Unspeakable {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        panic!("no words for it");
    }
}

fn pool() -> Pool {
    Pool::builder().workers(2).stderr(Stderr::Keep).build().unwrap()
}

fn signal(error: &Error) -> Option<&str> {
    error.worker_exit().and_then(WorkerExit::signal_name)
}

/// A job of ten blocks of two rows, of which 3, 4 and 8 end so: what it says, and that all others were applied.
fn staged_failure(pool: &Pool, end: End, attempts: u32) -> Error {
    let mut x = pool.zeros::<i64, _>(20).unwrap();
    let ends = [(8, end), (3, end), (4, end)];
    let error = pool.run(staged(&ends, &mut x).block_rows(2).attempts(attempts)).unwrap_err();
    let blocks = error.failed_blocks();
    assert_eq!(
        (blocks.failed.as_slice(), blocks.n_blocks),
        ([3..5, 8..9].as_slice(), 10),
        "{end:?}: {error}"
    );
    assert!(blocks.torn.is_empty() && blocks.not_run.is_empty(), "{end:?}: {blocks:?}");
    assert_eq!(blocks.not_applied(), [3, 4, 8]);
    assert_applied_but(&[3, 4, 8], x.view(), 2);
    assert!(error.to_string().contains("block 3"), "{end:?}: the lowest block is reported: {error}");
    // The pool works on.
    pool.run(staged(&[], &mut x).block_rows(2)).unwrap();
    assert_eq!(pool.run(alone(End::Well)).unwrap(), 7);
    error
}

#[ndpool::test]
fn deaths_by_the_tasks_own_doing() {
    let _watchdog = watchdog();
    let pool = pool();
    for (end, name) in [
        (End::NullPointer, "SIGSEGV"),
        (End::Abort, "SIGABRT"),
        (End::StackOverflow, "SIGABRT"),
        (End::DoublePanic, "SIGABRT"),
        (End::CutFile, "SIGBUS"),
        (End::Raise(libc::SIGFPE), "SIGFPE"),
        (End::Raise(libc::SIGILL), "SIGILL"),
    ] {
        let error = staged_failure(&pool, end, 2);
        assert_eq!(error.kind(), ErrorKind::WorkerLost, "{end:?}");
        assert_eq!(signal(&error), Some(name), "{end:?}: {error}");
        assert!(error.to_string().contains("after 2 attempts"), "{error}");
        assert!(error.to_string().contains(name), "{error}");
        let error = pool.run(alone(end)).unwrap_err();
        assert_eq!((error.kind(), signal(&error)), (ErrorKind::WorkerLost, Some(name)), "{end:?}");
        assert!(error.to_string().contains("after 3 attempts"), "{error}");
    }
    for code in [0, 3] {
        let error = staged_failure(&pool, End::Exit(code), 1);
        assert_eq!(error.kind(), ErrorKind::WorkerLost, "{error}");
        assert_eq!(error.worker_exit(), Some(&WorkerExit::Code(code)));
        assert!(error.to_string().contains("after 1 attempt:"), "{error}");
    }
    let run = Run::of(&pool);
    drop(pool);
    run.assert_gone();
}

#[ndpool::test]
fn what_the_worker_said_last_is_in_the_error() {
    let _watchdog = watchdog();
    let pool = pool();
    let error = pool.run(alone(End::StackOverflow)).unwrap_err();
    assert!(error.to_string().contains("stack overflow"), "stderr of the worker: {error}");
    let error = pool.run(alone(End::DoublePanic)).unwrap_err().to_string();
    assert!(error.contains("the second panic") || error.contains("the first panic"), "{error}");
    assert!(error.contains("tests/support/end.rs:"), "the place of the panic: {error}");
    // A panic that the worker survived has nothing to do with its death in a later block.
    let pool = Pool::builder().workers(1).stderr(Stderr::Keep).build().unwrap();
    pool.run(alone(End::Panic)).unwrap_err();
    let error = pool.run(alone(End::Abort).attempts(1)).unwrap_err();
    assert!(!error.to_string().contains("the answer is 42"), "{error}");
    let error = pool.run(alone(End::Abort).name("my simulation")).unwrap_err();
    assert!(error.to_string().starts_with("my simulation was given up"), "{error}");
}

#[ndpool::test]
fn panics_are_told_with_text_place_and_backtrace_and_the_worker_lives() {
    let _watchdog = watchdog();
    let pool = pool();
    let before = pool.worker_pids();
    let error = staged_failure(&pool, End::Panic, 3);
    assert_eq!((error.kind(), error.worker_exit()), (ErrorKind::Panic, None));
    let text = error.to_string();
    assert!(text.contains("panicked at tests/support/end.rs:"), "{text}");
    assert!(text.contains("the answer is 42"), "{text}");
    assert!(text.contains("backtrace") && text.contains("happen"), "{text}");
    let error = pool.run(alone(End::PanicWithNumber)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Panic);
    assert!(error.to_string().contains("not a string"), "{error}");
    let error = pool.run(alone(End::PanicWithGrudge)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Panic);
    let error = pool.run(cannot_say_why()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Panic);
    assert!(error.to_string().contains("no words for it"), "{error}");
    assert_eq!(pool.worker_pids(), before);
    assert_eq!(pool.stats().workers_lost, 0);
}

#[ndpool::test]
fn errors_are_told_and_not_tried_again() {
    let _watchdog = watchdog();
    let pool = pool();
    let mut x = pool.zeros::<i64, _>(100).unwrap();
    let error = pool.run(refuses(&[70, 12, 13, 99], &mut x).block_rows(1)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Task);
    assert!(error.to_string().ends_with("refuses, block 12: block 12 is not to my taste"), "{error}");
    assert_eq!(error.failed_blocks().failed, [12..14, 70..71, 99..100]);
    assert_eq!(x.view().sum(), 96);
    assert_eq!(pool.stats().workers_lost, 0);
}

#[ndpool::test]
fn an_output_block_that_fails_half_way_is_torn() {
    let _watchdog = watchdog();
    let pool = pool();
    for end in [End::Abort, End::Panic, End::Exit(0)] {
        let mut y = pool.zeros::<i64, _>(10).unwrap();
        let error = pool.run(output(&[(9, end), (4, end)], &mut y).block_rows(1)).unwrap_err();
        let blocks = error.failed_blocks();
        assert_eq!(blocks.torn, [4..5, 9..10], "{end:?}: {blocks:?}");
        assert!(blocks.failed.is_empty() && blocks.not_run.is_empty(), "{end:?}: {blocks:?}");
        for i in (0..10).filter(|i| ![4, 9].contains(i)) {
            assert_eq!(y.view()[i], 1, "{end:?}");
        }
    }
}

#[ndpool::test]
fn a_block_that_kills_its_first_worker_succeeds_with_the_second() {
    let _watchdog = watchdog();
    let pool = pool();
    for end in [End::NullPointer, End::Abort, End::Exit(0), End::Raise(libc::SIGKILL)] {
        let mut x = pool.zeros::<i64, _>(32).unwrap();
        let attempts = pool.run(once(end, true, &mut x).block_rows(4)).unwrap();
        assert_eq!(attempts.0, 4, "{end:?}: one more for each odd block");
        assert!(x.view().iter().all(|&v| v == 1), "{end:?}: {}", x.view());
    }
    // Every single block.
    let mut x = pool.zeros::<i64, _>(32).unwrap();
    assert_eq!(pool.run(once(End::Abort, false, &mut x).block_rows(1)).unwrap().0, 32);
    assert_eq!(x.view().sum(), 32);
}

#[ndpool::test]
fn the_last_failure_of_a_block_is_the_one_that_is_told() {
    #[task]
    fn dies_then_refuses(block: &Block, mut x: ArrayViewMut1<i64>) -> Result<(), String> {
        x += 1;
        if block.index() == 1 {
            if block.attempt() == 0 {
                std::process::abort();
            }
            return Err("the second attempt found something".into());
        }
        Ok(())
    }
    let _watchdog = watchdog();
    let pool = pool();
    let mut x = pool.zeros::<i64, _>(4).unwrap();
    let error = pool.run(dies_then_refuses(&mut x).block_rows(1)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Task, "{error}");
    assert!(error.to_string().contains("the second attempt found something"), "{error}");
    assert_eq!(error.worker_exit(), None, "no worker died of it");
    assert_eq!(error.failed_blocks().not_applied(), [1]);
    assert_eq!(x.view().to_vec(), [1, 0, 1, 1]);
}

#[ndpool::test]
fn calls_of_a_map_fail_alone() {
    let _watchdog = watchdog();
    let pool = pool();
    let end = |i| match i {
        13 => End::Abort,
        57 => End::Panic,
        58 => End::Exit(3),
        _ => End::Well,
    };
    let results: Vec<_> = pool.map((0..200).map(|i| alone(end(i)))).collect();
    for (i, result) in results.into_iter().enumerate() {
        match (i, result) {
            (13, Err(error)) => assert_eq!(signal(&error), Some("SIGABRT"), "{error}"),
            (57, Err(error)) => assert_eq!(error.kind(), ErrorKind::Panic, "{error}"),
            (58, Err(error)) => assert_eq!(error.worker_exit(), Some(&WorkerExit::Code(3)), "{error}"),
            (_, Ok(7)) => {}
            (i, other) => panic!("call {i}: {other:?}"),
        }
    }
}

#[ndpool::test]
fn what_a_task_started_ends_with_its_worker() {
    #[task]
    fn starts_children() -> (Vec<u32>, Vec<u32>) {
        #[expect(clippy::zombie_processes, reason = "it is to be killed with its group")]
        let child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        // SAFETY: the child only pauses, which is allowed after a fork whatever threads there are.
        let forked = unsafe { libc::fork() };
        if forked == 0 {
            loop {
                // SAFETY: takes no arguments.
                unsafe { libc::pause() };
            }
        }
        (vec![child.id()], vec![forked as u32])
    }
    let _watchdog = watchdog();
    // A real-time signal has no name, and libraries that know signals by name make an error of it.
    for number in [libc::SIGKILL, libc::SIGRTMIN() + 1] {
        let pool = pool();
        let (slept, forked) = pool.run(starts_children()).unwrap();
        let all: Vec<u32> = slept.into_iter().chain(forked).collect();
        assert!(all.iter().all(|&pid| ndpool_tests::is_alive(pid)));
        for pid in pool.worker_pids() {
            // SAFETY: takes numbers only.
            assert_eq!(unsafe { libc::kill(pid as i32, number) }, 0);
        }
        ndpool_tests::wait_until(|| !all.iter().any(|&pid| ndpool_tests::is_alive(pid)));
        assert_eq!(pool.run(alone(End::Well)).unwrap(), 7);
        assert!(pool.deaths().iter().any(|death| {
            matches!(death.exit, WorkerExit::Signal { number: found, .. } if found == number)
        }));
    }
}
