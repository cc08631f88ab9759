//! Goal: what a block costs is memory accesses alone. A job asks the kernel for the same, next to nothing, whether it has two blocks
//! or thousands; no byte is sent for a block, nor for a call of a map; and no more workers are woken than there are blocks.
//!
//! Method: a program with a pool runs as a process of its own, and the test traces every thread of it and of its workers while
//! it runs jobs that all have seen before. Calls are counted, so speed does not matter: workers and caller either spin for as
//! long as the test runs, and nobody ever sleeps, or not at all, and everybody sleeps at once.

use ndarray::prelude::*;
use ndpool::{Block, Pool, merge::Sum, task};
use ndpool_tests::{
    Actor, Gate, Stretch, SystemCall, mark, role, say, trace, wait_to_be_told, wait_until, watchdog,
};
use std::time::Duration;

/// Longer than any test.
const FOR_EVER: Duration = Duration::from_secs(3600);
const N: usize = 4096;
const FEW: usize = 2;
const MANY: usize = 2048;
/// Jobs of a stretch.
const JOBS: usize = 5;
/// What a caller asks the kernel for in a job with one array: whether it is a fork of the pool's owner, and that threads be woken
/// that wait for the array.
const CALLS_PER_JOB: usize = 2;

/// The sum of some rows. With `is_first`, no block ends before two workers have one.
#[task]
fn sum(gate: &str, is_first: bool, x: ArrayView1<f64>) -> Sum<f64> {
    if is_first {
        Gate::pass(gate);
    }
    Sum(x.sum())
}

/// Changes rows in place, through a staged copy.
#[task]
fn add(gate: &str, is_first: bool, mut x: ArrayViewMut1<f64>) {
    if is_first {
        Gate::pass(gate);
    }
    x += 1.0;
}

/// Writes rows that need no copy.
#[task]
fn number(gate: &str, is_first: bool, #[out] mut x: ArrayViewMut1<f64>, block: &Block) {
    if is_first {
        Gate::pass(gate);
    }
    x.fill(block.index() as f64);
}

#[task]
fn triple(x: u64) -> u64 {
    3 * x
}

/// Waits until no worker of a pool does anything.
fn wait_until_all_sleep(pool: &Pool) {
    let sleeps = |thread: std::io::Result<std::fs::DirEntry>| {
        let stat = std::fs::read_to_string(thread.unwrap().path().join("stat")).unwrap();
        stat.rsplit(')').next().unwrap().trim_start().starts_with('S')
    };
    let all_sleep = |pid: &u32| std::fs::read_dir(format!("/proc/{pid}/task")).unwrap().all(sleeps);
    // Twice: one that is awake at the first look may wake another before it sleeps.
    wait_until(|| (0..2).all(|_| pool.worker_pids().iter().all(all_sleep)));
}

/// Tells the test which processes there are, and goes on once they are traced.
fn wait_to_be_traced(pool: &Pool) {
    let pids: Vec<_> = pool.worker_pids().iter().map(u32::to_string).collect();
    say(&pids.join(" "));
    assert_eq!(wait_to_be_told(), "traced");
}

/// The other side of [`wait_to_be_traced`]: runs a test's actor, and gives the first `n` stretches between its marks.
fn stretches(test: &str, n: usize) -> Option<Vec<Stretch>> {
    let mut actor = Actor::start(test, "pool");
    let pids: Vec<u32> = actor.hear().split(' ').map(|pid| pid.parse().unwrap()).collect();
    let stretches = trace(&mut actor, &pids, n)?;
    let (text, status) = actor.let_go();
    assert!(status.success(), "{status}: {text}");
    Some(stretches)
}

/// Runs a job of few blocks and one of many as often as makes all of it known to both workers, then traced: few, many.
fn play_jobs(mut run: impl FnMut(&Pool, &Gate, bool, usize)) {
    let pool = Pool::builder().workers(2).idle_spin(FOR_EVER).build().unwrap();
    let gate = Gate::new();
    for blocks in [MANY, FEW] {
        // Each worker has one block of this very job, so each has mapped its memory and its arrays.
        let gate = Gate::new();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                gate.wait_for(2);
                gate.open();
            });
            run(&pool, &gate, true, blocks);
        });
    }
    for blocks in [MANY, FEW] {
        run(&pool, &gate, false, blocks);
    }
    wait_to_be_traced(&pool);
    mark();
    for blocks in [FEW, MANY] {
        for _ in 0..JOBS {
            run(&pool, &gate, false, blocks);
        }
        mark();
    }
}

/// Fails if the caller asks the kernel for more than [`CALLS_PER_JOB`], or for more if there are more blocks, and if anybody else asks it
/// for anything.
#[track_caller]
fn assert_no_calls(few: &Stretch, many: &Stretch) {
    for stretch in [few, many] {
        assert!(
            stretch.of_others().is_empty(),
            "workers, and threads that only wait, ask for something: {stretch:?}"
        );
        assert!(stretch.of_caller().len() <= CALLS_PER_JOB * JOBS, "{stretch:?}");
    }
    assert_eq!(
        few.of_caller().len(),
        many.of_caller().len(),
        "blocks cost the caller something: {few:?}, {many:?}"
    );
}

#[ndpool::test]
fn that_read_arrays() {
    if role().is_some() {
        let mut x = None;
        return play_jobs(|pool, gate, is_first, blocks| {
            let x = x.get_or_insert_with(|| pool.full(N, 1.0_f64).unwrap());
            let call = sum(gate.name(), is_first, &*x).block_rows(N / blocks);
            assert_eq!(pool.run(call).unwrap().0, N as f64);
        });
    }
    let _watchdog = watchdog();
    let Some(found) = stretches("that_read_arrays", 2) else { return };
    assert_no_calls(&found[0], &found[1]);
}

#[ndpool::test]
fn that_write_whole_rows() {
    if role().is_some() {
        let mut x = None;
        return play_jobs(|pool, gate, is_first, blocks| {
            let x = x.get_or_insert_with(|| pool.full(N, 1.0_f64).unwrap());
            pool.run(number(gate.name(), is_first, &mut *x).block_rows(N / blocks)).unwrap();
        });
    }
    let _watchdog = watchdog();
    let Some(found) = stretches("that_write_whole_rows", 2) else { return };
    assert_no_calls(&found[0], &found[1]);
}

/// Staged rows are written back through memory.
#[ndpool::test]
fn that_change_rows_in_place() {
    if role().is_some() {
        let mut x = None;
        return play_jobs(|pool, gate, is_first, blocks| {
            let x = x.get_or_insert_with(|| pool.full(N, 1.0_f64).unwrap());
            pool.run(add(gate.name(), is_first, &mut *x).block_rows(N / blocks)).unwrap();
        });
    }
    let _watchdog = watchdog();
    let Some(found) = stretches("that_change_rows_in_place", 2) else { return };
    assert_no_calls(&found[0], &found[1]);
}

/// With workers and a caller that fall asleep and are woken all the time. Who waits may ask for much, but for no byte.
#[ndpool::test]
fn nor_messages() {
    if role().is_some() {
        let pool = Pool::builder().workers(2).idle_spin(Duration::ZERO).build().unwrap();
        let x = pool.full(N, 1.0_f64).unwrap();
        let work = || {
            assert_eq!(pool.run(sum("", false, &x).block_rows(N / MANY)).unwrap().0, N as f64);
            for (i, result) in pool.map((0..MANY as u64).map(triple)).enumerate() {
                assert_eq!(result.unwrap(), 3 * i as u64);
            }
        };
        let gate = Gate::new();
        let job = pool.submit(sum(gate.name(), true, &x).block_rows(1)).unwrap();
        gate.wait_for(2);
        gate.open();
        job.join().unwrap();
        work();
        wait_to_be_traced(&pool);
        mark();
        work();
        return mark();
    }
    let _watchdog = watchdog();
    let Some(found) = stretches("nor_messages", 1) else { return };
    let messages: Vec<_> = found[0].all().iter().filter(|call| call.carries_bytes()).collect();
    assert!(messages.is_empty(), "{messages:?}");
    // They were seen at all: somebody slept and was woken.
    assert!(found[0].all().iter().any(SystemCall::wakes_other_processes));
}

#[ndpool::test]
fn nor_wake_ups_beyond_their_number() {
    const WORKERS: usize = 4;
    const BLOCKS: &[usize] = &[1, 2, 3, WORKERS, MANY];
    if role().is_some() {
        let pool = Pool::builder().workers(WORKERS).idle_spin(Duration::ZERO).build().unwrap();
        let x = pool.full(N, 1.0_f64).unwrap();
        let gate = Gate::new();
        let job = pool.submit(sum(gate.name(), true, &x).block_rows(1)).unwrap();
        gate.wait_for(WORKERS);
        gate.open();
        job.join().unwrap();
        wait_to_be_traced(&pool);
        for blocks in BLOCKS {
            wait_until_all_sleep(&pool);
            mark();
            // Publishing a job; who waits for its end later may wake once more whom it takes for dead.
            let job = pool.submit(sum("", false, &x).block_rows(N.div_ceil(*blocks))).unwrap();
            mark();
            job.join().unwrap();
        }
        return;
    }
    let _watchdog = watchdog();
    let Some(found) = stretches("nor_wake_ups_beyond_their_number", 2 * BLOCKS.len() - 1) else { return };
    for (stretch, &blocks) in found.iter().step_by(2).zip(BLOCKS) {
        let n_woken = stretch.of_caller().iter().filter(|call| call.wakes_other_processes()).count();
        // Fewer if those that were woken first have brought others.
        assert!((1..=blocks.min(WORKERS)).contains(&n_woken), "{n_woken} for {blocks} blocks: {stretch:?}");
    }
}
