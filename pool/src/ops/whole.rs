//! Reductions of the whole array, to one value.

use serde::{Deserialize, Serialize};

use super::acc::{
    Count, CountOp, Dot, Extrema, ExtremaOp, Norm, NormOp, Product, ProductOp, Spread, SpreadOp, Total,
    TotalOp,
};
use super::call::{empty, index, whole};
use super::dtype::Dtype;
use super::element::{MeanElement, NumberElement, OrderElement, SumElement};
use super::tasks::DotTask;
use crate::array::IntoRows;
use crate::error::{Error, ErrorKind};
use crate::task::{Call, CallBuilder};

pub(super) const TOTAL: TotalOp = TotalOp { mean: false, skip_nan: false };
pub(super) const NAN_TOTAL: TotalOp = TotalOp { mean: false, skip_nan: true };
pub(super) const MEAN: TotalOp = TotalOp { mean: true, skip_nan: false };
pub(super) const NAN_MEAN: TotalOp = TotalOp { mean: true, skip_nan: true };

/// Which vector norm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum NormOrd {
    /// Sum of magnitudes.
    One,
    /// Root of the sum of squares.
    Two,
    /// Largest magnitude.
    Inf,
}

impl NormOrd {
    pub(super) fn op(self) -> NormOp {
        match self {
            Self::One => NormOp::One,
            Self::Two => NormOp::Two,
            Self::Inf => NormOp::Inf,
        }
    }
}

/// Sum of all elements, as [`numpy.sum`](https://numpy.org/doc/stable/reference/generated/numpy.sum.html).
///
/// Integers are summed in 64 bits and wrap around; `bool` counts in `i64`. Floats are summed in `f64` with compensation and
/// rounded once: the result is at least as accurate as NumPy's. No elements: 0.
///
/// # Example
/// ```
/// ndpool::init();
/// let pool = ndpool::Pool::builder().workers(2).build()?;
/// let x = pool.from_array(&ndarray::array![[1.0_f64, 2.0], [3.0, 4.0]])?;
/// assert_eq!(pool.run(ndpool::ops::sum(&x))?, 10.0);
/// # Ok::<(), ndpool::Error>(())
/// ```
pub fn sum<'a, X>(x: X) -> Call<'a, <X::Elem as SumElement>::Output>
where
    X: IntoRows<'a>,
    X::Elem: SumElement,
{
    total(x, TOTAL).then(|this| this.sum())
}

/// Sum of all elements that are not NaN, as `numpy.nansum`; see [`sum`]. Nothing but NaN: 0.
///
/// # Example
/// ```
/// ndpool::init();
/// let pool = ndpool::Pool::builder().workers(2).build()?;
/// let x = pool.from_array(&ndarray::array![1.0_f64, f64::NAN, 2.0])?;
/// assert_eq!(pool.run(ndpool::ops::nansum(&x))?, 3.0);
/// # Ok::<(), ndpool::Error>(())
/// ```
pub fn nansum<'a, X>(x: X) -> Call<'a, <X::Elem as SumElement>::Output>
where
    X: IntoRows<'a>,
    X::Elem: SumElement,
{
    total(x, NAN_TOTAL).then(|this| this.sum())
}

/// Product of all elements, as `numpy.prod`, with the result types of [`sum`].
///
/// Integers wrap around. Floats are multiplied in `f64`, in a fixed order that is not from left to right, so that an
/// intermediate overflow may differ from NumPy's. No elements: 1.
///
/// # Example
/// ```
/// ndpool::init();
/// let pool = ndpool::Pool::builder().workers(2).build()?;
/// let x = pool.from_array(&ndarray::array![2.0_f64, 3.0, 4.0])?;
/// assert_eq!(pool.run(ndpool::ops::prod(&x))?, 24.0);
/// # Ok::<(), ndpool::Error>(())
/// ```
pub fn prod<'a, X>(x: X) -> Call<'a, <X::Elem as SumElement>::Output>
where
    X: IntoRows<'a>,
    X::Elem: SumElement,
{
    product(x, false).then(|this| this.value())
}

/// Product of all elements that are not NaN, as `numpy.nanprod`; see [`prod`]. Nothing but NaN: 1.
///
/// # Example
/// ```
/// ndpool::init();
/// let pool = ndpool::Pool::builder().workers(2).build()?;
/// let x = pool.from_array(&ndarray::array![2.0_f64, f64::NAN, 4.0])?;
/// assert_eq!(pool.run(ndpool::ops::nanprod(&x))?, 8.0);
/// # Ok::<(), ndpool::Error>(())
/// ```
pub fn nanprod<'a, X>(x: X) -> Call<'a, <X::Elem as SumElement>::Output>
where
    X: IntoRows<'a>,
    X::Elem: SumElement,
{
    product(x, true).then(|this| this.value())
}

/// Arithmetic mean, as `numpy.mean`: of floats and complex numbers in their type, of integers and `bool` in `f64`.
///
/// The sum behind it never wraps and is rounded once. No elements: NaN.
///
/// # Example
/// ```
/// ndpool::init();
/// let pool = ndpool::Pool::builder().workers(2).build()?;
/// let x = pool.from_array(&ndarray::array![1_i32, 2, 6])?;
/// assert_eq!(pool.run(ndpool::ops::mean(&x))?, 3.0);
/// # Ok::<(), ndpool::Error>(())
/// ```
pub fn mean<'a, X>(x: X) -> Call<'a, <X::Elem as MeanElement>::Output>
where
    X: IntoRows<'a>,
    X::Elem: MeanElement,
{
    total(x, MEAN).then(|this| this.mean())
}

/// Mean of all elements that are not NaN, as `numpy.nanmean`; see [`mean`]. Nothing but NaN: NaN.
///
/// # Example
/// ```
/// ndpool::init();
/// let pool = ndpool::Pool::builder().workers(2).build()?;
/// let x = pool.from_array(&ndarray::array![1.0_f64, f64::NAN, 2.0])?;
/// assert_eq!(pool.run(ndpool::ops::nanmean(&x))?, 1.5);
/// # Ok::<(), ndpool::Error>(())
/// ```
pub fn nanmean<'a, X>(x: X) -> Call<'a, <X::Elem as MeanElement>::Output>
where
    X: IntoRows<'a>,
    X::Elem: MeanElement,
{
    total(x, NAN_MEAN).then(|this| this.mean())
}

/// Variance, as `numpy.var`: squares about the mean divided by `n - ddof`; `ddof` 0 is that of a population, 1 that of a sample.
///
/// One pass over memory, at least as accurate as NumPy's two; exact up to one rounding for integers of up to 32 bits.
/// Of complex numbers: that of the real plus that of the imaginary parts. Without degrees of freedom left: infinite or NaN.
///
/// # Example
/// ```
/// ndpool::init();
/// let pool = ndpool::Pool::builder().workers(2).build()?;
/// let x = pool.from_array(&ndarray::array![1.0_f64, 3.0])?;
/// assert_eq!(pool.run(ndpool::ops::var(&x, 0.0))?, 1.0);
/// # Ok::<(), ndpool::Error>(())
/// ```
pub fn var<'a, X>(x: X, ddof: f64) -> Call<'a, <X::Elem as MeanElement>::RealOutput>
where
    X: IntoRows<'a>,
    X::Elem: MeanElement,
{
    spread(x, SpreadOp { ddof, root: false, skip_nan: false })
}

/// Variance of all elements that are not NaN, as `numpy.nanvar`; see [`var`]. Without degrees of freedom left: NaN.
///
/// # Example
/// ```
/// ndpool::init();
/// let pool = ndpool::Pool::builder().workers(2).build()?;
/// let x = pool.from_array(&ndarray::array![1.0_f64, f64::NAN, 3.0])?;
/// assert_eq!(pool.run(ndpool::ops::nanvar(&x, 0.0))?, 1.0);
/// # Ok::<(), ndpool::Error>(())
/// ```
pub fn nanvar<'a, X>(x: X, ddof: f64) -> Call<'a, <X::Elem as MeanElement>::RealOutput>
where
    X: IntoRows<'a>,
    X::Elem: MeanElement,
{
    spread(x, SpreadOp { ddof, root: false, skip_nan: true })
}

/// Standard deviation, as `numpy.std`: root of the variance; `ddof` 0 is that of a population, 1 that of a sample.
///
/// One pass over memory, at least as accurate as NumPy's two; exact up to one rounding for integers of up to 32 bits.
/// Of complex numbers: that of the real plus that of the imaginary parts. Without degrees of freedom left: infinite or NaN.
///
/// # Example
/// ```
/// ndpool::init();
/// let pool = ndpool::Pool::builder().workers(2).build()?;
/// let x = pool.from_array(&ndarray::array![1.0_f64, 3.0])?;
/// assert_eq!(pool.run(ndpool::ops::std(&x, 0.0))?, 1.0);
/// # Ok::<(), ndpool::Error>(())
/// ```
pub fn std<'a, X>(x: X, ddof: f64) -> Call<'a, <X::Elem as MeanElement>::RealOutput>
where
    X: IntoRows<'a>,
    X::Elem: MeanElement,
{
    spread(x, SpreadOp { ddof, root: true, skip_nan: false })
}

/// Standard deviation of all elements that are not NaN, as `numpy.nanstd`; see [`std()`]. Without degrees of freedom left: NaN.
///
/// # Example
/// ```
/// ndpool::init();
/// let pool = ndpool::Pool::builder().workers(2).build()?;
/// let x = pool.from_array(&ndarray::array![1.0_f64, f64::NAN, 3.0])?;
/// assert_eq!(pool.run(ndpool::ops::nanstd(&x, 0.0))?, 1.0);
/// # Ok::<(), ndpool::Error>(())
/// ```
pub fn nanstd<'a, X>(x: X, ddof: f64) -> Call<'a, <X::Elem as MeanElement>::RealOutput>
where
    X: IntoRows<'a>,
    X::Elem: MeanElement,
{
    spread(x, SpreadOp { ddof, root: true, skip_nan: true })
}

/// Smallest element, as `numpy.min`. A NaN anywhere makes the result the first NaN. Complex numbers compare by real, then imaginary part.
///
/// # Errors
/// [`ErrorKind::Shape`](crate::ErrorKind::Shape) if there are no elements.
///
/// # Example
/// ```
/// ndpool::init();
/// let pool = ndpool::Pool::builder().workers(2).build()?;
/// let x = pool.from_array(&ndarray::array![1.0_f64, 2.0])?;
/// assert_eq!(pool.run(ndpool::ops::min(&x))?, 1.0);
/// # Ok::<(), ndpool::Error>(())
/// ```
pub fn min<'a, X>(x: X) -> Call<'a, X::Elem>
where
    X: IntoRows<'a>,
    X::Elem: OrderElement,
{
    extreme(x, ExtremaOp::MIN, "min")
}

/// Smallest element that is not NaN, as `numpy.nanmin`. Nothing but NaN: NaN.
///
/// # Errors
/// [`ErrorKind::Shape`](crate::ErrorKind::Shape) if there are no elements.
///
/// # Example
/// ```
/// ndpool::init();
/// let pool = ndpool::Pool::builder().workers(2).build()?;
/// let x = pool.from_array(&ndarray::array![1.0_f64, f64::NAN, 2.0])?;
/// assert_eq!(pool.run(ndpool::ops::nanmin(&x))?, 1.0);
/// # Ok::<(), ndpool::Error>(())
/// ```
pub fn nanmin<'a, X>(x: X) -> Call<'a, X::Elem>
where
    X: IntoRows<'a>,
    X::Elem: OrderElement,
{
    extreme(x, ExtremaOp::MIN.skipping_nan(), "nanmin")
}

/// Largest element, as `numpy.max`. A NaN anywhere makes the result the first NaN. Complex numbers compare by real, then imaginary part.
///
/// # Errors
/// [`ErrorKind::Shape`](crate::ErrorKind::Shape) if there are no elements.
///
/// # Example
/// ```
/// ndpool::init();
/// let pool = ndpool::Pool::builder().workers(2).build()?;
/// let x = pool.from_array(&ndarray::array![1.0_f64, 2.0])?;
/// assert_eq!(pool.run(ndpool::ops::max(&x))?, 2.0);
/// # Ok::<(), ndpool::Error>(())
/// ```
pub fn max<'a, X>(x: X) -> Call<'a, X::Elem>
where
    X: IntoRows<'a>,
    X::Elem: OrderElement,
{
    extreme(x, ExtremaOp::MAX, "max")
}

/// Largest element that is not NaN, as `numpy.nanmax`. Nothing but NaN: NaN.
///
/// # Errors
/// [`ErrorKind::Shape`](crate::ErrorKind::Shape) if there are no elements.
///
/// # Example
/// ```
/// ndpool::init();
/// let pool = ndpool::Pool::builder().workers(2).build()?;
/// let x = pool.from_array(&ndarray::array![1.0_f64, f64::NAN, 2.0])?;
/// assert_eq!(pool.run(ndpool::ops::nanmax(&x))?, 2.0);
/// # Ok::<(), ndpool::Error>(())
/// ```
pub fn nanmax<'a, X>(x: X) -> Call<'a, X::Elem>
where
    X: IntoRows<'a>,
    X::Elem: OrderElement,
{
    extreme(x, ExtremaOp::MAX.skipping_nan(), "nanmax")
}

/// Index of the first smallest element in C order, as `numpy.argmin`. If there is a NaN: index of the first NaN.
///
/// # Errors
/// [`ErrorKind::Shape`](crate::ErrorKind::Shape) if there are no elements.
///
/// # Example
/// ```
/// ndpool::init();
/// let pool = ndpool::Pool::builder().workers(2).build()?;
/// let x = pool.from_array(&ndarray::array![1.0_f64, 2.0])?;
/// assert_eq!(pool.run(ndpool::ops::argmin(&x))?, 0);
/// # Ok::<(), ndpool::Error>(())
/// ```
pub fn argmin<'a, X>(x: X) -> Call<'a, usize>
where
    X: IntoRows<'a>,
    X::Elem: OrderElement,
{
    place(x, ExtremaOp::ARGMIN, "argmin")
}

/// Index of the first smallest element that is not NaN, in C order, as `numpy.nanargmin`.
///
/// # Errors
/// [`ErrorKind::Shape`](crate::ErrorKind::Shape) if there are no elements,
/// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) if all are NaN.
///
/// # Example
/// ```
/// ndpool::init();
/// let pool = ndpool::Pool::builder().workers(2).build()?;
/// let x = pool.from_array(&ndarray::array![f64::NAN, 1.0, 2.0])?;
/// assert_eq!(pool.run(ndpool::ops::nanargmin(&x))?, 1);
/// # Ok::<(), ndpool::Error>(())
/// ```
pub fn nanargmin<'a, X>(x: X) -> Call<'a, usize>
where
    X: IntoRows<'a>,
    X::Elem: OrderElement,
{
    place(x, ExtremaOp::ARGMIN.skipping_nan(), "nanargmin")
}

/// Index of the first largest element in C order, as `numpy.argmax`. If there is a NaN: index of the first NaN.
///
/// # Errors
/// [`ErrorKind::Shape`](crate::ErrorKind::Shape) if there are no elements.
///
/// # Example
/// ```
/// ndpool::init();
/// let pool = ndpool::Pool::builder().workers(2).build()?;
/// let x = pool.from_array(&ndarray::array![1.0_f64, 2.0])?;
/// assert_eq!(pool.run(ndpool::ops::argmax(&x))?, 1);
/// # Ok::<(), ndpool::Error>(())
/// ```
pub fn argmax<'a, X>(x: X) -> Call<'a, usize>
where
    X: IntoRows<'a>,
    X::Elem: OrderElement,
{
    place(x, ExtremaOp::ARGMAX, "argmax")
}

/// Index of the first largest element that is not NaN, in C order, as `numpy.nanargmax`.
///
/// # Errors
/// [`ErrorKind::Shape`](crate::ErrorKind::Shape) if there are no elements,
/// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) if all are NaN.
///
/// # Example
/// ```
/// ndpool::init();
/// let pool = ndpool::Pool::builder().workers(2).build()?;
/// let x = pool.from_array(&ndarray::array![f64::NAN, 1.0, 2.0])?;
/// assert_eq!(pool.run(ndpool::ops::nanargmax(&x))?, 2);
/// # Ok::<(), ndpool::Error>(())
/// ```
pub fn nanargmax<'a, X>(x: X) -> Call<'a, usize>
where
    X: IntoRows<'a>,
    X::Elem: OrderElement,
{
    place(x, ExtremaOp::ARGMAX.skipping_nan(), "nanargmax")
}

/// Largest minus smallest element, as `numpy.ptp`, in the type of the elements: integers wrap around. NaN if there is a NaN.
///
/// # Errors
/// [`ErrorKind::Shape`](crate::ErrorKind::Shape) if there are no elements.
///
/// # Example
/// ```
/// ndpool::init();
/// let pool = ndpool::Pool::builder().workers(2).build()?;
/// let x = pool.from_array(&ndarray::array![5_i32, 2, 9])?;
/// assert_eq!(pool.run(ndpool::ops::ptp(&x))?, 7);
/// # Ok::<(), ndpool::Error>(())
/// ```
pub fn ptp<'a, X>(x: X) -> Call<'a, X::Elem>
where
    X: IntoRows<'a>,
    X::Elem: NumberElement,
{
    extreme(x, ExtremaOp::PTP, "ptp")
}

/// Number of elements that are not zero, as `numpy.count_nonzero`. NaN is not zero.
///
/// # Example
/// ```
/// ndpool::init();
/// let pool = ndpool::Pool::builder().workers(2).build()?;
/// let x = pool.from_array(&ndarray::array![0_i32, 2, 9])?;
/// assert_eq!(pool.run(ndpool::ops::count_nonzero(&x))?, 2);
/// # Ok::<(), ndpool::Error>(())
/// ```
pub fn count_nonzero<'a, X>(x: X) -> Call<'a, usize>
where
    X: IntoRows<'a>,
    X::Elem: OrderElement,
{
    whole::<X, Count>(x, CountOp::Nonzero).then(|this| this.nonzero as usize)
}

/// Whether any element is not zero, as `numpy.any`. NaN is not zero. No elements: `false`.
///
/// # Example
/// ```
/// ndpool::init();
/// let pool = ndpool::Pool::builder().workers(2).build()?;
/// let x = pool.from_array(&ndarray::array![false, true])?;
/// assert!(pool.run(ndpool::ops::any(&x))?);
/// # Ok::<(), ndpool::Error>(())
/// ```
pub fn any<'a, X>(x: X) -> Call<'a, bool>
where
    X: IntoRows<'a>,
    X::Elem: OrderElement,
{
    whole::<X, Count>(x, CountOp::Any).then(|this| this.holds(CountOp::Any))
}

/// Whether no element is zero, as `numpy.all`. NaN is not zero. No elements: `true`.
///
/// # Example
/// ```
/// ndpool::init();
/// let pool = ndpool::Pool::builder().workers(2).build()?;
/// let x = pool.from_array(&ndarray::array![false, true])?;
/// assert!(!pool.run(ndpool::ops::all(&x))?);
/// # Ok::<(), ndpool::Error>(())
/// ```
pub fn all<'a, X>(x: X) -> Call<'a, bool>
where
    X: IntoRows<'a>,
    X::Elem: OrderElement,
{
    whole::<X, Count>(x, CountOp::All).then(|this| this.holds(CountOp::All))
}

/// Norm of the array as one long vector, as `numpy.linalg.norm(x.ravel(), ord)`.
///
/// In `f32` for `f32` and `Complex<f32>`, else in `f64`. The work is done in `f64`, so that an `f32` norm overflows only if the
/// result does. NaN if there is a NaN. No elements: 0.
///
/// # Example
/// ```
/// ndpool::init();
/// let pool = ndpool::Pool::builder().workers(2).build()?;
/// let x = pool.from_array(&ndarray::array![3.0_f64, 4.0])?;
/// assert_eq!(pool.run(ndpool::ops::norm(&x, ndpool::ops::NormOrd::Two))?, 5.0);
/// # Ok::<(), ndpool::Error>(())
/// ```
pub fn norm<'a, X>(x: X, ord: NormOrd) -> Call<'a, <X::Elem as MeanElement>::RealOutput>
where
    X: IntoRows<'a>,
    X::Elem: MeanElement,
{
    whole::<X, Norm>(x, ord.op()).then(move |this| <X::Elem as Dtype>::real(this.value(ord.op())))
}

/// Inner product of two arrays of the same shape, flattened, in the type of the elements.
///
/// As `numpy.dot` of two vectors: integers wrap around in their own width, `bool` is "or" of "and", complex numbers are
/// not conjugated. Floats are summed in `f64` with compensation.
///
/// # Errors
/// [`ErrorKind::Shape`] if the shapes differ.
///
/// # Example
/// ```
/// ndpool::init();
/// let pool = ndpool::Pool::builder().workers(2).build()?;
/// let x = pool.from_array(&ndarray::array![1.0_f64, 2.0])?;
/// assert_eq!(pool.run(ndpool::ops::dot(&x, &x))?, 5.0);
/// # Ok::<(), ndpool::Error>(())
/// ```
pub fn dot<'a, X, Y>(x: X, y: Y) -> Call<'a, X::Elem>
where
    X: IntoRows<'a>,
    Y: IntoRows<'a, Elem = X::Elem>,
    X::Elem: SumElement,
{
    inner(x, y, false)
}

/// Inner product with the first factor conjugated, as `numpy.vdot`; else as [`dot`].
///
/// # Errors
/// [`ErrorKind::Shape`] if the shapes differ.
///
/// # Example
/// ```
/// ndpool::init();
/// let pool = ndpool::Pool::builder().workers(2).build()?;
/// let x = pool.from_array(&ndarray::array![1.0_f64, 2.0])?;
/// assert_eq!(pool.run(ndpool::ops::vdot(&x, &x))?, 5.0);
/// # Ok::<(), ndpool::Error>(())
/// ```
pub fn vdot<'a, X, Y>(x: X, y: Y) -> Call<'a, X::Elem>
where
    X: IntoRows<'a>,
    Y: IntoRows<'a, Elem = X::Elem>,
    X::Elem: SumElement,
{
    inner(x, y, true)
}

fn inner<'a, X, Y>(x: X, y: Y, conjugate: bool) -> Call<'a, X::Elem>
where
    X: IntoRows<'a>,
    Y: IntoRows<'a, Elem = X::Elem>,
    X::Elem: Dtype,
{
    let (x, y) = (x.into_rows_arg(), y.into_rows_arg());
    if x.shape != y.shape {
        let message = format!("inner product of arrays of shapes {:?} and {:?}", x.shape, y.shape);
        return Call::failed(
            Error::new(ErrorKind::Shape, message).with_hint("both must have the same shape"),
        );
    }
    CallBuilder::<DotTask<X::Elem>>::new()
        .value(&conjugate)
        .rows_flat_arg(x)
        .rows_flat_arg(y)
        .merged()
        .then(|Dot(dot)| <X::Elem as Dtype>::dot_value(&dot))
}

fn total<'a, X: IntoRows<'a>>(x: X, op: TotalOp) -> Call<'a, Total<X::Elem>>
where
    X::Elem: Dtype,
{
    whole(x, op)
}

fn product<'a, X: IntoRows<'a>>(x: X, skip_nan: bool) -> Call<'a, Product<X::Elem>>
where
    X::Elem: Dtype,
{
    whole(x, ProductOp { skip_nan })
}

fn spread<'a, X: IntoRows<'a>>(x: X, op: SpreadOp) -> Call<'a, <X::Elem as Dtype>::Real>
where
    X::Elem: Dtype,
{
    whole(x, op).then(move |this: Spread<X::Elem>| this.value(op))
}

fn extreme<'a, X: IntoRows<'a>>(x: X, op: ExtremaOp, what: &'static str) -> Call<'a, X::Elem>
where
    X::Elem: Dtype,
{
    whole(x, op).try_then(move |this: Extrema<X::Elem>| this.value(op).ok_or_else(|| empty(what)))
}

fn place<'a, X: IntoRows<'a>>(x: X, op: ExtremaOp, what: &'static str) -> Call<'a, usize>
where
    X::Elem: Dtype,
{
    whole(x, op).try_then(move |this: Extrema<X::Elem>| match this.n {
        0 => Err(empty(what)),
        _ => index(this.index(op), what),
    })
}
