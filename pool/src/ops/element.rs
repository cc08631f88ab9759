//! Families of element types, with the result types that NumPy 2 gives.

use num_complex::Complex;

use super::dtype::Dtype;
use crate::array::Element;

/// Element types that have sums and products.
///
/// Integers of any width sum up in 64 bits of the same signedness and wrap around; `bool` counts in `i64`; floats
/// and complex numbers keep their type. Sealed.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no sum",
    note = "sums and products exist for f32, f64, i8 to i64, u8 to u64, bool and Complex<f32>, Complex<f64>"
)]
pub trait SumElement: Dtype<Wide = <Self as SumElement>::Output> {
    /// Type of sums and products.
    type Output: Element + std::fmt::Debug + PartialEq;
}

/// Element types that have means, variances and norms.
///
/// Floats and complex numbers keep their type and width; integers and `bool` give `f64`. Variances and norms are
/// real. Sealed.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no mean, variance or norm",
    note = "they exist for f32, f64, i8 to i64, u8 to u64, bool and Complex<f32>, Complex<f64>"
)]
pub trait MeanElement:
    Dtype<Mean = <Self as MeanElement>::Output, Real = <Self as MeanElement>::RealOutput>
{
    /// Type of means.
    type Output: Element + std::fmt::Debug + PartialEq;
    /// Type of variances, standard deviations and norms.
    type RealOutput: Element + std::fmt::Debug + PartialEq;
}

/// Element types that have a smallest and a largest value.
///
/// Complex numbers compare by their real parts, then by their imaginary parts, as in NumPy; `false < true`. Sealed.
#[diagnostic::on_unimplemented(
    message = "elements of type `{Self}` do not compare",
    note = "order exists for f32, f64, i8 to i64, u8 to u64, bool and Complex<f32>, Complex<f64>"
)]
pub trait OrderElement: Dtype {}

/// Element types with subtraction, for [`ptp`](super::ptp): all but `bool`. Sealed.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no difference",
    note = "`ptp` exists for f32, f64, i8 to i64, u8 to u64 and Complex<f32>, Complex<f64>"
)]
pub trait NumberElement: OrderElement {}

/// Real numbers, for [`histogram`](super::histogram()). Sealed.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no histogram",
    note = "histograms exist for f32, f64, i8 to i64 and u8 to u64"
)]
pub trait RealElement: NumberElement {
    /// The value as `f64`, rounded if need be.
    #[doc(hidden)]
    fn to_f64(self) -> f64;
    /// Edges of bins of equal width within a range that the caller gave.
    #[doc(hidden)]
    fn linspace(low: f64, high: f64, n_bins: usize) -> Vec<f64> {
        let step = (high - low) / n_bins as f64;
        (0..n_bins).map(|i| i as f64 * step + low).chain([high]).collect()
    }
    /// Edges of bins of equal width within a range that was found in the data, in the arithmetic of the data.
    #[doc(hidden)]
    fn linspace_native(low: f64, high: f64, n_bins: usize) -> Vec<f64> {
        Self::linspace(low, high, n_bins)
    }
}

/// Integers and `bool`, for [`bincount`](super::bincount()). Sealed.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot index a bin",
    note = "`bincount` exists for i8 to i64, u8 to u64 and bool"
)]
pub trait IndexElement: OrderElement {
    /// The value as an index; `None` if it is negative.
    #[doc(hidden)]
    fn to_index(self) -> Option<u64>;
}

macro_rules! families {
    ($($t:ty => $wide:ty, $mean:ty, $real:ty;)*) => { $(
        impl SumElement for $t {
            type Output = $wide;
        }
        impl MeanElement for $t {
            type Output = $mean;
            type RealOutput = $real;
        }
        impl OrderElement for $t {}
    )* };
}
families! {
    f32 => f32, f32, f32;
    f64 => f64, f64, f64;
    i8 => i64, f64, f64;
    i16 => i64, f64, f64;
    i32 => i64, f64, f64;
    i64 => i64, f64, f64;
    u8 => u64, f64, f64;
    u16 => u64, f64, f64;
    u32 => u64, f64, f64;
    u64 => u64, f64, f64;
    bool => i64, f64, f64;
    Complex<f32> => Complex<f32>, Complex<f32>, f32;
    Complex<f64> => Complex<f64>, Complex<f64>, f64;
}

macro_rules! numbers {
    ($($t:ty),*) => { $(impl NumberElement for $t {})* };
}
numbers!(f32, f64, i8, i16, i32, i64, u8, u16, u32, u64, Complex<f32>, Complex<f64>);

macro_rules! reals {
    ($($t:ty),*) => { $(
        impl RealElement for $t {
            #[inline(always)]
            fn to_f64(self) -> f64 {
                self as f64
            }
        }
    )* };
}
reals!(f64, i8, i16, i32, i64, u8, u16, u32, u64);

impl RealElement for f32 {
    #[inline(always)]
    fn to_f64(self) -> f64 {
        f64::from(self)
    }

    fn linspace(low: f64, high: f64, n_bins: usize) -> Vec<f64> {
        f64::linspace(low, high, n_bins).into_iter().map(|edge| f64::from(edge as f32)).collect()
    }

    fn linspace_native(low: f64, high: f64, n_bins: usize) -> Vec<f64> {
        let (low, high) = (low as f32, high as f32);
        let step = (high - low) / n_bins as f32;
        (0..n_bins).map(|i| i as f32 * step + low).chain([high]).map(f64::from).collect()
    }
}

macro_rules! indices {
    ($($t:ty),*) => { $(
        impl IndexElement for $t {
            #[inline(always)]
            fn to_index(self) -> Option<u64> {
                u64::try_from(self).ok()
            }
        }
    )* };
}
indices!(i8, i16, i32, i64, u8, u16, u32, u64, bool);
