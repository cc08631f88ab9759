//! Samples taken in turns, and what they say.
//!
//! Both sides are measured in one run, one after the other, and who goes first alternates, so that what disturbs the
//! machine disturbs both. The typical value is the median; where the minimum is below 10 ms, it is the minimum, since
//! there the noise of a machine is larger than what is asked.

use crate::row::Skipped;
use std::time::{Duration, Instant};

/// Medians of what is this short are noise.
const SHORT_SECONDS: f64 = 10e-3;

/// Times of one side, in seconds, sorted.
#[derive(Debug)]
pub struct Sample(Vec<f64>);

/// Times of both sides, taken in turns.
#[derive(Debug)]
pub struct Pair {
    /// ndpool's.
    pub ndpool: Sample,
    /// The other's.
    pub peer: Sample,
}

impl Sample {
    fn new(mut seconds: Vec<f64>) -> Self {
        seconds.sort_by(f64::total_cmp);
        Self(seconds)
    }

    /// Number of times.
    #[expect(clippy::len_without_is_empty, reason = "a sample has at least one time")]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The median, or, if it is short, the minimum; seconds.
    pub fn typical(&self) -> f64 {
        let minimum = self.0[0];
        if minimum < SHORT_SECONDS { minimum } else { self.quantile(0.5) }
    }

    /// The distance between the quartiles; seconds.
    pub fn spread(&self) -> f64 {
        self.quantile(0.75) - self.quantile(0.25)
    }

    fn quantile(&self, q: f64) -> f64 {
        self.0[((self.0.len() - 1) as f64 * q).round() as usize]
    }
}

/// Measures both sides `n_runs` times each, in turns, after one run of each that does not count.
///
/// Each function does its work once and says how long it took, without preparation and clean-up.
///
/// # Errors
///
/// The first error of either side.
pub(crate) fn in_turns(
    n_runs: usize,
    mut ndpool: impl FnMut() -> Result<Duration, Skipped>,
    mut peer: impl FnMut() -> Result<Duration, Skipped>,
) -> Result<Pair, Skipped> {
    ndpool()?;
    peer()?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for run in 0..n_runs {
        if run % 2 == 0 {
            ours.push(ndpool()?.as_secs_f64());
            theirs.push(peer()?.as_secs_f64());
        } else {
            theirs.push(peer()?.as_secs_f64());
            ours.push(ndpool()?.as_secs_f64());
        }
    }
    Ok(Pair { ndpool: Sample::new(ours), peer: Sample::new(theirs) })
}

/// How long a function takes, whose result must be `expected`.
///
/// # Errors
///
/// That of the function, or a result that is not the expected one.
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
