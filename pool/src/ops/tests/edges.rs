//! Answers to NaN, infinities, zeros and nothing.

use num_complex::Complex;

use super::super::acc::{
    Count, CountOp, Extrema, ExtremaOp, NO_INDEX, Norm, NormOp, Product, ProductOp, Spread, SpreadOp,
    Summary, Total,
};
use super::super::describe::finish;
use super::super::whole::{MEAN, NAN_MEAN, NAN_TOTAL, TOTAL};
use super::flat;

const NAN: f64 = f64::NAN;
const INF: f64 = f64::INFINITY;

fn sum(x: &[f64]) -> f64 {
    flat::<Total<f64>, f64>(TOTAL, x).sum()
}

fn var(x: &[f64], ddof: f64, skip_nan: bool) -> f64 {
    let op = SpreadOp { ddof, root: false, skip_nan };
    flat::<Spread<f64>, f64>(op, x).value(op)
}

fn extreme(op: ExtremaOp, x: &[f64]) -> (Option<f64>, u64) {
    let found = flat::<Extrema<f64>, f64>(op, x);
    (found.value(op), found.index(op))
}

#[test]
fn sums_propagate_what_is_not_finite() {
    for n in [1, 40, 3000] {
        let mut x = vec![1.0; n];
        x[n / 2] = INF;
        assert_eq!(sum(&x), INF);
        x[0] = -INF;
        assert!(n == 1 || sum(&x).is_nan());
        x[0] = NAN;
        assert!(sum(&x).is_nan());
        assert!(flat::<Total<f64>, f64>(MEAN, &x).mean().is_nan());
    }
    assert_eq!(sum(&[f64::MAX, f64::MAX]), INF);
    assert_eq!(sum(&[f64::MAX, -f64::MAX, 1.0]), 1.0);
    assert_eq!(sum(&[5e-324; 64]), 64.0 * 5e-324);
}

#[test]
fn zeros_sum_to_the_positive_one() {
    // As `numpy.sum`, which starts from 0.
    for n in [0, 1, 40, 600] {
        assert!(sum(&vec![-0.0; n]).is_sign_positive());
    }
}

#[test]
fn nothing_has_a_sum_and_a_product_but_no_mean() {
    assert_eq!(sum(&[]), 0.0);
    assert_eq!(flat::<Product<f64>, f64>(ProductOp { skip_nan: false }, &[]).value(), 1.0);
    assert_eq!(flat::<Product<bool>, bool>(ProductOp { skip_nan: false }, &[]).value(), 1_i64);
    assert!(flat::<Total<i32>, i32>(MEAN, &[]).mean().is_nan());
    let mean = flat::<Total<Complex<f32>>, Complex<f32>>(MEAN, &[]).mean();
    assert!(mean.re.is_nan() && mean.im.is_nan());
    assert!(var(&[], 0.0, false).is_nan());
    assert_eq!(extreme(ExtremaOp::MIN, &[]), (None, NO_INDEX));
    assert_eq!(finish(&flat::<Summary<f64>, f64>((), &[])), None);
    assert!(flat::<Count, f64>(CountOp::All, &[]).holds(CountOp::All));
    assert!(!flat::<Count, f64>(CountOp::Any, &[]).holds(CountOp::Any));
    assert_eq!(flat::<Norm, f64>(NormOp::Inf, &[]).value(NormOp::Inf), 0.0);
}

#[test]
fn sums_without_nan_are_those_of_the_rest() {
    for n in [1, 33, 1024, 1025, 5000] {
        let x: Vec<f64> = (0..n).map(|i| if i % 3 == 0 { NAN } else { f64::from(i) }).collect();
        let rest: Vec<f64> = x.iter().copied().filter(|v| !v.is_nan()).collect();
        let total = flat::<Total<f64>, f64>(NAN_TOTAL, &x);
        assert_eq!((total.n, total.sum()), (rest.len() as u64, sum(&rest)));
        let mean = flat::<Total<f64>, f64>(NAN_MEAN, &x).mean();
        assert!(if rest.is_empty() { mean.is_nan() } else { mean == sum(&rest) / rest.len() as f64 });
        let (all, part) = (var(&x, 0.0, true), var(&rest, 0.0, false));
        assert!((all - part).abs() <= 1e-12 * part || (all.is_nan() && part.is_nan()));
    }
    let x = [Complex::new(1.0, NAN), Complex::new(2.0, 1.0)];
    assert_eq!(flat::<Total<Complex<f64>>, _>(NAN_TOTAL, &x).sum(), Complex::new(2.0, 1.0));
    assert_eq!(flat::<Product<f64>, f64>(ProductOp { skip_nan: true }, &[NAN]).value(), 1.0);
}

#[test]
fn variance_without_degrees_of_freedom() {
    assert!(var(&[1.0], 1.0, false).is_nan());
    assert_eq!(var(&[1.0, 2.0], 2.0, false), INF);
    assert_eq!(var(&[1.0, 2.0], 3.0, false), INF);
    assert!(var(&[1.0, 2.0, NAN], 3.0, true).is_nan());
    assert!(var(&[1.0, INF], 0.0, false).is_nan());
    assert_eq!(var(&[1e300, -1e300], 0.0, false), INF);
    let op = SpreadOp { ddof: 3.0, root: false, skip_nan: true };
    assert_eq!(flat::<Spread<i32>, i32>(op, &[1, 2]).value(op), INF);
}

#[test]
fn extremes_find_the_first() {
    let x = [3.0, 1.0, 7.0, 1.0, 7.0];
    assert_eq!(extreme(ExtremaOp::MIN, &x), (Some(1.0), 1));
    assert_eq!(extreme(ExtremaOp::MAX, &x), (Some(7.0), 2));
    assert_eq!(extreme(ExtremaOp::PTP, &x).0, Some(6.0));
    assert_eq!(extreme(ExtremaOp::ARGMIN, &[0.0, -0.0]).1, 0);
    assert_eq!(extreme(ExtremaOp::MIN, &[INF, INF]), (Some(INF), 0));
    assert_eq!(extreme(ExtremaOp::MAX, &[-INF; 50]), (Some(-INF), 0));
    let mut long = vec![5.0; 10_000];
    (long[4000], long[8000]) = (-1.0, -1.0);
    assert_eq!(extreme(ExtremaOp::ARGMIN, &long).1, 4000);
}

#[test]
fn nan_wins_unless_it_is_left_out() {
    for n in [3, 40, 3000, 200_000] {
        let mut x: Vec<f64> = (0..n).map(f64::from).collect();
        let last = n as usize - 1;
        (x[1], x[last]) = (NAN, NAN);
        let (value, index) = extreme(ExtremaOp::ARGMAX, &x);
        assert!(value.unwrap().is_nan());
        assert_eq!(index, 1);
        assert_eq!(extreme(ExtremaOp::ARGMAX.skipping_nan(), &x).1, if n == 3 { 0 } else { last as u64 - 1 });
        assert_eq!(extreme(ExtremaOp::MIN.skipping_nan(), &x), (Some(0.0), 0));
    }
    let (value, index) = extreme(ExtremaOp::MIN.skipping_nan(), &[NAN; 40]);
    assert!(value.unwrap().is_nan());
    assert_eq!(index, NO_INDEX);
    assert_eq!(extreme(ExtremaOp::MIN.skipping_nan(), &[NAN, INF]), (Some(INF), 1));
}

#[test]
fn complex_numbers_compare_by_real_then_imaginary_part() {
    let x = [Complex::new(1.0, 5.0), Complex::new(1.0, -5.0), Complex::new(0.0, 9.0)];
    let found = flat::<Extrema<Complex<f64>>, _>(ExtremaOp::MIN, &x);
    assert_eq!(found.value(ExtremaOp::MIN), Some(x[2]));
    assert_eq!(found.index(ExtremaOp::ARGMAX), 0);
    let with_nan = [x[0], Complex::new(-9.0, NAN)];
    assert_eq!(flat::<Extrema<Complex<f64>>, _>(ExtremaOp::MAX, &with_nan).index(ExtremaOp::ARGMAX), 1);
}

#[test]
fn integers_wrap_where_numpys_do() {
    let found = flat::<Extrema<i8>, i8>(ExtremaOp::PTP, &[-128, 127]);
    assert_eq!(found.value(ExtremaOp::PTP), Some(-1));
    assert_eq!(
        flat::<Product<u8>, u8>(ProductOp { skip_nan: false }, &[255; 9]).value(),
        255_u64.wrapping_pow(9)
    );
    assert_eq!(flat::<Norm, i8>(NormOp::Inf, &[-128]).value(NormOp::Inf), 128.0);
}

#[test]
fn norms_of_nan_and_large_numbers() {
    for op in [NormOp::One, NormOp::Two, NormOp::Inf] {
        assert!(flat::<Norm, f64>(op, &[1.0, NAN, 3.0]).value(op).is_nan());
        assert_eq!(flat::<Norm, f64>(op, &[1.0, -INF]).value(op), INF);
    }
    assert_eq!(flat::<Norm, f32>(NormOp::Two, &[3e30, 4e30]).value(NormOp::Two) as f32, 5e30);
}

#[test]
fn describe_says_what_its_parts_say() {
    for n in [1, 2047, 2048, 4096, 6145, 100_000] {
        for nan_at in [None, Some(0), Some(n / 2), Some(n - 1)] {
            let mut x: Vec<f64> = (0..n).map(|i| ((i * 7919) % 10_007) as f64 - 5000.0).collect();
            if let Some(at) = nan_at {
                x[at] = NAN;
            }
            let found = finish(&flat::<Summary<f64>, f64>((), &x)).unwrap();
            assert_eq!((found.count, found.nan_count), (n, usize::from(nan_at.is_some())));
            assert_eq!(found.argmin as u64, extreme(ExtremaOp::ARGMIN, &x).1);
            assert_eq!(found.argmax as u64, extreme(ExtremaOp::ARGMAX, &x).1);
            match nan_at {
                Some(at) => {
                    assert_eq!(found.argmin, at);
                    assert!(found.sum.is_nan() && found.mean.is_nan() && found.std.is_nan());
                    assert!(found.min.is_nan() && found.max.is_nan());
                }
                None => {
                    assert_eq!(found.sum, sum(&x));
                    assert_eq!(Some(found.min), extreme(ExtremaOp::MIN, &x).0);
                    assert_eq!(Some(found.max), extreme(ExtremaOp::MAX, &x).0);
                    assert!(
                        (found.std * found.std - var(&x, 0.0, false)).abs() <= 1e-12 * var(&x, 0.0, false)
                    );
                }
            }
        }
    }
    // Infinities of both signs make the sum NaN, but nothing is NaN.
    let mut x = vec![1.0; 10_000];
    (x[5000], x[5001]) = (INF, -INF);
    let found = finish(&flat::<Summary<f64>, f64>((), &x)).unwrap();
    assert_eq!((found.nan_count, found.argmax, found.argmin), (0, 5000, 5001));
    assert!(found.sum.is_nan());
}
