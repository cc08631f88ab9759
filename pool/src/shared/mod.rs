//! Structures that any processes use by name, in or out of a pool.

mod frame;

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use frame::FrameHeader;
pub use frame::{Column, Schema};
