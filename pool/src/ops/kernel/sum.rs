//! Sums of slices: floats twofold, integers exact.
//!
//! Floats: 32 lanes take 8 elements each, plainly; then the lanes are added to a second row of lanes with their
//! rounding errors kept; the lanes meet in a tree. So no element passes through more than 8 plain additions,
//! and all others are compensated: the error bound is below that of pairwise summation.

use super::prefetch::ahead;
use super::twofold::{Twofold, two_sum};

/// Lanes of a float sum.
pub const LANES: usize = 32;
/// Elements that meet the lanes between two compensations.
pub const GROUP: usize = 8 * LANES;

/// Sums `f(x)` for `P` interleaved sequences (1: real, 2: real and imaginary parts).
#[inline(always)]
pub fn sum_by<T: Copy, const P: usize>(x: &[T], f: impl Fn(T) -> f64 + Copy) -> [Twofold; P] {
    if x.len() < LANES {
        let mut out = [Twofold::default(); P];
        for (i, v) in x.iter().enumerate() {
            out[i % P].add(f(*v));
        }
        return out;
    }
    let mut hi = [0.0; LANES];
    let mut lo = [0.0; LANES];
    let (groups, rest) = x.as_chunks::<GROUP>();
    for group in groups {
        let mut acc = [0.0; LANES];
        for v in group.as_chunks::<LANES>().0 {
            ahead(v);
            for i in 0..LANES {
                acc[i] += f(v[i]);
            }
        }
        compensate(&mut hi, &mut lo, &acc);
    }
    let (vectors, tail) = rest.as_chunks::<LANES>();
    let mut acc = [0.0; LANES];
    for v in vectors {
        for i in 0..LANES {
            acc[i] += f(v[i]);
        }
    }
    for (acc, v) in acc.iter_mut().zip(tail) {
        *acc += f(*v);
    }
    compensate(&mut hi, &mut lo, &acc);
    Twofold::tree(&hi, &lo)
}

/// Sums `f(a, b)` of paired elements for `P` interleaved sequences.
#[inline(always)]
pub fn sum_pairs_by<T: Copy, const P: usize>(
    a: &[T],
    b: &[T],
    f: impl Fn(T, T) -> f64 + Copy,
) -> [Twofold; P] {
    let mut hi = [0.0; LANES];
    let mut lo = [0.0; LANES];
    for (a, b) in a.chunks(GROUP).zip(b.chunks(GROUP)) {
        let mut acc = [0.0; LANES];
        let (a, a_tail) = a.as_chunks::<LANES>();
        let (b, b_tail) = b.as_chunks::<LANES>();
        for (a, b) in a.iter().zip(b) {
            ahead(a);
            ahead(b);
            for i in 0..LANES {
                acc[i] += f(a[i], b[i]);
            }
        }
        for ((acc, a), b) in acc.iter_mut().zip(a_tail).zip(b_tail) {
            *acc += f(*a, *b);
        }
        compensate(&mut hi, &mut lo, &acc);
    }
    Twofold::tree(&hi, &lo)
}

#[inline(always)]
pub fn compensate<const L: usize>(hi: &mut [f64; L], lo: &mut [f64; L], acc: &[f64; L]) {
    for i in 0..L {
        let (sum, error) = two_sum(hi[i], acc[i]);
        hi[i] = sum;
        lo[i] += error;
    }
}

/// Integers with exact sums.
pub trait Integer: Copy + 'static {
    /// Exact sum.
    fn sum(x: &[Self]) -> i128;
    /// Value modulo 2⁶⁴, sign-extended.
    fn wrap(self) -> u64;
    /// Value as a float, rounded if it has more than 53 bits.
    fn float(self) -> f64;
    /// Whether [`high`](Self::high) can be other than zero.
    const HAS_HIGH: bool = false;
    /// `self - low`, divided by 2³².
    #[inline(always)]
    fn high(self) -> i64 {
        0
    }
    /// The value, or its lowest 32 bits if it has 64.
    #[inline(always)]
    fn low(self) -> i64 {
        self.wrap() as i64
    }
}

/// Sum of lanes; apart for the reason of [`Twofold::tree`].
#[inline(never)]
pub fn gather<L: Copy + Into<i64>, const N: usize>(lanes: &[L; N]) -> i64 {
    lanes.iter().map(|lane| (*lane).into()).sum()
}

/// Sum of lanes, as [`gather`].
#[inline(never)]
pub fn gather_u64<L: Copy + Into<u64>, const N: usize>(lanes: &[L; N]) -> u64 {
    lanes.iter().map(|lane| (*lane).into()).sum()
}

/// Elements between two widenings of narrow lanes: 4096 × 65535 fits 32 bits, 4096 × 2³² fits 64.
const WIDEN_EVERY: usize = 4096;

macro_rules! narrow {
    ($($t:ty => $lane:ty),*) => { $(
        impl Integer for $t {
            #[inline(always)]
            fn sum(x: &[Self]) -> i128 {
                let mut total = 0;
                for chunk in x.chunks(WIDEN_EVERY) {
                    let mut lanes = [0 as $lane; LANES];
                    let (vectors, tail) = chunk.as_chunks::<LANES>();
                    for v in vectors {
                        for i in 0..LANES {
                            lanes[i] += v[i] as $lane;
                        }
                    }
                    for (lane, v) in lanes.iter_mut().zip(tail) {
                        *lane += *v as $lane;
                    }
                    total += i128::from(gather(&lanes));
                }
                total
            }

            #[inline(always)]
            fn wrap(self) -> u64 {
                self as i64 as u64
            }

            #[inline(always)]
            fn float(self) -> f64 {
                self as f64
            }
        }
    )* };
}
narrow!(i8 => i32, u8 => u32, i16 => i32, u16 => u32, i32 => i64, u32 => i64);

/// 64-bit integers: the halves of `x + bias` are summed apart, so that no lane overflows.
macro_rules! wide {
    ($($t:ty, $bias:expr);*) => { $(
        impl Integer for $t {
            #[inline(always)]
            fn sum(x: &[Self]) -> i128 {
                const BIAS: u64 = $bias;
                let mut total = 0;
                for chunk in x.chunks(WIDEN_EVERY) {
                    let mut high = [0_u64; LANES / 2];
                    let mut low = [0_u64; LANES / 2];
                    let (vectors, tail) = chunk.as_chunks::<{ LANES / 2 }>();
                    for v in vectors {
                        for i in 0..LANES / 2 {
                            let biased = v[i] as u64 ^ BIAS;
                            high[i] += biased >> 32;
                            low[i] += biased & 0xffff_ffff;
                        }
                    }
                    for (i, v) in tail.iter().enumerate() {
                        let biased = *v as u64 ^ BIAS;
                        high[i] += biased >> 32;
                        low[i] += biased & 0xffff_ffff;
                    }
                    let (high, low) = (i128::from(gather_u64(&high)), i128::from(gather_u64(&low)));
                    total += (high << 32) + low - chunk.len() as i128 * BIAS as i128;
                }
                total
            }

            const HAS_HIGH: bool = true;
            #[inline(always)]
            fn high(self) -> i64 {
                (self >> 32) as i64
            }
            #[inline(always)]
            fn low(self) -> i64 {
                self as i64 & 0xffff_ffff
            }

            #[inline(always)]
            fn wrap(self) -> u64 {
                self as u64
            }

            #[inline(always)]
            fn float(self) -> f64 {
                self as f64
            }
        }
    )* };
}
wide!(i64, 1 << 63; u64, 0);

impl Integer for bool {
    #[inline(always)]
    fn sum(x: &[Self]) -> i128 {
        let mut total = 0_u64;
        for chunk in x.chunks(WIDEN_EVERY) {
            total += u64::from(chunk.iter().map(|v| u32::from(*v)).sum::<u32>());
        }
        i128::from(total)
    }

    #[inline(always)]
    fn wrap(self) -> u64 {
        u64::from(self)
    }

    #[inline(always)]
    fn float(self) -> f64 {
        f64::from(u8::from(self))
    }
}
