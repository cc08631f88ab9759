//! Making arrays: what stands in shared memory, and where it comes from.

use super::handle::Pool;
use crate::array::{Element, MappedArray, SharedArray};
use crate::error::Result;
use crate::signals::wait_if_program_ends;
use ndarray::{ArrayRef, Dimension, IntoDimension};
use std::path::Path;

/// Arrays belong to the pool's run: they may outlive the pool, serve any pool of the process, and go with the
/// last of them.
impl Pool {
    /// An array of zeros (`false` for `bool`).
    ///
    /// # Errors
    ///
    /// [`Shape`](crate::ErrorKind::Shape) if the size overflows, [`OutOfSpace`](crate::ErrorKind::OutOfSpace) if
    /// there is no room, [`Io`](crate::ErrorKind::Io).
    ///
    /// # Example
    ///
    /// ```
    /// # ndpool::init();
    /// let pool = ndpool::Pool::builder().workers(1).build()?;
    /// let x = pool.zeros::<f32, _>((3, 4))?;
    /// assert_eq!(x.shape(), [3, 4]);
    /// assert!(x.view().iter().all(|&v| v == 0.0));
    /// # Ok::<(), ndpool::Error>(())
    /// ```
    pub fn zeros<T: Element, S: IntoDimension>(&self, shape: S) -> Result<SharedArray<T, S::Dim>> {
        made(SharedArray::zeros_in(self.segments(), shape.into_dimension()))
    }

    /// An array of zeros with the shape and element type of another.
    ///
    /// # Errors
    ///
    /// As for [`Pool::zeros`].
    pub fn zeros_like<T: Element, D: Dimension>(
        &self,
        like: &SharedArray<T, D>,
    ) -> Result<SharedArray<T, D>> {
        made(SharedArray::zeros_in(self.segments(), like.raw_dim()))
    }

    /// An array of one value.
    ///
    /// # Errors
    ///
    /// As for [`Pool::zeros`].
    pub fn full<T: Element, S: IntoDimension>(&self, shape: S, value: T) -> Result<SharedArray<T, S::Dim>> {
        made(SharedArray::full_in(self.segments(), shape.into_dimension(), value))
    }

    /// A copy of an array or view, whatever its strides; the copy is in C order.
    ///
    /// # Errors
    ///
    /// As for [`Pool::zeros`].
    ///
    /// # Example
    ///
    /// ```
    /// # ndpool::init();
    /// use ndarray::array;
    /// let pool = ndpool::Pool::builder().workers(1).build()?;
    /// let a = array![[1, 2, 3], [4, 5, 6]];
    /// let x = pool.from_array(&a.t())?;
    /// assert_eq!(x.view(), array![[1, 4], [2, 5], [3, 6]]);
    /// # Ok::<(), ndpool::Error>(())
    /// ```
    pub fn from_array<T: Element, D: Dimension>(&self, array: &ArrayRef<T, D>) -> Result<SharedArray<T, D>> {
        made(SharedArray::from_array_in(self.segments(), &array.view()))
    }

    /// An array whose elements are a function of their indices. The function is called from several threads.
    ///
    /// # Errors
    ///
    /// As for [`Pool::zeros`].
    ///
    /// # Example
    ///
    /// ```
    /// # ndpool::init();
    /// let pool = ndpool::Pool::builder().workers(1).build()?;
    /// let x = pool.from_shape_fn((2, 3), |(i, j)| (10 * i + j) as u16)?;
    /// assert_eq!(x.view()[(1, 2)], 12);
    /// # Ok::<(), ndpool::Error>(())
    /// ```
    pub fn from_shape_fn<T: Element, S: IntoDimension>(
        &self,
        shape: S,
        function: impl Fn(<S::Dim as Dimension>::Pattern) -> T + Sync,
    ) -> Result<SharedArray<T, S::Dim>> {
        made(SharedArray::from_shape_fn_in(self.segments(), shape.into_dimension(), function))
    }

    /// A copy of a `.npy` file, read by several threads.
    ///
    /// # Errors
    ///
    /// [`Npy`](crate::ErrorKind::Npy) if the file is no `.npy` file of these elements and this rank in C order
    /// and this machine's byte order; the source is an [`NpyError`](crate::NpyError) that says what was found
    /// and wanted. Otherwise as for [`Pool::zeros`].
    ///
    /// # References
    ///
    /// `numpy.load`; the format is described in `numpy.lib.format`.
    pub fn load_npy<T: Element, D: Dimension>(&self, path: impl AsRef<Path>) -> Result<SharedArray<T, D>> {
        made(SharedArray::load_npy_in(self.segments(), path.as_ref()))
    }

    /// A `.npy` file as it lies on disk, without a copy, to be read by tasks.
    ///
    /// # Errors
    ///
    /// As for [`Pool::load_npy`].
    ///
    /// # Safety
    ///
    /// Nobody changes or truncates the file while the array, or a job that reads it, exists: a changed file is a
    /// data race, and a shortened one ends whoever reads it with SIGBUS.
    ///
    /// # Example
    ///
    /// ```
    /// use ndarray::{Ix1, array};
    ///
    /// ndpool::init();
    /// let path = std::env::temp_dir().join(format!("mmap_npy-{}.npy", std::process::id()));
    /// let pool = ndpool::Pool::builder().workers(1).build()?;
    /// pool.from_array(&array![1.0, 2.0, 4.0])?.save_npy(&path)?;
    /// // SAFETY: nobody else knows the file.
    /// let x = unsafe { pool.mmap_npy::<f64, Ix1>(&path) }?;
    /// assert_eq!(pool.run(ndpool::ops::sum(&x))?, 7.0);
    /// # std::fs::remove_file(&path).unwrap();
    /// # Ok::<(), ndpool::Error>(())
    /// ```
    #[expect(unsafe_code, reason = "the promise is passed on to the caller")]
    pub unsafe fn mmap_npy<T: Element, D: Dimension>(
        &self,
        path: impl AsRef<Path>,
    ) -> Result<MappedArray<T, D>> {
        // SAFETY: the caller promises what `open` asks for.
        unsafe { MappedArray::open(path.as_ref()) }
    }
}

/// What was made. If it could not be made because the program ends, this never returns: the caller is not to take that for
/// an error of its own.
fn made<A>(result: Result<A>) -> Result<A> {
    result.inspect_err(|_| wait_if_program_ends())
}
