//! Structures that outlive a job: shared by name between any processes, in or out of a pool.
//!
//! The protocol (bytes, names, lifetimes, versions, locks, and the races between them) is written down in README.md beside this
//! file.

mod bell;
mod event;
mod file;
mod frame;
mod guard;
mod list;
mod lock;
mod mutex;
mod name;
mod named;
mod options;
mod page;
mod versioned;
mod versions;

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use frame::FrameHeader;
pub use frame::{Column, ColumnTypes, FrameMut, Schema, SharedFrame, Snapshot};
mod signal;
mod stripes;
mod until;

pub use event::Event;
pub use guard::{LockError, MutexGuard, Poisoned};
pub use list::{SharedInfo, list, list_in, reap, reap_in, remove, remove_with};
pub use mutex::Mutex;
pub use options::Options;
pub use page::Kind;

pub(crate) use file::{Plan, Published, Role, nanos_now};
pub(crate) use list::{items_of, reap_waiting};
pub(crate) use name::Name;
pub(crate) use options::{Gate, Terms};

#[cfg(test)]
mod tests;
