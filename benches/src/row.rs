//! One line of the table.

use crate::measure::Pair;
use serde::Serialize;
use std::fmt;

/// What must hold for the row to be good.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Goal {
    /// The ratio of ndpool's time to the peer's is at most this.
    Ratio(f64),
    /// ndpool's time is at most this many of the row's units.
    Time(f64),
}

/// The unit of a row's times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// 10⁻³ s.
    Milliseconds,
    /// 10⁻⁶ s.
    Microseconds,
}

impl Unit {
    fn name(self) -> &'static str {
        match self {
            Self::Milliseconds => "ms",
            Self::Microseconds => "µs",
        }
    }

    fn of_seconds(self, seconds: f64) -> f64 {
        match self {
            Self::Milliseconds => seconds * 1e3,
            Self::Microseconds => seconds * 1e6,
        }
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A question and how to answer it.
#[derive(Debug, Clone, Copy)]
pub struct Question {
    /// The row's name, for `--only`.
    pub name: &'static str,
    /// What ndpool is compared with.
    pub peer_name: &'static str,
    /// What must hold.
    pub goal: Goal,
    /// The unit of the times.
    pub unit: Unit,
    /// Measures.
    pub measure: fn() -> Result<Pair, Skipped>,
}

/// Why a row could not be measured.
#[derive(Debug)]
pub struct Skipped(pub String);

impl From<ndpool::Error> for Skipped {
    fn from(error: ndpool::Error) -> Self {
        Self(error.to_string())
    }
}

impl From<std::io::Error> for Skipped {
    fn from(error: std::io::Error) -> Self {
        Self(error.to_string())
    }
}

/// An answer.
#[derive(Debug)]
pub struct Row {
    question: Question,
    pair: Pair,
}

impl Question {
    /// Measures the row.
    ///
    /// # Errors
    ///
    /// Why it could not be measured here.
    pub fn answer(&self) -> Result<Row, Skipped> {
        Ok(Row { question: *self, pair: (self.measure)()? })
    }
}

impl Row {
    /// ndpool's time in the row's unit.
    fn ndpool(&self) -> f64 {
        self.question.unit.of_seconds(self.pair.ndpool.typical())
    }

    fn peer(&self) -> f64 {
        self.question.unit.of_seconds(self.pair.peer.typical())
    }

    fn ratio(&self) -> f64 {
        self.ndpool() / self.peer()
    }

    /// Whether the goal is reached.
    pub fn is_good(&self) -> bool {
        match self.question.goal {
            Goal::Ratio(limit) => self.ratio() <= limit,
            Goal::Time(limit) => self.ndpool() <= limit,
        }
    }

    /// One JSON object, on one line.
    pub fn to_json(&self) -> String {
        let Question { name, peer_name, unit, goal, .. } = self.question;
        let (goal, goal_of) = match goal {
            Goal::Ratio(limit) => (limit, "ratio"),
            Goal::Time(limit) => (limit, "ndpool"),
        };
        let line = Line {
            name,
            ndpool: rounded(self.ndpool()),
            peer: rounded(self.peer()),
            peer_name,
            ratio: rounded(self.ratio()),
            goal,
            unit: unit.name(),
            runs: self.pair.ndpool.len(),
            goal_of,
            is_good: self.is_good(),
            ndpool_spread: rounded(unit.of_seconds(self.pair.ndpool.spread())),
            peer_spread: rounded(unit.of_seconds(self.pair.peer.spread())),
        };
        serde_json::to_string(&line).expect("numbers and strings can be written")
    }
}

/// A row as JSON: `goal` is an upper limit of the field that `goal_of` names; a spread is the distance between the
/// quartiles of the runs, in the row's unit.
#[derive(Debug, Serialize)]
struct Line {
    name: &'static str,
    ndpool: f64,
    peer: f64,
    peer_name: &'static str,
    ratio: f64,
    goal: f64,
    unit: &'static str,
    runs: usize,
    goal_of: &'static str,
    is_good: bool,
    ndpool_spread: f64,
    peer_spread: f64,
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Question { name, peer_name, unit, goal, .. } = self.question;
        let spread = |sample: &crate::Sample| unit.of_seconds(sample.spread());
        write!(
            f,
            "{name:<20} {:>9.2} {unit} ±{:<7.2} {:>9.2} {unit} ±{:<7.2} {:>6.3}  ",
            self.ndpool(),
            spread(&self.pair.ndpool),
            self.peer(),
            spread(&self.pair.peer),
            self.ratio(),
        )?;
        match goal {
            Goal::Ratio(limit) => write!(f, "ratio ≤ {limit}")?,
            Goal::Time(limit) => write!(f, "≤ {limit} {unit}")?,
        }
        write!(f, " {}  against {peer_name}", if self.is_good() { "reached" } else { "MISSED" })
    }
}

/// To four significant digits, which is more than a measurement has.
fn rounded(value: f64) -> f64 {
    format!("{value:.3e}").parse().unwrap_or(value)
}
