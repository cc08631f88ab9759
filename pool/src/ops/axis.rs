//! Reductions along one axis, to an array with one axis less.
//!
//! Each follows the function of its name without `_axis`, applied to every line of elements along the axis.

use ndarray::{Axis, RemoveAxis};

use super::acc::{Count, CountOp, Extrema, ExtremaOp, Norm, Product, ProductOp, Spread, SpreadOp, Total};
use super::call::{Reduced, along, index};
use super::dtype::Dtype;
use super::element::{MeanElement, NumberElement, OrderElement, SumElement};
use super::whole::{MEAN, NAN_MEAN, NAN_TOTAL, NormOrd, TOTAL};
use crate::array::IntoRows;
use crate::task::Call;

/// [`sum`](super::sum) along one axis, as `numpy.sum` with `axis`.
///
/// # Errors
/// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) if the array has no such axis.
///
/// # Example
/// ```
/// ndpool::init();
/// let pool = ndpool::Pool::builder().workers(2).build()?;
/// let x = pool.from_array(&ndarray::array![[1.0_f64, 2.0], [3.0, 6.0]])?;
/// assert_eq!(pool.run(ndpool::ops::sum_axis(&x, ndarray::Axis(0)))?, ndarray::array![4.0, 8.0]);
/// # Ok::<(), ndpool::Error>(())
/// ```
pub fn sum_axis<'a, X>(x: X, axis: Axis) -> Call<'a, Reduced<<X::Elem as SumElement>::Output, X::Dim>>
where
    X: IntoRows<'a> + 'a,
    X::Dim: RemoveAxis,
    X::Elem: SumElement,
{
    along(x, axis, TOTAL, None, |this: &Total<X::Elem>| this.sum())
}

/// [`nansum`](super::nansum) along one axis, as `numpy.nansum` with `axis`.
///
/// # Errors
/// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) if the array has no such axis.
///
/// # Example
/// ```
/// ndpool::init();
/// let pool = ndpool::Pool::builder().workers(2).build()?;
/// let x = pool.from_array(&ndarray::array![[1.0_f64, f64::NAN], [3.0, 6.0]])?;
/// assert_eq!(pool.run(ndpool::ops::nansum_axis(&x, ndarray::Axis(0)))?, ndarray::array![4.0, 6.0]);
/// # Ok::<(), ndpool::Error>(())
/// ```
pub fn nansum_axis<'a, X>(x: X, axis: Axis) -> Call<'a, Reduced<<X::Elem as SumElement>::Output, X::Dim>>
where
    X: IntoRows<'a> + 'a,
    X::Dim: RemoveAxis,
    X::Elem: SumElement,
{
    along(x, axis, NAN_TOTAL, None, |this: &Total<X::Elem>| this.sum())
}

/// [`prod`](super::prod) along one axis, as `numpy.prod` with `axis`.
///
/// # Errors
/// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) if the array has no such axis.
///
/// # Example
/// ```
/// ndpool::init();
/// let pool = ndpool::Pool::builder().workers(2).build()?;
/// let x = pool.from_array(&ndarray::array![[1.0_f64, 2.0], [3.0, 6.0]])?;
/// assert_eq!(pool.run(ndpool::ops::prod_axis(&x, ndarray::Axis(0)))?, ndarray::array![3.0, 12.0]);
/// # Ok::<(), ndpool::Error>(())
/// ```
pub fn prod_axis<'a, X>(x: X, axis: Axis) -> Call<'a, Reduced<<X::Elem as SumElement>::Output, X::Dim>>
where
    X: IntoRows<'a> + 'a,
    X::Dim: RemoveAxis,
    X::Elem: SumElement,
{
    along(x, axis, ProductOp { skip_nan: false }, None, |this: &Product<X::Elem>| this.value())
}

/// [`nanprod`](super::nanprod) along one axis, as `numpy.nanprod` with `axis`.
///
/// # Errors
/// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) if the array has no such axis.
///
/// # Example
/// ```
/// ndpool::init();
/// let pool = ndpool::Pool::builder().workers(2).build()?;
/// let x = pool.from_array(&ndarray::array![[1.0_f64, f64::NAN], [3.0, 6.0]])?;
/// assert_eq!(pool.run(ndpool::ops::nanprod_axis(&x, ndarray::Axis(0)))?, ndarray::array![3.0, 6.0]);
/// # Ok::<(), ndpool::Error>(())
/// ```
pub fn nanprod_axis<'a, X>(x: X, axis: Axis) -> Call<'a, Reduced<<X::Elem as SumElement>::Output, X::Dim>>
where
    X: IntoRows<'a> + 'a,
    X::Dim: RemoveAxis,
    X::Elem: SumElement,
{
    along(x, axis, ProductOp { skip_nan: true }, None, |this: &Product<X::Elem>| this.value())
}

/// [`mean`](super::mean) along one axis, as `numpy.mean` with `axis`.
///
/// # Errors
/// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) if the array has no such axis.
///
/// # Example
/// ```
/// ndpool::init();
/// let pool = ndpool::Pool::builder().workers(2).build()?;
/// let x = pool.from_array(&ndarray::array![[1.0_f64, 2.0], [3.0, 6.0]])?;
/// assert_eq!(pool.run(ndpool::ops::mean_axis(&x, ndarray::Axis(0)))?, ndarray::array![2.0, 4.0]);
/// # Ok::<(), ndpool::Error>(())
/// ```
pub fn mean_axis<'a, X>(x: X, axis: Axis) -> Call<'a, Reduced<<X::Elem as MeanElement>::Output, X::Dim>>
where
    X: IntoRows<'a> + 'a,
    X::Dim: RemoveAxis,
    X::Elem: MeanElement,
{
    along(x, axis, MEAN, None, |this: &Total<X::Elem>| this.mean())
}

/// [`nanmean`](super::nanmean) along one axis, as `numpy.nanmean` with `axis`.
///
/// # Errors
/// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) if the array has no such axis.
///
/// # Example
/// ```
/// ndpool::init();
/// let pool = ndpool::Pool::builder().workers(2).build()?;
/// let x = pool.from_array(&ndarray::array![[1.0_f64, f64::NAN], [3.0, 6.0]])?;
/// assert_eq!(pool.run(ndpool::ops::nanmean_axis(&x, ndarray::Axis(0)))?, ndarray::array![2.0, 6.0]);
/// # Ok::<(), ndpool::Error>(())
/// ```
pub fn nanmean_axis<'a, X>(x: X, axis: Axis) -> Call<'a, Reduced<<X::Elem as MeanElement>::Output, X::Dim>>
where
    X: IntoRows<'a> + 'a,
    X::Dim: RemoveAxis,
    X::Elem: MeanElement,
{
    along(x, axis, NAN_MEAN, None, |this: &Total<X::Elem>| this.mean())
}

/// [`var`](super::var) along one axis, as `numpy.var` with `axis`.
///
/// # Errors
/// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) if the array has no such axis.
///
/// # Example
/// ```
/// ndpool::init();
/// let pool = ndpool::Pool::builder().workers(2).build()?;
/// let x = pool.from_array(&ndarray::array![[1.0_f64, 2.0], [3.0, 6.0]])?;
/// assert_eq!(pool.run(ndpool::ops::var_axis(&x, ndarray::Axis(0), 0.0))?, ndarray::array![1.0, 4.0]);
/// # Ok::<(), ndpool::Error>(())
/// ```
pub fn var_axis<'a, X>(
    x: X,
    axis: Axis,
    ddof: f64,
) -> Call<'a, Reduced<<X::Elem as MeanElement>::RealOutput, X::Dim>>
where
    X: IntoRows<'a> + 'a,
    X::Dim: RemoveAxis,
    X::Elem: MeanElement,
{
    let op = SpreadOp { ddof, root: false, skip_nan: false };
    along(x, axis, op, None, move |this: &Spread<X::Elem>| this.value(op))
}

/// [`nanvar`](super::nanvar) along one axis, as `numpy.nanvar` with `axis`.
///
/// # Errors
/// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) if the array has no such axis.
///
/// # Example
/// ```
/// ndpool::init();
/// let pool = ndpool::Pool::builder().workers(2).build()?;
/// let x = pool.from_array(&ndarray::array![[1.0_f64, f64::NAN], [3.0, 6.0]])?;
/// assert_eq!(pool.run(ndpool::ops::nanvar_axis(&x, ndarray::Axis(0), 0.0))?, ndarray::array![1.0, 0.0]);
/// # Ok::<(), ndpool::Error>(())
/// ```
pub fn nanvar_axis<'a, X>(
    x: X,
    axis: Axis,
    ddof: f64,
) -> Call<'a, Reduced<<X::Elem as MeanElement>::RealOutput, X::Dim>>
where
    X: IntoRows<'a> + 'a,
    X::Dim: RemoveAxis,
    X::Elem: MeanElement,
{
    let op = SpreadOp { ddof, root: false, skip_nan: true };
    along(x, axis, op, None, move |this: &Spread<X::Elem>| this.value(op))
}

/// [`std`](super::std) along one axis, as `numpy.std` with `axis`.
///
/// # Errors
/// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) if the array has no such axis.
///
/// # Example
/// ```
/// ndpool::init();
/// let pool = ndpool::Pool::builder().workers(2).build()?;
/// let x = pool.from_array(&ndarray::array![[1.0_f64, 2.0], [3.0, 6.0]])?;
/// assert_eq!(pool.run(ndpool::ops::std_axis(&x, ndarray::Axis(0), 0.0))?, ndarray::array![1.0, 2.0]);
/// # Ok::<(), ndpool::Error>(())
/// ```
pub fn std_axis<'a, X>(
    x: X,
    axis: Axis,
    ddof: f64,
) -> Call<'a, Reduced<<X::Elem as MeanElement>::RealOutput, X::Dim>>
where
    X: IntoRows<'a> + 'a,
    X::Dim: RemoveAxis,
    X::Elem: MeanElement,
{
    let op = SpreadOp { ddof, root: true, skip_nan: false };
    along(x, axis, op, None, move |this: &Spread<X::Elem>| this.value(op))
}

/// [`nanstd`](super::nanstd) along one axis, as `numpy.nanstd` with `axis`.
///
/// # Errors
/// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) if the array has no such axis.
///
/// # Example
/// ```
/// ndpool::init();
/// let pool = ndpool::Pool::builder().workers(2).build()?;
/// let x = pool.from_array(&ndarray::array![[1.0_f64, f64::NAN], [3.0, 6.0]])?;
/// assert_eq!(pool.run(ndpool::ops::nanstd_axis(&x, ndarray::Axis(0), 0.0))?, ndarray::array![1.0, 0.0]);
/// # Ok::<(), ndpool::Error>(())
/// ```
pub fn nanstd_axis<'a, X>(
    x: X,
    axis: Axis,
    ddof: f64,
) -> Call<'a, Reduced<<X::Elem as MeanElement>::RealOutput, X::Dim>>
where
    X: IntoRows<'a> + 'a,
    X::Dim: RemoveAxis,
    X::Elem: MeanElement,
{
    let op = SpreadOp { ddof, root: true, skip_nan: true };
    along(x, axis, op, None, move |this: &Spread<X::Elem>| this.value(op))
}

/// [`min`](super::min) along one axis, as `numpy.min` with `axis`.
///
/// # Errors
/// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) if the array has no such axis;
/// [`ErrorKind::Shape`](crate::ErrorKind::Shape) if the axis has length 0.
///
/// # Example
/// ```
/// ndpool::init();
/// let pool = ndpool::Pool::builder().workers(2).build()?;
/// let x = pool.from_array(&ndarray::array![[1.0_f64, 2.0], [3.0, 6.0]])?;
/// assert_eq!(pool.run(ndpool::ops::min_axis(&x, ndarray::Axis(0)))?, ndarray::array![1.0, 2.0]);
/// # Ok::<(), ndpool::Error>(())
/// ```
pub fn min_axis<'a, X>(x: X, axis: Axis) -> Call<'a, Reduced<X::Elem, X::Dim>>
where
    X: IntoRows<'a> + 'a,
    X::Dim: RemoveAxis,
    X::Elem: OrderElement,
{
    extremes(x, axis, ExtremaOp::MIN, "min")
}

/// [`nanmin`](super::nanmin) along one axis, as `numpy.nanmin` with `axis`.
///
/// # Errors
/// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) if the array has no such axis;
/// [`ErrorKind::Shape`](crate::ErrorKind::Shape) if the axis has length 0.
///
/// # Example
/// ```
/// ndpool::init();
/// let pool = ndpool::Pool::builder().workers(2).build()?;
/// let x = pool.from_array(&ndarray::array![[1.0_f64, f64::NAN], [3.0, 6.0]])?;
/// assert_eq!(pool.run(ndpool::ops::nanmin_axis(&x, ndarray::Axis(0)))?, ndarray::array![1.0, 6.0]);
/// # Ok::<(), ndpool::Error>(())
/// ```
pub fn nanmin_axis<'a, X>(x: X, axis: Axis) -> Call<'a, Reduced<X::Elem, X::Dim>>
where
    X: IntoRows<'a> + 'a,
    X::Dim: RemoveAxis,
    X::Elem: OrderElement,
{
    extremes(x, axis, ExtremaOp::MIN.skipping_nan(), "nanmin")
}

/// [`max`](super::max) along one axis, as `numpy.max` with `axis`.
///
/// # Errors
/// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) if the array has no such axis;
/// [`ErrorKind::Shape`](crate::ErrorKind::Shape) if the axis has length 0.
///
/// # Example
/// ```
/// ndpool::init();
/// let pool = ndpool::Pool::builder().workers(2).build()?;
/// let x = pool.from_array(&ndarray::array![[1.0_f64, 2.0], [3.0, 6.0]])?;
/// assert_eq!(pool.run(ndpool::ops::max_axis(&x, ndarray::Axis(0)))?, ndarray::array![3.0, 6.0]);
/// # Ok::<(), ndpool::Error>(())
/// ```
pub fn max_axis<'a, X>(x: X, axis: Axis) -> Call<'a, Reduced<X::Elem, X::Dim>>
where
    X: IntoRows<'a> + 'a,
    X::Dim: RemoveAxis,
    X::Elem: OrderElement,
{
    extremes(x, axis, ExtremaOp::MAX, "max")
}

/// [`nanmax`](super::nanmax) along one axis, as `numpy.nanmax` with `axis`.
///
/// # Errors
/// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) if the array has no such axis;
/// [`ErrorKind::Shape`](crate::ErrorKind::Shape) if the axis has length 0.
///
/// # Example
/// ```
/// ndpool::init();
/// let pool = ndpool::Pool::builder().workers(2).build()?;
/// let x = pool.from_array(&ndarray::array![[1.0_f64, f64::NAN], [3.0, 6.0]])?;
/// assert_eq!(pool.run(ndpool::ops::nanmax_axis(&x, ndarray::Axis(0)))?, ndarray::array![3.0, 6.0]);
/// # Ok::<(), ndpool::Error>(())
/// ```
pub fn nanmax_axis<'a, X>(x: X, axis: Axis) -> Call<'a, Reduced<X::Elem, X::Dim>>
where
    X: IntoRows<'a> + 'a,
    X::Dim: RemoveAxis,
    X::Elem: OrderElement,
{
    extremes(x, axis, ExtremaOp::MAX.skipping_nan(), "nanmax")
}

/// [`argmin`](super::argmin) along one axis, as `numpy.argmin` with `axis`.
///
/// # Errors
/// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) if the array has no such axis;
/// [`ErrorKind::Shape`](crate::ErrorKind::Shape) if the axis has length 0.
///
/// # Example
/// ```
/// ndpool::init();
/// let pool = ndpool::Pool::builder().workers(2).build()?;
/// let x = pool.from_array(&ndarray::array![[1.0_f64, 2.0], [3.0, 6.0]])?;
/// assert_eq!(pool.run(ndpool::ops::argmin_axis(&x, ndarray::Axis(0)))?, ndarray::array![0, 0]);
/// # Ok::<(), ndpool::Error>(())
/// ```
pub fn argmin_axis<'a, X>(x: X, axis: Axis) -> Call<'a, Reduced<usize, X::Dim>>
where
    X: IntoRows<'a> + 'a,
    X::Dim: RemoveAxis,
    X::Elem: OrderElement,
{
    indices(x, axis, ExtremaOp::ARGMIN, "argmin")
}

/// [`nanargmin`](super::nanargmin) along one axis, as `numpy.nanargmin` with `axis`.
///
/// # Errors
/// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) if the array has no such axis,
/// or a line along it is nothing but NaN;
/// [`ErrorKind::Shape`](crate::ErrorKind::Shape) if the axis has length 0.
///
/// # Example
/// ```
/// ndpool::init();
/// let pool = ndpool::Pool::builder().workers(2).build()?;
/// let x = pool.from_array(&ndarray::array![[1.0_f64, f64::NAN], [3.0, 6.0]])?;
/// assert_eq!(pool.run(ndpool::ops::nanargmin_axis(&x, ndarray::Axis(0)))?, ndarray::array![0, 1]);
/// # Ok::<(), ndpool::Error>(())
/// ```
pub fn nanargmin_axis<'a, X>(x: X, axis: Axis) -> Call<'a, Reduced<usize, X::Dim>>
where
    X: IntoRows<'a> + 'a,
    X::Dim: RemoveAxis,
    X::Elem: OrderElement,
{
    indices(x, axis, ExtremaOp::ARGMIN.skipping_nan(), "nanargmin")
}

/// [`argmax`](super::argmax) along one axis, as `numpy.argmax` with `axis`.
///
/// # Errors
/// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) if the array has no such axis;
/// [`ErrorKind::Shape`](crate::ErrorKind::Shape) if the axis has length 0.
///
/// # Example
/// ```
/// ndpool::init();
/// let pool = ndpool::Pool::builder().workers(2).build()?;
/// let x = pool.from_array(&ndarray::array![[1.0_f64, 2.0], [3.0, 6.0]])?;
/// assert_eq!(pool.run(ndpool::ops::argmax_axis(&x, ndarray::Axis(0)))?, ndarray::array![1, 1]);
/// # Ok::<(), ndpool::Error>(())
/// ```
pub fn argmax_axis<'a, X>(x: X, axis: Axis) -> Call<'a, Reduced<usize, X::Dim>>
where
    X: IntoRows<'a> + 'a,
    X::Dim: RemoveAxis,
    X::Elem: OrderElement,
{
    indices(x, axis, ExtremaOp::ARGMAX, "argmax")
}

/// [`nanargmax`](super::nanargmax) along one axis, as `numpy.nanargmax` with `axis`.
///
/// # Errors
/// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) if the array has no such axis,
/// or a line along it is nothing but NaN;
/// [`ErrorKind::Shape`](crate::ErrorKind::Shape) if the axis has length 0.
///
/// # Example
/// ```
/// ndpool::init();
/// let pool = ndpool::Pool::builder().workers(2).build()?;
/// let x = pool.from_array(&ndarray::array![[1.0_f64, f64::NAN], [3.0, 6.0]])?;
/// assert_eq!(pool.run(ndpool::ops::nanargmax_axis(&x, ndarray::Axis(0)))?, ndarray::array![1, 1]);
/// # Ok::<(), ndpool::Error>(())
/// ```
pub fn nanargmax_axis<'a, X>(x: X, axis: Axis) -> Call<'a, Reduced<usize, X::Dim>>
where
    X: IntoRows<'a> + 'a,
    X::Dim: RemoveAxis,
    X::Elem: OrderElement,
{
    indices(x, axis, ExtremaOp::ARGMAX.skipping_nan(), "nanargmax")
}

/// [`ptp`](super::ptp) along one axis, as `numpy.ptp` with `axis`.
///
/// # Errors
/// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) if the array has no such axis;
/// [`ErrorKind::Shape`](crate::ErrorKind::Shape) if the axis has length 0.
///
/// # Example
/// ```
/// ndpool::init();
/// let pool = ndpool::Pool::builder().workers(2).build()?;
/// let x = pool.from_array(&ndarray::array![[1.0_f64, 2.0], [3.0, 6.0]])?;
/// assert_eq!(pool.run(ndpool::ops::ptp_axis(&x, ndarray::Axis(0)))?, ndarray::array![2.0, 4.0]);
/// # Ok::<(), ndpool::Error>(())
/// ```
pub fn ptp_axis<'a, X>(x: X, axis: Axis) -> Call<'a, Reduced<X::Elem, X::Dim>>
where
    X: IntoRows<'a> + 'a,
    X::Dim: RemoveAxis,
    X::Elem: NumberElement,
{
    extremes(x, axis, ExtremaOp::PTP, "ptp")
}

/// [`count_nonzero`](super::count_nonzero) along one axis, as `numpy.count_nonzero` with `axis`.
///
/// # Errors
/// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) if the array has no such axis.
///
/// # Example
/// ```
/// ndpool::init();
/// let pool = ndpool::Pool::builder().workers(2).build()?;
/// let x = pool.from_array(&ndarray::array![[1.0_f64, 2.0], [3.0, 6.0]])?;
/// assert_eq!(pool.run(ndpool::ops::count_nonzero_axis(&x, ndarray::Axis(0)))?, ndarray::array![2, 2]);
/// # Ok::<(), ndpool::Error>(())
/// ```
pub fn count_nonzero_axis<'a, X>(x: X, axis: Axis) -> Call<'a, Reduced<usize, X::Dim>>
where
    X: IntoRows<'a> + 'a,
    X::Dim: RemoveAxis,
    X::Elem: OrderElement,
{
    along(x, axis, CountOp::Nonzero, None, |this: &Count| this.nonzero)
        .then(|found| found.mapv(|n: u64| n as usize))
}

/// [`any`](super::any) along one axis, as `numpy.any` with `axis`.
///
/// # Errors
/// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) if the array has no such axis.
///
/// # Example
/// ```
/// ndpool::init();
/// let pool = ndpool::Pool::builder().workers(2).build()?;
/// let x = pool.from_array(&ndarray::array![[1.0_f64, 2.0], [3.0, 6.0]])?;
/// assert_eq!(pool.run(ndpool::ops::any_axis(&x, ndarray::Axis(0)))?, ndarray::array![true, true]);
/// # Ok::<(), ndpool::Error>(())
/// ```
pub fn any_axis<'a, X>(x: X, axis: Axis) -> Call<'a, Reduced<bool, X::Dim>>
where
    X: IntoRows<'a> + 'a,
    X::Dim: RemoveAxis,
    X::Elem: OrderElement,
{
    along(x, axis, CountOp::Any, None, |this: &Count| this.holds(CountOp::Any))
}

/// [`all`](super::all) along one axis, as `numpy.all` with `axis`.
///
/// # Errors
/// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) if the array has no such axis.
///
/// # Example
/// ```
/// ndpool::init();
/// let pool = ndpool::Pool::builder().workers(2).build()?;
/// let x = pool.from_array(&ndarray::array![[1.0_f64, 2.0], [3.0, 6.0]])?;
/// assert_eq!(pool.run(ndpool::ops::all_axis(&x, ndarray::Axis(0)))?, ndarray::array![true, true]);
/// # Ok::<(), ndpool::Error>(())
/// ```
pub fn all_axis<'a, X>(x: X, axis: Axis) -> Call<'a, Reduced<bool, X::Dim>>
where
    X: IntoRows<'a> + 'a,
    X::Dim: RemoveAxis,
    X::Elem: OrderElement,
{
    along(x, axis, CountOp::All, None, |this: &Count| this.holds(CountOp::All))
}

/// [`norm`](super::norm) along one axis, as `numpy.linalg.norm` with `axis`.
///
/// # Errors
/// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) if the array has no such axis.
///
/// # Example
/// ```
/// ndpool::init();
/// let pool = ndpool::Pool::builder().workers(2).build()?;
/// let x = pool.from_array(&ndarray::array![[1.0_f64, 2.0], [3.0, 6.0]])?;
/// assert_eq!(pool.run(ndpool::ops::norm_axis(&x, ndarray::Axis(0), ndpool::ops::NormOrd::One))?, ndarray::array![4.0, 8.0]);
/// # Ok::<(), ndpool::Error>(())
/// ```
pub fn norm_axis<'a, X>(
    x: X,
    axis: Axis,
    ord: NormOrd,
) -> Call<'a, Reduced<<X::Elem as MeanElement>::RealOutput, X::Dim>>
where
    X: IntoRows<'a> + 'a,
    X::Dim: RemoveAxis,
    X::Elem: MeanElement,
{
    along(x, axis, ord.op(), None, move |this: &Norm| <X::Elem as Dtype>::real(this.value(ord.op())))
}

fn extremes<'a, X>(x: X, axis: Axis, op: ExtremaOp, what: &'static str) -> Call<'a, Reduced<X::Elem, X::Dim>>
where
    X: IntoRows<'a> + 'a,
    X::Dim: RemoveAxis,
    X::Elem: Dtype,
{
    // An axis without elements was refused, so that there is a value.
    along(x, axis, op, Some(what), move |this: &Extrema<X::Elem>| {
        this.value(op).unwrap_or(<X::Elem as crate::array::Element>::ZERO)
    })
}

fn indices<'a, X>(x: X, axis: Axis, op: ExtremaOp, what: &'static str) -> Call<'a, Reduced<usize, X::Dim>>
where
    X: IntoRows<'a> + 'a,
    X::Dim: RemoveAxis,
    X::Elem: Dtype,
{
    along(x, axis, op, Some(what), move |this: &Extrema<X::Elem>| this.index(op)).try_then(move |found| {
        for index_found in &found {
            index(*index_found, what)?;
        }
        Ok(found.mapv(|index| index as usize))
    })
}
