//! The arguments of one block, read in the order in which the call was given them.

use super::block::Block;
use super::failure::{FailureKind, TaskError};
use crate::array::Element;
use crate::job::descriptor::Mode;
use crate::segment::DType;
use crate::sys::view;
use ndarray::{ArrayView, ArrayViewMut, Dimension};
use serde::de::DeserializeOwned;
use std::any::Any;
use std::cell::OnceCell;
use std::fmt;

/// The serialised values of a call, and those of them that were borrowed and so decoded once and for all.
#[derive(Default)]
pub(crate) struct Values {
    bytes: Vec<u8>,
    decoded: Vec<OnceCell<Decoded>>,
}

struct Decoded {
    value: Box<dyn Any>,
    /// Bytes that the value took.
    len: usize,
}

impl Values {
    pub(crate) fn new(bytes: Vec<u8>, n_values: usize) -> Self {
        Self { bytes, decoded: (0..n_values).map(|_| OnceCell::new()).collect() }
    }

    /// Takes other values in place of these, of which there are as many.
    pub(crate) fn renew(&mut self, read: impl FnOnce(&mut Vec<u8>)) {
        read(&mut self.bytes);
        self.decoded.iter_mut().for_each(|cell| *cell = OnceCell::new());
    }

    /// The values as the call was given them, serialised.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// The part of one array that a block sees, in memory of this process.
#[derive(Debug, Clone)]
pub(crate) struct BlockArray {
    /// First element of the block. Valid, while the block runs, for what `shape` and `dtype` say, and not written
    /// by anybody else; not read by anybody else either if `mode` is mutable.
    pub(crate) first: *mut u8,
    pub(crate) dtype: DType,
    pub(crate) shape: Vec<usize>,
    pub(crate) mode: Mode,
}

/// The arguments of one block, in the order in which the [call](crate::CallBuilder) was given them: values and
/// arrays each have an order of their own.
///
/// Every array is handed out once, so no two views of it exist.
pub struct Args<'b> {
    values: &'b Values,
    n_values_read: usize,
    n_bytes_read: usize,
    arrays: std::slice::Iter<'b, BlockArray>,
    block: &'b Block<'b>,
}

impl<'b> Args<'b> {
    /// The arguments of a block.
    ///
    /// # Safety
    ///
    /// Every array is valid as [`BlockArray::first`] says for as long as `'b`, and its elements are valid.
    #[expect(unsafe_code, reason = "whoever maps a block's arrays promises that they are what they say")]
    pub(crate) unsafe fn new(values: &'b Values, arrays: &'b [BlockArray], block: &'b Block<'b>) -> Self {
        Self { values, n_values_read: 0, n_bytes_read: 0, arrays: arrays.iter(), block }
    }

    /// The block.
    pub fn block(&self) -> &'b Block<'b> {
        self.block
    }

    /// The next value.
    ///
    /// # Errors
    ///
    /// If there is none left, or its bytes are no `V`.
    pub fn value<V: DeserializeOwned>(&mut self) -> Result<V, TaskError> {
        let (value, n_read) = self.decode::<V>()?;
        self.advance(n_read);
        Ok(value)
    }

    /// The next value, decoded once per worker and job and then borrowed by every block.
    ///
    /// # Errors
    ///
    /// If there is none left, or its bytes are no `V`, or the same value was borrowed as another type before.
    pub fn value_ref<V: DeserializeOwned + 'static>(&mut self) -> Result<&'b V, TaskError> {
        let Some(cell) = self.values.decoded.get(self.n_values_read) else {
            return Err(self.no_value::<V>());
        };
        if cell.get().is_none() {
            let (value, len) = self.decode::<V>()?;
            // Nobody else can have filled it: the cell is not shared between threads.
            let _ = cell.set(Decoded { value: Box::new(value), len });
        }
        let decoded = cell.get().expect("filled above");
        let Some(value) = decoded.value.downcast_ref::<V>() else {
            return Err(TaskError::with_kind(
                FailureKind::Serde,
                format!("argument {} was borrowed as another type before", self.n_values_read),
            ));
        };
        self.advance(decoded.len);
        Ok(value)
    }

    fn advance(&mut self, n_bytes: usize) {
        self.n_values_read += 1;
        self.n_bytes_read += n_bytes;
    }

    fn decode<V: DeserializeOwned>(&self) -> Result<(V, usize), TaskError> {
        if self.n_values_read >= self.values.decoded.len() {
            return Err(self.no_value::<V>());
        }
        let bytes = &self.values.bytes[self.n_bytes_read..];
        let (value, rest) = postcard::take_from_bytes(bytes).map_err(|error| {
            TaskError::with_kind(
                FailureKind::Serde,
                format!(
                    "argument {} cannot be deserialised as {}: {error}",
                    self.n_values_read,
                    std::any::type_name::<V>()
                ),
            )
        })?;
        Ok((value, bytes.len() - rest.len()))
    }

    fn no_value<V>(&self) -> TaskError {
        TaskError::with_kind(
            FailureKind::Serde,
            format!(
                "the task asks for value {} ({}), but the call has {}",
                self.n_values_read,
                std::any::type_name::<V>(),
                self.values.decoded.len()
            ),
        )
    }

    fn array<T: Element>(&mut self, is_mutable: bool) -> Result<&'b BlockArray, TaskError> {
        let wrong = |what: String| TaskError::with_kind(FailureKind::Segment, what);
        let Some(array) = self.arrays.next() else {
            return Err(wrong("the task asks for more arrays than the call has".into()));
        };
        if array.dtype != T::DTYPE {
            return Err(wrong(format!(
                "the task wants an array of {}, the call has one of {}",
                T::DTYPE.name(),
                array.dtype.name()
            )));
        }
        if array.mode.is_mutable() != is_mutable {
            let name = |mutable| if mutable { "an array to write" } else { "an array to read" };
            return Err(wrong(format!(
                "the task wants {}, the call has {}",
                name(is_mutable),
                name(array.mode.is_mutable())
            )));
        }
        Ok(array)
    }

    fn dimension<D: Dimension>(shape: &[usize]) -> Result<D, TaskError> {
        if let Some(n) = D::NDIM
            && n != shape.len()
        {
            return Err(TaskError::with_kind(
                FailureKind::Segment,
                format!("the task wants an array of {n} dimensions, the call has one of {}", shape.len()),
            ));
        }
        let mut dim = D::zeros(shape.len());
        dim.slice_mut().copy_from_slice(shape);
        Ok(dim)
    }

    /// The block of the next array, or all of it if it is whole.
    ///
    /// # Shapes
    ///
    /// That of the array, with the block's rows along axis 0.
    ///
    /// # Errors
    ///
    /// If there is no array left, or it has another element type, rank, or is one to write.
    pub fn view<T: Element, D: Dimension>(&mut self) -> Result<ArrayView<'b, T, D>, TaskError> {
        let array = self.array::<T>(false)?;
        let dim = Self::dimension::<D>(&array.shape)?;
        #[expect(unsafe_code, reason = "the typed view of a block, made where its type is checked")]
        // SAFETY: by the promise of `new`, valid and not written for `'b`; the element type was checked.
        Ok(unsafe { view::view(array.first.cast_const().cast::<T>(), dim) })
    }

    /// The block of the next array, to be written.
    ///
    /// # Errors
    ///
    /// As for [`Args::view`], with reading and writing exchanged.
    pub fn view_mut<T: Element, D: Dimension>(&mut self) -> Result<ArrayViewMut<'b, T, D>, TaskError> {
        let array = self.array::<T>(true)?;
        let dim = Self::dimension::<D>(&array.shape)?;
        #[expect(unsafe_code, reason = "the typed view of a block, made where its type is checked")]
        // SAFETY: by the promise of `new`, valid and ours alone for `'b`; every array is handed out once, since
        // the iterator moves on; the element type was checked.
        Ok(unsafe { view::view_mut(array.first.cast::<T>(), dim) })
    }

    /// The block of the next array as one slice in C order, whatever its rank.
    ///
    /// # Errors
    ///
    /// As for [`Args::view`], but for the rank.
    pub fn flat<T: Element>(&mut self) -> Result<&'b [T], TaskError> {
        let array = self.array::<T>(false)?;
        let dim = ndarray::Ix1(array.shape.iter().product());
        #[expect(unsafe_code, reason = "the typed view of a block, made where its type is checked")]
        // SAFETY: as in `view`; rows are contiguous in C order, so the block is one run of elements.
        let view = unsafe { view::view(array.first.cast_const().cast::<T>(), dim) };
        Ok(view.to_slice().expect("one dimension in C order is a slice"))
    }

    /// The block of the next array as one slice in C order, to be written.
    ///
    /// # Errors
    ///
    /// As for [`Args::view_mut`], but for the rank.
    pub fn flat_mut<T: Element>(&mut self) -> Result<&'b mut [T], TaskError> {
        let array = self.array::<T>(true)?;
        let dim = ndarray::Ix1(array.shape.iter().product());
        #[expect(unsafe_code, reason = "the typed view of a block, made where its type is checked")]
        // SAFETY: as in `view_mut`; rows are contiguous in C order, so the block is one run of elements.
        let view = unsafe { view::view_mut(array.first.cast::<T>(), dim) };
        Ok(view.into_slice().expect("one dimension in C order is a slice"))
    }
}

impl fmt::Debug for Args<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Args")
            .field("block", &self.block)
            .field("values", &self.values.decoded.len())
            .field("arrays", &self.arrays.as_slice().len())
            .finish_non_exhaustive()
    }
}
