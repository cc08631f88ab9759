//! Goal: deaths that come all at once, from neighbours, right behind a block, or again and again cost what they must and no
//! more: nothing is done twice, nothing hangs, and whose doing it was decides how often it is tried.
//!
//! Method: tasks that kill their neighbours and themselves, workers killed while the test knows by a gate which block they
//! are at. Attempts, results and numbers of blocks begun are compared exactly.

use ndarray::prelude::*;
use ndpool::merge::{Concat, Sum};
use ndpool::{Block, ErrorKind, Pool, Stderr, WorkerExit, task};
use ndpool_tests::{Actor, Gate, Run, kill, play, role, watchdog};
use std::sync::atomic::{AtomicU64, Ordering};

/// Adds one; a first attempt kills one of the program's processes before it ends, itself if there is no other.
#[task]
fn add_and_kill(block: &Block, mut x: ArrayViewMut1<i64>) {
    x += 1;
    if block.attempt() == 0 {
        let own = std::process::id();
        let all = children_of(std::os::unix::process::parent_id());
        let others: Vec<_> = all.into_iter().filter(|&pid| pid != own).collect();
        let victim = others.get(block.index() % others.len().max(1)).copied().unwrap_or(own);
        kill(victim);
    }
}

/// The children of a process, by whichever of its threads started them.
fn children_of(pid: u32) -> Vec<u32> {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let lists = threads.filter_map(|entry| std::fs::read_to_string(entry.ok()?.path().join("children")).ok());
    lists
        .flat_map(|list| list.split_whitespace().map(|pid| pid.parse().unwrap()).collect::<Vec<u32>>())
        .collect()
}

#[task]
fn add(mut x: ArrayViewMut1<i64>) {
    x += 1;
}

#[task]
fn add_behind(gate: &str, mut x: ArrayViewMut1<i64>) {
    Gate::pass(gate);
    x += 1;
}

/// Comes to one gate in every block, and in the first attempt at the last one waits at another.
#[task]
fn count_and_wait(block: &Block, begun: &str, last: &str, mut x: ArrayViewMut1<i64>) -> Concat<u32> {
    Gate::arrive(begun);
    x += 1;
    if block.index() == 3 && block.attempt() == 0 {
        Gate::pass(last);
    }
    Concat(vec![block.attempt()])
}

/// Ends its own process, as somebody from outside would, in every attempt at one block.
#[task]
fn is_always_killed(block: &Block, gate: &str, signal: i32, mut x: ArrayViewMut1<i64>) {
    x += 1;
    if block.index() == 1 {
        Gate::arrive(gate);
        nix::sys::signal::raise(signal.try_into().unwrap()).unwrap();
    }
}

/// How many blocks this process has begun before.
fn n_begun_before() -> u64 {
    static BEGUN: AtomicU64 = AtomicU64::new(0);
    BEGUN.fetch_add(1, Ordering::Relaxed)
}

/// Attempt, and how many blocks its process had begun before.
#[task]
fn abort_at_first(block: &Block, every: usize, mut x: ArrayViewMut1<i64>) -> Concat<(u32, u64)> {
    let before = n_begun_before();
    x += 1;
    if block.index() % every == 1 && block.attempt() == 0 {
        std::process::abort();
    }
    Concat(vec![(block.attempt(), before)])
}

#[task]
fn count_behind(block: &Block, gate: &str, mut x: ArrayViewMut1<i64>) {
    if block.index() == 0 {
        Gate::pass(gate);
    }
    n_begun_before();
    x += 1;
}

#[task]
fn look_at_the_count() -> u64 {
    n_begun_before()
}

fn pool(workers: usize) -> Pool {
    Pool::builder().workers(workers).stderr(Stderr::Keep).build().unwrap()
}

#[ndpool::test]
fn neighbours_that_kill_each_other_do_not_lock_up() {
    const NAME: &str = "neighbours_that_kill_each_other_do_not_lock_up";
    let _watchdog = watchdog();
    // Alone in its process: tasks kill what that has started, and other tests have workers too.
    if role().is_none() {
        return play(Actor::command(&[], NAME, "alone"));
    }
    for workers in [1, 2, 5, 13] {
        let pool = pool(workers);
        let run = Run::of(&pool);
        // Fewer blocks than the deaths from outside that one of them survives, so that none can run out of them.
        let mut x = pool.zeros::<i64, _>(29).unwrap();
        for round in 1..=3 {
            pool.run(add_and_kill(&mut x).block_rows(1)).unwrap();
            assert_eq!(x.view().to_vec(), [round; 29], "{workers} workers");
        }
        assert!(pool.stats().workers_lost > 0);
        drop((pool, x));
        run.assert_gone();
    }
}

#[ndpool::test]
fn all_workers_may_die_at_once_idle_or_at_work() {
    let _watchdog = watchdog();
    for workers in [1, 2, 5] {
        let pool = pool(workers);
        let mut x = pool.zeros::<i64, _>(workers).unwrap();
        for round in 0..5 {
            pool.worker_pids().into_iter().for_each(|pid| _ = kill(pid));
            pool.run(add(&mut x).block_rows(1)).unwrap();
            let gate = Gate::new();
            let job = pool.submit(add_behind(gate.name(), &mut x).block_rows(1)).unwrap();
            gate.wait_for(workers);
            pool.worker_pids().into_iter().for_each(|pid| _ = kill(pid));
            gate.open();
            job.join().unwrap();
            assert_eq!(x.view().to_vec(), vec![2 * round + 2; workers]);
        }
    }
}

/// One worker is seen at its last block, so it has committed all before; then it dies. At each single step around the
/// commit, the sweep over the kill points does the same.
#[ndpool::test]
fn what_was_done_before_a_death_is_not_done_again() {
    let _watchdog = watchdog();
    let pool = pool(1);
    let (begun, last) = (Gate::new(), Gate::new());
    let mut x = pool.zeros::<i64, _>(4).unwrap();
    let job = pool.submit(count_and_wait(begun.name(), last.name(), &mut x).block_rows(1)).unwrap();
    last.wait_for(1);
    assert!(kill(pool.worker_pids()[0]));
    assert_eq!(job.join().unwrap().0, [0, 0, 0, 1]);
    assert_eq!(x.view().to_vec(), [1; 4]);
    assert_eq!(begun.n_arrived(), 5, "four blocks, of which the last was begun twice");
    assert_eq!((pool.stats().blocks_redone, pool.stats().workers_lost), (1, 1));
}

#[ndpool::test]
fn a_block_survives_thirty_deaths_from_outside_and_three_of_its_own_doing() {
    let _watchdog = watchdog();
    let pool = pool(2);
    for (signal, name, n_attempts) in
        [(libc::SIGKILL, "SIGKILL", 30), (libc::SIGTERM, "SIGTERM", 30), (libc::SIGILL, "SIGILL", 3)]
    {
        let gate = Gate::new();
        let mut x = pool.zeros::<i64, _>(4).unwrap();
        let error = pool.run(is_always_killed(gate.name(), signal, &mut x).block_rows(1)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WorkerLost, "{error}");
        assert_eq!(error.worker_exit().and_then(WorkerExit::signal_name), Some(name), "{error}");
        assert_eq!(error.failed_blocks().not_applied(), [1]);
        assert_eq!(gate.n_arrived(), n_attempts, "{name}");
        assert_eq!(x.view().to_vec(), [1, 0, 1, 1]);
        pool.run(add(&mut x)).unwrap();
    }
}

#[ndpool::test]
fn a_block_that_killed_its_worker_is_retried_by_a_fresh_one() {
    let _watchdog = watchdog();
    let pool = pool(2);
    let mut x = pool.zeros::<i64, _>(60).unwrap();
    let found = pool.run(abort_at_first(20, &mut x).block_rows(1)).unwrap().0;
    assert_eq!(x.view().to_vec(), [1; 60]);
    for (block, &(attempt, before)) in found.iter().enumerate() {
        assert_eq!(attempt, u32::from(block % 20 == 1), "block {block}");
        assert!(attempt == 0 || before == 0, "block {block} came after {before} others in its process");
    }
    // And the processes are used for more than one block otherwise.
    assert!(found.iter().any(|&(_, before)| before > 3), "{found:?}");
}

#[ndpool::test]
fn a_worker_takes_blocks_of_several_jobs_in_turn() {
    let _watchdog = watchdog();
    let pool = pool(1);
    let gate = Gate::new();
    let mut x = pool.zeros::<i64, _>(1_000).unwrap();
    let long = pool.submit(count_behind(gate.name(), &mut x).block_rows(1)).unwrap();
    gate.wait_for(1);
    // Both are there when the worker goes on: the short one does not wait for the thousand blocks of the other.
    let short = pool.submit(look_at_the_count()).unwrap();
    gate.open();
    let n_before = short.join().unwrap();
    assert!(n_before <= 2, "{n_before} blocks of the long job came first");
    long.join().unwrap();
    assert_eq!(x.view().sum(), 1_000);
}

#[ndpool::test]
fn a_death_in_one_job_is_no_matter_to_the_others() {
    let _watchdog = watchdog();
    let pool = pool(3);
    let mut arrays: Vec<_> = (0..10).map(|_| pool.zeros::<i64, _>(50).unwrap()).collect();
    let gate = Gate::new();
    let mut y = pool.zeros::<i64, _>(4).unwrap();
    let jobs: Vec<_> =
        arrays.iter_mut().map(|x| pool.submit(abort_at_first(25, x).block_rows(1)).unwrap()).collect();
    let bad = pool.submit(is_always_killed(gate.name(), libc::SIGABRT, &mut y).block_rows(1)).unwrap();
    for job in jobs {
        let attempts: Vec<u32> = job.join().unwrap().0.into_iter().map(|(attempt, _)| attempt).collect();
        assert_eq!(attempts.iter().sum::<u32>(), 2, "{attempts:?}");
    }
    assert_eq!(bad.join().unwrap_err().failed_blocks().not_applied(), [1]);
    assert!(arrays.iter().all(|x| x.view().iter().all(|&v| v == 1)));
    let total: Sum<i64> = Sum(y.view().sum());
    assert_eq!(total.0, 3);
}
