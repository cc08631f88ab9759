//! Where memory goes: what an idle pool takes, what queued work takes, and what a job takes beyond its array.
//!
//! Each measurement is made in a process of its own, which has allocated nothing before. Counted are the pages that processes have to
//! themselves (`RssAnon`), and all that the pool's files in /dev/shm hold; pages of the program file are there anyway.

/// What the kernel says.
mod account;
/// What an idle pool takes.
mod idle;
/// What a job takes beyond its array.
mod peak;
/// What queued work takes.
mod queued;

pub(crate) use idle::{IDLE, IDLE_BARE, IDLE_POOL};
pub(crate) use peak::{COPIED_IN, IN_PLACE, PEAK, PEAK_BARE};
pub(crate) use queued::{BLOCKS, JOBS, QUEUED};

use crate::bare::{Bare, Role};
use crate::measure::Bytes;
use crate::row::Skipped;

const N_RUNS: usize = 5;

/// What a process of this role measures.
fn measured_apart(role: Role, argument: &str) -> Result<Bytes, Skipped> {
    Bare::start(role, &[argument.to_owned()])?.wait_for_number().map(Bytes)
}
