//! Jobs in shared memory: the ledger and everything around it that supervisor and workers both read.
//!
//! README.md beside this file is the protocol: states, actors, races. The order here is the order in which a job
//! comes to life; blank lines keep rustfmt from sorting it.

/// How rows fall into blocks.
pub(crate) mod grid;

/// What a worker is told of a job.
pub(crate) mod descriptor;

/// The memory of a job.
pub(crate) mod arena;

/// What became of each block.
pub(crate) mod slots;

/// The word of a block and its states.
pub(crate) mod word;

/// The words of a job and how they change.
pub(crate) mod ledger;

/// What the pool's processes share besides.
pub(crate) mod board;

/// Waking and sleeping.
pub(crate) mod doorbell;

/// Words that no actor writes.
#[cfg(test)]
mod hostile;
