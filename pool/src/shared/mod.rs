//! Structures that outlive a job: shared by name between any processes, in or out of a pool.
//!
//! The protocol (bytes, names, lifetimes, versions, locks, and the races between them) is written down in README.md beside this
//! file.

/// Frames that one process writes and any number of processes read.
pub mod double_buffer;

mod bell;
mod file;
mod list;
mod name;
mod options;
mod page;
mod versioned;
mod versions;

pub use double_buffer::DoubleBuffer;
pub use list::{SharedInfo, list, list_in, reap, reap_in, remove, remove_with};
pub use options::Options;
pub use page::Kind;

pub(crate) use file::{Plan, Published, Role, nanos_now};
pub(crate) use list::{items_of, reap_waiting};
pub(crate) use name::Name;
pub(crate) use options::{Gate, Terms};

#[cfg(test)]
mod tests;
