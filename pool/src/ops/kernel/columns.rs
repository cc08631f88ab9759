//! Sums of columns, walked row by row in strips, so that memory is read in runs and every vector lane is a column.

use super::sum::Integer;
use super::twofold::{Twofold, two_sum};

/// Columns of a strip: its rows are 4 KiB of `f64`, and its lanes stay in the first-level cache.
pub const STRIP: usize = 512;
/// Rows that are added plainly between two compensations.
const GROUP: usize = 8;
/// Rows between two widenings: 2¹⁶ × 2³² does not overflow.
const WIDEN_EVERY: usize = 1 << 16;

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
