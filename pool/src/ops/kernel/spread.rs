//! Sums of squares about a mean, mergeable.
//!
//! Floats: see [`fused`](super::fused) for why one pass about the running mean is as good as two. Integers of up to
//! 32 bits: the sums of `x` and `x²` are exact, and so is the sum of squares about the mean, up to one rounding.

use serde::{Deserialize, Serialize};

use super::prefetch::ahead;
use super::sum::{Integer, gather_u64, sum_by};
use super::twofold::Twofold;

const LANES: usize = 16;
const GROUP: usize = 16 * LANES;
const CHUNK: usize = 2048;
/// Elements whose own mean is the first shift.
const FIRST: usize = 256;

/// Count, mean and sum of squares about the mean of some floats.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct FloatSpread {
    pub n: u64,
    /// Twofold: about a mean that is rounded to one float, the parts of data with a large mean and a small spread would
    /// not fit together.
    pub mean: Twofold,
    pub m2: f64,
}

impl FloatSpread {
    /// Adds `P` interleaved sequences of `f(x)` to `P` spreads.
    #[inline(always)]
    pub fn push<T: Copy, const P: usize>(these: &mut [Self; P], x: &[T], f: impl Fn(T) -> f64 + Copy) {
        let mut rest = x;
        while !rest.is_empty() {
            let first = these[0].n == 0;
            let (chunk, later) = rest.split_at(rest.len().min(if first { FIRST } else { CHUNK }));
            rest = later;
            let n = (chunk.len() / P) as u64;
            let k = match first {
                true => sum_by::<T, P>(chunk, f).map(|sum| sum.value() / n as f64),
                false => these.map(|this| this.mean.hi),
            };
            let sums = shifted_by(chunk, k, f);
            for i in 0..P {
                these[i].add_shifted(n, k[i], sums[i].0, sums[i].1);
            }
        }
    }

    /// Adds `n` elements, given the sums of `x - k` and of `(x - k)²`.
    #[inline(always)]
    pub fn add_shifted(&mut self, n: u64, k: f64, shifted: f64, squares: f64) {
        let offset = shifted / n as f64;
        let m2 = match squares - shifted * offset {
            // Squares overflowed, but no element is infinite.
            _ if squares == f64::INFINITY && shifted.is_finite() => f64::INFINITY,
            // Rounding may leave a small negative number; NaN stays.
            m2 if m2 < 0.0 => 0.0,
            m2 => m2,
        };
        let mut mean = Twofold { hi: k, lo: 0.0 };
        mean.add(offset);
        self.add(Self { n, mean, m2 }, (k - self.mean.hi) + (offset - self.mean.lo));
    }

    /// Adds the elements of another spread (Chan's formula).
    #[inline(always)]
    pub fn merge(&mut self, later: Self) {
        self.add(later, (later.mean.hi - self.mean.hi) + (later.mean.lo - self.mean.lo));
    }

    #[inline(always)]
    fn add(&mut self, later: Self, delta: f64) {
        if later.n == 0 {
            return;
        }
        if self.n == 0 {
            *self = later;
            return;
        }
        let n = self.n + later.n;
        let share = later.n as f64 / n as f64;
        self.mean.add(delta * share);
        self.mean.normalise();
        self.m2 += later.m2 + delta * delta * share * self.n as f64;
        self.n = n;
    }
}

/// Sums of `f(x) - k` and of its square, for `P` interleaved sequences with a shift each.
#[inline(always)]
fn shifted_by<T: Copy, const P: usize>(x: &[T], k: [f64; P], f: impl Fn(T) -> f64 + Copy) -> [(f64, f64); P] {
    if x.len() < LANES {
        let mut sums = [(0.0, 0.0); P];
        for (i, v) in x.iter().enumerate() {
            let d = f(*v) - k[i % P];
            sums[i % P].0 += d;
            sums[i % P].1 += d * d;
        }
        return sums;
    }
    let mut shift = [0.0; LANES];
    for i in 0..LANES {
        shift[i] = k[i % P];
    }
    let (mut total1, mut total2) = ([0.0; LANES], [0.0; LANES]);
    let (groups, rest) = x.as_chunks::<GROUP>();
    for group in groups {
        let (mut d1, mut d2) = ([0.0; LANES], [0.0; LANES]);
        for v in group.as_chunks::<LANES>().0 {
            ahead(v);
            for i in 0..LANES {
                d1[i] += f(v[i]) - shift[i];
            }
            for i in 0..LANES {
                let d = f(v[i]) - shift[i];
                d2[i] += d * d;
            }
        }
        add(&mut total1, &d1);
        add(&mut total2, &d2);
    }
    // Apart from the groups: lanes of which one is chosen at run time do not stay in registers.
    let (mut d1, mut d2) = ([0.0; LANES], [0.0; LANES]);
    let (vectors, tail) = rest.as_chunks::<LANES>();
    for v in vectors {
        for i in 0..LANES {
            d1[i] += f(v[i]) - shift[i];
        }
        for i in 0..LANES {
            let d = f(v[i]) - shift[i];
            d2[i] += d * d;
        }
    }
    for (i, v) in tail.iter().enumerate() {
        let d = f(*v) - shift[i];
        d1[i] += d;
        d2[i] += d * d;
    }
    add(&mut total1, &d1);
    add(&mut total2, &d2);
    meet(&total1, &total2)
}

#[inline(always)]
fn add(total: &mut [f64; LANES], x: &[f64; LANES]) {
    for i in 0..LANES {
        total[i] += x[i];
    }
}

#[inline(never)]
fn meet<const P: usize>(d1: &[f64; LANES], d2: &[f64; LANES]) -> [(f64, f64); P] {
    let zero = [0.0; LANES];
    let d1 = Twofold::tree::<LANES, P>(d1, &zero);
    let d2 = Twofold::tree::<LANES, P>(d2, &zero);
    std::array::from_fn(|i| (d1[i].value(), d2[i].value()))
}

/// Count and exact sums of `x` and `x²` of some integers of up to 32 bits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct IntSpread {
    pub n: u64,
    pub sum: i128,
    pub squares: i128,
}

impl IntSpread {
    /// Adds some integers.
    #[inline(always)]
    pub fn push<T: Narrow>(&mut self, x: &[T]) {
        self.n += x.len() as u64;
        self.sum += T::sum(x);
        self.squares += T::squares(x);
    }

    /// Adds the integers of another spread.
    pub fn merge(&mut self, later: Self) {
        self.n += later.n;
        self.sum += later.sum;
        self.squares += later.squares;
    }

    /// Sum of squares about the mean.
    pub fn m2(&self) -> f64 {
        if self.n == 0 {
            return 0.0;
        }
        let n = i128::from(self.n);
        let (near, rest) = (self.sum.div_euclid(n), self.sum.rem_euclid(n));
        // About the integer below the mean, exactly; then the rest: (n·about − rest²) / n.
        let about = self.squares - 2 * near * self.sum + n * near * near;
        match about.checked_mul(n) {
            Some(scaled) => (scaled - rest * rest) as f64 / n as f64,
            // So large that `rest² / n`, which is below `n`, is lost in the rounding of `about`.
            None => about as f64,
        }
    }
}

/// Integers whose squares have an exact sum.
pub trait Narrow: Integer {
    /// Exact sum of squares.
    fn squares(x: &[Self]) -> i128;
    /// The square.
    #[inline(always)]
    fn square(self) -> u64 {
        // Of a number that is sign-extended to 64 bits; the square fits them.
        self.wrap().wrapping_mul(self.wrap())
    }
}

macro_rules! narrow {
    ($($t:ty => $wide:ty, $lane:ty);*) => { $(
        impl Narrow for $t {
            #[inline(always)]
            fn squares(x: &[Self]) -> i128 {
                let mut total = 0_u64;
                let mut sum = 0_i128;
                for chunk in x.chunks(4096) {
                    let mut lanes = [0 as $lane; 16];
                    let (vectors, tail) = chunk.as_chunks::<16>();
                    for v in vectors {
                        for i in 0..16 {
                            lanes[i] += (v[i] as $wide * v[i] as $wide) as $lane;
                        }
                    }
                    for (lane, v) in lanes.iter_mut().zip(tail) {
                        *lane += (*v as $wide * *v as $wide) as $lane;
                    }
                    total += gather_u64(&lanes);
                    if total >= 1 << 63 {
                        sum += i128::from(std::mem::take(&mut total));
                    }
                }
                sum + i128::from(total)
            }
        }
    )* };
}
narrow!(i8 => i32, u32; u8 => u32, u32; i16 => i32, u64; u16 => u32, u64);

macro_rules! halves {
    ($($t:ty => $wide:ty),*) => { $(
        impl Narrow for $t {
            #[inline(always)]
            fn squares(x: &[Self]) -> i128 {
                let mut total = 0_i128;
                for chunk in x.chunks(4096) {
                    let (mut high, mut low) = ([0_u64; 16], [0_u64; 16]);
                    let (vectors, tail) = chunk.as_chunks::<16>();
                    for v in vectors {
                        for i in 0..16 {
                            let square = (v[i] as $wide * v[i] as $wide) as u64;
                            high[i] += square >> 32;
                            low[i] += square & 0xffff_ffff;
                        }
                    }
                    for (i, v) in tail.iter().enumerate() {
                        let square = (*v as $wide * *v as $wide) as u64;
                        high[i] += square >> 32;
                        low[i] += square & 0xffff_ffff;
                    }
                    total += i128::from(gather_u64(&high)) << 32;
                    total += i128::from(gather_u64(&low));
                }
                total
            }
        }
    )* };
}
halves!(i32 => i64, u32 => u64);

impl Narrow for bool {
    #[inline(always)]
    fn squares(x: &[Self]) -> i128 {
        Self::sum(x)
    }
}
