//! Counts of values in bins.

use std::marker::PhantomData;

use serde::{Deserialize, Serialize};

use super::dtype::Dtype;
use super::element::RealElement;
use super::kernel::simd::{Kernel, dispatch};
use super::tasks::Name;
use super::whole::{max, min};
use crate::Pool;
use crate::array::IntoRows;
use crate::error::{Error, ErrorKind, Result};
use crate::task::{Args, Call, CallBuilder, Merge, Task, TaskError};

/// The bins of a [`histogram`]: each holds its left edge, the last one its right edge too.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Bins {
    /// Bins of equal width between two values.
    Uniform {
        /// Number of bins.
        n_bins: usize,
        /// Left edge of the first and right edge of the last bin. If they are equal, half is taken off and put on.
        range: (f64, f64),
    },
    /// Bins between neighbours in a list that does not decrease.
    Edges(Vec<f64>),
}

/// Counts and edges of a [`histogram`].
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Histogram {
    /// Number of values in each bin.
    pub counts: Vec<u64>,
    /// Edges of the bins, one more than there are bins.
    pub edges: Vec<f64>,
}

/// Number of values in each bin, as [`numpy.histogram`](https://numpy.org/doc/stable/reference/generated/numpy.histogram.html)
/// with a range or with edges; [`histogram_auto`] finds the range first.
///
/// Values outside of the bins, and NaN, are not counted. Integers are compared as `f64`. For `f32`, the edges of uniform bins are
/// rounded to `f32`, as NumPy does.
///
/// # Errors
/// [`ErrorKind::InvalidArgument`] if there are no bins, the range is not finite or its ends are swapped, the range is too small for so
/// many bins, or the edges decrease or have a NaN among them.
///
/// # Example
/// ```
/// use ndpool::ops::{Bins, histogram};
///
/// ndpool::init();
/// let pool = ndpool::Pool::builder().workers(2).build()?;
/// let x = pool.from_array(&ndarray::array![1.0_f64, 2.0, 2.5, 4.0, 7.0])?;
/// let found = pool.run(histogram(&x, Bins::Uniform { n_bins: 2, range: (0.0, 4.0) }))?;
/// assert_eq!(found.counts, [1, 3]);
/// assert_eq!(found.edges, [0.0, 2.0, 4.0]);
/// # Ok::<(), ndpool::Error>(())
/// ```
pub fn histogram<'a, X>(x: X, bins: Bins) -> Call<'a, Histogram>
where
    X: IntoRows<'a>,
    X::Elem: RealElement,
{
    match edges(bins, <X::Elem as RealElement>::linspace) {
        Ok((edges, uniform)) => count(x, edges, uniform),
        Err(error) => Call::failed(error),
    }
}

fn count<'a, X>(x: X, edges: Vec<f64>, uniform: bool) -> Call<'a, Histogram>
where
    X: IntoRows<'a>,
    X::Elem: RealElement,
{
    CallBuilder::<HistogramTask<X::Elem>>::new()
        .value(&uniform)
        .value(&edges)
        .rows_flat_arg(x.into_rows_arg())
        .merged()
        .then(move |Counts(counts)| Histogram { counts, edges })
}

/// Number of values in each of `n_bins` bins of equal width between the smallest and the largest value, as `numpy.histogram` without a
/// range: two passes, the first one for the range. No elements: bins between 0 and 1.
///
/// # Errors
/// As [`histogram`]; the range is not finite if there is a NaN or an infinity among the values.
///
/// # Example
/// ```
/// ndpool::init();
/// let pool = ndpool::Pool::builder().workers(2).build()?;
/// let x = pool.from_array(&ndarray::array![0.0_f64, 1.0, 2.5, 4.0])?;
/// assert_eq!(ndpool::ops::histogram_auto(&pool, &x, 2)?.counts, [2, 2]);
/// # Ok::<(), ndpool::Error>(())
/// ```
pub fn histogram_auto<'a, X>(pool: &Pool, x: X, n_bins: usize) -> Result<Histogram>
where
    X: IntoRows<'a> + Clone,
    X::Elem: RealElement,
{
    let range = match pool.run(min(x.clone())) {
        Ok(low) => Some((low, pool.run(max(x.clone()))?)),
        Err(error) if error.kind() == ErrorKind::Shape => None,
        Err(error) => return Err(error),
    };
    pool.run(histogram_between(x, n_bins, range))
}

/// The second pass of [`histogram_auto`], between the smallest and the largest value; `None` of no elements.
pub(super) fn histogram_between<'a, X>(
    x: X,
    n_bins: usize,
    range: Option<(X::Elem, X::Elem)>,
) -> Call<'a, Histogram>
where
    X: IntoRows<'a>,
    X::Elem: RealElement,
{
    let Some((low, high)) = range else {
        // NumPy's range of nothing is not of the type of the elements.
        return histogram(x, Bins::Uniform { n_bins, range: (0.0, 1.0) });
    };
    let bins = Bins::Uniform { n_bins, range: (low.to_f64(), high.to_f64()) };
    match edges(bins, <X::Elem as RealElement>::linspace_native) {
        Ok((edges, uniform)) => count(x, edges, uniform),
        Err(error) => Call::failed(error),
    }
}

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::InvalidArgument, message)
}

/// Edges of the bins, and whether they are evenly spaced.
fn edges(bins: Bins, linspace: fn(f64, f64, usize) -> Vec<f64>) -> Result<(Vec<f64>, bool)> {
    match bins {
        Bins::Edges(edges) => {
            if edges.len() < 2 {
                return Err(invalid(format!("{} edges make no bin", edges.len()))
                    .with_hint("n bins have n + 1 edges"));
            }
            match edges.windows(2).position(|pair| pair[0].is_nan() || pair[1].is_nan() || pair[0] > pair[1])
            {
                Some(i) => Err(invalid(format!("edge {} after edge {}", edges[i + 1], edges[i]))
                    .with_hint("edges must not decrease, and must not be NaN")),
                None => Ok((edges, false)),
            }
        }
        Bins::Uniform { n_bins, range: (low, high) } => {
            if n_bins == 0 {
                return Err(invalid("a histogram with 0 bins".into()).with_hint("ask for at least 1"));
            }
            if !(low.is_finite() && high.is_finite()) {
                return Err(invalid(format!("the range of the histogram, {low} to {high}, is not finite"))
                    .with_hint("give a finite range; NaN and values outside of it are not counted"));
            }
            if low > high {
                return Err(invalid(format!("the range of the histogram goes down, from {low} to {high}"))
                    .with_hint("the first end must be the smaller one"));
            }
            let (low, high) = if low == high { (low - 0.5, high + 0.5) } else { (low, high) };
            let edges = linspace(low, high, n_bins);
            if edges.windows(2).any(|pair| pair[0] >= pair[1]) {
                return Err(invalid(format!("{n_bins} bins between {low} and {high} have no width"))
                    .with_hint("ask for fewer bins or a wider range"));
            }
            Ok((edges, true))
        }
    }
}

/// Counts of bins, added up.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Counts(pub Vec<u64>);

impl Merge for Counts {
    fn merge(&mut self, later: Self) {
        if self.0.len() < later.0.len() {
            self.0.resize(later.0.len(), 0);
        }
        for (count, later) in self.0.iter_mut().zip(later.0) {
            *count += later;
        }
    }
}

/// Counts one block.
pub struct HistogramTask<T>(PhantomData<fn() -> T>);

impl<T: RealElement> HistogramTask<T> {
    const FULL_NAME: Name = Name::join(&["ndpool::ops::histogram<", <T as Dtype>::NAME, ">"]);
}

impl<T: RealElement> Task for HistogramTask<T> {
    const NAME: &'static str = Self::FULL_NAME.as_str();
    type Output = Counts;

    fn run(args: &mut Args<'_>) -> Result<Counts, TaskError> {
        let uniform = args.value::<bool>()?;
        let edges = args.value::<Vec<f64>>()?;
        let x = args.flat::<T>()?;
        if edges.len() < 2 {
            return Err(TaskError::new("a histogram needs two edges"));
        }
        Ok(Counts(dispatch(Binning { edges: &edges, uniform, x })))
    }
}

/// The kernel of [`HistogramTask`].
pub struct Binning<'x, T> {
    edges: &'x [f64],
    uniform: bool,
    x: &'x [T],
}

impl<T: RealElement> Kernel for Binning<'_, T> {
    type Output = Vec<u64>;

    #[inline(always)]
    fn run(self) -> Vec<u64> {
        let Self { edges, uniform, x } = self;
        let n_bins = edges.len() - 1;
        let (low, high) = (edges[0], edges[n_bins]);
        let width = high - low;
        let mut counts = vec![0; n_bins];
        // Values in and out of range alike have an index, so that the computation has no branches.
        let mut indices = [0_u32; 256];
        if !uniform || n_bins >= u32::MAX as usize || !width.is_finite() {
            for v in x {
                let v = v.to_f64();
                if v >= low && v <= high {
                    let bin = edges.partition_point(|edge| *edge <= v);
                    counts[last_bin_closed(bin, edges)] += 1;
                }
            }
            return counts;
        }
        for chunk in x.chunks(256) {
            for (index, v) in indices.iter_mut().zip(chunk) {
                // NaN converts to 0; the comparison below leaves it out.
                *index = ((v.to_f64() - low) / width * n_bins as f64) as u32;
            }
            for (index, v) in indices.iter().zip(chunk) {
                let v = v.to_f64();
                if v >= low && v <= high {
                    // Rounding may be off by one bin: the edges decide.
                    let mut bin = (*index as usize).min(n_bins - 1);
                    bin -= usize::from(v < edges[bin]);
                    bin += usize::from(v >= edges[bin + 1] && bin + 1 < n_bins);
                    counts[bin] += 1;
                }
            }
        }
        counts
    }
}

/// The bin of a value, given how many edges are not above it.
fn last_bin_closed(edges_not_above: usize, edges: &[f64]) -> usize {
    (edges_not_above - 1).min(edges.len() - 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count<T: RealElement>(x: &[T], bins: Bins) -> Vec<u64> {
        let (edges, uniform) = edges(bins, T::linspace).unwrap();
        dispatch(Binning { edges: &edges, uniform, x })
    }

    fn uniform(n_bins: usize, low: f64, high: f64) -> Bins {
        Bins::Uniform { n_bins, range: (low, high) }
    }

    #[test]
    fn the_last_bin_is_closed_and_nan_is_not_counted() {
        assert_eq!(count(&[1.0, 2.0, f64::NAN, 4.0, 5.0], uniform(2, 0.0, 4.0)), [1, 2]);
        assert_eq!(count(&[1.0, 2.0, f64::NAN, 3.0], Bins::Edges(vec![0.0, 1.0, 3.0])), [0, 3]);
        assert_eq!(count(&[1.0, 2.0], Bins::Edges(vec![1.0, 1.0, 2.0])), [0, 2]);
        assert_eq!(count(&[1.0, 1.0], uniform(2, 1.0, 1.0)), [0, 2]);
        assert_eq!(count(&[f64::INFINITY, f64::NEG_INFINITY], uniform(2, 0.0, 1.0)), [0, 0]);
        assert_eq!(count(&[-128_i8, 127], uniform(255, -128.0, 127.0)).iter().sum::<u64>(), 2);
    }

    #[test]
    fn uniform_bins_agree_with_a_search_among_their_edges() {
        let x: Vec<f64> = (0..5000).map(|i| f64::from(i) * 0.0125 - 3.0).collect();
        for n_bins in [1, 2, 3, 7, 10, 97, 1000] {
            let bins = uniform(n_bins, -1.1, 47.3);
            let (list, _) = edges(bins.clone(), f64::linspace).unwrap();
            assert_eq!(count(&x, bins), count(&x, Bins::Edges(list)), "{n_bins} bins");
        }
    }

    #[test]
    fn bins_that_are_none_are_refused() {
        for bins in [
            uniform(0, 0.0, 1.0),
            uniform(2, 1.0, 0.0),
            uniform(2, 0.0, f64::INFINITY),
            uniform(2, f64::NAN, 1.0),
            uniform(usize::MAX >> 40, 1.0, 1.0 + f64::EPSILON),
            Bins::Edges(vec![]),
            Bins::Edges(vec![1.0]),
            Bins::Edges(vec![2.0, 1.0]),
            Bins::Edges(vec![1.0, f64::NAN]),
        ] {
            assert_eq!(
                edges(bins.clone(), f64::linspace).unwrap_err().kind(),
                ErrorKind::InvalidArgument,
                "{bins:?}"
            );
        }
    }
}
