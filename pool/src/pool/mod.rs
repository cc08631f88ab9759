//! The user's handle of everything: options, the four verbs, and making arrays.

/// Making arrays.
mod arrays;
/// Options.
mod builder;
/// The pool and its verbs.
mod handle;
/// Running blocks in this process.
mod in_process;
/// A job in flight.
mod job;
/// Many calls in order.
mod map;

pub use builder::Builder;
pub use handle::Pool;
pub use job::Job;
pub use map::{Map, Unordered};
