//! The supervisor: what keeps workers alive and jobs exact, in the user's process.
//!
//! README.md beside this file is the protocol of a worker's life. One thread per worker carries that worker's
//! events; one more enforces time limits; callers drive their own jobs.

/// The thread of one worker.
mod actor;
/// The user's code beside the pool's threads.
mod aside;
/// Why a worker ended, as a pure function.
mod cause;
/// What a pool is made of.
mod core;
/// Waiting for jobs.
mod drive;
/// Hello and welcome.
mod handshake;
/// Jobs from publication to their last block.
mod jobs;
/// The life of a worker as a pure function.
mod lifecycle;
/// The limit on workers' memory.
mod memory;
/// Time limits, and jobs that nobody waits for.
mod monitor;
/// Whether a worker was killed for want of memory.
mod oom;
/// What is left of a job when it has ended.
mod outcome;
/// The record of a worker's end.
mod postmortem;
/// What there is to know of a job.
mod record;
/// The pure parts of all this in a world of chance.
#[cfg(test)]
mod simulation;
/// Starting a process.
mod spawn;
/// What workers print.
mod stderr;
/// Cleaning up after a death.
mod sweep;
/// All jobs, and the memory of each.
mod table;
/// What becomes of a block whose worker died.
mod verdict;

pub use self::core::Stats;
pub(crate) use self::core::{Config, Core, Program};
pub(crate) use drive::Driver;
pub(crate) use handshake::duplicate_task;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use outcome::decode_failure;
pub(crate) use outcome::failure_error;
pub(crate) use record::JobRecord;
pub use spawn::Stderr;
pub(crate) use table::OwnedArena;
