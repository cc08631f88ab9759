//! The worker: a process that maps arrays, claims blocks, runs tasks and commits.
//!
//! It owns nothing that must survive it. Everything it holds is named by the word of the one block that it has
//! claimed.

/// From the command line to the first block.
mod bootstrap;
/// What is mapped.
mod cache;
/// A job as a worker sees it.
mod context;
/// One block, from claim to commit.
mod execute;
/// Where a program becomes a worker.
mod init;
/// What a panic leaves behind.
mod panic;
/// Looking for work.
mod serve;
/// Results that do not fit their slots.
mod spill;
/// Noticing that the supervisor is gone.
mod watch;

pub(crate) use execute::run_task;
pub(crate) use init::{Role, role, test_path};
pub use init::{init, init_in_test};
pub(crate) use panic::install_hook_in_process;
