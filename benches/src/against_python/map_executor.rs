//! What does a call through `map` cost that does nothing, beside `concurrent.futures.ProcessPoolExecutor.map`?

use super::map_calls;
use crate::row::{Goal, Question, Unit};

pub(crate) const QUESTION: Question = Question {
    name: "map_vs_executor",
    peer_name: "ProcessPoolExecutor.map, chunksize=1",
    goal: Goal::Ratio(1.0 / 200.0),
    unit: Unit::Microseconds,
    measure: || map_calls::against("map_executor.py", &[], 10_000, &[]),
};
