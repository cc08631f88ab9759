//! The rows whose peer is a Python program.
//!
//! Each says here what it measures on our side and which program of `benches/python` does the same on the other. The
//! program keeps the time itself, so that what it costs to ask it is not counted. Both sides have two workers.

/// NumPy on an array that is mapped.
pub(crate) mod describe;
/// What a call costs that does nothing.
mod map_calls;
/// `concurrent.futures`.
pub(crate) mod map_executor;
/// joblib on loky.
pub(crate) mod map_joblib;
/// mpire.
pub(crate) mod map_mpire;
/// `multiprocessing.Pool`, call by call.
pub(crate) mod map_multiprocessing;
/// `multiprocessing.Pool`, in large chunks.
pub(crate) mod map_multiprocessing_chunked;
/// Ray.
pub(crate) mod map_ray;

/// Workers on both sides; `N_WORKERS` in `peer.py`.
const N_WORKERS: usize = 2;
