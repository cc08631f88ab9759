//! What is told of one version of an array: count, NaNs, mean, standard deviation, smallest and largest element.

use ndarray::{ArrayView, Dimension};

use crate::ops::dynamic::Number;
use crate::ops::{Describe, MeanElement, OrderElement, SumElement, describe_here};

/// Figures of the elements of an array, each what NumPy's function of its name gives.
///
/// A NaN among the elements makes `mean`, `std`, `min` and `max` NaN, as there; `nan_count` says how many there are.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Figures {
    /// Number of elements, NaN included; never 0.
    pub count: usize,
    /// Number of elements that are NaN; of complex numbers, those of which either part is.
    pub nan_count: usize,
    /// The mean: a float, or complex.
    pub mean: Number,
    /// The standard deviation, without a correction of the degrees of freedom: a float.
    pub std: Number,
    /// The smallest element, in its own type.
    pub min: Number,
    /// The largest element, in its own type.
    pub max: Number,
}

/// Element types that have figures: all.
pub(crate) trait Figured: SumElement + MeanElement + OrderElement + Into<Number> {
    fn figures(found: &Describe<Self>) -> Figures;
}

impl<T> Figured for T
where
    T: SumElement + MeanElement + OrderElement + Into<Number>,
    <T as MeanElement>::Output: Into<Number>,
    <T as MeanElement>::RealOutput: Into<Number>,
{
    fn figures(found: &Describe<Self>) -> Figures {
        Figures {
            count: found.count,
            nan_count: found.nan_count,
            mean: found.mean.into(),
            std: found.std.into(),
            min: found.min.into(),
            max: found.max.into(),
        }
    }
}

/// The figures of a view, in one pass over it and without a copy; `None` of no elements.
///
/// They are those of the elements as one block: the last bits of `mean` and `std` of floats may differ from those of
/// [`ops::describe`](crate::ops::describe), which merges several.
pub(crate) fn figures<T: Figured, D: Dimension>(x: ArrayView<'_, T, D>) -> Option<Figures> {
    match x.as_slice_memory_order() {
        Some(elements) => describe_here(elements),
        // No view of shared memory is like that.
        None => describe_here(&x.iter().copied().collect::<Vec<_>>()),
    }
    .map(|found| T::figures(&found))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, array};
    use num_complex::Complex;

    #[test]
    fn figures_are_those_of_numpy() {
        let found = figures(array![[1.0_f32, 2.0], [3.0, 6.0]].view()).unwrap();
        assert_eq!((found.count, found.nan_count), (4, 0));
        assert_eq!((found.mean, found.min, found.max), (3.0_f32.into(), 1.0_f32.into(), 6.0_f32.into()));
        assert_eq!(found.std, Number::from(3.5_f32.sqrt()));
        let found = figures(array![u64::MAX, 1].view()).unwrap();
        assert_eq!((found.min, found.max), (Number::UInt(1), Number::UInt(u64::MAX)));
        let found = figures(array![true, false].view()).unwrap();
        assert_eq!((found.mean, found.max), (Number::Float(0.5), Number::Bool(true)));
        let found = figures(array![Complex::new(1.0_f64, 2.0)].view()).unwrap();
        assert_eq!((found.mean, found.std), (Number::Complex(1.0, 2.0), Number::Float(0.0)));
        assert_eq!(figures(Array2::<i16>::zeros((0, 3)).view()), None);
    }

    #[test]
    fn nan_is_counted_and_shows() {
        let found = figures(array![1.0, f64::NAN, 3.0].view()).unwrap();
        assert_eq!((found.count, found.nan_count), (3, 1));
        for number in [found.mean, found.std, found.min, found.max] {
            assert!(matches!(number, Number::Float(x) if x.is_nan()), "{number}");
        }
    }

    #[test]
    fn views_in_any_order_have_figures() {
        let x = array![[1_i32, 2, 3], [4, 5, 6]];
        assert_eq!(figures(x.t()), figures(x.view()));
        assert_eq!(figures(x.slice(ndarray::s![.., ..;2])).unwrap().mean, Number::Float(3.5));
    }
}
