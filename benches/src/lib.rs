//! Measures ndpool against its peers.
//!
//! One module is one question. Each gives a [`Row`]: what ndpool took, what the peer took in the same run, and the goal.
//! A new question is a new module, a new name in [`ROWS`], and a line in the README.

/// The rows whose peer is a Python program.
mod against_python;
/// How long two workers take from nothing to a first result.
mod first_result;
/// Samples taken in turns, and what they say.
mod measure;
/// What a job costs that does nothing.
mod noop_round_trip;
/// Python programs that do their work when told to.
mod python;
/// What stands in the table.
mod row;
/// How fast a sum goes through a large array that is shared already.
mod sum_shared;

pub use measure::{Pair, Sample};
pub use row::{Goal, Question, Row, Skipped, Unit};

/// All questions, in the order of the table.
pub const ROWS: &[Question] = &[
    sum_shared::QUESTION,
    against_python::describe::QUESTION,
    noop_round_trip::QUESTION,
    first_result::QUESTION,
    against_python::map_calls::VS_MULTIPROCESSING,
    against_python::map_calls::VS_EXECUTOR,
    against_python::map_calls::VS_JOBLIB,
    against_python::map_calls::VS_MPIRE,
    against_python::map_calls::VS_RAY,
    against_python::map_calls::VS_MULTIPROCESSING_LISTS,
    against_python::map_calls::VS_JOBLIB_BATCHES,
    against_python::fresh_worker::VS_QUEUE,
    against_python::fresh_worker::VS_SHARED_MEMORY,
    against_python::fresh_worker::BORN_SHARED,
    against_python::running_worker::VS_QUEUE,
    against_python::running_worker::VS_SHARED_MEMORY,
    against_python::running_worker::VS_JOBLIB,
    against_python::running_worker::VS_RAY,
    against_python::sum_shared::VS_MULTIPROCESSING,
    against_python::sum_shared::VS_JOBLIB,
    against_python::sum_shared::VS_RAY,
];

/// The argument with which this program ends at once, as the peer of a worker's start.
pub const END_AT_ONCE: &str = "--end-at-once";
