//! What does a call through `map` cost that does nothing, beside `multiprocessing.Pool.map` as it comes?
//!
//! As it comes, `Pool.map` cuts the million into eight lists: eight messages, and a loop in Python in each worker. So
//! little is done for a call there that this is not a comparison of calls, and the peer may win: a list is lost as a whole
//! with its worker, one slow call holds up all others of its list, and no result is seen before the last. The limit is
//! there to be warned.

use super::map_calls;
use crate::row::{Goal, Question, Unit};

pub(crate) const QUESTION: Question = Question {
    name: "map_vs_multiprocessing_chunked",
    peer_name: "multiprocessing.Pool.map, default chunksize",
    goal: Goal::Ratio(10.0),
    unit: Unit::Microseconds,
    measure: || map_calls::against("map_multiprocessing.py", &[], 1_000_000, &["0"]),
};
