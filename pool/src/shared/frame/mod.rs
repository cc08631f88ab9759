//! Frames: named, typed columns that are always seen as one whole version.
//!
//! | file | concept |
//! |---|---|
//! | `schema` | what a frame holds |
//! | `layout` | where the columns lie |
//! | `header` | the `.npy` header |

mod header;
mod layout;
mod schema;

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use header::FrameHeader;
pub use schema::{Column, Schema};
