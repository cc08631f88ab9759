//! Counts of small integers.

use std::marker::PhantomData;

use super::dtype::Dtype;
use super::element::IndexElement;
use super::histogram::Counts;
use super::tasks::Name;
use crate::array::IntoRows;
use crate::task::{Args, Call, CallBuilder, Task, TaskError};

/// The largest number of bins that [`bincount`] makes.
pub const MAX_BINS: usize = 1 << 24;

/// How often each integer occurs, as `numpy.bincount`: element `i` of the result counts the value `i`, and the result has
/// as many elements as the largest value needs, but at least `min_length`.
///
/// Each block of the array counts on its own, so that the values must be below [`MAX_BINS`].
///
/// # Errors
/// [`ErrorKind::Task`](crate::ErrorKind::Task) if a value is negative, or [`MAX_BINS`] or more.
///
/// # Example
/// ```
/// ndpool::init();
/// let pool = ndpool::Pool::builder().workers(2).build()?;
/// let x = pool.from_array(&ndarray::array![0_u8, 2, 2])?;
/// assert_eq!(pool.run(ndpool::ops::bincount(&x, 4))?, [1, 0, 2, 0]);
/// # Ok::<(), ndpool::Error>(())
/// ```
pub fn bincount<'a, X>(x: X, min_length: usize) -> Call<'a, Vec<u64>>
where
    X: IntoRows<'a>,
    X::Elem: IndexElement,
{
    CallBuilder::<BincountTask<X::Elem>>::new().rows_flat_arg(x.into_rows_arg()).merged().then(
        move |Counts(mut counts)| {
            counts.resize(counts.len().max(min_length), 0);
            counts
        },
    )
}

/// Counts one block.
pub struct BincountTask<T>(PhantomData<fn() -> T>);

impl<T: IndexElement> BincountTask<T> {
    const FULL_NAME: Name = Name::join(&["ndpool::ops::bincount<", <T as Dtype>::NAME, ">"]);
}

impl<T: IndexElement> Task for BincountTask<T> {
    const NAME: &'static str = Self::FULL_NAME.as_str();
    type Output = Counts;

    fn run(args: &mut Args<'_>) -> Result<Counts, TaskError> {
        count(args.flat::<T>()?)
    }
}

fn count<T: IndexElement>(x: &[T]) -> Result<Counts, TaskError> {
    let mut counts = Vec::new();
    for v in x {
        let Some(bin) = v.to_index() else {
            return Err(TaskError::new(format_args!("bincount found {v:?}, and counts from 0")));
        };
        if bin >= counts.len() as u64 {
            if bin >= MAX_BINS as u64 {
                return Err(TaskError::new(format_args!(
                    "bincount found {v:?}, and counts below {MAX_BINS}; `unique_counts` has no such limit"
                )));
            }
            counts.resize(bin as usize + 1, 0);
        }
        counts[bin as usize] += 1;
    }
    Ok(Counts(counts))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::Merge;

    #[test]
    fn counts_grow_to_the_largest_value() {
        let mut all = count(&[1_i64, 1, 3]).unwrap();
        all.merge(count(&[0_i64, 5]).unwrap());
        all.merge(count::<i64>(&[]).unwrap());
        assert_eq!(all.0, [1, 2, 0, 1, 0, 1]);
        assert_eq!(count(&[true, false, true]).unwrap().0, [1, 2]);
    }

    #[test]
    fn negative_and_huge_values_are_refused() {
        assert!(count(&[3_i8, -1]).is_err());
        assert!(count(&[u64::MAX]).is_err());
        assert!(count(&[MAX_BINS as u64]).is_err());
    }
}
