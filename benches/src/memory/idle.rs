//! How much memory does a pool of two take that does nothing?
//!
//! The bare program is two processes of the same program that sleep on a word of shared memory.

use super::account::Account;
use super::{N_RUNS, measured_apart};
use crate::bare::{Bare, Parent, Role, Shared};
use crate::measure::{Pair, in_turns};
use crate::noop_parked::{SLEEP, wait_until_asleep};
use crate::row::{Goal, Question, Skipped, Unit};
use ndpool::{Pool, task};

pub(crate) const IDLE_POOL: Question = Question {
    name: "idle_pool_memory",
    peer_name: "two processes of the same program that sleep",
    goal: Goal::Limit { limit: 2.0, bare: 0.3 },
    unit: Unit::Megabytes,
    measure,
};

pub(crate) const IDLE: Role = Role { name: "idle", play: idle };
pub(crate) const IDLE_BARE: Role = Role { name: "idle-bare", play: idle_bare };

#[task]
fn noop() {}

fn measure() -> Result<Pair, Skipped> {
    in_turns(N_RUNS, || measured_apart(IDLE, ""), || measured_apart(IDLE_BARE, ""))
}

fn idle(_: &[String]) -> Result<(), Skipped> {
    ndpool::init();
    let before = Account::of_processes(&[]).read()?;
    let pool = Pool::builder().workers(2).build()?;
    pool.run(noop())?;
    pool.worker_pids().into_iter().try_for_each(wait_until_asleep)?;
    let after = Account::of(&pool)?.read()?;
    Parent::new()?.answer_number((after.own + after.files).saturating_sub(before.own))
}

fn idle_bare(_: &[String]) -> Result<(), Skipped> {
    let before = Account::of_processes(&[]).read()?;
    let memory = Shared::new(0)?;
    let (one, two) = (Bare::start(SLEEP, &[memory.path()])?, Bare::start(SLEEP, &[memory.path()])?);
    let pids = [one.pid(), two.pid()];
    pids.into_iter().try_for_each(wait_until_asleep)?;
    let after = Account::of_processes(&pids).read()?;
    Parent::new()?.answer_number((after.own + Shared::DATA).saturating_sub(before.own))
}
