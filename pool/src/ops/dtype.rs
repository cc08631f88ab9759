//! What the kernels do with each element type.
//!
//! [`Dtype`] is the private side: every hook, for all 13 element types. The public families of
//! [`element`](super::element) are markers on top of it, with the result types that NumPy gives.

use std::fmt::Debug;

use num_complex::Complex;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::kernel::columns;
use super::kernel::extremes::{self, Extremes};
use super::kernel::fused::{self, Fused};
use super::kernel::product::{product_by, product_wrapping};
use super::kernel::spread::{FloatSpread, IntSpread};
use super::kernel::sum::{Integer, sum_by, sum_pairs_by};
use super::kernel::twofold::Twofold;
use crate::array::Element;

/// Partial results of an element type that travel from worker to supervisor.
pub trait Part: Debug + Clone + Default + PartialEq + Serialize + DeserializeOwned + Send + 'static {}
impl<P: Debug + Clone + Default + PartialEq + Serialize + DeserializeOwned + Send + 'static> Part for P {}

/// Hooks of the kernels; sealed. All hooks that take slices are inlined into the kernels.
pub trait Dtype: Element + Debug + PartialEq + Serialize + DeserializeOwned {
    /// NumPy's name, as in `numpy.dtype(…).name`.
    const NAME: &'static str;
    /// Whether values can be NaN.
    const HAS_NAN: bool = false;
    /// Type of sums and products.
    type Wide: Element + Debug + PartialEq;
    /// Type of means.
    type Mean: Element + Debug + PartialEq;
    /// Type of variances and norms.
    type Real: Element + Debug + PartialEq;
    /// A sum on its way.
    type Sum: Part;
    /// A product on its way.
    type Product: Part;
    /// A spread on its way.
    type Spread: Part;
    /// An inner product on its way.
    type Dot: Part;

    /// Whether it is NaN (complex: either part).
    fn is_nan(self) -> bool {
        false
    }
    /// Whether it counts as true.
    fn is_true(self) -> bool;
    /// Order without NaN; complex numbers compare lexicographically.
    fn less(self, other: Self) -> bool;
    /// Whether any element is NaN.
    fn any_nan(_x: &[Self]) -> bool {
        false
    }
    /// `self - other`, wrapping.
    fn difference(self, other: Self) -> Self;
    /// Smallest and largest.
    fn extremes(x: &[Self]) -> Extremes<Self>;

    fn sum(part: &mut Self::Sum, x: &[Self]);
    fn sum_merge(part: &mut Self::Sum, later: Self::Sum);
    fn sum_value(part: &Self::Sum) -> Self::Wide;
    fn mean(part: &Self::Sum, n: u64) -> Self::Mean;

    fn one() -> Self::Product;
    fn product(part: &mut Self::Product, x: &[Self]);
    fn product_merge(part: &mut Self::Product, later: Self::Product);
    fn product_value(part: &Self::Product) -> Self::Wide;

    fn spread(part: &mut Self::Spread, x: &[Self]);
    fn spread_merge(part: &mut Self::Spread, later: Self::Spread);
    /// Sum of squares about the mean.
    fn spread_m2(part: &Self::Spread) -> f64;
    fn real(x: f64) -> Self::Real;

    /// Sum of magnitudes, for the 1-norm.
    fn magnitudes(x: &[Self]) -> Twofold;
    /// Sum of squared magnitudes, for the 2-norm.
    fn squares(x: &[Self]) -> Twofold;
    /// Largest magnitude (NaN if any is), for the ∞-norm.
    fn largest(x: &[Self]) -> f64;

    /// Inner product, with the first factor conjugated if asked.
    fn dot(part: &mut Self::Dot, a: &[Self], b: &[Self], conjugate: bool);
    fn dot_merge(part: &mut Self::Dot, later: Self::Dot);
    fn dot_value(part: &Self::Dot) -> Self;

    /// Sum, spread and extremes of a whole chunk at once, where there is a fused kernel.
    #[inline(always)]
    fn fused(_x: &[Self; fused::CHUNK], _sum: &mut Self::Sum, _spread: &mut Self::Spread) -> Seen<Self> {
        Seen::Nothing
    }

    /// Sums `width` columns of `n_rows` rows that lie `stride` elements apart, and gives column and sum to `add`.
    /// Returns `false` if there is no kernel for it.
    #[inline(always)]
    fn sum_columns(
        _x: &[Self],
        _stride: usize,
        _width: usize,
        _n_rows: usize,
        _add: impl FnMut(usize, Self::Sum),
    ) -> bool {
        false
    }

    /// Products of columns, likewise; without NaN if asked.
    #[inline(always)]
    fn product_columns(
        _x: &[Self],
        _stride: usize,
        _width: usize,
        _n_rows: usize,
        _skip_nan: bool,
        _add: impl FnMut(usize, Self::Product),
    ) -> bool {
        false
    }

    /// Spreads of columns, likewise.
    #[inline(always)]
    fn spread_columns(
        _x: &[Self],
        _stride: usize,
        _width: usize,
        _n_rows: usize,
        _add: impl FnMut(usize, Self::Spread),
    ) -> bool {
        false
    }
}

/// What a fused kernel took from a chunk.
pub enum Seen<T> {
    /// Nothing: there is no such kernel, or it cannot run yet.
    Nothing,
    /// Sum and spread, but not the extremes, since there may be NaN.
    Sums,
    /// Sum and spread, and these are the extremes.
    All(T, T),
}

macro_rules! largest {
    ($x:expr, $f:expr) => {{
        let mut lanes = [0.0_f64; 16];
        let mut nan = false;
        let (vectors, tail) = $x.as_chunks::<16>();
        for v in vectors {
            for i in 0..16 {
                let m: f64 = $f(v[i]);
                lanes[i] = if m > lanes[i] { m } else { lanes[i] };
            }
            for i in 0..16 {
                nan |= $f(v[i]).is_nan();
            }
        }
        for v in tail {
            let m: f64 = $f(*v);
            nan |= m.is_nan();
            lanes[0] = if m > lanes[0] { m } else { lanes[0] };
        }
        if nan { f64::NAN } else { fused::fold(&lanes, |a, b| if b > a { b } else { a }) }
    }};
}

macro_rules! float {
    ($($t:ident, $name:literal);*) => { $(
        impl Dtype for $t {
            const NAME: &'static str = $name;
            const HAS_NAN: bool = true;
            type Wide = $t;
            type Mean = $t;
            type Real = $t;
            type Sum = Twofold;
            type Product = f64;
            type Spread = FloatSpread;
            type Dot = Twofold;

            #[inline(always)]
            fn is_nan(self) -> bool {
                $t::is_nan(self)
            }
            #[inline(always)]
            fn is_true(self) -> bool {
                self != 0.0
            }
            #[inline(always)]
            fn less(self, other: Self) -> bool {
                self < other
            }
            #[inline(always)]
            fn any_nan(x: &[Self]) -> bool {
                extremes::any_nan(x)
            }
            #[inline(always)]
            fn difference(self, other: Self) -> Self {
                self - other
            }
            #[inline(always)]
            fn extremes(x: &[Self]) -> Extremes<Self> {
                extremes::of_floats(x)
            }

            #[inline(always)]
            fn sum(part: &mut Twofold, x: &[Self]) {
                let [sum] = sum_by(x, |v| f64::from(v));
                part.add_sum(sum);
            }
            #[inline(always)]
            fn sum_merge(part: &mut Twofold, later: Twofold) {
                part.add_sum(later);
            }
            #[inline(always)]
            fn sum_value(part: &Twofold) -> $t {
                part.value() as $t
            }
            #[inline(always)]
            fn mean(part: &Twofold, n: u64) -> $t {
                (part.value() / n as f64) as $t
            }

            fn one() -> f64 {
                1.0
            }
            #[inline(always)]
            fn product(part: &mut f64, x: &[Self]) {
                *part *= product_by(x, 1.0, |v| f64::from(v));
            }
            #[inline(always)]
            fn product_merge(part: &mut f64, later: f64) {
                *part *= later;
            }
            #[inline(always)]
            fn product_value(part: &f64) -> $t {
                *part as $t
            }

            #[inline(always)]
            fn spread(part: &mut FloatSpread, x: &[Self]) {
                FloatSpread::push(std::array::from_mut(part), x, |v| f64::from(v));
            }
            #[inline(always)]
            fn spread_merge(part: &mut FloatSpread, later: FloatSpread) {
                part.merge(later);
            }
            #[inline(always)]
            fn spread_m2(part: &FloatSpread) -> f64 {
                part.m2
            }
            #[inline(always)]
            fn real(x: f64) -> $t {
                x as $t
            }

            #[inline(always)]
            fn magnitudes(x: &[Self]) -> Twofold {
                let [sum] = sum_by(x, |v| f64::from(v.abs()));
                sum
            }
            #[inline(always)]
            fn squares(x: &[Self]) -> Twofold {
                let [sum] = sum_by(x, |v| f64::from(v) * f64::from(v));
                sum
            }
            #[inline(always)]
            fn largest(x: &[Self]) -> f64 {
                largest!(x, |v: $t| f64::from(v.abs()))
            }

            #[inline(always)]
            fn dot(part: &mut Twofold, a: &[Self], b: &[Self], _conjugate: bool) {
                let [sum] = sum_pairs_by(a, b, |a, b| f64::from(a) * f64::from(b));
                part.add_sum(sum);
            }
            #[inline(always)]
            fn dot_merge(part: &mut Twofold, later: Twofold) {
                part.add_sum(later);
            }
            #[inline(always)]
            fn dot_value(part: &Twofold) -> $t {
                part.value() as $t
            }

            #[inline(always)]
            fn fused(
                x: &[Self; fused::CHUNK],
                sum: &mut Twofold,
                spread: &mut FloatSpread,
            ) -> Seen<Self> {
                // The first chunk has no mean to shift by.
                if spread.n == 0 {
                    return Seen::Nothing;
                }
                let Fused { sum: chunk, shifted, squares, min, max } = fused::fused(x, spread.mean.hi);
                sum.add_sum(chunk);
                spread.add_shifted(fused::CHUNK as u64, spread.mean.hi, shifted, squares);
                // A NaN makes the sum NaN; so do infinities of both signs.
                if chunk.hi.is_nan() { Seen::Sums } else { Seen::All(min, max) }
            }

            #[inline(always)]
            fn sum_columns(
                x: &[Self],
                stride: usize,
                width: usize,
                n_rows: usize,
                add: impl FnMut(usize, Twofold),
            ) -> bool {
                columns::sum_floats(x, stride, width, n_rows, |v| f64::from(v), add);
                true
            }

            #[inline(always)]
            fn product_columns(
                x: &[Self],
                stride: usize,
                width: usize,
                n_rows: usize,
                skip_nan: bool,
                mut add: impl FnMut(usize, f64),
            ) -> bool {
                let mut lanes = [1.0; columns::STRIP];
                let lanes = &mut lanes[..width];
                match skip_nan {
                    false => columns::fold_rows(lanes, x, stride, n_rows, |p, v| p * f64::from(v)),
                    true => columns::fold_rows(lanes, x, stride, n_rows, |p, v| {
                        p * if v.is_nan() { 1.0 } else { f64::from(v) }
                    }),
                }
                lanes.iter().enumerate().for_each(|(i, product)| add(i, *product));
                true
            }

            #[inline(always)]
            fn spread_columns(
                x: &[Self],
                stride: usize,
                width: usize,
                n_rows: usize,
                add: impl FnMut(usize, FloatSpread),
            ) -> bool {
                columns::spread_floats(x, stride, width, n_rows, |v| f64::from(v), add);
                true
            }
        }
    )* };
}
float!(f32, "float32"; f64, "float64");

macro_rules! integer {
    ($($t:ident, $name:literal, $wide:ident, $spread:ident, $push:expr, $merge:expr, $m2:expr;)*) => { $(
        impl Dtype for $t {
            const NAME: &'static str = $name;
            type Wide = $wide;
            type Mean = f64;
            type Real = f64;
            type Sum = i128;
            type Product = u64;
            type Spread = $spread;
            type Dot = u64;

            #[inline(always)]
            fn is_true(self) -> bool {
                self != <$t as Element>::ZERO
            }
            #[inline(always)]
            fn less(self, other: Self) -> bool {
                self < other
            }
            #[inline(always)]
            fn difference(self, other: Self) -> Self {
                integer!(@minus $t, self, other)
            }
            #[inline(always)]
            fn extremes(x: &[Self]) -> Extremes<Self> {
                extremes::of_ordered(x)
            }

            #[inline(always)]
            fn sum(part: &mut i128, x: &[Self]) {
                *part += <$t as Integer>::sum(x);
            }
            #[inline(always)]
            fn sum_merge(part: &mut i128, later: i128) {
                *part += later;
            }
            #[inline(always)]
            fn sum_value(part: &i128) -> $wide {
                *part as $wide
            }
            #[inline(always)]
            fn mean(part: &i128, n: u64) -> f64 {
                *part as f64 / n as f64
            }

            fn one() -> u64 {
                1
            }
            #[inline(always)]
            fn product(part: &mut u64, x: &[Self]) {
                *part = part.wrapping_mul(product_wrapping(x));
            }
            #[inline(always)]
            fn product_merge(part: &mut u64, later: u64) {
                *part = part.wrapping_mul(later);
            }
            #[inline(always)]
            fn product_value(part: &u64) -> $wide {
                *part as $wide
            }

            #[inline(always)]
            fn spread(part: &mut $spread, x: &[Self]) {
                $push(part, x)
            }
            #[inline(always)]
            fn spread_merge(part: &mut $spread, later: $spread) {
                part.merge(later);
            }
            #[inline(always)]
            fn spread_m2(part: &$spread) -> f64 {
                $m2(part)
            }
            #[inline(always)]
            fn real(x: f64) -> f64 {
                x
            }

            #[inline(always)]
            fn magnitudes(x: &[Self]) -> Twofold {
                let [sum] = sum_by(x, |v| v.float().abs());
                sum
            }
            #[inline(always)]
            fn squares(x: &[Self]) -> Twofold {
                let [sum] = sum_by(x, |v| v.float() * v.float());
                sum
            }
            #[inline(always)]
            fn largest(x: &[Self]) -> f64 {
                largest!(x, |v: $t| v.float().abs())
            }

            #[inline(always)]
            fn sum_columns(
                x: &[Self],
                stride: usize,
                width: usize,
                n_rows: usize,
                add: impl FnMut(usize, i128),
            ) -> bool {
                columns::sum_integers(x, stride, width, n_rows, add);
                true
            }

            #[inline(always)]
            fn product_columns(
                x: &[Self],
                stride: usize,
                width: usize,
                n_rows: usize,
                _skip_nan: bool,
                mut add: impl FnMut(usize, u64),
            ) -> bool {
                let mut lanes = [1_u64; columns::STRIP];
                let lanes = &mut lanes[..width];
                columns::fold_rows(lanes, x, stride, n_rows, |p, v| p.wrapping_mul(v.wrap()));
                lanes.iter().enumerate().for_each(|(i, product)| add(i, *product));
                true
            }

            #[inline(always)]
            fn spread_columns(
                x: &[Self],
                stride: usize,
                width: usize,
                n_rows: usize,
                add: impl FnMut(usize, $spread),
            ) -> bool {
                integer!(@columns $spread, x, stride, width, n_rows, add);
                true
            }

            #[inline(always)]
            fn dot(part: &mut u64, a: &[Self], b: &[Self], _conjugate: bool) {
                let products = a.iter().zip(b).map(|(a, b)| a.wrap().wrapping_mul(b.wrap()));
                *part = products.fold(*part, |sum, product| $merge(sum, product));
            }
            #[inline(always)]
            fn dot_merge(part: &mut u64, later: u64) {
                *part = $merge(*part, later);
            }
            #[inline(always)]
            fn dot_value(part: &u64) -> $t {
                integer!(@back $t, *part)
            }
        }
    )* };
    (@columns IntSpread, $($arg:ident),*) => { columns::spread_integers($($arg),*) };
    (@columns FloatSpread, $x:ident, $stride:ident, $width:ident, $n_rows:ident, $add:ident) => {
        columns::spread_floats($x, $stride, $width, $n_rows, |v| v.float(), $add)
    };
    (@minus bool, $a:expr, $b:expr) => { $a ^ $b };
    (@minus $t:ident, $a:expr, $b:expr) => { $a.wrapping_sub($b) };
    (@back bool, $x:expr) => { $x != 0 };
    (@back $t:ident, $x:expr) => { $x as $t };
}
/// Exact spread of narrow integers.
macro_rules! exact {
    ($($t:ident, $name:literal, $wide:ident;)*) => {
        integer! { $($t, $name, $wide, IntSpread, IntSpread::push, u64::wrapping_add, IntSpread::m2;)* }
    };
}
exact! {
    i8, "int8", i64;
    i16, "int16", i64;
    i32, "int32", i64;
    u8, "uint8", u64;
    u16, "uint16", u64;
    u32, "uint32", u64;
}
integer! {
    bool, "bool", i64, IntSpread, IntSpread::push, |a: u64, b: u64| a | b, IntSpread::m2;
    i64, "int64", i64, FloatSpread, push_float, u64::wrapping_add, |s: &FloatSpread| s.m2;
    u64, "uint64", u64, FloatSpread, push_float, u64::wrapping_add, |s: &FloatSpread| s.m2;
}

#[inline(always)]
fn push_float<T: Integer>(part: &mut FloatSpread, x: &[T]) {
    FloatSpread::push(std::array::from_mut(part), x, |v| v.float());
}

/// The parts of complex numbers, interleaved.
#[inline(always)]
#[expect(unsafe_code, reason = "a slice of complex numbers is a slice of their parts")]
fn parts<F>(x: &[Complex<F>]) -> &[F] {
    // SAFETY: `Complex<F>` is `repr(C)` with two fields of type `F`, so `x` is `2 * x.len()` initialised,
    // aligned values of `F` in one allocation; their size in bytes is that of `x`; the lifetime is that of `x`.
    unsafe { std::slice::from_raw_parts(x.as_ptr().cast(), 2 * x.len()) }
}

macro_rules! complex {
    ($($f:ident, $name:literal);*) => { $(
        impl Dtype for Complex<$f> {
            const NAME: &'static str = $name;
            const HAS_NAN: bool = true;
            type Wide = Complex<$f>;
            type Mean = Complex<$f>;
            type Real = $f;
            type Sum = [Twofold; 2];
            type Product = Complex<f64>;
            type Spread = [FloatSpread; 2];
            type Dot = [Twofold; 2];

            #[inline(always)]
            fn is_nan(self) -> bool {
                self.re.is_nan() || self.im.is_nan()
            }
            #[inline(always)]
            fn is_true(self) -> bool {
                self.re != 0.0 || self.im != 0.0
            }
            #[inline(always)]
            fn less(self, other: Self) -> bool {
                extremes::complex_less(self, other)
            }
            #[inline(always)]
            fn any_nan(x: &[Self]) -> bool {
                extremes::any_nan(parts(x))
            }
            #[inline(always)]
            fn difference(self, other: Self) -> Self {
                self - other
            }
            #[inline(always)]
            fn extremes(x: &[Self]) -> Extremes<Self> {
                extremes::of_complex(x)
            }

            #[inline(always)]
            fn sum(part: &mut Self::Sum, x: &[Self]) {
                Self::sum_merge(part, sum_by(parts(x), |v| f64::from(v)));
            }
            #[inline(always)]
            fn sum_merge(part: &mut Self::Sum, later: Self::Sum) {
                part[0].add_sum(later[0]);
                part[1].add_sum(later[1]);
            }
            #[inline(always)]
            fn sum_value(part: &Self::Sum) -> Self {
                Complex::new(part[0].value() as $f, part[1].value() as $f)
            }
            #[inline(always)]
            fn mean(part: &Self::Sum, n: u64) -> Self {
                let n = n as f64;
                Complex::new((part[0].value() / n) as $f, (part[1].value() / n) as $f)
            }

            fn one() -> Complex<f64> {
                Complex::new(1.0, 0.0)
            }
            #[inline(always)]
            fn product(part: &mut Complex<f64>, x: &[Self]) {
                *part *= product_by(x, Self::one(), |v| Complex::new(f64::from(v.re), f64::from(v.im)));
            }
            #[inline(always)]
            fn product_merge(part: &mut Complex<f64>, later: Complex<f64>) {
                *part *= later;
            }
            #[inline(always)]
            fn product_value(part: &Complex<f64>) -> Self {
                Complex::new(part.re as $f, part.im as $f)
            }

            #[inline(always)]
            fn spread(part: &mut Self::Spread, x: &[Self]) {
                FloatSpread::push(part, parts(x), |v| f64::from(v));
            }
            #[inline(always)]
            fn spread_merge(part: &mut Self::Spread, later: Self::Spread) {
                part[0].merge(later[0]);
                part[1].merge(later[1]);
            }
            #[inline(always)]
            fn spread_m2(part: &Self::Spread) -> f64 {
                part[0].m2 + part[1].m2
            }
            #[inline(always)]
            fn real(x: f64) -> $f {
                x as $f
            }

            #[inline(always)]
            fn magnitudes(x: &[Self]) -> Twofold {
                let [sum] = sum_by(x, |v: Self| f64::from(v.re).hypot(f64::from(v.im)));
                sum
            }
            #[inline(always)]
            fn squares(x: &[Self]) -> Twofold {
                let [sum] = sum_by(parts(x), |v| f64::from(v) * f64::from(v));
                sum
            }
            #[inline(always)]
            fn largest(x: &[Self]) -> f64 {
                largest!(x, |v: Self| f64::from(v.re).hypot(f64::from(v.im)))
            }

            #[inline(always)]
            fn dot(part: &mut Self::Dot, a: &[Self], b: &[Self], conjugate: bool) {
                let sign = if conjugate { -1.0 } else { 1.0 };
                let w = |v: $f| f64::from(v);
                let [re] = sum_pairs_by(a, b, |a: Self, b: Self| {
                    w(a.re) * w(b.re) - sign * (w(a.im) * w(b.im))
                });
                let [im] = sum_pairs_by(a, b, |a: Self, b: Self| {
                    w(a.re) * w(b.im) + sign * (w(a.im) * w(b.re))
                });
                Self::sum_merge(part, [re, im]);
            }
            #[inline(always)]
            fn dot_merge(part: &mut Self::Dot, later: Self::Dot) {
                Self::sum_merge(part, later);
            }
            #[inline(always)]
            fn dot_value(part: &Self::Dot) -> Self {
                Self::sum_value(part)
            }
        }
    )* };
}
complex!(f32, "complex64"; f64, "complex128");
