//! Writing the next version of a frame.

use std::fmt;

use ndarray::{
    ArrayView, ArrayView1, ArrayView2, ArrayViewMut, ArrayViewMut1, ArrayViewMut2, Dimension, Ix1, Ix2,
};

use super::columns::ColumnTypes;
use super::inner::Inner;
use super::schema::Schema;
use crate::array::Element;
use crate::error::{Error, ErrorKind, Result};
use crate::shared::versioned::Writing;
use crate::sys::view;

/// The next version of a frame, while [`SharedFrame::write`](super::SharedFrame::write) writes it.
///
/// Columns that are not touched stay as they are, at no cost. What is written here is seen by nobody until the closure has returned, and
/// never if it returns an error or panics.
pub struct FrameMut<'a> {
    inner: &'a Inner,
    writing: Writing<'a>,
}

impl<'a> FrameMut<'a> {
    pub(super) fn new(inner: &'a Inner, writing: Writing<'a>) -> Self {
        Self { inner, writing }
    }

    pub(super) fn commit(self) -> u64 {
        self.writing.commit()
    }

    /// The version that is being written.
    pub fn version(&self) -> u64 {
        self.writing.version()
    }

    /// What the frame holds.
    pub fn schema(&self) -> &Schema {
        &self.inner.schema
    }

    /// A column, to be read: as it was written in this version, or as the last version left it.
    ///
    /// # Shapes
    ///
    /// `(n_rows,)`.
    ///
    /// # Errors
    ///
    /// As for [`column_mut`](Self::column_mut).
    pub fn column<T: Element>(&self, name: &str) -> Result<ArrayView1<'_, T>> {
        let column = self.schema().find(name, T::DTYPE)?;
        self.view(column, Ix1(self.schema().n_rows()))
    }

    /// All of a matrix, to be read: as it was written in this version, or as the last version left it.
    ///
    /// # Shapes
    ///
    /// `(n_rows, n_cols)`.
    ///
    /// # Errors
    ///
    /// As for [`matrix_mut`](Self::matrix_mut).
    pub fn matrix<T: Element>(&self) -> Result<ArrayView2<'_, T>> {
        self.schema().expect_matrix(T::DTYPE)?;
        self.view(0, Ix2(self.schema().n_rows(), self.schema().n_cols()))
    }

    /// A column, to be changed: it has its present values, which are copied when it is first asked for.
    ///
    /// # Shapes
    ///
    /// `(n_rows,)`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidArgument`] if there is no such column, or it has another type; [`ErrorKind::Segment`] if a `bool` is neither 0
    /// nor 1.
    pub fn column_mut<T: Element>(&mut self, name: &str) -> Result<ArrayViewMut1<'_, T>> {
        let column = self.schema().find(name, T::DTYPE)?;
        let dim = Ix1(self.schema().n_rows());
        self.view_mut(column, dim, true)
    }

    /// Several columns at a time, to be changed: each as [`column_mut`](Self::column_mut) gives it.
    ///
    /// ```
    /// # use ndpool::shared::{Options, Schema, SharedFrame};
    /// # let schema = Schema::new(3).column::<f64>("price").column::<u64>("volume");
    /// # let options = Options::new().directory(std::env::temp_dir());
    /// # let frame = SharedFrame::create_with(&options, "columns_example", &schema)?;
    /// frame.write(|frame| {
    ///     let (mut price, mut volume) = frame.columns_mut::<(f64, u64)>(["price", "volume"])?;
    ///     (price[1], volume[1]) = (20.5, 300);
    ///     Ok(())
    /// })?;
    /// # Ok::<(), ndpool::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`column_mut`](Self::column_mut); [`ErrorKind::InvalidArgument`] also if a column comes twice.
    pub fn columns_mut<C: ColumnTypes>(&mut self, names: C::Names<'_>) -> Result<C::Views<'_>> {
        C::views(self, names)
    }

    /// A column, to be written as a whole: it has the values of some older version, and is not copied first.
    ///
    /// # Shapes
    ///
    /// `(n_rows,)`.
    ///
    /// # Errors
    ///
    /// As for [`column_mut`](Self::column_mut).
    pub fn column_out<T: Element>(&mut self, name: &str) -> Result<ArrayViewMut1<'_, T>> {
        let column = self.schema().find(name, T::DTYPE)?;
        let dim = Ix1(self.schema().n_rows());
        self.view_mut(column, dim, false)
    }

    /// Gives a column new values.
    ///
    /// # Errors
    ///
    /// As for [`column_mut`](Self::column_mut); [`ErrorKind::Shape`] if there is another number of values than of rows.
    pub fn assign<T: Element>(&mut self, name: &str, values: ArrayView1<'_, T>) -> Result<()> {
        let (found, wanted) = (values.len(), self.schema().n_rows());
        if found != wanted {
            let text = format!("{found} values for column `{name}`, which has {wanted} rows");
            return Err(Error::new(ErrorKind::Shape, text));
        }
        self.column_out(name)?.assign(&values);
        Ok(())
    }

    /// All of a matrix, to be changed: it has its present values, which are copied when it is first asked for.
    ///
    /// # Shapes
    ///
    /// `(n_rows, n_cols)`.
    ///
    /// # Errors
    ///
    /// As for [`column_mut`](Self::column_mut); [`ErrorKind::InvalidArgument`] also if the frame has named columns.
    pub fn matrix_mut<T: Element>(&mut self) -> Result<ArrayViewMut2<'_, T>> {
        self.whole_matrix(true)
    }

    /// All of a matrix, to be written as a whole: it has the values of some older version, and is not copied first.
    ///
    /// # Shapes
    ///
    /// `(n_rows, n_cols)`.
    ///
    /// # Errors
    ///
    /// As for [`matrix_mut`](Self::matrix_mut).
    pub fn matrix_out<T: Element>(&mut self) -> Result<ArrayViewMut2<'_, T>> {
        self.whole_matrix(false)
    }

    /// Gives a matrix new values.
    ///
    /// # Errors
    ///
    /// As for [`matrix_mut`](Self::matrix_mut); [`ErrorKind::Shape`] if the values have another shape.
    pub fn assign_matrix<T: Element>(&mut self, values: ArrayView2<'_, T>) -> Result<()> {
        let wanted = (self.schema().n_rows(), self.schema().n_cols());
        if values.dim() != wanted {
            let text = format!("values of shape {:?} for a matrix of {wanted:?}", values.dim());
            return Err(Error::new(ErrorKind::Shape, text));
        }
        self.matrix_out()?.assign(&values);
        Ok(())
    }

    fn whole_matrix<T: Element>(&mut self, carry: bool) -> Result<ArrayViewMut2<'_, T>> {
        self.schema().expect_matrix(T::DTYPE)?;
        let dim = Ix2(self.schema().n_rows(), self.schema().n_cols());
        self.view_mut(0, dim, carry)
    }

    #[expect(unsafe_code, reason = "memory that only this writer changes becomes a typed view")]
    fn view<T: Element, D: Dimension>(&self, column: usize, dim: D) -> Result<ArrayView<'_, T, D>> {
        let inner = self.inner;
        let len = inner.layout.columns[column].len();
        debug_assert_eq!(len, dim.size() * size_of::<T>());
        let found = inner.versioned.versions().find(column, self.version());
        let buffer = found.ok_or_else(|| inner.damaged("a column has no buffer"))?.buffer;
        let bytes = inner.mapping().bytes_at_rest(inner.versioned.offset(column, buffer), len);
        if !T::valid(bytes) {
            return Err(inner.invalid(column, T::DTYPE));
        }
        // SAFETY: as in `view_mut`. The buffer is this version's, or that of the last one, which is current and so chosen by nobody; a view
        // to write through would borrow `self` mutably.
        Ok(unsafe { view::view(bytes.as_ptr().cast::<T>(), dim) })
    }

    #[expect(unsafe_code, reason = "memory that only this writer uses becomes a typed view")]
    fn view_mut<T: Element, D: Dimension>(
        &mut self,
        column: usize,
        dim: D,
        carry: bool,
    ) -> Result<ArrayViewMut<'_, T, D>> {
        debug_assert_eq!(self.inner.layout.columns[column].len(), dim.size() * size_of::<T>());
        let first = self.first::<T>(column, carry)?;
        // SAFETY: the column has as many bytes as `dim` has elements, and these are values of the schema's type, which `first` has checked.
        // They stay mapped as long as the frame is borrowed. Nobody else reads or writes them but through copies that are validated
        // afterwards: the buffer was taken from those that are neither current nor pinned, by the only writer there is. Another view of
        // it would have to come from `self`, which the result borrows mutably.
        Ok(unsafe { view::view_mut(first, dim) })
    }

    /// The first element of a column's buffer in this version, in which all bytes are values of its type.
    pub(super) fn first<T: Element>(&mut self, column: usize, carry: bool) -> Result<*mut T> {
        let inner = self.inner;
        let target = if carry { self.writing.column_with_last(column) } else { self.writing.column(column) };
        let (at, len) = (self.writing.offset(column, target), inner.layout.columns[column].len());
        let mapping = inner.mapping();
        if !T::valid(mapping.bytes_at_rest(at, len)) {
            if carry {
                return Err(inner.invalid(column, T::DTYPE));
            }
            // What it holds is old, and will be written as a whole.
            mapping.zero(at..at + len);
        }
        Ok(mapping.as_mut_ptr().wrapping_add(at).cast::<T>())
    }
}

impl fmt::Debug for FrameMut<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrameMut").field("version", &self.version()).finish_non_exhaustive()
    }
}
