//! What ndpool is not faster at: the figures of WHEN-NOT.md. Their goal is 1, which is where the other way is no better.

/// Memory that a forked child has for nothing.
mod fork;
/// Arrays that one thread has done before others have begun.
mod small;
/// Results that are large.
mod spill;
/// Updates of a few rows.
mod staged;
/// A pool that sleeps.
mod wake;

use crate::measure::Pair;
use crate::row::{Goal, Question, Skipped, Unit};

/// All of them, in the order of the page.
pub const WHEN_NOT: &[(&str, Question)] = &[
    ("not", fork::QUESTION),
    ("not", small::KB_8),
    ("not", small::KB_32),
    ("not", small::KB_128),
    ("not", small::KB_512),
    ("not", small::MB_2),
    ("not", small::MB_4),
    ("not", small::MB_8),
    ("not", wake::VS_RAYON),
    ("not", wake::VS_CALL),
    ("not", staged::QUESTION),
    ("not", spill::QUESTION),
];

const fn of(
    name: &'static str,
    peer_name: &'static str,
    unit: Unit,
    measure: fn() -> Result<Pair, Skipped>,
) -> Question {
    Question { name, peer_name, goal: Goal::Ratio(1.0), unit, measure }
}
