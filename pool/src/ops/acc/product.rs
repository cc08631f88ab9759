//! Products.

use serde::{Deserialize, Serialize};

use super::Accumulate;
use crate::ops::dtype::Dtype;
use crate::ops::tasks::Outputs;
use crate::task::{Args, Merge, TaskError};

/// A product; none of no elements.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Product<T: Dtype>(Option<T::Product>);

/// `prod` and `nanprod`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ProductOp {
    pub(crate) skip_nan: bool,
}

impl<T: Dtype> Product<T> {
    pub(crate) fn value(&self) -> T::Wide {
        match &self.0 {
            Some(product) => T::product_value(product),
            None => T::product_value(&T::one()),
        }
    }
}

impl<T: Dtype> Default for Product<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T: Dtype> Merge for Product<T> {
    fn merge(&mut self, later: Self) {
        match (&mut self.0, later.0) {
            (Some(product), Some(later)) => T::product_merge(product, later),
            (product @ None, later) => *product = later,
            (Some(_), None) => {}
        }
    }
}

impl<T: Dtype> Accumulate<T> for Product<T> {
    const NAME: &'static str = "prod";
    type Op = ProductOp;

    #[inline(always)]
    fn push(&mut self, _op: ProductOp, x: &[T], _at: usize) {
        T::product(self.0.get_or_insert_with(T::one), x);
    }

    fn skips_nan(op: ProductOp) -> bool {
        op.skip_nan
    }

    #[inline(always)]
    fn push_columns(
        these: &mut [Self],
        op: ProductOp,
        x: &[T],
        stride: usize,
        n_rows: usize,
        _at: usize,
    ) -> bool {
        let width = these.len();
        T::product_columns(x, stride, width, n_rows, op.skip_nan, |column, product| {
            T::product_merge(these[column].0.get_or_insert_with(T::one), product);
        })
    }

    fn fill(op: ProductOp, outputs: Outputs<'_, T, Self>, args: &mut Args<'_>) -> Result<(), TaskError> {
        outputs.write(op, args.flat_mut::<T::Wide>()?, Self::value);
        Ok(())
    }
}
