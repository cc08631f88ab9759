//! Random arrays against loops.

use std::marker::PhantomData;

use proptest::prelude::*;

use super::super::acc::{Count, CountOp, Extrema, ExtremaOp, Spread, SpreadOp, Total};
use super::super::dtype::Dtype;
use super::super::kernel::simd::{Target, dispatch};
use super::super::tasks::{Columns, Lanes};
use super::super::whole::{MEAN, TOTAL};
use super::{along_on, flat, targets};
use crate::task::Merge;

const VAR: SpreadOp = SpreadOp { ddof: 0.0, root: false, skip_nan: false };

fn float() -> impl Strategy<Value = f64> {
    prop_oneof![
        20 => -1e3..1e3,
        1 => Just(f64::NAN),
        1 => Just(f64::INFINITY),
        1 => Just(-0.0),
        1 => Just(5e-324),
    ]
}

/// The widest target of this machine.
fn best() -> Target {
    targets().next().unwrap_or(Target::Baseline)
}

/// Lengths about the chunks of the kernels.
fn length() -> impl Strategy<Value = usize> {
    prop_oneof![
        0..70_usize,
        (1..12_usize, 0..5_usize).prop_map(|(chunks, off)| chunks * 512 + off - 2),
        (1..4_usize, 0..5_usize).prop_map(|(chunks, off)| chunks * 2048 + off - 2),
    ]
}

fn floats() -> impl Strategy<Value = Vec<f64>> {
    length().prop_flat_map(|n| prop::collection::vec(float(), n))
}

fn same(a: f64, b: f64, scale: f64) -> bool {
    a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= 1e-13 * scale
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn sums_and_extremes_are_those_of_a_loop(x in floats()) {
        let scale: f64 = x.iter().filter(|v| v.is_finite()).map(|v| v.abs()).sum();
        prop_assert!(same(flat::<Total<f64>, f64>(TOTAL, &x).sum(), x.iter().sum(), scale));
        let found = flat::<Extrema<f64>, f64>(ExtremaOp::MIN, &x);
        let first = |better: fn(f64, f64) -> bool| {
            let mut best = None;
            for (i, v) in x.iter().enumerate() {
                match best {
                    None => best = Some(i),
                    Some(j) if x[j].is_nan() => {}
                    Some(j) => if v.is_nan() || better(*v, x[j]) { best = Some(i) },
                }
            }
            best.map(|i| i as u64)
        };
        let index = |op| (!x.is_empty()).then(|| found.index(op));
        prop_assert_eq!(index(ExtremaOp::ARGMIN), first(|a, b| a < b));
        prop_assert_eq!(index(ExtremaOp::ARGMAX), first(|a, b| a > b));
        let nonzero = x.iter().filter(|v| **v != 0.0).count() as u64;
        prop_assert_eq!(flat::<Count, f64>(CountOp::Nonzero, &x).nonzero, nonzero);
    }

    #[test]
    fn integers_are_exact(x in length().prop_flat_map(|n| prop::collection::vec(any::<i64>(), n))) {
        let sum: i128 = x.iter().map(|v| i128::from(*v)).sum();
        prop_assert_eq!(flat::<Total<i64>, i64>(TOTAL, &x).sum(), sum as i64);
        let narrow: Vec<i16> = x.iter().map(|v| *v as i16).collect();
        let found = flat::<Spread<i16>, i16>(VAR, &narrow);
        prop_assert_eq!(found.spread.sum, narrow.iter().map(|v| i128::from(*v)).sum::<i128>());
        prop_assert_eq!(found.spread.squares, narrow.iter().map(|v| i128::from(*v) * i128::from(*v)).sum::<i128>());
        let wide: Vec<u32> = x.iter().map(|v| *v as u32).collect();
        let found = flat::<Spread<u32>, u32>(VAR, &wide);
        prop_assert_eq!(found.spread.squares, wide.iter().map(|v| i128::from(*v) * i128::from(*v)).sum::<i128>());
    }

    #[test]
    fn an_axis_is_a_loop_over_lines(outer in 0..4_usize, n in 0..600_usize, inner in 0..130_usize, seed: u64) {
        let lanes = Lanes { outer, n, inner };
        let mut noise = super::Noise(seed);
        let x: Vec<f64> = (0..outer * n * inner).map(|_| (noise.bits() % 1000) as f64 - 500.0).collect();
        let line = |o: usize, i: usize| -> Vec<f64> { (0..n).map(|k| x[(o * n + k) * inner + i]).collect() };
        for target in targets() {
            let sums = along_on::<Total<f64>, f64>(target, TOTAL, &x, lanes);
            let vars = along_on::<Spread<f64>, f64>(target, VAR, &x, lanes);
            prop_assert_eq!(sums.len(), lanes.n_outputs());
            for (at, sum) in sums.iter().enumerate() {
                let line = line(at / inner, at % inner);
                prop_assert_eq!(sum.sum(), line.iter().sum::<f64>());
                prop_assert_eq!(sum.n, n as u64);
                let alone = flat::<Spread<f64>, f64>(VAR, &line);
                let (a, b) = (f64::spread_m2(&vars[at].spread), f64::spread_m2(&alone.spread));
                prop_assert!(same(a, b, 10.0 * b), "{a} {b}");
            }
        }
    }

    #[test]
    fn extremes_and_counts_of_an_axis_are_those_of_lines(
        n in 1..150_usize, inner in 2..600_usize, nan_every in 1..5000_u64, seed: u64,
    ) {
        let lanes = Lanes { outer: 2, n, inner };
        let mut noise = super::Noise(seed);
        let mut make = || match noise.bits().is_multiple_of(nan_every) {
            true => f64::NAN,
            false => (noise.bits() % 9) as f64 - 4.0,
        };
        let x: Vec<f64> = (0..2 * n * inner).map(|_| make()).collect();
        let lines: Vec<Vec<f64>> = (0..2 * inner)
            .map(|at| (0..n).map(|k| x[(at / inner * n + k) * inner + at % inner]).collect())
            .collect();
        for op in [ExtremaOp::MIN, ExtremaOp::ARGMAX, ExtremaOp::PTP, ExtremaOp::ARGMIN.skipping_nan()] {
            let found = along_on::<Extrema<f64>, f64>(best(), op, &x, lanes);
            for (found, line) in found.iter().zip(&lines) {
                // Columns look only for the extreme that is wanted.
                let alone = flat::<Extrema<f64>, f64>(op, line);
                prop_assert_eq!(found.index(op), alone.index(op));
                prop_assert_eq!(found.value(op).map(f64::to_bits), alone.value(op).map(f64::to_bits));
            }
        }
        let found = along_on::<Count, f64>(best(), CountOp::Nonzero, &x, lanes);
        for (found, line) in found.iter().zip(&lines) {
            prop_assert_eq!(found, &flat::<Count, f64>(CountOp::Nonzero, line));
        }
    }

    #[test]
    fn parts_of_the_output_and_of_the_axis_fit_together(
        n in 1..300_usize, inner in 1..700_usize, cut in 0.0..1.0, seed: u64,
    ) {
        let lanes = Lanes { outer: 2, n, inner };
        let mut noise = super::Noise(seed);
        let x: Vec<i32> = (0..lanes.outer * n * inner).map(|_| noise.bits() as i32).collect();
        let all = along_on::<Total<i32>, i32>(Target::Baseline, MEAN, &x, lanes);
        let part = |outputs: std::ops::Range<usize>, rows: std::ops::Range<usize>| {
            let mut parts: Vec<Total<i32>> = Vec::new();
            dispatch(Columns { lanes, op: MEAN, x: &x, outputs, rows, take: |acc| parts.push(acc), _acc: PhantomData });
            parts
        };
        let at = (cut * lanes.n_outputs() as f64) as usize;
        let mut joined = part(0..at, 0..n);
        joined.extend(part(at..lanes.n_outputs(), 0..n));
        prop_assert_eq!(&joined, &all);
        let at = (cut * n as f64) as usize;
        let mut merged = part(0..lanes.n_outputs(), 0..at);
        for (this, later) in merged.iter_mut().zip(part(0..lanes.n_outputs(), at..n)) {
            this.merge(later);
        }
        prop_assert_eq!(&merged, &all);
    }
}
