//! Kernels and plans against oracles, without processes.

/// Float results against exact ones, and against NumPy's algorithms.
mod accuracy;
/// One result on every instruction set, and after a trip through a result slot.
mod bits;
/// Answers to NaN, infinities, zeros and nothing.
mod edges;
/// Random arrays against loops.
mod oracle;

use std::marker::PhantomData;

use super::acc::Accumulate;
use super::dtype::Dtype;
use super::kernel::simd::{Target, dispatch};
use super::tasks::{Columns, Flat, Lanes};

/// A small generator of reproducible noise (SplitMix64).
#[derive(Debug, Clone)]
struct Noise(u64);

impl Noise {
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Between 0 and 1.
    fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Roughly normal: mean 0, standard deviation 1.
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.unit()).sum::<f64>() - 6.0
    }
}

/// Accumulates a slice on the best target.
fn flat<A: Accumulate<T>, T: Dtype>(op: A::Op, x: &[T]) -> A {
    dispatch(Flat { op, x, at: 0, _acc: PhantomData })
}

/// Accumulates a slice on one target.
fn flat_on<A: Accumulate<T>, T: Dtype>(target: Target, op: A::Op, x: &[T]) -> A {
    target.run(Flat { op, x, at: 0, _acc: PhantomData })
}

/// Accumulates along an axis.
fn along_on<A: Accumulate<T>, T: Dtype>(target: Target, op: A::Op, x: &[T], lanes: Lanes) -> Vec<A> {
    let mut parts = Vec::new();
    let outputs = 0..lanes.n_outputs();
    target.run(Columns {
        lanes,
        op,
        x,
        outputs,
        rows: 0..lanes.n,
        take: |acc| parts.push(acc),
        _acc: PhantomData,
    });
    parts
}

/// Targets that this machine has.
fn targets() -> impl Iterator<Item = Target> {
    Target::ALL.iter().copied().filter(|target| target.is_available())
}
