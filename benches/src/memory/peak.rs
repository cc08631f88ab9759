//! How much memory does a job take at its peak beyond what was there, over an array of 400 MB?
//!
//! Copied in from a vector of the caller's, it cannot be less than the array; over an array that lies in shared memory already it
//! could be nothing. The bare program is the caller and two children that map a file in /dev/shm and sum it.

use super::account::Account;
use super::{N_RUNS, measured_apart};
use crate::bare::{Bare, Parent, Role, Shared};
use crate::fresh_worker::{SUM, write};
use crate::measure::in_turns;
use crate::row::{Goal, Question, Skipped, Unit};
use crate::sum_shared::numbers;
use ndarray::Array1;
use ndpool::{Pool, ops};
use std::os::unix::fs::MetadataExt;

pub(crate) const COPIED_IN: Question = Question {
    name: "peak_memory_copied_in",
    peer_name: "the array in /dev/shm, and two processes that sum it",
    goal: Goal::Ratio(1.02),
    unit: Unit::Megabytes,
    measure: || in_turns(N_RUNS, || measured_apart(PEAK, "copied"), || measured_apart(PEAK_BARE, "copied")),
};

pub(crate) const IN_PLACE: Question = Question {
    name: "peak_memory_not_copied",
    goal: Goal::Within(2.0),
    measure: || in_turns(N_RUNS, || measured_apart(PEAK, ""), || measured_apart(PEAK_BARE, "")),
    ..COPIED_IN
};

pub(crate) const PEAK: Role = Role { name: "peak", play: peak };
pub(crate) const PEAK_BARE: Role = Role { name: "peak-bare", play: peak_bare };

const N: usize = 50_000_000;

fn peak(args: &[String]) -> Result<(), Skipped> {
    ndpool::init();
    let is_copied = args.first().is_some_and(|arg| arg == "copied");
    let pool = Pool::builder().workers(2).build()?;
    // What the first job of a pool makes is the pool's, not the job's; the same goes for the threads that fill arrays.
    let first = pool.from_shape_fn(N / 100, numbers)?;
    pool.run(ops::sum(&first))?;
    let data = Array1::from_shape_fn(N, numbers);
    let expected = data.sum();
    let shared = if is_copied { None } else { Some(pool.from_array(&data)?) };
    let account = Account::of(&pool)?;
    account.reset_peaks()?;
    let before = account.read()?;
    let x = match shared {
        Some(x) => x,
        None => pool.from_array(&data)?,
    };
    assert_eq!(pool.run(ops::sum(&x))?, expected);
    let after = account.read()?;
    Parent::new()?.answer_number((after.own_peak + after.files).saturating_sub(before.own + before.files))
}

fn peak_bare(args: &[String]) -> Result<(), Skipped> {
    let is_copied = args.first().is_some_and(|arg| arg == "copied");
    let data = Array1::from_shape_fn(N, numbers);
    let expected = data.sum();
    let data = data.as_slice().expect("C order");
    let memory = Shared::new(size_of_val(data))?;
    // As with ndpool: the threads that copy are there before.
    write(&memory, &data[..N / 100])?;
    if !is_copied {
        write(&memory, data)?;
    }
    let mut children = [Bare::start(SUM, &[memory.path()])?, Bare::start(SUM, &[memory.path()])?];
    children.iter_mut().try_for_each(Bare::wait_for_answer)?;
    let account = Account::of_processes(&children.each_ref().map(Bare::pid));
    account.reset_peaks()?;
    let before = account.read()?;
    let files_before = if is_copied { 0 } else { memory.file().metadata()?.blocks() * 512 };
    if is_copied {
        write(&memory, data)?;
    }
    for child in &mut children {
        assert_eq!(child.sum()?, expected);
    }
    let after = account.read()?;
    let files = memory.file().metadata()?.blocks() * 512 - files_before;
    // A page at least, so that there is a ratio.
    Parent::new()?.answer_number((after.own_peak + files).saturating_sub(before.own).max(4096))
}
