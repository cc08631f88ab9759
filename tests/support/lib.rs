//! What the tests of the workspace share: processes to be killed, what is left of them, and chance with a seed.

/// Running a test again in a process of its own.
mod actor;
/// Control groups of a test's own.
mod cgroup;
/// Programs in namespaces of their own.
mod container;
/// Waiting for records.
mod deaths;
/// The ways a task ends.
mod end;
/// Holding tasks back.
mod gate;
/// Killing workers at random moments.
mod killer;
/// What a pool left behind, or did not.
mod leftovers;
/// Hearing of events.
mod listener;
/// A memory limit of one's own.
mod memory_group;
/// Python with NumPy.
mod numpy;
/// Random numbers with a seed.
mod random;
/// What became of the rows of a job.
mod rows;
/// Counting system calls.
mod tracer;
/// Ending what hangs.
mod watchdog;

pub use actor::{Actor, role, say, wait_to_be_told};
pub use cgroup::Cgroup;
pub use container::{Container, become_member, become_user, play, skip};
pub use deaths::wait_for_deaths;
pub use end::{End, Grudge, overflow};
pub use gate::Gate;
pub use killer::{Killer, kill, kill_group, stop};
pub use leftovers::{Run, is_alive, processes_of, wait_until};
pub use listener::Listener;
pub use memory_group::MemoryGroup;
pub use numpy::{has_numpy, python};
pub use random::Random;
pub use rows::assert_applied_but;
pub use tracer::{Stretch, SystemCall, mark, trace};
pub use watchdog::{Watchdog, watchdog};
