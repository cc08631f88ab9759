//! Samples taken in turns, and what they say.
//!
//! Both sides are measured in one run, one after the other, and who goes first alternates, so that what disturbs the
//! machine disturbs both. The typical cost is the median; where the shortest run is below 10 ms, it is the minimum,
//! since there the noise of a machine is larger than what is asked, unless all processes were kept on cores of their own.

use crate::row::Skipped;
use std::time::{Duration, Instant};

/// Medians of runs that are this short are noise.
const SHORT_SECONDS: f64 = 10e-3;

/// What a run costs: time, or memory.
pub trait Cost {
    /// Whether noise makes it larger, never smaller, so that a short one is told by its minimum.
    const IS_TIME: bool;

    /// In seconds, or in bytes.
    fn amount(self) -> f64;
}

impl Cost for Duration {
    const IS_TIME: bool = true;

    fn amount(self) -> f64 {
        self.as_secs_f64()
    }
}

/// A cost in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(pub u64);

impl Cost for Bytes {
    const IS_TIME: bool = false;

    fn amount(self) -> f64 {
        self.0 as f64
    }
}

/// Costs of one side, in seconds or in bytes, sorted.
#[derive(Debug)]
pub struct Sample {
    runs: Vec<f64>,
    /// Whether the minimum tells, if the runs are short.
    is_noisy: bool,
    /// What a run does so many times that its cost is told for one of them.
    n_items: f64,
}

/// Costs of both sides, taken in turns.
#[derive(Debug)]
pub struct Pair {
    /// ndpool's.
    pub ndpool: Sample,
    /// The other's.
    pub peer: Sample,
}

impl Sample {
    fn new<C: Cost>(runs: Vec<C>) -> Self {
        let mut runs: Vec<f64> = runs.into_iter().map(C::amount).collect();
        runs.sort_by(f64::total_cmp);
        Self { runs, is_noisy: C::IS_TIME, n_items: 1.0 }
    }

    /// Number of runs.
    #[expect(clippy::len_without_is_empty, reason = "a sample has at least one run")]
    pub fn len(&self) -> usize {
        self.runs.len()
    }

    /// The median, or, if runs are short, the minimum; seconds or bytes for one item.
    pub fn typical(&self) -> f64 {
        let minimum = self.runs[0];
        let is_short = self.is_noisy && minimum < SHORT_SECONDS;
        if is_short { minimum / self.n_items } else { self.quantile(0.5) }
    }

    /// The distance between the quartiles; seconds or bytes for one item.
    pub fn spread(&self) -> f64 {
        self.quantile(0.75) - self.quantile(0.25)
    }

    fn quantile(&self, q: f64) -> f64 {
        self.runs[((self.runs.len() - 1) as f64 * q).round() as usize] / self.n_items
    }
}

impl Pair {
    /// Tells medians however short the runs are: for processes that were kept on cores of their own.
    pub(crate) fn by_median(mut self) -> Self {
        self.ndpool.is_noisy = false;
        self.peer.is_noisy = false;
        self
    }

    /// Tells costs for one of the items that a run of each side does.
    pub(crate) fn per_item(mut self, n_ndpool: usize, n_peer: usize) -> Self {
        self.ndpool.n_items = n_ndpool as f64;
        self.peer.n_items = n_peer as f64;
        self
    }
}

/// Measures both sides `n_runs` times each, in turns, after one run of each that does not count.
///
/// Each function does its work once and says what it cost, without preparation and clean-up.
///
/// # Errors
///
/// The first error of either side.
pub(crate) fn in_turns<C: Cost>(
    n_runs: usize,
    mut ndpool: impl FnMut() -> Result<C, Skipped>,
    mut peer: impl FnMut() -> Result<C, Skipped>,
) -> Result<Pair, Skipped> {
    ndpool()?;
    peer()?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for run in 0..n_runs {
        if run % 2 == 0 {
            ours.push(ndpool()?);
            theirs.push(peer()?);
        } else {
            theirs.push(peer()?);
            ours.push(ndpool()?);
        }
    }
    Ok(Pair { ndpool: Sample::new(ours), peer: Sample::new(theirs) })
}

/// How long a function takes, whose result must be `expected`.
///
/// # Errors
///
/// That of the function.
///
/// # Panics
///
/// If the result is not the expected one.
pub(crate) fn timed<T: PartialEq + std::fmt::Debug>(
    expected: &T,
    work: impl FnOnce() -> Result<T, Skipped>,
) -> Result<Duration, Skipped> {
    let start = Instant::now();
    let found = work()?;
    let took = start.elapsed();
    assert_eq!(found, *expected, "what is measured gives the wrong answer");
    Ok(took)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(millis: [u64; 3]) -> Pair {
        let mut runs = millis.into_iter().cycle().skip(2);
        let run = move || Ok(Duration::from_millis(runs.next().expect("it goes on for ever")));
        in_turns(3, run.clone(), run).expect("nothing fails")
    }

    #[test]
    fn long_runs_are_told_by_the_median_and_short_ones_by_the_minimum() {
        assert_eq!(pair([30, 20, 900]).ndpool.typical(), 0.03);
        assert_eq!(pair([3, 2, 900]).ndpool.typical(), 0.002);
        assert_eq!(pair([3, 2, 900]).by_median().peer.typical(), 0.003);
    }

    #[test]
    fn costs_of_items_are_those_of_runs_divided() {
        let pair = pair([300, 200, 900]).per_item(100, 10);
        assert_eq!((pair.ndpool.typical(), pair.peer.typical()), (0.003, 0.03));
    }

    #[test]
    fn bytes_are_told_by_the_median() {
        let bytes = |n| move || Ok(Bytes(n));
        let pair = in_turns(1, bytes(5), bytes(7)).expect("nothing fails");
        assert_eq!((pair.ndpool.typical(), pair.peer.typical()), (5.0, 7.0));
    }
}
