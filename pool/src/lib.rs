//! ndpool: a pool of worker processes over shared arrays.
#![deny(unsafe_code)]

mod error;

pub use error::{Error, ErrorKind, FailedBlocks, Result, WorkerExit};
