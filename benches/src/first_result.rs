//! How long do two workers take from nothing to a first result, and how long under a parent that has 4 GiB of memory?
//!
//! The bare program is what the system asks for alone: the same program spawned twice, each of which answers with one byte
//! through a pipe. Starts under a large parent are measured in two processes that do nothing else, one of which has written to
//! 4 GiB of its memory, in turns.

use crate::bare::{Bare, Parent, Role};
use crate::measure::{Pair, in_turns};
use crate::row::{Goal, Question, Skipped, Unit};
use ndpool::{Pool, task};
use std::time::{Duration, Instant};

pub(crate) const QUESTION: Question = Question {
    name: "two_workers_started",
    peer_name: "the same program spawned twice, answering with a byte",
    goal: Goal::Limit { limit: 1.8, bare: 1.0 },
    unit: Unit::Milliseconds,
    measure,
};

/// Under a large parent.
pub(crate) const LARGE_PARENT: Question = Question {
    name: "two_workers_started_4gib",
    peer_name: "ndpool, under a parent without the 4 GiB",
    goal: Goal::Ratio(1.3),
    measure: measure_large_parent,
    ..QUESTION
};

/// Answers once.
pub(crate) const ANSWER: Role = Role { name: "answer", play: answer_once };

/// Starts workers whenever it is asked to, and says how long that took; argument: GiB of its own.
pub(crate) const START_WORKERS: Role = Role { name: "start-workers", play: start_workers };

const N_RUNS: usize = 101;

#[task]
fn answer() -> u32 {
    42
}

fn measure() -> Result<Pair, Skipped> {
    in_turns(N_RUNS, start_pool, || {
        let start = Instant::now();
        let (mut first, mut second) = (Bare::start(ANSWER, &[])?, Bare::start(ANSWER, &[])?);
        first.wait_for_answer()?;
        second.wait_for_answer()?;
        Ok(start.elapsed())
    })
}

fn start_pool() -> Result<Duration, Skipped> {
    let start = Instant::now();
    let pool = Pool::builder().workers(2).build()?;
    let found = pool.run(answer())?;
    let took = start.elapsed();
    assert_eq!(found, 42);
    Ok(took)
}

fn answer_once(_: &[String]) -> Result<(), Skipped> {
    Parent::new()?.answer()
}

fn measure_large_parent() -> Result<Pair, Skipped> {
    let mut large = Bare::start(START_WORKERS, &["4".to_owned()])?;
    let mut small = Bare::start(START_WORKERS, &["0".to_owned()])?;
    large.wait_for_answer()?;
    small.wait_for_answer()?;
    let time = |parent: &mut Bare| {
        parent.ask()?;
        parent.wait_for_number().map(Duration::from_nanos)
    };
    in_turns(N_RUNS, || time(&mut large), || time(&mut small))
}

fn start_workers(args: &[String]) -> Result<(), Skipped> {
    ndpool::init();
    let gib: usize = args.first().and_then(|n| n.parse().ok()).unwrap_or(0);
    let memory = vec![1_u8; gib << 30];
    let mut parent = Parent::new()?;
    parent.answer()?;
    while parent.is_asked()? {
        let took = start_pool()?;
        parent.answer_number(took.as_nanos() as u64)?;
    }
    drop(memory);
    Ok(())
}
