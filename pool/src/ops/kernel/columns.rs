//! Columns side by side, walked row by row in strips, so that memory is read in runs and every vector lane is a column.

use super::spread::{FloatSpread, IntSpread, Narrow};
use super::sum::Integer;
use super::twofold::{Twofold, two_sum};

/// Columns of a strip: its rows are 4 KiB of `f64`, and its lanes stay in the first-level cache.
pub const STRIP: usize = 512;
/// Rows that are added plainly between two compensations.
const GROUP: usize = 8;
/// Rows between two widenings: 2¹⁶ × 2³² does not overflow.
const WIDEN_EVERY: usize = 1 << 16;
/// Rows whose own mean is the first shift of a spread: they are read twice, from cache.
const FIRST_ROWS: usize = 64;
/// Rows between two updates of the shift.
const SHIFT_EVERY: usize = 256;
/// Rows whose shifted squares are added plainly.
const SPREAD_GROUP: usize = 16;

/// Updates a lane for each of at most [`STRIP`] columns with every element of its column, from the first row to the last.
///
/// Four rows at a time: a quarter of the trips of the lanes through the cache.
#[inline(always)]
pub fn fold_rows<T: Copy, L: Copy>(
    lanes: &mut [L],
    x: &[T],
    stride: usize,
    n_rows: usize,
    f: impl Fn(L, T) -> L + Copy,
) {
    let width = lanes.len();
    let mut row = 0;
    while row + 4 <= n_rows {
        let [a, b, c, d] = [0, 1, 2, 3].map(|i| &x[(row + i) * stride..][..width]);
        for i in 0..width {
            lanes[i] = f(f(f(f(lanes[i], a[i]), b[i]), c[i]), d[i]);
        }
        row += 4;
    }
    while row < n_rows {
        let v = &x[row * stride..][..width];
        for i in 0..width {
            lanes[i] = f(lanes[i], v[i]);
        }
        row += 1;
    }
}

/// Spreads of `f(x)` of at most [`STRIP`] columns; see [`fused`](super::fused) for the choice of the shift.
#[inline(always)]
pub fn spread_floats<T: Copy>(
    x: &[T],
    stride: usize,
    width: usize,
    n_rows: usize,
    f: impl Fn(T) -> f64 + Copy,
    mut add: impl FnMut(usize, FloatSpread),
) {
    let mut spreads = [FloatSpread::default(); STRIP];
    let spreads = &mut spreads[..width];
    let (mut k, mut total1, mut total2) = ([0.0; STRIP], [0.0; STRIP], [0.0; STRIP]);
    let (k, total1, total2) = (&mut k[..width], &mut total1[..width], &mut total2[..width]);
    let (mut d1, mut d2) = ([0.0; STRIP], [0.0; STRIP]);
    let (d1, d2) = (&mut d1[..width], &mut d2[..width]);
    let mut row = 0;
    while row < n_rows {
        let height = (n_rows - row).min(if row == 0 { FIRST_ROWS } else { SHIFT_EVERY });
        let part = &x[row * stride..];
        match row {
            0 => sum_floats(part, stride, width, height, f, |i, sum| k[i] = sum.value() / height as f64),
            _ => k.iter_mut().zip(&*spreads).for_each(|(k, spread)| *k = spread.mean.hi),
        }
        total1.fill(0.0);
        total2.fill(0.0);
        for first in (0..height).step_by(SPREAD_GROUP) {
            let end = height.min(first + SPREAD_GROUP);
            d1.fill(0.0);
            d2.fill(0.0);
            let mut row = first;
            while row + 4 <= end {
                let [a, b, c, d] = [0, 1, 2, 3].map(|i| &part[(row + i) * stride..][..width]);
                for i in 0..width {
                    let [a, b, c, d] = [f(a[i]) - k[i], f(b[i]) - k[i], f(c[i]) - k[i], f(d[i]) - k[i]];
                    d1[i] = d1[i] + a + b + c + d;
                    d2[i] = d2[i] + a * a + b * b + c * c + d * d;
                }
                row += 4;
            }
            while row < end {
                let v = &part[row * stride..][..width];
                for i in 0..width {
                    let d = f(v[i]) - k[i];
                    d1[i] += d;
                    d2[i] += d * d;
                }
                row += 1;
            }
            for i in 0..width {
                total1[i] += d1[i];
                total2[i] += d2[i];
            }
        }
        for i in 0..width {
            spreads[i].add_shifted(height as u64, k[i], total1[i], total2[i]);
        }
        row += height;
    }
    for (i, spread) in spreads.iter().enumerate() {
        add(i, *spread);
    }
}

/// Spreads of at most [`STRIP`] columns of integers of up to 32 bits, exactly.
#[inline(always)]
pub fn spread_integers<T: Narrow>(
    x: &[T],
    stride: usize,
    width: usize,
    n_rows: usize,
    mut add: impl FnMut(usize, IntSpread),
) {
    let (mut sums, mut high, mut low) = ([0_i64; STRIP], [0_u64; STRIP], [0_u64; STRIP]);
    let (sums, high, low) = (&mut sums[..width], &mut high[..width], &mut low[..width]);
    let mut row = 0;
    while row < n_rows {
        let end = n_rows.min(row + WIDEN_EVERY);
        sums.fill(0);
        high.fill(0);
        low.fill(0);
        for row in row..end {
            let v = &x[row * stride..][..width];
            for i in 0..width {
                sums[i] += v[i].low();
            }
            for i in 0..width {
                let square = v[i].square();
                // Only squares of 32 bits overflow their lane if they are added as they are.
                low[i] += if size_of::<T>() == 4 { square & 0xffff_ffff } else { square };
                if size_of::<T>() == 4 {
                    high[i] += square >> 32;
                }
            }
        }
        for i in 0..width {
            let squares = (i128::from(high[i]) << 32) + i128::from(low[i]);
            add(i, IntSpread { n: (end - row) as u64, sum: sums[i].into(), squares });
        }
        row = end;
    }
}

/// Sums `f(x)` of at most [`STRIP`] columns.
#[inline(always)]
pub fn sum_floats<T: Copy>(
    x: &[T],
    stride: usize,
    width: usize,
    n_rows: usize,
    f: impl Fn(T) -> f64 + Copy,
    mut add: impl FnMut(usize, Twofold),
) {
    let (mut hi, mut lo, mut acc) = ([0.0; STRIP], [0.0; STRIP], [0.0; STRIP]);
    let (hi, lo, acc) = (&mut hi[..width], &mut lo[..width], &mut acc[..width]);
    let mut row = 0;
    while row < n_rows {
        let end = n_rows.min(row + GROUP);
        acc.fill(0.0);
        while row < end {
            // Four rows at a time: a quarter of the trips of the lanes through the cache. Same order of additions.
            if row + 4 <= end {
                let [a, b, c, d] = [0, 1, 2, 3].map(|i| &x[(row + i) * stride..][..width]);
                for i in 0..width {
                    acc[i] = acc[i] + f(a[i]) + f(b[i]) + f(c[i]) + f(d[i]);
                }
                row += 4;
            } else {
                for (acc, v) in acc.iter_mut().zip(&x[row * stride..][..width]) {
                    *acc += f(*v);
                }
                row += 1;
            }
        }
        for i in 0..width {
            let (sum, error) = two_sum(hi[i], acc[i]);
            hi[i] = sum;
            lo[i] += error;
        }
    }
    for i in 0..width {
        add(i, Twofold { hi: hi[i], lo: lo[i] });
    }
}

/// Sums at most [`STRIP`] columns of integers exactly.
#[inline(always)]
pub fn sum_integers<T: Integer>(
    x: &[T],
    stride: usize,
    width: usize,
    n_rows: usize,
    mut add: impl FnMut(usize, i128),
) {
    // 64-bit values are summed in halves; the high half carries the sign.
    let (mut high, mut low) = ([0_i64; STRIP], [0_i64; STRIP]);
    let (high, low) = (&mut high[..width], &mut low[..width]);
    let mut row = 0;
    while row < n_rows {
        let end = n_rows.min(row + WIDEN_EVERY);
        high.fill(0);
        low.fill(0);
        for row in row..end {
            let v = &x[row * stride..][..width];
            for i in 0..width {
                low[i] += v[i].low();
            }
            if T::HAS_HIGH {
                for i in 0..width {
                    high[i] += v[i].high();
                }
            }
        }
        for i in 0..width {
            add(i, (i128::from(high[i]) << 32) + i128::from(low[i]));
        }
        row = end;
    }
}
