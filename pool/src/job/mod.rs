//! Jobs in shared memory: the ledger and everything around it that supervisor and workers both read.
//!
//! README.md beside this file is the protocol: states, actors, races. The order here is the order in which a job
//! comes to life.

/// The memory of a job.
pub(crate) mod arena;
/// What the pool's processes share besides.
pub(crate) mod board;
/// What a worker is told of a job.
pub(crate) mod descriptor;
/// Waking and sleeping.
pub(crate) mod doorbell;
/// How rows fall into blocks.
pub(crate) mod grid;
/// The words of a job and how they change.
pub(crate) mod ledger;
/// The word of a block and its states.
pub(crate) mod word;
