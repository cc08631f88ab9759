//! Pools, counted by stepping through the caller's thread or through a worker's.
//!
//! What is counted lies between two marks, and there nobody waits; so it does not depend on time. Workers and callers that wait spin
//! for as long as the program runs, and nobody is woken. The size of a map's batches follows the time that they take: there, who waits
//! sleeps, and what is counted lies between two calls of one batch. Of the stretches that do the same, the one in the middle counts: one of them may have
//! a buffer to grow.

use crate::Path;
use crate::stepper::{self, begin, end, forget};
use ndarray::{ArrayView1, ArrayViewMut1};
use ndpool::merge::Sum;
use ndpool::{Block, Pool, task};
use ndpool_tests::{Actor, Gate, say, wait_to_be_told};
use std::process::Command;
use std::time::Duration;

/// Longer than any count.
const FOR_EVER: Duration = Duration::from_secs(3600);
/// Stretches that are counted.
const N: usize = 16;
/// Blocks of a short job and of a long one.
const SHORT: usize = 16;
const LONG: usize = SHORT + 128;
/// Blocks of a job whose submission is counted.
const MANY: usize = 4096;
/// Calls of a map: enough for some batches of three and more, however small they are kept.
const CALLS: usize = 20_000;

/// Whose instructions are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Caller,
    Worker,
}

/// What a count is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Of {
    /// The stretch in the middle.
    One,
    /// Stretches are by turns short and long.
    Difference,
}

struct Program {
    name: &'static str,
    what: &'static str,
    side: Side,
    /// How long who waits looks for news before it sleeps.
    idle_spin: Duration,
    of: Of,
    /// Warms up, calls its second argument, and then goes through stretches.
    act: fn(&Pool, &dyn Fn()),
}

const PROGRAMS: &[Program] = &[
    Program {
        name: "block.read",
        what: "worker: a block that reads a row, from its task to the next block's",
        side: Side::Worker,
        idle_spin: FOR_EVER,
        of: Of::One,
        act: |pool, ready| {
            let x = pool.full(4 * N, 1.0_f64).expect("there is room");
            let work = || pool.run(read(&x).block_rows(1)).expect("the job is possible");
            work();
            ready();
            work();
        },
    },
    Program {
        name: "block.stage",
        what: "worker: a block that changes a row in place, from its task to the next block's",
        side: Side::Worker,
        idle_spin: FOR_EVER,
        of: Of::One,
        act: |pool, ready| {
            let mut x = pool.full(4 * N, 1.0_f64).expect("there is room");
            let mut work = || pool.run(add(&mut x).block_rows(1)).expect("the job is possible");
            work();
            ready();
            work();
        },
    },
    Program {
        name: "job.begin",
        what: "worker: a job of one block that does nothing, from its task to the next job's",
        side: Side::Worker,
        idle_spin: FOR_EVER,
        of: Of::One,
        act: |pool, ready| {
            for is_counted in [false, false, true] {
                let gate = Gate::new();
                let held = pool.submit(hold(gate.name())).expect("the job is possible");
                gate.wait_for(1);
                let jobs: Vec<_> = (0..N + N / 2).map(|_| pool.submit(nothing(true))).collect();
                if is_counted {
                    ready();
                }
                gate.open();
                held.join().expect("the job is possible");
                jobs.into_iter().for_each(|job| job.and_then(|job| job.join()).expect("the job is possible"));
            }
        },
    },
    Program {
        name: "job.join",
        what: "caller: joining a job that has ended",
        side: Side::Caller,
        idle_spin: FOR_EVER,
        of: Of::One,
        act: |pool, ready| {
            let work = || {
                let job = pool.submit(nothing(false)).expect("the job is possible");
                while !job.is_finished() {}
                begin();
                job.join().expect("the job is possible");
                end();
            };
            (0..N).for_each(|_| work());
            ready();
            (0..2 * N).for_each(|_| work());
        },
    },
    Program {
        name: "blocks.submit",
        what: "caller: a job of 4096 blocks, from its call to its publication",
        side: Side::Caller,
        idle_spin: FOR_EVER,
        of: Of::One,
        act: |pool, ready| {
            let x = pool.full(MANY, 1.0_f64).expect("there is room");
            let work = || {
                begin();
                let job = pool.submit(sum(&x).block_rows(1)).expect("the job is possible");
                end();
                assert_eq!(job.join().expect("the job is possible").0, MANY as f64);
            };
            (0..N).for_each(|_| work());
            ready();
            (0..2 * N).for_each(|_| work());
        },
    },
    Program {
        name: "blocks.join",
        what: "caller: 128 results more in a job that is joined",
        side: Side::Caller,
        idle_spin: FOR_EVER,
        of: Of::Difference,
        act: |pool, ready| {
            let x = pool.full(LONG, 1.0_f64).expect("there is room");
            let work = |blocks: usize| {
                let job = pool.submit(sum(&x).block_rows(LONG / blocks)).expect("the job is possible");
                while !job.is_finished() {}
                begin();
                let sum = job.join().expect("the job is possible");
                end();
                assert_eq!(sum.0, LONG as f64);
            };
            (0..N).for_each(|_| [SHORT, LONG].into_iter().for_each(work));
            ready();
            (0..N).for_each(|_| [SHORT, LONG].into_iter().for_each(work));
        },
    },
    Program {
        name: "map.next",
        what: "caller: taking the next result of a map",
        side: Side::Caller,
        idle_spin: Duration::ZERO,
        of: Of::One,
        act: |pool, ready| {
            for is_marked in [false, true] {
                if is_marked {
                    ready();
                }
                for result in pool.map((0..CALLS).map(|_| place())) {
                    at(result.expect("the call is possible"));
                }
            }
        },
    },
];

/// From one task to the next.
fn next() {
    end();
    begin();
}

/// From the second call of a batch to the third.
fn at(place: usize) {
    match place {
        // The batch before had two calls.
        0 => forget(),
        1 => begin(),
        2 => end(),
        _ => {}
    }
}

#[task]
fn read(x: ArrayView1<f64>) -> Sum<f64> {
    next();
    Sum(x[0])
}

#[task]
fn sum(x: ArrayView1<f64>) -> Sum<f64> {
    Sum(x.sum())
}

#[task]
fn add(mut x: ArrayViewMut1<f64>) {
    next();
    x[0] += 1.0;
}

/// The place of a call in its batch.
#[task]
fn place(block: &Block) -> usize {
    block.index()
}

#[task]
fn nothing(is_marked: bool) {
    if is_marked {
        next();
    }
}

#[task]
fn hold(gate: &str) {
    Gate::pass(gate);
}

pub(crate) fn paths() -> impl Iterator<Item = Path> {
    PROGRAMS.iter().map(|&Program { name, what, .. }| Path { name, what, count })
}

fn find(name: &str) -> &'static Program {
    PROGRAMS.iter().find(|program| program.name == name).expect("a program of this name")
}

/// In the counted process: tells which thread is to be stepped through, and marks.
pub(crate) fn act(name: &str) {
    let program = find(name);
    let pool =
        Pool::builder().workers(1).idle_spin(program.idle_spin).build().expect("a worker can be started");
    let ready = || {
        let main_thread = match program.side {
            Side::Caller => std::process::id(),
            Side::Worker => pool.worker_pids()[0],
        };
        say(&main_thread.to_string());
        assert_eq!(wait_to_be_told(), "traced");
    };
    (program.act)(&pool, &ready);
}

fn count(name: &str) -> Result<u64, String> {
    let program = find(name);
    let mut command = Command::new(std::env::current_exe().map_err(|error| error.to_string())?);
    command.args(["act", name]);
    let mut actor = Actor::spawn(command);
    let thread = actor.hear().parse().expect("a number");
    let counts = stepper::count(&mut actor, thread, N)?;
    let (text, status) = actor.let_go();
    if !status.success() {
        return Err(format!("{name}: {status}: {text}"));
    }
    Ok(match program.of {
        Of::One => middle(counts.into_iter()),
        Of::Difference => {
            let [short, long] = [0, 1].map(|first| middle(counts.iter().copied().skip(first).step_by(2)));
            long - short
        }
    })
}

fn middle(counts: impl Iterator<Item = u64>) -> u64 {
    let mut counts: Vec<u64> = counts.collect();
    counts.sort_unstable();
    counts[counts.len() / 2]
}
