//! How long do two workers take from nothing to a first result?
//!
//! The peer is what the system asks for alone: the same program spawned twice, ending at once, and waited for.

use crate::END_AT_ONCE;
use crate::measure::{Pair, in_turns};
use crate::row::{Goal, Question, Skipped, Unit};
use ndpool::{Pool, task};
use std::process::{Command, Stdio};
use std::time::Instant;

pub(crate) const QUESTION: Question = Question {
    name: "two_workers_started",
    peer_name: "the same program spawned twice and waited for",
    goal: Goal::Time(3.0),
    unit: Unit::Milliseconds,
    measure,
};

const N_RUNS: usize = 101;

#[task]
fn answer() -> u32 {
    42
}

fn measure() -> Result<Pair, Skipped> {
    let program = std::env::current_exe()?;
    in_turns(
        N_RUNS,
        || {
            let start = Instant::now();
            let pool = Pool::builder().workers(2).build()?;
            let found = pool.run(answer())?;
            let took = start.elapsed();
            assert_eq!(found, 42);
            Ok(took)
        },
        || {
            let start = Instant::now();
            let spawn = || {
                Command::new(&program).arg(END_AT_ONCE).stdin(Stdio::null()).stderr(Stdio::piped()).spawn()
            };
            let (mut first, mut second) = (spawn()?, spawn()?);
            first.wait()?;
            second.wait()?;
            Ok(start.elapsed())
        },
    )
}
