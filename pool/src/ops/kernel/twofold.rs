//! Float sums that carry their own rounding error.

use serde::{Deserialize, Serialize};

/// Sum of two floats, and what rounding took from it (Knuth's TwoSum).
#[inline(always)]
pub fn two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    let of_b = sum - a;
    (sum, (a - (sum - of_b)) + (b - of_b))
}

/// A sum as an unevaluated pair: its value and the rounding errors made on the way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Twofold {
    pub hi: f64,
    pub lo: f64,
}

impl Twofold {
    /// Adds one float.
    #[inline(always)]
    pub fn add(&mut self, x: f64) {
        let (hi, error) = two_sum(self.hi, x);
        self.hi = hi;
        self.lo += error;
    }

    /// Adds another sum.
    #[inline(always)]
    pub fn add_sum(&mut self, later: Self) {
        self.add(later.hi);
        self.lo += later.lo;
    }

    /// Moves what fits from the error into the value.
    #[inline(always)]
    pub fn normalise(&mut self) {
        (self.hi, self.lo) = two_sum(self.hi, self.lo);
    }

    /// The sum, rounded once.
    ///
    /// Infinities and NaN leave NaN in the error term; then the plain sum is the answer.
    #[inline(always)]
    pub fn value(self) -> f64 {
        if self.lo.is_finite() { self.hi + self.lo } else { self.hi }
    }

    /// Sum of lanes in a fixed tree: every lane `i` ends in lane `i % P`.
    ///
    /// Not inlined on purpose: seeing how lanes end tempts the compiler to scatter them over scalar registers.
    #[inline(never)]
    pub fn tree<const L: usize, const P: usize>(hi: &[f64; L], lo: &[f64; L]) -> [Self; P] {
        let mut lanes = [Self::default(); L];
        for i in 0..L {
            lanes[i] = Self { hi: hi[i], lo: lo[i] };
        }
        let mut width = L;
        while width > P {
            width /= 2;
            for i in 0..width {
                let later = lanes[i + width];
                lanes[i].add_sum(later);
            }
        }
        let mut out = [Self::default(); P];
        out.copy_from_slice(&lanes[..P]);
        out
    }
}
