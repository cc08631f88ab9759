//! Random numbers with a seed: what the soak decides is a function of it, so that a run can be told again.

use std::ops::Range;
use std::time::Duration;

/// A small generator (splitmix64).
#[derive(Debug, Clone)]
pub struct Chance(u64);

impl Chance {
    /// A generator for one part of the program: parts with other labels get other numbers of the same seed.
    pub fn new(seed: u64, labels: &[u64]) -> Self {
        let mut chance = Self(seed);
        for label in labels {
            chance.0 = chance.next() ^ label.wrapping_mul(0xd6e8_feb8_6659_fd93);
        }
        chance
    }

    /// The next 64 bits.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number of the range, which must not be empty.
    pub fn within(&mut self, range: Range<u64>) -> u64 {
        range.start + self.next() % (range.end - range.start)
    }

    /// As [`Chance::within`], for indices.
    pub fn index(&mut self, range: Range<usize>) -> usize {
        self.within(range.start as u64..range.end as u64) as usize
    }

    /// Whether what happens once in `n` times happens now.
    pub fn one_in(&mut self, n: u64) -> bool {
        self.next().is_multiple_of(n)
    }

    /// One of several.
    pub fn pick<'t, T>(&mut self, of: &'t [T]) -> &'t T {
        &of[self.index(0..of.len())]
    }

    /// One of several, each as often as the weight before it says.
    pub fn weighted<T: Copy>(&mut self, of: &[(u64, T)]) -> T {
        let total = of.iter().map(|(weight, _)| weight).sum();
        let mut at = self.within(0..total);
        for &(weight, what) in of {
            if at < weight {
                return what;
            }
            at -= weight;
        }
        unreachable!("the weights add up to the total")
    }

    /// A time in milliseconds of the range.
    pub fn millis(&mut self, range: Range<u64>) -> Duration {
        Duration::from_millis(self.within(range))
    }

    /// A pause that is `mean` long on average, and often much shorter: between events that know nothing of each other.
    pub fn pause(&mut self, mean: Duration) -> Duration {
        let unit = (self.next() >> 11) as f64 / (1u64 << 53) as f64;
        mean.mul_f64((-(1.0 - unit).ln()).min(8.0))
    }
}
