//! What does a call through `map` cost that does nothing, beside `multiprocessing.Pool.map` with one call to a message?

use super::map_calls;
use crate::row::{Goal, Question, Unit};

pub(crate) const QUESTION: Question = Question {
    name: "map_vs_multiprocessing",
    peer_name: "multiprocessing.Pool.map, chunksize=1",
    goal: Goal::Ratio(1.0 / 30.0),
    unit: Unit::Microseconds,
    measure: || map_calls::against("map_multiprocessing.py", &[], 100_000, &["1"]),
};
