//! What the tests of the workspace share: processes to be killed, what is left of them, and chance with a seed.

/// Running a test again in a process of its own.
mod actor;
/// Control groups of a test's own.
mod cgroup;
/// Programs in namespaces of their own.
mod container;
/// Holding tasks back.
mod gate;
/// Killing workers at random moments.
mod killer;
/// What a pool left behind, or did not.
mod leftovers;
/// A memory limit of one's own.
mod memory_group;
/// Random numbers with a seed.
mod random;
/// Counting system calls.
mod tracer;
/// Ending what hangs.
mod watchdog;

pub use actor::{Actor, role, say, wait_to_be_told};
pub use cgroup::Cgroup;
pub use container::{Container, become_user, play, skip};
pub use gate::Gate;
pub use killer::{Killer, kill, kill_group, stop};
pub use leftovers::{Run, is_alive, processes_of, wait_until};
pub use memory_group::MemoryGroup;
pub use random::Random;
pub use tracer::{Stretch, SystemCall, mark, trace};
pub use watchdog::{Watchdog, watchdog};
