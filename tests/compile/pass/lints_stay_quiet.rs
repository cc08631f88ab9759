//! The generated code trips no lint of the user's, clippy's pedantic ones included.
#![deny(warnings, missing_docs, unused, unused_qualifications, unreachable_pub, single_use_lifetimes)]
#![deny(missing_debug_implementations, elided_lifetimes_in_paths, unused_results, let_underscore_drop)]
#![deny(clippy::all, clippy::pedantic)]
#![forbid(unsafe_code)]

use ndarray::{ArrayRef1, ArrayView, ArrayView2, ArrayViewMut, ArrayViewMut1, Dimension};
use ndpool::merge::{Max, Sum};
use ndpool::{Block, Element, Merge, task};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// What one block found.
#[derive(Debug, Merge, Serialize, Deserialize)]
pub struct Stats<T> {
    /// Number of elements.
    pub n: Sum<u64>,
    /// The largest one.
    pub top: Max<T>,
}

/// All kinds of parameters.
#[task]
#[allow(clippy::too_many_arguments, clippy::many_single_char_names)]
#[must_use]
#[inline]
pub fn everything(
    a: f64,
    (low, high): (usize, usize),
    mut seed: u64,
    _unused: u8,
    block: &Block<'_>,
    name: &str,
    weights: &[f64],
    #[whole] centroids: ArrayView2<'_, f64>,
    #[flat] table: &[u8],
    #[whole]
    #[flat]
    all: &[u8],
    x: &ArrayRef1<f64>,
    y: &mut ArrayRef1<f64>,
    #[out] mut z: ArrayViewMut1<'_, f64>,
    #[flat] w: &mut [f32],
) -> Stats<f64> {
    seed += 1;
    y.scaled_add(a, x);
    z.fill(centroids.sum() + weights.iter().sum::<f64>());
    w.fill(0.0);
    let bytes = table.len() + all.len() + name.len() + low + high + block.index();
    Stats { n: Sum(seed + u64::try_from(bytes).unwrap_or(0)), top: Max(a) }
}

/// Multiplies by `k`.
#[task(name = "scale/v1")]
pub fn scale<T, D>(k: T, mut y: ArrayViewMut<'_, T, D>)
where
    T: Element + Serialize + DeserializeOwned + std::ops::MulAssign,
    D: Dimension,
{
    y.map_inplace(|v| *v *= k);
}

/// Fails for an empty block.
///
/// # Errors
/// If there is nothing in it.
#[task]
pub fn first<D: Dimension>(x: ArrayView<'_, f64, D>) -> Result<Max<f64>, String> {
    x.first().copied().map(Max).ok_or_else(|| "empty".to_owned())
}

/// Does nothing.
#[task]
pub fn nothing() {}

#[ndpool::main]
fn main() {
    drop(nothing());
}
