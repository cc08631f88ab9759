//! What array parameters of a call accept.

use std::fmt;
use std::sync::Arc;

use ndarray::Dimension;

use super::element::Element;
use super::mapped::{MappedArray, MappedFile};
use super::rows::{Rows, RowsMut, row_len};
use super::shared::SharedArray;
use crate::segment::{DType, Locator, Segment};

/// Rows that a call may read, borrowed for `'a`.
///
/// Implemented for `&SharedArray`, [`Rows`], `&MappedArray`, and, for calls that borrow nothing, for `Arc`s of both arrays.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a shared array to read",
    label = "expected `&SharedArray`, rows of one, `Arc<SharedArray>` or `&MappedArray`",
    note = "an array in this process's own memory is put into shared memory with `Pool::from_array`"
)]
pub trait IntoRows<'a> {
    /// Type of the elements.
    type Elem: Element;
    /// Number of axes.
    type Dim: Dimension;

    #[doc(hidden)]
    fn into_rows_arg(self) -> ArrayArg;
}

/// Rows that a call may write, borrowed mutably for `'a`.
///
/// Implemented for `&mut SharedArray`, [`RowsMut`] and `&mut RowsMut`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a shared array to write",
    label = "expected `&mut SharedArray` or mutable rows of one",
    note = "`SharedArray::rows_mut` and `SharedArray::split_at_mut` give rows to write",
    note = "a mapped file is read-only, and an `Arc` cannot be written through"
)]
pub trait IntoRowsMut<'a> {
    /// Type of the elements.
    type Elem: Element;
    /// Number of axes.
    type Dim: Dimension;

    #[doc(hidden)]
    fn into_rows_mut_arg(self) -> ArrayArg;
}

/// Rows of an array without their types, as a call carries them.
#[doc(hidden)]
#[derive(Debug, Clone)]
pub struct ArrayArg {
    pub(crate) source: ArraySource,
    pub(crate) dtype: DType,
    pub(crate) shape: Vec<usize>,
    /// Of the first row, from the start of the data.
    pub(crate) offset_bytes: usize,
}

/// Where the bytes of an argument lie.
#[derive(Debug, Clone)]
pub(crate) enum ArraySource {
    /// Of an array that is borrowed.
    Segment(Arc<Segment>),
    /// Of an array that is not borrowed, but shared: while this is held, `Arc::get_mut` and its like give it to nobody.
    /// The segment alone would not do: between the making of a call and its submission no lease keeps writers away.
    Shared(Arc<dyn HasSegment>),
    /// A mapped file, which nobody writes.
    File(Arc<MappedFile>),
}

impl ArraySource {
    /// The segment; `None` for a mapped file.
    pub(crate) fn segment(&self) -> Option<&Arc<Segment>> {
        match self {
            Self::Segment(segment) => Some(segment),
            Self::Shared(array) => Some(array.segment()),
            Self::File(_) => None,
        }
    }
}

/// An array without its types.
pub(crate) trait HasSegment: fmt::Debug + Send + Sync {
    fn segment(&self) -> &Arc<Segment>;
}

impl<T: Element, D: Dimension> HasSegment for SharedArray<T, D> {
    fn segment(&self) -> &Arc<Segment> {
        self.segment()
    }
}

impl ArrayArg {
    fn new<T: Element, D: Dimension>(source: ArraySource, dim: &D, first: usize) -> Self {
        let shape = dim.slice().to_vec();
        let offset_bytes = first * row_len(&shape) * size_of::<T>();
        Self { source, dtype: T::DTYPE, shape, offset_bytes }
    }

    /// The same elements as an array of one axis.
    pub(crate) fn flattened(mut self) -> Self {
        self.shape = vec![self.shape.iter().product()];
        self
    }

    /// What a worker needs to map the source.
    pub(crate) fn locator(&self) -> Locator {
        match &self.source {
            ArraySource::Segment(segment) => segment.locator(),
            ArraySource::Shared(array) => array.segment().locator(),
            ArraySource::File(file) => file.locator().clone(),
        }
    }
}

impl<'a, T: Element, D: Dimension> IntoRows<'a> for Rows<'a, T, D> {
    type Elem = T;
    type Dim = D;

    fn into_rows_arg(self) -> ArrayArg {
        let (segment, dim, first) = self.parts();
        ArrayArg::new::<T, D>(ArraySource::Segment(segment.clone()), dim, first)
    }
}

impl<'a, T: Element, D: Dimension> IntoRows<'a> for &Rows<'a, T, D> {
    type Elem = T;
    type Dim = D;

    fn into_rows_arg(self) -> ArrayArg {
        self.clone().into_rows_arg()
    }
}

macro_rules! whole_array_to_read {
    ($($array:ty, $source:expr;)*) => { $(
        impl<'a, T: Element, D: Dimension> IntoRows<'a> for $array {
            type Elem = T;
            type Dim = D;

            fn into_rows_arg(self) -> ArrayArg {
                let source: fn(&Self) -> ArraySource = $source;
                ArrayArg::new::<T, D>(source(&self), &self.raw_dim(), 0)
            }
        }
    )* };
}

whole_array_to_read! {
    &'a SharedArray<T, D>, |array| ArraySource::Segment(array.segment().clone());
    &'a mut SharedArray<T, D>, |array| ArraySource::Segment(array.segment().clone());
    &'a Arc<SharedArray<T, D>>, |array| ArraySource::Segment(array.segment().clone());
    &'a MappedArray<T, D>, |array| ArraySource::File(array.file().clone());
    &'a Arc<MappedArray<T, D>>, |array| ArraySource::File(array.file().clone());
    Arc<MappedArray<T, D>>, |array| ArraySource::File(array.file().clone());
}

impl<'a, T: Element, D: Dimension + 'static> IntoRows<'a> for Arc<SharedArray<T, D>> {
    type Elem = T;
    type Dim = D;

    fn into_rows_arg(self) -> ArrayArg {
        let dim = self.raw_dim();
        ArrayArg::new::<T, D>(ArraySource::Shared(self), &dim, 0)
    }
}

impl<'a, T: Element, D: Dimension> IntoRowsMut<'a> for RowsMut<'a, T, D> {
    type Elem = T;
    type Dim = D;

    fn into_rows_mut_arg(self) -> ArrayArg {
        let (segment, dim, first) = self.parts();
        ArrayArg::new::<T, D>(ArraySource::Segment(segment.clone()), dim, first)
    }
}

impl<'a, T: Element, D: Dimension> IntoRowsMut<'a> for &'a mut RowsMut<'_, T, D> {
    type Elem = T;
    type Dim = D;

    fn into_rows_mut_arg(self) -> ArrayArg {
        self.reborrow().into_rows_mut_arg()
    }
}

impl<'a, T: Element, D: Dimension> IntoRowsMut<'a> for &'a mut SharedArray<T, D> {
    type Elem = T;
    type Dim = D;

    fn into_rows_mut_arg(self) -> ArrayArg {
        self.all_mut().into_rows_mut_arg()
    }
}
