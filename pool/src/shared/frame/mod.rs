//! Frames: named, typed columns that are always seen as one whole version.
//!
//! | file | concept |
//! |---|---|
//! | `schema` | what a frame holds |
//! | `layout` | where the columns lie |
//! | `header` | the `.npy` header |
//! | `inner` | what handles, snapshots and writers share |
//! | `snapshot` | one version, as readers see it |
//! | `write` | the next version, as its writer sees it |
//! | `columns` | several columns of it at a time |
//! | `frame` | the handle |
//! | `arrow` | snapshots as record batches of Apache Arrow |

#[cfg(feature = "arrow")]
mod arrow;
mod columns;
#[expect(clippy::module_inception, reason = "it is the frame")]
mod frame;
mod header;
mod inner;
mod layout;
mod schema;
mod snapshot;
mod write;

pub use columns::ColumnTypes;
pub use frame::SharedFrame;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use header::FrameHeader;
pub use schema::{Column, Schema};
pub use snapshot::Snapshot;
pub use write::FrameMut;

#[cfg(test)]
mod tests;
