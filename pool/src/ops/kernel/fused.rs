//! Sum, spread and extremes of floats in one pass over memory.
//!
//! The spread is taken about a shift `k` near the mean: the mean of everything before the chunk. With
//! `d = x - k`, the chunk's sum of squares about its own mean is `Σd² - (Σd)²/n`. What cancels there is
//! `n (mean - k)²`, and the merged sum of squares of all chunks so far is at least half of that (Chan's formula adds it,
//! weighted by the smaller count), so that the relative error of the result stays a small multiple of the rounding unit, whatever
//! the data. So nothing needs a mean that only a first pass over memory could tell.

use super::prefetch::ahead;
use super::sum::compensate;
use super::twofold::Twofold;

/// Elements of a fused chunk.
pub const CHUNK: usize = 2048;
/// One row of lanes is one line of `f64`: with two, lines are asked for in pairs, and the stream from memory takes a quarter longer.
const LANES: usize = 8;
const GROUP: usize = 16 * LANES;

/// Floats that kernels widen to `f64`.
pub trait Real: Copy + PartialOrd + 'static {
    /// The largest value.
    const INFINITY: Self;
    /// The smallest value.
    const NEG_INFINITY: Self;
    /// The value as `f64`, exactly.
    fn widen(self) -> f64;
}

impl Real for f32 {
    const INFINITY: Self = f32::INFINITY;
    const NEG_INFINITY: Self = f32::NEG_INFINITY;
    #[inline(always)]
    fn widen(self) -> f64 {
        f64::from(self)
    }
}

impl Real for f64 {
    const INFINITY: Self = f64::INFINITY;
    const NEG_INFINITY: Self = f64::NEG_INFINITY;
    #[inline(always)]
    fn widen(self) -> f64 {
        self
    }
}

/// What one chunk yields.
pub struct Fused<T> {
    pub sum: Twofold,
    /// Sum of `x - k`.
    pub shifted: f64,
    /// Sum of `(x - k)²`.
    pub squares: f64,
    /// Smallest element; meaningless if there is a NaN, which the sum tells.
    pub min: T,
    /// Largest element; likewise.
    pub max: T,
}

/// Runs over one chunk.
#[inline(always)]
pub fn fused<T: Real>(x: &[T; CHUNK], k: f64) -> Fused<T> {
    let (mut hi, mut lo) = ([0.0; LANES], [0.0; LANES]);
    let (mut shifted, mut shifted_lo) = ([0.0; LANES], [0.0; LANES]);
    let (mut squares, mut squares_lo) = ([0.0; LANES], [0.0; LANES]);
    let (mut min, mut max) = ([T::INFINITY; LANES], [T::NEG_INFINITY; LANES]);
    for group in x.as_chunks::<GROUP>().0 {
        // A loop for each pair of lanes: loops this simple become vectors on every target, with a register for each lane, and
        // the group, of 1 KiB, stays in the first-level cache. One loop for all takes a quarter longer with 512-bit vectors, and twice as
        // long with 256-bit ones.
        let vectors = group.as_chunks::<LANES>().0;
        for v in vectors {
            ahead(v);
            for i in 0..LANES {
                min[i] = if v[i] < min[i] { v[i] } else { min[i] };
            }
            for i in 0..LANES {
                max[i] = if v[i] > max[i] { v[i] } else { max[i] };
            }
        }
        let mut s = [0.0; LANES];
        for v in vectors {
            for i in 0..LANES {
                s[i] += v[i].widen();
            }
        }
        let (mut d1, mut d2) = ([0.0; LANES], [0.0; LANES]);
        for v in vectors {
            for i in 0..LANES {
                d1[i] += v[i].widen() - k;
            }
            for i in 0..LANES {
                let d = v[i].widen() - k;
                d2[i] += d * d;
            }
        }
        compensate(&mut hi, &mut lo, &s);
        compensate(&mut shifted, &mut shifted_lo, &d1);
        compensate(&mut squares, &mut squares_lo, &d2);
    }
    let [sum] = Twofold::tree(&hi, &lo);
    let [shifted] = Twofold::tree(&shifted, &shifted_lo);
    let [squares] = Twofold::tree(&squares, &squares_lo);
    Fused {
        sum,
        shifted: shifted.value(),
        squares: squares.value(),
        min: fold(&min, |a, b| if b < a { b } else { a }),
        max: fold(&max, |a, b| if b > a { b } else { a }),
    }
}

/// Meets lanes in a fixed tree.
///
/// Not inlined on purpose: seeing how lanes end tempts the compiler to scatter them over scalar registers.
#[inline(never)]
pub fn fold<T: Copy, const L: usize>(lanes: &[T; L], f: impl Fn(T, T) -> T) -> T {
    let mut lanes = *lanes;
    let mut width = L;
    while width > 1 {
        width /= 2;
        for i in 0..width {
            lanes[i] = f(lanes[i], lanes[i + width]);
        }
    }
    lanes[0]
}
