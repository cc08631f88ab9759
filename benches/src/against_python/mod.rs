//! The rows whose peer is a Python program.
//!
//! Each question says what it measures on our side, and names the program of `benches/python` that does the same on the
//! other. The program keeps the time itself, so that what it costs to ask it is not counted. Both sides have the same
//! number of workers. A goal whose row says nothing else is the project's own, where nobody else has named one.

/// Mean, standard deviation and largest element of a large array.
pub(crate) mod describe;
/// A large array for a process that is started for it.
pub(crate) mod fresh_worker;
/// What a call costs that does nothing.
pub(crate) mod map_calls;
/// A large array for a process that runs already.
pub(crate) mod running_worker;
/// The sum of a large array that is shared already.
pub(crate) mod sum_shared;

use crate::python::Python;
use crate::row::Skipped;
use crate::sum_shared::numbers;
use ndpool::Pool;
use std::ffi::OsStr;

/// Workers on both sides, where the question does not say otherwise; the same in `peer.py`.
const N_WORKERS: usize = 2;

/// Starts a program that takes [`numbers`] from an `.npy` file and keeps a copy. Its first argument is the file.
fn with_numbers(n: usize, program: &str, modules: &[&str], args: &[&str]) -> Result<Python, Skipped> {
    let pool = Pool::builder().workers(1).build()?;
    let x = pool.from_shape_fn(n, numbers)?;
    let path = x.path();
    let all_args: Vec<&OsStr> = [path.as_os_str()].into_iter().chain(args.iter().map(OsStr::new)).collect();
    Python::start(program, modules, &all_args)
}
