//! Float results against exact ones, and against NumPy's algorithms.

use super::super::acc::{Spread, SpreadOp, Summary, Total};
use super::super::dtype::Dtype;
use super::super::kernel::simd::Target;
use super::super::tasks::Lanes;
use super::super::whole::{MEAN, TOTAL};
use super::{Noise, along_on, flat};
use crate::task::Merge;

/// The exact sum, rounded once (Shewchuk's expansions).
fn exact_sum(x: impl IntoIterator<Item = f64>) -> f64 {
    let mut parts: Vec<f64> = Vec::new();
    for mut v in x {
        let mut kept = 0;
        for i in 0..parts.len() {
            let (a, b) = if v.abs() < parts[i].abs() { (parts[i], v) } else { (v, parts[i]) };
            v = a + b;
            let error = b - (v - a);
            if error != 0.0 {
                parts[kept] = error;
                kept += 1;
            }
        }
        parts.truncate(kept);
        parts.push(v);
    }
    parts.iter().rev().sum()
}

/// Pairwise summation as NumPy does it: eight accumulators up to 128 elements, halves above.
fn pairwise(x: &[f64]) -> f64 {
    if x.len() < 8 {
        return x.iter().sum();
    }
    if x.len() <= 128 {
        let mut lanes = [0.0; 8];
        let (vectors, tail) = x.as_chunks::<8>();
        for v in vectors {
            for i in 0..8 {
                lanes[i] += v[i];
            }
        }
        let [a, b, c, d, e, f, g, h] = lanes;
        return tail.iter().fold(((a + b) + (c + d)) + ((e + f) + (g + h)), |sum, v| sum + v);
    }
    let half = x.len() / 2 / 8 * 8;
    pairwise(&x[..half]) + pairwise(&x[half..])
}

/// Data whose sum is small beside its elements.
fn ill_conditioned(noise: &mut Noise, n: usize) -> Vec<f64> {
    let mut x: Vec<f64> =
        (0..n / 2).map(|_| noise.normal() * 2_f64.powi((noise.bits() % 60) as i32)).collect();
    let opposite: Vec<f64> = x.iter().map(|v| -v * (1.0 + 1e-9 * noise.unit())).collect();
    x.extend(opposite);
    for i in (1..x.len()).rev() {
        x.swap(i, noise.bits() as usize % (i + 1));
    }
    x
}

#[test]
fn sums_are_at_least_as_accurate_as_pairwise_ones() {
    let mut noise = Noise(1);
    for n in [100, 1000, 10_000, 300_000] {
        let (mut ours, mut numpys) = (0.0, 0.0);
        for _ in 0..20 {
            let x = ill_conditioned(&mut noise, n);
            let exact = exact_sum(x.iter().copied());
            let total = flat::<Total<f64>, f64>(TOTAL, &x);
            let magnitude: f64 = x.iter().map(|v| v.abs()).sum();
            let error = (total.sum() - exact).abs();
            assert!(error <= 9.0 * f64::EPSILON / 2.0 * magnitude + f64::EPSILON * exact.abs(), "{error:e}");
            let summary = flat::<Summary<f64>, f64>((), &x);
            assert!((summary.total.sum() - exact).abs() <= 17.0 * f64::EPSILON / 2.0 * magnitude);
            ours += error;
            numpys += (pairwise(&x) - exact).abs();
        }
        assert!(ours <= numpys, "{n} elements: error {ours:e}, pairwise {numpys:e}");
    }
}

#[test]
fn sums_along_a_long_axis_are_as_accurate() {
    let mut noise = Noise(2);
    let (n, inner) = (20_000, 3);
    let columns: Vec<Vec<f64>> = (0..inner).map(|_| ill_conditioned(&mut noise, n)).collect();
    let x: Vec<f64> = (0..n).flat_map(|i| columns.iter().map(move |column| column[i])).collect();
    let sums = along_on::<Total<f64>, f64>(Target::Baseline, TOTAL, &x, Lanes { outer: 1, n, inner });
    for (sum, column) in sums.iter().zip(&columns) {
        let error = (sum.sum() - exact_sum(column.iter().copied())).abs();
        let magnitude: f64 = column.iter().map(|v| v.abs()).sum();
        assert!(error <= 9.0 * f64::EPSILON / 2.0 * magnitude, "{error:e}");
    }
}

#[test]
fn sums_and_means_of_f32_are_rounded_once() {
    let mut noise = Noise(3);
    let x: Vec<f32> = (0..100_000).map(|_| (noise.normal() * 1e3) as f32).collect();
    let exact = exact_sum(x.iter().map(|v| f64::from(*v)));
    let total = flat::<Total<f32>, f32>(TOTAL, &x);
    assert_eq!(total.sum(), exact as f32);
    assert_eq!(flat::<Total<f32>, f32>(MEAN, &x).mean(), (exact / x.len() as f64) as f32);
}

/// Numbers of the form k / 2²⁰, so that their variance can be had exactly.
fn exact_m2(x: &[f64]) -> f64 {
    let scaled: Vec<i128> = x.iter().map(|v| (v * 1_048_576.0) as i128).collect();
    let n = scaled.len() as i128;
    let sum: i128 = scaled.iter().sum();
    let mean = sum.div_euclid(n);
    let about: i128 = scaled.iter().map(|v| (v - mean) * (v - mean)).sum();
    let rest = sum - n * mean;
    (about as f64 - (rest * rest) as f64 / n as f64) / 1_048_576.0 / 1_048_576.0
}

/// The sum of squares about the mean, in two passes as NumPy does it.
fn two_pass(x: &[f64]) -> f64 {
    let mean = pairwise(x) / x.len() as f64;
    pairwise(&x.iter().map(|v| (v - mean) * (v - mean)).collect::<Vec<_>>())
}

fn quantised(v: f64) -> f64 {
    (v * 1_048_576.0).round() / 1_048_576.0
}

#[test]
fn variance_in_one_pass_is_as_accurate_as_in_two() {
    let mut noise = Noise(4);
    let n = 100_000;
    type Make = fn(&mut Noise, usize) -> f64;
    let data: [(&str, Make); 7] = [
        ("large mean, small spread", |noise, _| 1e9 + noise.normal()),
        ("mean 0", |noise, _| noise.normal()),
        ("a step", |noise, i| if i < 50_000 { noise.normal() } else { 1e9 + noise.normal() }),
        ("a step in the first chunk", |noise, i| if i < 200 { -1e9 } else { 1e9 + noise.normal() }),
        ("one outlier at the start", |noise, i| if i == 0 { 1e9 } else { noise.normal() }),
        ("a ramp", |noise, i| 1e4 * i as f64 + noise.normal()),
        (
            "far, then far on the other side",
            |noise, i| if i % 4096 < 2048 { 1e8 } else { -1e8 + noise.unit() },
        ),
    ];
    for (name, make) in data {
        let (mut ours, mut fused, mut numpys) = (0.0_f64, 0.0_f64, 0.0_f64);
        for _ in 0..10 {
            let x: Vec<f64> = (0..n).map(|i| quantised(make(&mut noise, i))).collect();
            let exact = exact_m2(&x);
            let off = |m2: f64| ((m2 - exact) / exact).abs();
            let op = SpreadOp { ddof: 0.0, root: false, skip_nan: false };
            let spread = flat::<Spread<f64>, f64>(op, &x);
            ours = ours.max(off(f64::spread_m2(&spread.spread)));
            let summary = flat::<Summary<f64>, f64>((), &x);
            fused = fused.max(off(f64::spread_m2(&summary.spread.spread)));
            let mut halves = flat::<Spread<f64>, f64>(op, &x[..33_333]);
            halves.merge(flat(op, &x[33_333..]));
            ours = ours.max(off(f64::spread_m2(&halves.spread)));
            numpys = numpys.max(off(two_pass(&x)));
        }
        let least = 8.0 * f64::EPSILON;
        assert!(ours <= numpys.max(least), "{name}: {ours:e}, two passes {numpys:e}");
        assert!(fused <= numpys.max(least), "{name}: fused {fused:e}, two passes {numpys:e}");
    }
}

#[test]
fn variance_of_narrow_integers_is_exact() {
    let op = SpreadOp { ddof: 0.0, root: false, skip_nan: false };
    let x: Vec<i32> = (0..100_001).map(|i| i32::MAX - i % 2).collect();
    let ones = x.iter().filter(|v| **v != i32::MAX).count() as f64;
    let n = x.len() as f64;
    assert_eq!(flat::<Spread<i32>, i32>(op, &x).value(op), ones * (n - ones) / n / n);
    assert_eq!(flat::<Spread<u32>, u32>(op, &[u32::MAX; 5000]).value(op), 0.0);
    assert_eq!(flat::<Spread<i8>, i8>(op, &[-128, 127]).value(op), 127.5 * 127.5);
}

#[test]
fn sums_of_integers_are_exact_until_they_wrap() {
    let x = [i64::MAX, i64::MAX, 2];
    assert_eq!(flat::<Total<i64>, i64>(TOTAL, &x).sum(), 0);
    assert_eq!(flat::<Total<i64>, i64>(MEAN, &x).mean(), (2_i128.pow(64) / 3) as f64);
    assert_eq!(flat::<Total<u64>, u64>(TOTAL, &[u64::MAX; 10_000]).sum(), 10_000_u64.wrapping_neg());
    assert_eq!(flat::<Total<i8>, i8>(TOTAL, &[i8::MIN; 10_000]).sum(), -1_280_000);
    assert_eq!(flat::<Total<u16>, u16>(TOTAL, &[u16::MAX; 100_000]).sum(), 6_553_500_000);
    let lanes = Lanes { outer: 1, n: 5, inner: 2 };
    let sums = along_on::<Total<i64>, i64>(Target::Baseline, TOTAL, &[i64::MIN; 10], lanes);
    assert_eq!(sums[1].mean(), i64::MIN as f64);
    assert_eq!(sums[1].sum(), i64::MIN);
}
