//! Consecutive rows of an array, the unit of sharing.
//!
//! The one place where shared memory becomes a view. What the borrow of the array cannot vouch for, the leases do: see
//! `segment/leases.rs`.

use std::fmt;
use std::marker::PhantomData;
use std::ops::{Bound, Range, RangeBounds};
use std::sync::Arc;

use ndarray::{ArrayRef, ArrayView, ArrayViewMut, Dimension};

use super::element::Element;
use crate::segment::Segment;
use crate::sys::view;

/// Consecutive rows of a [`SharedArray`](crate::SharedArray), to read or to pass to a call. It borrows the array.
pub struct Rows<'a, T: Element, D: Dimension> {
    segment: &'a Arc<Segment>,
    dim: D,
    first: usize,
    elements: PhantomData<&'a [T]>,
}

/// Consecutive rows of a [`SharedArray`](crate::SharedArray), to write or to pass to a call. It borrows the array mutably.
pub struct RowsMut<'a, T: Element, D: Dimension> {
    segment: &'a Arc<Segment>,
    dim: D,
    first: usize,
    elements: PhantomData<&'a mut [T]>,
}

impl<T: Element, D: Dimension> Clone for Rows<'_, T, D> {
    fn clone(&self) -> Self {
        Self { dim: self.dim.clone(), ..*self }
    }
}

impl<T: Element, D: Dimension + Copy> Copy for Rows<'_, T, D> {}

impl<'a, T: Element, D: Dimension> Rows<'a, T, D> {
    pub(super) fn new(segment: &'a Arc<Segment>, dim: D, first: usize) -> Self {
        Self { segment, dim, first, elements: PhantomData }
    }

    /// Number of rows; 1 if the array has no axis.
    pub fn n_rows(&self) -> usize {
        n_rows(self.dim.slice())
    }

    /// The lengths of all axes.
    pub fn shape(&self) -> &[usize] {
        self.dim.slice()
    }

    /// Some of these rows.
    ///
    /// # Panics
    ///
    /// If there are no such rows.
    pub fn rows(&self, range: impl RangeBounds<usize>) -> Self {
        let range = checked_range(range, self.n_rows());
        Self::new(self.segment, with_rows(&self.dim, &range), self.first + range.start)
    }

    /// The rows before `row`, and those from `row` on.
    ///
    /// # Panics
    ///
    /// If `row` is larger than the number of rows, or if the array has no axis.
    pub fn split_at(&self, row: usize) -> (Self, Self) {
        let n = self.n_rows();
        assert!(row <= n, "split before row {row} of {n} rows");
        (self.rows(..row), self.rows(row..))
    }

    /// The rows as a view.
    ///
    /// Waits for jobs that still write them because their handles were dropped or forgotten.
    #[expect(unsafe_code, reason = "the borrow and the leases are what the view needs")]
    pub fn view(&self) -> ArrayView<'a, T, D> {
        self.segment.leases().wait(byte_range::<T, D>(&self.dim, self.first), false);
        let first = first_element::<T, D>(self.segment, &self.dim, self.first);
        // SAFETY: the rows lie within the segment, which stays mapped while the array is borrowed. Elements are valid: constructors
        // write them all, checking foreign bytes, and only tasks of the same type write them later. Nobody writes them during `'a`:
        // in this process the array is borrowed, and no job has a lease to write, since new leases come only from borrows.
        unsafe { view::view(first, self.dim.clone()) }
    }

    pub(super) fn parts(&self) -> (&'a Arc<Segment>, &D, usize) {
        (self.segment, &self.dim, self.first)
    }
}

impl<'a, T: Element, D: Dimension> RowsMut<'a, T, D> {
    /// `segment` is that of an array borrowed mutably for `'a`, and rows are never handed out twice.
    pub(super) fn new(segment: &'a Arc<Segment>, dim: D, first: usize) -> Self {
        Self { segment, dim, first, elements: PhantomData }
    }

    /// Number of rows; 1 if the array has no axis.
    pub fn n_rows(&self) -> usize {
        n_rows(self.dim.slice())
    }

    /// The lengths of all axes.
    pub fn shape(&self) -> &[usize] {
        self.dim.slice()
    }

    /// Some of these rows.
    ///
    /// # Panics
    ///
    /// If there are no such rows.
    pub fn rows(self, range: impl RangeBounds<usize>) -> Self {
        let range = checked_range(range, self.n_rows());
        Self::new(self.segment, with_rows(&self.dim, &range), self.first + range.start)
    }

    /// The rows before `row`, and those from `row` on.
    ///
    /// # Panics
    ///
    /// If `row` is larger than the number of rows, or if the array has no axis.
    pub fn split_at(self, row: usize) -> (Self, Self) {
        let n = self.n_rows();
        assert!(row <= n, "split before row {row} of {n} rows");
        (
            Self::new(self.segment, with_rows(&self.dim, &(0..row)), self.first),
            Self::new(self.segment, with_rows(&self.dim, &(row..n)), self.first + row),
        )
    }

    /// The same rows for a shorter time, as `&mut *reference` does for a reference.
    pub fn reborrow(&mut self) -> RowsMut<'_, T, D> {
        RowsMut::new(self.segment, self.dim.clone(), self.first)
    }

    /// The same rows, to read for as long as the array is borrowed.
    pub fn into_rows(self) -> Rows<'a, T, D> {
        Rows::new(self.segment, self.dim, self.first)
    }

    /// Copies the elements of an array of the same shape in, whatever its strides. Large arrays in C order are copied by several
    /// threads and past the cache, twice as fast as by ndarray's `assign`.
    ///
    /// Waits for jobs that still use the rows because their handles were dropped or forgotten.
    ///
    /// # Panics
    ///
    /// If the shapes differ.
    ///
    /// # Example
    ///
    /// Each part is summed while the next one is copied:
    ///
    /// ```
    /// use ndpool::ndarray::{Array1, Axis};
    ///
    /// ndpool::init();
    /// let pool = ndpool::Pool::builder().workers(2).build()?;
    /// let x = Array1::from_elem(10_000, 1.0);
    /// let mut y = pool.zeros::<f64, _>(10_000)?;
    ///
    /// let mut jobs = Vec::new();
    /// for (mut part, source) in y.row_chunks_mut(2_500).zip(x.axis_chunks_iter(Axis(0), 2_500)) {
    ///     part.assign(&source);
    ///     jobs.push(pool.submit(ndpool::ops::sum(part.into_rows()))?);
    /// }
    /// let total = jobs.into_iter().map(ndpool::Job::join).sum::<ndpool::Result<f64>>()?;
    /// assert_eq!(total, 10_000.0);
    /// # Ok::<(), ndpool::Error>(())
    /// ```
    pub fn assign(&mut self, source: &ArrayRef<T, D>) {
        assert_eq!(self.shape(), source.shape(), "arrays of different shapes");
        let Some(items) = source.as_slice() else {
            self.reborrow().into_view_mut().assign(source);
            return;
        };
        let range = byte_range::<T, D>(&self.dim, self.first);
        // The array is borrowed mutably, and from here on no job has a lease on the rows, since new leases come only from borrows.
        self.segment.leases().wait(range.clone(), true);
        let bytes = view::bytes_of(items);
        let copied = self.segment.copy_in(range.start, range.len(), |piece| &bytes[piece]);
        copied.expect("constructors of arrays map them");
    }

    /// The rows as a view.
    ///
    /// Waits for jobs that still write them because their handles were dropped or forgotten.
    pub fn view(&self) -> ArrayView<'_, T, D> {
        Rows::new(self.segment, self.dim.clone(), self.first).view()
    }

    /// The rows as a view to write.
    ///
    /// Waits for jobs that still use them because their handles were dropped or forgotten.
    #[expect(unsafe_code, reason = "the borrow and the leases are what the view needs")]
    pub fn into_view_mut(self) -> ArrayViewMut<'a, T, D> {
        self.segment.leases().wait(byte_range::<T, D>(&self.dim, self.first), true);
        let first = first_element::<T, D>(self.segment, &self.dim, self.first);
        // SAFETY: as in `Rows::view`, and exclusive: `self` is consumed, and it was the only access to these rows of an array that is
        // borrowed mutably for `'a`; no job has any lease on them.
        unsafe { view::view_mut(first, self.dim) }
    }

    pub(super) fn parts(&self) -> (&'a Arc<Segment>, &D, usize) {
        (self.segment, &self.dim, self.first)
    }
}

impl<T: Element, D: Dimension> fmt::Debug for Rows<'_, T, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        describe::<T, D>("Rows", self.parts(), f)
    }
}

impl<T: Element, D: Dimension> fmt::Debug for RowsMut<'_, T, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        describe::<T, D>("RowsMut", self.parts(), f)
    }
}

fn describe<T: Element, D: Dimension>(
    name: &str,
    (segment, dim, first): (&Arc<Segment>, &D, usize),
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    f.debug_struct(name)
        .field("dtype", &T::DTYPE)
        .field("shape", &dim.slice())
        .field("first_row", &first)
        .field("segment", &segment.name())
        .finish()
}

/// Number of rows of an array of this shape.
#[inline]
pub(crate) fn n_rows(shape: &[usize]) -> usize {
    shape.first().copied().unwrap_or(1)
}

/// Number of elements in one row of an array of this shape.
#[inline]
pub(crate) fn row_len(shape: &[usize]) -> usize {
    shape.get(1..).unwrap_or_default().iter().product()
}

fn byte_range<T: Element, D: Dimension>(dim: &D, first: usize) -> Range<usize> {
    let row_bytes = row_len(dim.slice()) * size_of::<T>();
    first * row_bytes..(first + n_rows(dim.slice())) * row_bytes
}

fn first_element<T: Element, D: Dimension>(segment: &Segment, dim: &D, first: usize) -> *mut T {
    let range = byte_range::<T, D>(dim, first);
    assert!(range.end <= segment.data_len(), "rows beyond the segment");
    let data = segment.data_ptr().expect("constructors of arrays map them");
    data.wrapping_add(range.start).cast()
}

pub(crate) fn checked_range(range: impl RangeBounds<usize>, n: usize) -> Range<usize> {
    let start = match range.start_bound() {
        Bound::Included(&start) => Some(start),
        Bound::Excluded(&before) => before.checked_add(1),
        Bound::Unbounded => Some(0),
    };
    let end = match range.end_bound() {
        Bound::Included(&last) => last.checked_add(1),
        Bound::Excluded(&end) => Some(end),
        Bound::Unbounded => Some(n),
    };
    match (start, end) {
        (Some(start), Some(end)) if start <= end && end <= n => start..end,
        (start, end) => {
            let text =
                |bound: Option<usize>| bound.map_or_else(|| "beyond all".to_owned(), |row| row.to_string());
            panic!("rows {}..{} of an array with {n} rows", text(start), text(end))
        }
    }
}

/// The shape with another number of rows.
pub(crate) fn with_rows<D: Dimension>(dim: &D, range: &Range<usize>) -> D {
    let mut dim = dim.clone();
    match dim.slice_mut().first_mut() {
        Some(n) => *n = range.len(),
        None => assert!(range.len() == 1, "an array without axes is one row, which cannot be split"),
    }
    dim
}
