//! Arrays from shapes, functions and other arrays.

use std::mem::MaybeUninit;
use std::sync::Arc;

use ndarray::{ArrayBase, ArrayViewMut, Data, Dimension, Zip};
use rayon::prelude::*;

use super::element::Element;
use super::shared::SharedArray;
use crate::error::Result;
use crate::segment::{Fill, PIECE_BYTES, Run, Segment};
use crate::sys::view::{bytes_of, checked_len_bytes, view_uninit};

/// Arrays of fewer bytes are filled by one thread: starting others costs more.
const PARALLEL_BYTES: usize = 1 << 20;

/// Elements that one thread computes at a time.
const PIECE_ITEMS: usize = 1 << 14;

impl<T: Element, D: Dimension> SharedArray<T, D> {
    /// An array of zeros (`false`).
    pub(crate) fn zeros_in(run: &Arc<Run>, dim: D) -> Result<Self> {
        Ok(Self::new(mapped_segment::<T, D>(run, &dim, Fill::Zero)?, dim))
    }

    /// An array of one value.
    pub(crate) fn full_in(run: &Arc<Run>, dim: D, value: T) -> Result<Self> {
        if bytes_of(&[value]).iter().all(|&byte| byte == 0) {
            return Self::zeros_in(run, dim);
        }
        // A size that overflows is refused with the segment.
        let len = checked_len_bytes(dim.slice(), size_of::<T>()).unwrap_or_default();
        let piece = vec![value; len.min(PIECE_BYTES) / size_of::<T>()];
        let bytes = bytes_of(&piece);
        let segment = mapped_segment::<T, D>(run, &dim, Fill::With(bytes))?;
        Ok(Self::new(segment, dim))
    }

    /// A copy of any array, whatever its strides.
    pub(crate) fn from_array_in<S>(run: &Arc<Run>, array: &ArrayBase<S, D>) -> Result<Self>
    where
        S: Data<Elem = T>,
    {
        let dim = array.raw_dim();
        if let Some(items) = array.as_slice() {
            let bytes = bytes_of(items);
            let segment = mapped_segment::<T, D>(run, &dim, Fill::With(bytes))?;
            return Ok(Self::new(segment, dim));
        }
        let segment = mapped_segment::<T, D>(run, &dim, Fill::CallerWrites)?;
        let target = Zip::from(unwritten::<T, D>(&segment, &dim)?).and(array.view());
        let write = |target: &mut MaybeUninit<T>, &value: &T| _ = target.write(value);
        if segment.data_len() < PARALLEL_BYTES {
            target.for_each(write)
        } else {
            target.par_for_each(write)
        }
        Ok(Self::new(segment, dim))
    }

    /// An array whose elements are a function of their index. Large ones are filled by several threads.
    pub(crate) fn from_shape_fn_in<F>(run: &Arc<Run>, dim: D, function: F) -> Result<Self>
    where
        F: Fn(D::Pattern) -> T + Sync,
    {
        let segment = mapped_segment::<T, D>(run, &dim, Fill::CallerWrites)?;
        let mut target = unwritten::<T, D>(&segment, &dim)?;
        let items = target.as_slice_mut().expect("a new segment is in C order");
        let fill = |(i, items): (usize, &mut [MaybeUninit<T>])| {
            let mut index = index_of(i * PIECE_ITEMS, &dim);
            for item in items {
                item.write(function(index.clone().into_pattern()));
                advance(&mut index, &dim);
            }
        };
        if segment.data_len() < PARALLEL_BYTES {
            items.chunks_mut(PIECE_ITEMS).enumerate().for_each(fill);
        } else {
            items.par_chunks_mut(PIECE_ITEMS).enumerate().for_each(fill);
        }
        Ok(Self::new(segment, dim))
    }
}

/// The index of the `n`-th element in C order. Not for arrays without elements.
fn index_of<D: Dimension>(mut n: usize, dim: &D) -> D {
    let mut index = D::zeros(dim.ndim());
    for (place, &len) in index.slice_mut().iter_mut().zip(dim.slice()).rev() {
        *place = n % len;
        n /= len;
    }
    index
}

/// The next index in C order; after the last one the first.
fn advance<D: Dimension>(index: &mut D, dim: &D) {
    for (place, &len) in index.slice_mut().iter_mut().zip(dim.slice()).rev() {
        *place += 1;
        if *place < len {
            return;
        }
        *place = 0;
    }
}

/// A segment for an array, mapped in this process, as [`SharedArray::new`] wants it.
pub(super) fn mapped_segment<T: Element, D: Dimension>(
    run: &Arc<Run>,
    dim: &D,
    fill: Fill<'_>,
) -> Result<Arc<Segment>> {
    let segment = Segment::npy(run, T::DTYPE, dim.slice(), fill)?;
    segment.mapping()?;
    Ok(segment)
}

/// The elements of a segment that nobody else has seen yet, to be written. Their bytes may not be values yet.
#[expect(unsafe_code, reason = "a segment that was just made is nobody else's")]
fn unwritten<'a, T: Element, D: Dimension>(
    segment: &'a Arc<Segment>,
    dim: &D,
) -> Result<ArrayViewMut<'a, MaybeUninit<T>, D>> {
    let first = segment.data_ptr_to_fill()?.cast::<T>();
    // SAFETY: the segment was made for this type and shape by the caller, who alone has it; it stays mapped while borrowed.
    Ok(unsafe { view_uninit(first, dim.clone()) })
}
