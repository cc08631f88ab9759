//! Products of slices, in lanes that meet in a fixed tree.

use std::ops::Mul;

use super::fused::fold;
use super::sum::Integer;

const LANES: usize = 32;

/// Product of `f(x)`. The order is fixed but not from left to right.
#[inline(always)]
pub fn product_by<T: Copy, P: Copy + Mul<Output = P>>(x: &[T], one: P, f: impl Fn(T) -> P + Copy) -> P {
    let mut lanes = [one; LANES];
    let (vectors, tail) = x.as_chunks::<LANES>();
    for v in vectors {
        for i in 0..LANES {
            lanes[i] = lanes[i] * f(v[i]);
        }
    }
    for (lane, v) in lanes.iter_mut().zip(tail) {
        *lane = *lane * f(*v);
    }
    fold(&lanes, |a, b| a * b)
}

/// Product of integers modulo 2⁶⁴.
#[inline(always)]
pub fn product_wrapping<T: Integer>(x: &[T]) -> u64 {
    let mut lanes = [1_u64; LANES];
    let (vectors, tail) = x.as_chunks::<LANES>();
    for v in vectors {
        for i in 0..LANES {
            lanes[i] = lanes[i].wrapping_mul(v[i].wrap());
        }
    }
    for (lane, v) in lanes.iter_mut().zip(tail) {
        *lane = lane.wrapping_mul(v.wrap());
    }
    fold(&lanes, u64::wrapping_mul)
}
