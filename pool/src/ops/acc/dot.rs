//! Inner products.

use serde::{Deserialize, Serialize};

use crate::ops::dtype::Dtype;
use crate::task::Merge;

/// An inner product on its way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Dot<T: Dtype>(pub(crate) T::Dot);

impl<T: Dtype> Default for Dot<T> {
    fn default() -> Self {
        Self(T::Dot::default())
    }
}

impl<T: Dtype> Merge for Dot<T> {
    fn merge(&mut self, later: Self) {
        T::dot_merge(&mut self.0, later.0);
    }
}
