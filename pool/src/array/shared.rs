//! The array in shared memory.

use std::fmt;
use std::marker::PhantomData;
use std::ops::RangeBounds;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ndarray::{ArrayRef, ArrayView, ArrayViewMut, Dimension};

use super::element::Element;
use super::rows::{Rows, RowsMut};
use crate::error::Result;
use crate::segment::Segment;

/// An array in shared memory, made by a pool and passed to its workers without a copy.
///
/// Rows are what its first axis counts; an array of no axes is one row. Reading borrows the array, writing borrows it mutably,
/// here and in calls alike. Elements lie in C order.
///
/// An array may outlive the pool that made it and be passed to any pool of this process. In a child made by `fork` it cannot be
/// used: its memory is not inherited.
///
/// # Example
///
/// ```
/// ndpool::init();
/// let pool = ndpool::Pool::builder().workers(1).build()?;
/// let mut y = pool.zeros::<f64, _>((4, 3))?;
/// y.view_mut().row_mut(0).fill(1.0);
///
/// let (upper, lower) = y.split_at_mut(1); // to be given to two calls
/// assert_eq!((upper.shape(), lower.shape()), (&[1, 3][..], &[3, 3][..]));
///
/// assert_eq!(y.rows(..2).view().sum(), 3.0);
/// # Ok::<(), ndpool::Error>(())
/// ```
pub struct SharedArray<T: Element, D: Dimension> {
    segment: Arc<Segment>,
    dim: D,
    elements: PhantomData<T>,
}

impl<T: Element, D: Dimension> SharedArray<T, D> {
    /// Takes a segment made for this type and shape, and mapped.
    pub(super) fn new(segment: Arc<Segment>, dim: D) -> Self {
        debug_assert_eq!(segment.data_len(), dim.size() * size_of::<T>());
        Self { segment, dim, elements: PhantomData }
    }

    /// The shape, in the form that constructors accept.
    pub fn raw_dim(&self) -> D {
        self.dim.clone()
    }

    /// The lengths of all axes.
    pub fn shape(&self) -> &[usize] {
        self.dim.slice()
    }

    /// Number of axes.
    pub fn ndim(&self) -> usize {
        self.dim.ndim()
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.dim.size()
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of rows: the length of the first axis, or 1 if there is no axis.
    pub fn n_rows(&self) -> usize {
        self.all().n_rows()
    }

    /// The array as a view.
    ///
    /// Waits for jobs that still write it because their handles were dropped or forgotten.
    pub fn view(&self) -> ArrayView<'_, T, D> {
        self.all().view()
    }

    /// The array as a view to write.
    ///
    /// Waits for jobs that still use it because their handles were dropped or forgotten.
    pub fn view_mut(&mut self) -> ArrayViewMut<'_, T, D> {
        self.all_mut().into_view_mut()
    }

    /// Copies the elements of an array of the same shape in, whatever its strides: see [`RowsMut::assign`], which shows how to have
    /// workers begin before all is copied.
    ///
    /// Waits for jobs that still use the array because their handles were dropped or forgotten.
    ///
    /// # Panics
    ///
    /// If the shapes differ.
    pub fn assign(&mut self, source: &ArrayRef<T, D>) {
        self.all_mut().assign(source);
    }

    /// Some consecutive rows, to read or to pass to a call.
    ///
    /// # Panics
    ///
    /// If there are no such rows.
    pub fn rows(&self, range: impl RangeBounds<usize>) -> Rows<'_, T, D> {
        self.all().rows(range)
    }

    /// Some consecutive rows, to write or to pass to a call.
    ///
    /// # Panics
    ///
    /// If there are no such rows.
    pub fn rows_mut(&mut self, range: impl RangeBounds<usize>) -> RowsMut<'_, T, D> {
        self.all_mut().rows(range)
    }

    /// The rows before `row`, and those from `row` on.
    ///
    /// # Panics
    ///
    /// If `row` is larger than the number of rows, or if the array has no axis.
    pub fn split_at_mut(&mut self, row: usize) -> (RowsMut<'_, T, D>, RowsMut<'_, T, D>) {
        self.all_mut().split_at(row)
    }

    /// The rows in runs of `n`, the last of which may be shorter.
    ///
    /// # Panics
    ///
    /// If `n` is zero.
    pub fn row_chunks(&self, n: usize) -> impl ExactSizeIterator<Item = Rows<'_, T, D>> {
        assert!(n > 0, "chunks of zero rows");
        let total = self.n_rows();
        (0..total.div_ceil(n)).map(move |i| self.rows(i * n..total.min((i + 1).saturating_mul(n))))
    }

    /// The rows in runs of `n`, the last of which may be shorter, to write.
    ///
    /// # Panics
    ///
    /// If `n` is zero.
    pub fn row_chunks_mut(&mut self, n: usize) -> impl Iterator<Item = RowsMut<'_, T, D>> {
        assert!(n > 0, "chunks of zero rows");
        let mut rest = Some(self.all_mut());
        std::iter::from_fn(move || {
            let rows = rest.take().filter(|rows| rows.n_rows() > 0)?;
            if rows.n_rows() <= n {
                return Some(rows);
            }
            let (first, others) = rows.split_at(n);
            rest = Some(others);
            Some(first)
        })
    }

    /// Saves the array as a `.npy` file, whole or not at all: it is written under a temporary name in the same directory, made
    /// durable, and renamed.
    ///
    /// Waits for jobs that still write the array because their handles were dropped or forgotten.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) if the file cannot be written; what was there before is still there.
    ///
    /// # Example
    ///
    /// ```
    /// use ndarray::Ix1;
    ///
    /// ndpool::init();
    /// let path = std::env::temp_dir().join(format!("save_npy-{}.npy", std::process::id()));
    /// let pool = ndpool::Pool::builder().workers(1).build()?;
    /// let x = pool.from_shape_fn(5, |i| i as f32)?;
    /// x.save_npy(&path)?;
    /// assert_eq!(pool.load_npy::<f32, Ix1>(&path)?.view(), x.view());
    /// # std::fs::remove_file(&path).unwrap();
    /// # Ok::<(), ndpool::Error>(())
    /// ```
    pub fn save_npy(&self, path: impl AsRef<Path>) -> Result<()> {
        super::save::save_npy(self.view(), path.as_ref())
    }

    /// The name of the array's segment.
    pub fn segment_name(&self) -> String {
        self.segment.name()
    }

    /// A file that other processes of this user can open as `.npy` while the array lives, for instance with
    /// `np.load(path, mmap_mode="r")`.
    pub fn path(&self) -> PathBuf {
        self.segment.path()
    }

    pub(super) fn segment(&self) -> &Arc<Segment> {
        &self.segment
    }

    pub(super) fn all(&self) -> Rows<'_, T, D> {
        Rows::new(&self.segment, self.dim.clone(), 0)
    }

    pub(super) fn all_mut(&mut self) -> RowsMut<'_, T, D> {
        RowsMut::new(&self.segment, self.dim.clone(), 0)
    }
}

impl<T: Element, D: Dimension> fmt::Debug for SharedArray<T, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedArray")
            .field("dtype", &T::DTYPE)
            .field("shape", &self.shape())
            .field("segment", &self.segment.name())
            .finish()
    }
}

/// The elements of a segment that was made with this type, in memory of this process alone.
pub(crate) fn copy_out<T: Element>(segment: &Arc<Segment>) -> Vec<T> {
    let dim = ndarray::Ix1(segment.data_len() / size_of::<T>());
    SharedArray::<T, _>::new(Arc::clone(segment), dim).view().to_vec()
}
