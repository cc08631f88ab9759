//! One line of the table.

use crate::measure::{Pair, Sample};
use serde::{Deserialize, Serialize};
use std::fmt;

/// What must hold for the row to be good.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Goal {
    /// The ratio of ndpool's cost to the peer's is at most this.
    Ratio(f64),
    /// ndpool's cost is at most `limit` of the row's units, or, on a machine on which the bare program that is the peer takes
    /// longer than the `bare` of them that it took where the limit was set, as many times more.
    Limit {
        /// The most that ndpool may cost.
        limit: f64,
        /// What the bare program cost there.
        bare: f64,
    },
    /// ndpool's cost is at most this many of the row's units, whatever the peer's.
    Within(f64),
    /// ndpool's cost is at most `factor` times the peer's, and `overhead` of the row's units.
    Overhead {
        /// How much longer what depends on the work may take.
        factor: f64,
        /// What may come to it.
        overhead: f64,
    },
}

impl Goal {
    /// The ratio that must not be exceeded, beside a peer of this cost in the row's units.
    fn ratio(self, peer: f64) -> f64 {
        match self {
            Self::Ratio(ratio) => ratio,
            Self::Limit { limit, bare } => limit / bare.min(peer),
            Self::Within(limit) => limit / peer,
            Self::Overhead { factor, overhead } => factor + overhead / peer,
        }
    }

    /// The cost that must not be exceeded, in the row's units, if there is one.
    fn limit(self) -> Option<f64> {
        match self {
            Self::Limit { limit, .. } | Self::Within(limit) => Some(limit),
            Self::Ratio(_) | Self::Overhead { .. } => None,
        }
    }

    fn bare(self) -> Option<f64> {
        match self {
            Self::Limit { bare, .. } => Some(bare),
            Self::Ratio(_) | Self::Within(_) | Self::Overhead { .. } => None,
        }
    }
}

/// The unit of a row's costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// 10⁻³ s.
    Milliseconds,
    /// 10⁻⁶ s.
    Microseconds,
    /// 10⁻⁹ s.
    Nanoseconds,
    /// Bytes.
    Bytes,
    /// 10⁶ bytes.
    Megabytes,
}

impl Unit {
    fn name(self) -> &'static str {
        match self {
            Self::Milliseconds => "ms",
            Self::Microseconds => "µs",
            Self::Nanoseconds => "ns",
            Self::Bytes => "B",
            Self::Megabytes => "MB",
        }
    }

    /// So many seconds, or bytes, in this unit.
    fn of(self, amount: f64) -> f64 {
        match self {
            Self::Milliseconds => amount * 1e3,
            Self::Microseconds => amount * 1e6,
            Self::Nanoseconds => amount * 1e9,
            Self::Bytes => amount,
            Self::Megabytes => amount * 1e-6,
        }
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
    /// The unit of the costs.
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

/// An answer, as it stands in a line of JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The row's name.
    pub name: String,
    /// ndpool's cost, in the row's unit.
    pub ndpool: f64,
    /// The peer's cost, in the row's unit.
    pub peer: f64,
    /// What ndpool is compared with.
    pub peer_name: String,
    /// ndpool's cost by the peer's.
    pub ratio: f64,
    /// What the ratio must not exceed.
    pub goal: f64,
    /// The unit of the costs.
    pub unit: String,
    /// How often each side was measured.
    pub runs: usize,
    /// Number of the question in the README's table.
    pub row: String,
    /// The limit in the row's unit that the goal stands for, if there is one.
    pub limit: Option<f64>,
    /// What a bare program cost where the limit was set, if that is known.
    pub bare: Option<f64>,
    /// Whether the ratio does not exceed the goal.
    pub is_good: bool,
    /// The distance between the quartiles of ndpool's runs, in the row's unit.
    pub ndpool_spread: f64,
    /// The distance between the quartiles of the peer's runs, in the row's unit.
    pub peer_spread: f64,
}

impl Question {
    /// Measures the row, which has this number in the README's table.
    ///
    /// # Errors
    ///
    /// Why it could not be measured here.
    pub fn answer(&self, row: &str) -> Result<Row, Skipped> {
        let Pair { ndpool: ours, peer: theirs } = (self.measure)()?;
        let cost = |sample: &Sample| self.unit.of(sample.typical());
        let spread = |sample: &Sample| rounded(self.unit.of(sample.spread()));
        let (ndpool, peer) = (cost(&ours), cost(&theirs));
        let (ratio, goal, limit) = (ndpool / peer, self.goal.ratio(peer), self.goal.limit());
        Ok(Row {
            name: self.name.to_owned(),
            ndpool: rounded(ndpool),
            peer: rounded(peer),
            peer_name: self.peer_name.to_owned(),
            ratio: rounded(ratio),
            goal: rounded(goal),
            unit: self.unit.name().to_owned(),
            runs: ours.len(),
            row: row.to_owned(),
            limit,
            bare: self.goal.bare(),
            is_good: ratio <= goal,
            ndpool_spread: spread(&ours),
            peer_spread: spread(&theirs),
        })
    }
}

impl Row {
    /// One JSON object, on one line.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("numbers and strings can be written")
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { row, name, ndpool, peer, ratio, goal, unit, ndpool_spread, peer_spread, .. } = self;
        write!(
            f,
            "{row:<3} {name:<28} {ndpool:>9} ±{ndpool_spread:<8} {peer:>9} ±{peer_spread:<8} {unit:<2} \
             {ratio:>8} ≤ {goal:<8}"
        )?;
        match self.limit {
            Some(limit) => write!(f, " ≤ {:<8}", format!("{limit} {unit}"))?,
            None => write!(f, " {:<10}", "")?,
        }
        write!(f, " {}  against {}", if self.is_good { "reached" } else { "MISSED " }, self.peer_name)
    }
}

/// To four significant digits, which is more than a measurement has.
fn rounded(value: f64) -> f64 {
    format!("{value:.3e}").parse().unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_a_ratio_that_neither_a_slow_machine_nor_a_fast_peer_takes_away() {
        let goal = Goal::Limit { limit: 1.2, bare: 0.5 };
        assert_eq!(goal.ratio(0.5), 2.4);
        assert_eq!(goal.ratio(5.0), 2.4, "ten times slower, ten times more is allowed");
        assert_eq!(goal.ratio(0.25), 4.8, "a faster peer changes nothing of the limit");
        assert_eq!(Goal::Within(22.0).ratio(11.0), 2.0);
        assert_eq!(Goal::Overhead { factor: 1.08, overhead: 22.0 }.ratio(100.0), 1.3);
    }

    #[test]
    fn numbers_are_told_to_four_digits() {
        assert_eq!(rounded(123_456.0), 123_500.0);
        assert_eq!(rounded(0.012_344), 0.01234);
    }
}
