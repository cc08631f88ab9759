//! What does a call through `map` cost that does nothing, beside joblib on loky with one call to a message?
//!
//! No outside goal names a factor for this peer; the one here is that of `multiprocessing.Pool.map`.

use super::map_calls;
use crate::row::{Goal, Question, Unit};

pub(crate) const QUESTION: Question = Question {
    name: "map_vs_joblib",
    peer_name: "joblib Parallel on loky, batch_size=1",
    goal: Goal::Ratio(1.0 / 30.0),
    unit: Unit::Microseconds,
    measure: || map_calls::against("map_joblib.py", &["joblib"], 5_000, &["1"]),
};
