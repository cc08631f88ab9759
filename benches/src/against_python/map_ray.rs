//! What does a call through `map` cost that does nothing, beside remote tasks of Ray on the same machine?
//!
//! No outside goal names a factor for this peer; the one here is that of `multiprocessing.Pool.map`. Ray does more: its tasks may
//! depend on each other and run on other machines.

use super::map_calls;
use crate::row::{Goal, Question, Unit};

pub(crate) const QUESTION: Question = Question {
    name: "map_vs_ray",
    peer_name: "ray.get of remote tasks",
    goal: Goal::Ratio(1.0 / 30.0),
    unit: Unit::Microseconds,
    measure: || map_calls::against("map_ray.py", &["ray"], 2_000, &[]),
};
