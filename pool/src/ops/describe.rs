//! Everything at a glance, in one pass over memory.

use std::marker::PhantomData;

use super::acc::{ExtremaOp, SpreadOp, Summary};
use super::call::{empty, whole};
use super::dtype::Dtype;
use super::element::{MeanElement, OrderElement, SumElement};
use super::kernel::simd::dispatch;
use super::tasks::Flat;
use crate::array::IntoRows;
use crate::task::Call;

/// What [`describe`] tells of an array.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Describe<T: SumElement + MeanElement> {
    /// Number of elements, NaN included.
    pub count: usize,
    /// Number of elements that are NaN; of complex numbers, those of which either part is.
    pub nan_count: usize,
    /// As [`sum`](super::sum).
    pub sum: <T as SumElement>::Output,
    /// As [`mean`](super::mean).
    pub mean: <T as MeanElement>::Output,
    /// As [`std`](super::std) with `ddof` 0.
    pub std: <T as MeanElement>::RealOutput,
    /// As [`min`](super::min).
    pub min: T,
    /// As [`argmin`](super::argmin).
    pub argmin: usize,
    /// As [`max`](super::max).
    pub max: T,
    /// As [`argmax`](super::argmax).
    pub argmax: usize,
}

/// Count, number of NaN, sum, mean, standard deviation, and smallest and largest element with their indices, in the
/// time that memory takes to stream by once.
///
/// Every field is what the function of its name gives: a NaN in the data makes sum, mean, standard deviation, `min` and `max` NaN,
/// and `argmin` and `argmax` the index of the first one. Complex numbers compare by real, then imaginary part,
/// and their standard deviation is real.
///
/// # Errors
/// [`ErrorKind::Shape`](crate::ErrorKind::Shape) if there are no elements.
///
/// # Example
/// ```
/// ndpool::init();
/// let pool = ndpool::Pool::builder().workers(2).build()?;
/// let x = pool.from_array(&ndarray::array![1.0_f64, 5.0, 3.0])?;
/// let about = pool.run(ndpool::ops::describe(&x))?;
/// assert_eq!((about.count, about.mean, about.max, about.argmax), (3, 3.0, 5.0, 1));
/// # Ok::<(), ndpool::Error>(())
/// ```
pub fn describe<'a, X>(x: X) -> Call<'a, Describe<X::Elem>>
where
    X: IntoRows<'a>,
    X::Elem: SumElement + MeanElement + OrderElement,
{
    whole(x, ()).try_then(|this: Summary<X::Elem>| finish(&this).ok_or_else(|| empty("describe")))
}

/// The same of memory at hand, as of one block; `None` of no elements.
pub(crate) fn describe_here<T: SumElement + MeanElement + OrderElement>(x: &[T]) -> Option<Describe<T>> {
    finish(&dispatch(Flat::<Summary<T>, T> { op: (), x, at: 0, _acc: PhantomData }))
}

/// The public form; `None` of no elements.
pub(crate) fn finish<T: SumElement + MeanElement>(this: &Summary<T>) -> Option<Describe<T>> {
    let op = SpreadOp { ddof: 0.0, root: true, skip_nan: false };
    Some(Describe {
        count: this.total.n as usize,
        nan_count: this.nan_count as usize,
        sum: this.total.sum(),
        mean: this.total.mean(),
        std: match this.nan_count {
            0 => this.spread.value(op),
            _ => <T as Dtype>::real(f64::NAN),
        },
        min: this.extrema.value(ExtremaOp::MIN)?,
        argmin: this.extrema.index(ExtremaOp::ARGMIN) as usize,
        max: this.extrema.value(ExtremaOp::MAX)?,
        argmax: this.extrema.index(ExtremaOp::ARGMAX) as usize,
    })
}
