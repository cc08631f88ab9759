//! Segments: named blocks of shared memory, the run they belong to, and what happens to them when their owner dies.
//!
//! The protocol (byte layout, creation, publication, lease, recycling, reaping, and the races between them) is written down
//! in README.md beside this file. Data flow from top to bottom:
//!
//! | file | concept |
//! |---|---|
//! | `dtype` | types of elements, as NumPy names them |
//! | `npy` | headers of `.npy` files |
//! | `names` | the names of files in shared memory, and who may remove them |
//! | `layout` | where header, data and control page lie in a segment's bytes |
//! | `backing` | where segments live |
//! | `manifest` | the locked file that says a run is alive |
//! | `run` | one pool's segments: their places, numbers and lease |
//! | `room` | whether there is room for a file, and what a refusal means |
//! | `storage` | the file behind a segment, and how it is created |
//! | `recycle` | the bounded list of files to be used again |
//! | `block` | the segment itself |
//! | `leases` | which rows which job may touch |
//! | `attach` | what a worker needs to map a segment, and the checks |
//! | `window` | memory through which staged rows are written back |
//! | `reap` | the end of what dead runs left behind |

mod attach;
mod backing;
mod block;
mod dtype;
mod layout;
mod leases;
mod manifest;
mod names;
mod npy;
pub(crate) mod reap;
mod recycle;
mod room;
mod run;
mod storage;
mod window;

pub(crate) use attach::{Access, Attachment, Locator, Place, attach};
pub use backing::Backing;
pub(crate) use block::{Fill, Segment};
pub use dtype::DType;
pub(crate) use layout::PAGE_BYTES;
pub use names::{ParseRunIdError, RunId};
pub use npy::NpyError;
pub(crate) use npy::{
    Descr, Dictionary, Header, Parser, native_dtype, problem, shortened, write_dictionary, write_header,
};
pub(crate) use reap::reap_run_when_free;
pub use reap::{RunInfo, SegmentInfo, list, list_in, reap, reap_in};
pub(crate) use room::{Room, map_refused};
pub(crate) use run::{Run, SHARED_MEMORY};
pub(crate) use storage::PIECE_BYTES;
pub(crate) use window::Window;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use {layout::Kind, manifest::Contents, names::Name};

#[cfg(test)]
mod tests;
