//! How much memory does a task take that waits for its turn?
//!
//! The workers are stopped, and then a million tasks are handed over: as the blocks of one job, or as jobs of their own, of which each
//! has a handle. The peer is rayon's queue of closures, whose only thread is busy.

use super::account::Account;
use super::measured_apart;
use crate::bare::{Parent, Role};
use crate::measure::{Pair, in_turns};
use crate::row::{Goal, Question, Skipped, Unit};
use ndarray::ArrayView1;
use ndpool::{Pool, merge::Sum, task};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier};

pub(crate) const BLOCKS: Question = Question {
    name: "queued_block_memory",
    peer_name: "rayon ThreadPool::spawn of a closure with a number",
    goal: Goal::Within(200.0),
    unit: Unit::Bytes,
    measure: || {
        in_turns(N_RUNS, || measured_apart(QUEUED, "blocks"), || measured_apart(QUEUED, "closures"))
            .map(per_task)
    },
};

pub(crate) const JOBS: Question = Question {
    name: "queued_job_memory",
    measure: || {
        in_turns(N_RUNS, || measured_apart(QUEUED, "jobs"), || measured_apart(QUEUED, "closures"))
            .map(per_task)
    },
    ..BLOCKS
};

/// Measures bytes of a million queued tasks; argument: of which kind.
pub(crate) const QUEUED: Role = Role { name: "queued", play: queued };

const N_TASKS: usize = 1_000_000;
const N_RUNS: usize = 3;

fn per_task(pair: Pair) -> Pair {
    pair.per_item(N_TASKS, N_TASKS)
}

#[task]
fn count(x: ArrayView1<u8>) -> Sum<u64> {
    Sum(x.len() as u64)
}

#[task]
fn one(_x: u64) -> u64 {
    1
}

fn queued(args: &[String]) -> Result<(), Skipped> {
    ndpool::init();
    let bytes = match args.first().map_or("", String::as_str) {
        "closures" => closures()?,
        "jobs" => with_stopped_workers(|pool, count_bytes| {
            let jobs =
                (0..N_TASKS as u64).map(|x| pool.submit(one(x))).collect::<ndpool::Result<Vec<_>>>()?;
            let bytes = count_bytes()?;
            Ok((bytes, Box::new(move || jobs.into_iter().map(|job| job.join()).sum())))
        })?,
        _ => with_stopped_workers(|pool, count_bytes| {
            let x = Arc::new(pool.zeros::<u8, _>(N_TASKS)?);
            let job = pool.submit(count(x).block_rows(1))?;
            // The array is not part of the queue.
            let bytes = count_bytes()?.saturating_sub(N_TASKS as u64);
            Ok((bytes, Box::new(move || job.join().map(|Sum(n)| n))))
        })?,
    };
    Parent::new()?.answer_number(bytes)
}

/// How many tasks ran, once all have.
type Finish<'p> = Box<dyn FnOnce() -> ndpool::Result<u64> + 'p>;

/// Bytes that came to what there was, while no worker runs; the work is done in the end, and checked.
fn with_stopped_workers(
    submit: impl for<'p> FnOnce(&'p Pool, &dyn Fn() -> Result<u64, Skipped>) -> Result<(u64, Finish<'p>), Skipped>,
) -> Result<u64, Skipped> {
    let pool = Pool::builder().workers(2).build()?;
    pool.run(one(0))?;
    let signal = |signal| {
        for pid in pool.worker_pids() {
            let _ = kill(Pid::from_raw(pid as i32), signal);
        }
    };
    let account = Account::of(&pool)?;
    let before = account.read()?;
    signal(Signal::SIGSTOP);
    let submitted = submit(&pool, &|| {
        let after = account.read()?;
        Ok((after.own + after.files).saturating_sub(before.own + before.files))
    });
    signal(Signal::SIGCONT);
    let (bytes, finish) = submitted?;
    assert_eq!(finish()?, N_TASKS as u64, "tasks were lost");
    Ok(bytes)
}

fn closures() -> Result<u64, Skipped> {
    let threads =
        rayon::ThreadPoolBuilder::new().num_threads(1).build().map_err(|error| Skipped(error.to_string()))?;
    let account = Account::of_processes(&[]);
    let before = account.read()?;
    let gate = Arc::new(Barrier::new(2));
    let n_run = Arc::new(AtomicU64::new(0));
    let closed = Arc::clone(&gate);
    threads.spawn(move || {
        closed.wait();
    });
    for x in 0..N_TASKS as u64 {
        let n_run = Arc::clone(&n_run);
        threads.spawn(move || _ = n_run.fetch_add(u64::from(x < u64::MAX), Ordering::Release));
    }
    let after = account.read()?;
    gate.wait();
    while n_run.load(Ordering::Acquire) < N_TASKS as u64 {
        std::thread::yield_now();
    }
    Ok(after.own.saturating_sub(before.own))
}
