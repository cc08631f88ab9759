//! Distinct values and how often they occur.

use std::cmp::Ordering;
use std::marker::PhantomData;

use serde::{Deserialize, Serialize};

use super::dtype::Dtype;
use super::element::OrderElement;
use super::tasks::Name;
use crate::array::IntoRows;
use crate::error::{Error, ErrorKind};
use crate::task::{Args, Call, CallBuilder, Merge, Task, TaskError};

/// Distinct values in order, and how often each occurs.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct UniqueCounts<T> {
    /// The values, from smallest to largest; NaN last.
    pub values: Vec<T>,
    /// Number of occurrences of each.
    pub counts: Vec<u64>,
}

/// Distinct values and how often each occurs, as `numpy.unique` with `return_counts=True`.
///
/// The values are sorted, complex numbers by real, then imaginary part. All NaN count as one value, which comes last; −0 counts
/// as 0. At most `limit` distinct values are collected, since every block sends those that it found.
///
/// # Errors
/// [`ErrorKind::InvalidArgument`] if there are more than `limit` distinct values.
///
/// # Example
/// ```
/// ndpool::init();
/// let pool = ndpool::Pool::builder().workers(2).build()?;
/// let x = pool.from_array(&ndarray::array![3_i32, 1, 3])?;
/// let found = pool.run(ndpool::ops::unique_counts(&x, 1000))?;
/// assert_eq!((found.values, found.counts), (vec![1, 3], vec![1, 2]));
/// # Ok::<(), ndpool::Error>(())
/// ```
pub fn unique_counts<'a, X>(x: X, limit: usize) -> Call<'a, UniqueCounts<X::Elem>>
where
    X: IntoRows<'a>,
    X::Elem: OrderElement,
{
    CallBuilder::<UniqueTask<X::Elem>>::new()
        .value(&limit)
        .rows_flat_arg(x.into_rows_arg())
        .merged()
        .try_then(move |found| match found.runs {
            Some(runs) => {
                let (values, counts) = runs.into_iter().unzip();
                Ok(UniqueCounts { values, counts })
            }
            None => Err(Error::new(
                ErrorKind::InvalidArgument,
                format!("more than {limit} distinct values, the limit of this call"),
            )
            .with_hint("raise the limit of `unique_counts`, or bin the values with `histogram`")),
        })
}

/// Distinct values with their counts, in order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Distinct<T: Dtype> {
    limit: usize,
    /// `None` if there are more than the limit.
    runs: Option<Vec<(T, u64)>>,
}

impl<T: Dtype> Distinct<T> {
    fn of(x: &[T], limit: usize) -> Self {
        let mut all = Self { limit, runs: Some(Vec::new()) };
        for chunk in x.chunks(SORTED_AT_ONCE) {
            let mut sorted = chunk.to_vec();
            sorted.sort_unstable_by(order);
            let mut runs: Vec<(T, u64)> = Vec::new();
            for v in sorted {
                match runs.last_mut() {
                    Some((last, count)) if order(last, &v) == Ordering::Equal => *count += 1,
                    // Of the two zeros, keep the positive one.
                    _ => runs.push((if v.is_true() { v } else { T::ZERO }, 1)),
                }
            }
            all.merge(Self { limit, runs: Some(runs) });
            if all.runs.is_none() {
                break;
            }
        }
        all
    }
}

/// Elements that are sorted together, in cache.
const SORTED_AT_ONCE: usize = 1 << 15;

/// Total order of values: NaN last, all NaN equal.
fn order<T: Dtype>(a: &T, b: &T) -> Ordering {
    match (a.is_nan(), b.is_nan()) {
        (false, false) if a.less(*b) => Ordering::Less,
        (false, false) if b.less(*a) => Ordering::Greater,
        (a, b) => a.cmp(&b),
    }
}

impl<T: Dtype> Merge for Distinct<T> {
    fn merge(&mut self, later: Self) {
        let (Some(a), Some(b)) = (self.runs.take(), later.runs) else { return };
        let mut runs = Vec::with_capacity(a.len().max(b.len()));
        let (mut a, mut b) = (a.into_iter().peekable(), b.into_iter().peekable());
        loop {
            let order = match (a.peek(), b.peek()) {
                (None, None) => break,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some((x, _)), Some((y, _))) => order(x, y),
            };
            let first = if order == Ordering::Greater { None } else { a.next() };
            let second = if order == Ordering::Less { None } else { b.next() };
            match (first, second) {
                (Some((v, n)), Some((_, m))) => runs.push((v, n + m)),
                (one, other) => runs.extend(one.or(other)),
            }
        }
        self.runs = (runs.len() <= self.limit).then_some(runs);
    }
}

/// Collects one block.
pub struct UniqueTask<T>(PhantomData<fn() -> T>);

impl<T: OrderElement> UniqueTask<T> {
    const FULL_NAME: Name = Name::join(&["ndpool::ops::unique_counts<", <T as Dtype>::NAME, ">"]);
}

impl<T: OrderElement> Task for UniqueTask<T> {
    const NAME: &'static str = Self::FULL_NAME.as_str();
    type Output = Distinct<T>;

    fn run(args: &mut Args<'_>) -> Result<Distinct<T>, TaskError> {
        let limit = args.value::<usize>()?;
        Ok(Distinct::of(args.flat::<T>()?, limit))
    }
}

#[cfg(test)]
mod tests {
    use num_complex::Complex;

    use super::*;

    #[test]
    fn zeros_are_one_value_and_so_are_nan() {
        let found = Distinct::of(&[f64::NAN, -0.0, 1.0, 0.0, f64::NAN], 10).runs.unwrap();
        assert_eq!(found[..2], [(0.0, 2), (1.0, 1)]);
        assert!(found[2].0.is_nan());
        assert_eq!((found.len(), found[2].1), (3, 2));
        let complex = [Complex::new(1.0, f32::NAN), Complex::new(0.0, 1.0), Complex::new(f32::NAN, 1.0)];
        assert_eq!(Distinct::of(&complex, 10).runs.unwrap().len(), 2);
    }

    #[test]
    fn merging_is_the_same_as_one_block_and_the_limit_holds() {
        let x: Vec<i32> = (0..100_000).map(|i| (i * 7919) % 1000 - 500).collect();
        let mut merged = Distinct::of(&x[..33_333], 1000);
        merged.merge(Distinct::of(&x[33_333..], 1000));
        assert_eq!(merged, Distinct::of(&x, 1000));
        assert_eq!(merged.runs.as_ref().map(Vec::len), Some(1000));
        assert_eq!(Distinct::of(&x, 999).runs, None);
        merged.merge(Distinct::of(&[1000], 1000));
        assert_eq!(merged.runs, None);
        assert_eq!(Distinct::<i32>::of(&[], 0).runs, Some(vec![]));
    }
}
