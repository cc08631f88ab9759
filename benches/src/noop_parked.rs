//! How long does a job take that does nothing, given to a worker that has gone to sleep?
//!
//! The peer is two processes that wake each other with a futex, each asleep when its turn comes. Before each run of either
//! side all processes that are to be woken are waited for, outside of the time, until the kernel says that they sleep.
//!
//! Caller and worker are kept on a core each. Left alone, the kernel puts two processes that do nothing but wake each other on one
//! core, where a wake-up takes 2 µs and not 30, and nothing could be computed side by side.

use crate::affinity::Affinity;
use crate::bare::{Bare, Role, Shared, die_with_parent, futex_wait, futex_wake};
use crate::measure::{Pair, in_turns};
use crate::row::{Goal, Question, Skipped, Unit};
use ndpool::{Pool, task};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

pub(crate) const QUESTION: Question = Question {
    name: "noop_parked",
    peer_name: "two processes that wake each other with a futex",
    goal: Goal::Ratio(1.15),
    unit: Unit::Microseconds,
    measure,
};

/// Sleeps on word 0 and answers every change of it in word 1.
pub(crate) const SLEEP: Role = Role { name: "sleep", play: sleep };

const N_RUNS: usize = 501;

#[task]
fn noop() {}

fn measure() -> Result<Pair, Skipped> {
    let pool = Pool::builder().workers(1).pin_cpus(true).build()?;
    let memory = Shared::new(0)?;
    let other = Bare::start(SLEEP, &[memory.path()])?;
    let (question, answer) = (memory.word(0), memory.word(1));
    // The pool keeps its worker on the first core.
    let cores = Affinity::of_caller()?;
    cores.pin(other.pid(), 0)?;
    let _caller = cores.pin_caller(1)?;
    let mut n = 0;
    let pair = in_turns(
        N_RUNS,
        || {
            pool.worker_pids().into_iter().try_for_each(wait_until_asleep)?;
            let start = Instant::now();
            pool.run(noop())?;
            Ok(start.elapsed())
        },
        || {
            wait_until_asleep(other.pid())?;
            n += 1;
            let start = Instant::now();
            futex_wake(question, n);
            while answer.load(Ordering::Acquire) != n {
                futex_wait(answer, n - 1);
            }
            Ok(start.elapsed())
        },
    )?;
    Ok(pair.by_median())
}

/// How often a process must be seen asleep in a row: one that has just been woken still looks asleep for a moment.
const LOOKS: u32 = 20;
const BETWEEN_LOOKS: Duration = Duration::from_micros(20);

/// Returns once the main thread of a process has been asleep for a while.
pub(crate) fn wait_until_asleep(pid: u32) -> Result<(), Skipped> {
    let mut n_asleep = 0;
    while n_asleep < LOOKS {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
        // The state stands behind the name, which may hold anything but its last bracket.
        let is_asleep = stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('S'));
        n_asleep = if is_asleep { n_asleep + 1 } else { 0 };
        std::thread::sleep(BETWEEN_LOOKS);
    }
    Ok(())
}

fn sleep(args: &[String]) -> Result<(), Skipped> {
    die_with_parent();
    let memory = Shared::open(args.first().map_or("", String::as_str))?;
    let (question, answer) = (memory.word(0), memory.word(1));
    let mut seen = 0;
    loop {
        let n = question.load(Ordering::Acquire);
        if n == seen {
            futex_wait(question, n);
        } else {
            seen = n;
            futex_wake(answer, n);
        }
    }
}
