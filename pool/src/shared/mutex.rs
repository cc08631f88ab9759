//! An array under a lock.

use std::fmt;
use std::ops::{Range, RangeBounds};
use std::path::Path;
use std::time::Duration;

use ndarray::{ArrayRef, ArrayViewMut, Dimension, IntoDimension};

use super::file::{Plan, Published};
use super::guard::{Held, LockError, MutexGuard, Part};
use super::options::Options;
use super::page::Kind;
use super::stripes::{MOST_STRIPES, Refused, Stripes};
use super::until::Until;
use crate::array::{Element, checked_range, n_rows, row_len, with_rows};
use crate::error::{Error, ErrorKind, Result};
use crate::segment::{DType, Header, NpyError, PAGE_BYTES, write_header};
use crate::sys::fork;
use crate::sys::primitive::Ordering;
use crate::sys::shelf::{Place, Shelf, Shelved};
use crate::sys::view::{self, checked_len_bytes};

/// An array that one thread of one process at a time reads or writes.
///
/// Any process that knows the name [attaches](Self::attach), [locks](Self::lock) and gets the array as a view, in the same memory. Locking
/// and unlocking where nobody else wants the lock takes no system call.
///
/// # Rows
///
/// A mutex that was created [in stripes](Self::create_striped) has several locks, each for as many consecutive rows, and
/// [`lock_rows`](Self::lock_rows) takes those that cover some rows, in ascending order. Who locks rows in several calls and holds on to them
/// should ask for them in that order, too: otherwise two may wait for each other for ever.
///
/// # Deaths and panics
///
/// When a process dies that holds the lock, by whatever signal, whoever waits for it gets it, within some 50 ms, with the news that the
/// array may be half written: [`LockError::Poisoned`], which holds the guard. The lock stays poisoned until somebody has put the data right
/// and says so: [`Poisoned::recover`](super::Poisoned::recover). So it does when a thread panics while it holds a guard. A process that is stopped (`SIGSTOP`) is not
/// dead, and is waited for.
///
/// # Order
///
/// Who comes while the lock is free has it, even if others wait; but they are passed a thousand times at most, or for some milliseconds,
/// whichever is less. Then newcomers queue until one that waits has had it. Nobody starves, unless others only ever call
/// [`try_lock`](Self::try_lock), which does not queue.
///
/// # Threads
///
/// Threads of a process share one handle, or have one each. A thread that locks again what it holds by the same handle gets
/// [`LockError::Deadlock`]; by another handle it waits for ever. A child made by `fork` gets [`LockError::Forked`], and a guard
/// that is dropped there unlocks nothing.
///
/// # Example
///
/// ```
/// use ndpool::shared::Mutex;
///
/// let counts = Mutex::<u64, _>::create("mutex_example_counts", 100)?;
/// let workers: Vec<_> = (0..4)
///     .map(|_| {
///         std::thread::spawn(|| {
///             let counts = Mutex::<u64, ndpool::ndarray::Ix1>::attach("mutex_example_counts")?; // in any process
///             for _ in 0..50 {
///                 *counts.lock()? += 1; // the whole array, by ndarray's operators
///             }
///             Ok::<(), ndpool::Error>(())
///         })
///     })
///     .collect();
/// for worker in workers {
///     worker.join().unwrap()?;
/// }
/// assert!(counts.lock()?.iter().all(|&count| count == 200));
/// # Ok::<(), ndpool::Error>(())
/// ```
pub struct Mutex<T: Element, D: Dimension> {
    pub(super) file: Published,
    pub(super) stripes: Stripes,
    dim: D,
    rows_per_stripe: usize,
    /// Where guards have what they lend, a place for each lock.
    parts: Shelf<Part<T, D>>,
    /// To tell a forked child.
    forks: u32,
}

impl<T: Element, D: Dimension> Mutex<T, D> {
    /// Creates an array of zeros under one lock.
    ///
    /// # Errors
    ///
    /// As for [`create_striped`](Self::create_striped).
    pub fn create(name: &str, shape: impl IntoDimension<Dim = D>) -> Result<Self> {
        Self::create_with(&Options::new(), name, shape)
    }

    /// Creates an array of zeros under one lock, with options.
    ///
    /// # Errors
    ///
    /// As for [`create_striped`](Self::create_striped).
    pub fn create_with(options: &Options, name: &str, shape: impl IntoDimension<Dim = D>) -> Result<Self> {
        Self::create_striped(options, name, shape, 1)
    }

    /// Creates an array of zeros whose rows are under several locks: the first for the first `1 / n_stripes` of the rows, and so on.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidArgument`] if it is no name, or `n_stripes` is not from 1 to 56; [`Shape`](ErrorKind::Shape) if the size
    /// overflows; [`Segment`](ErrorKind::Segment) if the name is taken; [`OutOfSpace`](ErrorKind::OutOfSpace), [`Io`](ErrorKind::Io).
    pub fn create_striped(
        options: &Options,
        name: &str,
        shape: impl IntoDimension<Dim = D>,
        n_stripes: usize,
    ) -> Result<Self> {
        Self::make(options, name, shape.into_dimension(), n_stripes, |_| ())
    }

    /// Creates a copy of an array under one lock or several.
    ///
    /// # Errors
    ///
    /// As for [`create_striped`](Self::create_striped).
    pub fn from_array(
        options: &Options,
        name: &str,
        array: &ArrayRef<T, D>,
        n_stripes: usize,
    ) -> Result<Self> {
        Self::make(options, name, array.raw_dim(), n_stripes, |mut rows| rows.assign(array))
    }

    #[expect(unsafe_code, reason = "nobody else knows a file that is being made")]
    fn make(
        options: &Options,
        name: &str,
        dim: D,
        n_stripes: usize,
        fill: impl FnOnce(ArrayViewMut<'_, T, D>),
    ) -> Result<Self> {
        let name = name.parse()?;
        if !(1..=MOST_STRIPES).contains(&n_stripes) {
            let message = format!("{n_stripes} locks for `{name}`; there can be 1 to {MOST_STRIPES}");
            return Err(Error::new(ErrorKind::InvalidArgument, message));
        }
        let Some(data_len) = checked_len_bytes(dim.slice(), size_of::<T>()) else {
            return Err(Error::new(ErrorKind::Shape, format!("the shape {:?} overflows", dim.slice())));
        };
        let plan = Plan {
            kind: Kind::Mutex,
            header: write_header(T::DTYPE, dim.slice(), PAGE_BYTES),
            data_len,
            n_buffers: 1,
            n_columns: 1,
            n_table_words: 0,
        };
        let file = Published::create(options, &name, &plan, |file| {
            file.page().own[0].store(n_stripes as u64, Ordering::Relaxed);
            let rows = 0..n_rows(dim.slice());
            // SAFETY: nobody else knows the file yet, and the view is borrowed.
            fill(unsafe { view_of_rows(file, &dim, &rows) });
            Ok(())
        })?;
        Self::new(file, dim, n_stripes)
    }

    /// Finds a mutex by its name.
    ///
    /// # Errors
    ///
    /// As for [`attach_with`](Self::attach_with).
    pub fn attach(name: &str) -> Result<Self> {
        Self::attach_with(&Options::new(), name)
    }

    /// Finds a mutex by its name, with options.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Segment`] if there is none, or it is another's, or something else, or all seats are taken: there can be 4095 handles;
    /// [`Npy`](ErrorKind::Npy) if it has another element type or number of axes; [`InvalidArgument`](ErrorKind::InvalidArgument) if it is
    /// no name, or the options ask for a handle that only reads: to lock is to write; [`Io`](ErrorKind::Io).
    pub fn attach_with(options: &Options, name: &str) -> Result<Self> {
        if options.read_only {
            let message = format!("a read-only handle cannot lock `{name}`");
            return Err(Error::new(ErrorKind::InvalidArgument, message)
                .with_hint("attach without Options::read_only, or map its file, which shows what is written at the moment"));
        }
        let file = Published::attach(options, &name.parse()?, &[Kind::Mutex])?;
        let refuse = |error: NpyError| error.at(file.path());
        let header = Header::read(&mut &file.header()[..]).map_err(refuse)?;
        header.expect(T::DTYPE, D::NDIM).map_err(refuse)?;
        let mut dim = D::zeros(header.shape.len());
        dim.slice_mut().copy_from_slice(&header.shape);
        let n_stripes = usize::try_from(file.page().own[0].load(Ordering::Relaxed)).unwrap_or(0);
        let end = file.data_offset().checked_add(header.data_len());
        if !(1..=MOST_STRIPES).contains(&n_stripes) || end.is_none_or(|end| end > file.tables_offset()) {
            let message =
                format!("`{}` is damaged: its numbers contradict each other", file.path().display());
            return Err(Error::new(ErrorKind::Segment, message));
        }
        let mutex = Self::new(file, dim, n_stripes)?;
        mutex.check_elements()?;
        Ok(mutex)
    }

    fn new(file: Published, dim: D, n_stripes: usize) -> Result<Self> {
        let stripes = Stripes::new(&file, n_stripes)?;
        let rows_per_stripe = n_rows(dim.slice()).div_ceil(n_stripes).max(1);
        Ok(Self {
            file,
            stripes,
            dim,
            rows_per_stripe,
            parts: Shelf::new(n_stripes),
            forks: fork::generation(),
        })
    }

    /// Refuses bytes that are no values. Only `bool` has such.
    fn check_elements(&self) -> Result<()> {
        if T::DTYPE != DType::Bool {
            return Ok(());
        }
        let mut piece = vec![0; PAGE_BYTES];
        let n = self.dim.size();
        for start in (0..n).step_by(PAGE_BYTES) {
            let piece = &mut piece[..PAGE_BYTES.min(n - start)];
            self.file.mapping().read_bytes(self.file.data_offset() + start, piece);
            if !T::valid(piece) {
                let message = format!("`{}` has bytes that are no bool", self.file.path().display());
                return Err(Error::new(ErrorKind::Npy, message));
            }
        }
        Ok(())
    }

    /// The lengths of all axes.
    pub fn shape(&self) -> &[usize] {
        self.dim.slice()
    }

    /// Number of rows: the length of the first axis, or 1 if there is no axis.
    pub fn n_rows(&self) -> usize {
        n_rows(self.dim.slice())
    }

    /// Number of locks.
    pub fn n_stripes(&self) -> usize {
        self.stripes.n()
    }

    /// Rows that one lock is for; the last one may have fewer.
    pub fn rows_per_stripe(&self) -> usize {
        self.rows_per_stripe
    }

    /// Whether the name still leads to this mutex: `false` once it was removed, or replaced by another.
    pub fn is_current(&self) -> bool {
        self.file.is_current()
    }

    /// Its file: a `.npy` file of the array, which shows what is being written at the moment.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// Locks the whole array, waiting for as long as it takes.
    ///
    /// # Errors
    ///
    /// [`LockError::Poisoned`] with the guard, if a holder died or panicked; [`LockError::Deadlock`] if this thread holds the lock already;
    /// [`LockError::Forked`] in a forked child.
    #[inline]
    pub fn lock(&self) -> Result<MutexGuard<'_, T, D>, LockError<'_, T, D>> {
        self.take(0..self.n_rows(), 0..self.n_stripes(), None)
    }

    /// As [`lock`](Self::lock), for some rows.
    ///
    /// # Errors
    ///
    /// As for [`lock`](Self::lock); poisoned is what holds any of these rows, or of those that share a lock with them.
    ///
    /// # Panics
    ///
    /// If there are no such rows, or if the array has no axis and the range is empty.
    ///
    /// # Example
    ///
    /// ```
    /// use ndpool::shared::{Mutex, Options};
    ///
    /// let table = Mutex::<f64, _>::create_striped(&Options::new(), "mutex_example_rows", (100, 3), 10)?;
    /// let mut upper = table.lock_rows(..20)?;
    /// let mut lower = table.lock_rows(50..)?; // held at the same time, here or elsewhere
    /// upper.row_mut(0).fill(1.0);
    /// lower.row_mut(0).fill(2.0); // row 50 of the table
    /// assert_eq!((upper.shape(), lower.rows()), (&[20, 3][..], 50..100));
    /// # Ok::<(), ndpool::Error>(())
    /// ```
    pub fn lock_rows(
        &self,
        rows: impl RangeBounds<usize>,
    ) -> Result<MutexGuard<'_, T, D>, LockError<'_, T, D>> {
        let rows = checked_range(rows, self.n_rows());
        self.take(rows.clone(), self.stripes_of(&rows), None)
    }

    /// As [`lock`](Self::lock), if that is possible at once. It does not queue: while others wait, it may take the lock before them.
    ///
    /// # Errors
    ///
    /// [`LockError::Held`] if a living process holds the lock, and as for [`lock`](Self::lock).
    pub fn try_lock(&self) -> Result<MutexGuard<'_, T, D>, LockError<'_, T, D>> {
        self.lock_timeout(Duration::ZERO)
    }

    /// As [`lock`](Self::lock), but waiting no longer than that.
    ///
    /// # Errors
    ///
    /// [`LockError::Held`] if living processes held the lock all the time, and as for [`lock`](Self::lock).
    pub fn lock_timeout(&self, limit: Duration) -> Result<MutexGuard<'_, T, D>, LockError<'_, T, D>> {
        self.take(0..self.n_rows(), 0..self.n_stripes(), Some(limit))
    }

    /// As [`lock_rows`](Self::lock_rows), but waiting no longer than that.
    ///
    /// # Errors
    ///
    /// As for [`lock_timeout`](Self::lock_timeout).
    ///
    /// # Panics
    ///
    /// As for [`lock_rows`](Self::lock_rows).
    pub fn lock_rows_timeout(
        &self,
        rows: impl RangeBounds<usize>,
        limit: Duration,
    ) -> Result<MutexGuard<'_, T, D>, LockError<'_, T, D>> {
        let rows = checked_range(rows, self.n_rows());
        self.take(rows.clone(), self.stripes_of(&rows), Some(limit))
    }

    /// Whether this process is a forked child of the one that has the handle. Asked with each lock, so it costs no system call.
    #[inline]
    pub(super) fn is_forked(&self) -> bool {
        self.forks != fork::generation()
    }

    /// Whether all or part of it is locked at this moment, perhaps by a process that is dead.
    pub fn is_locked(&self) -> bool {
        (0..self.n_stripes()).any(|stripe| self.stripes.is_held(stripe))
    }

    fn stripes_of(&self, rows: &Range<usize>) -> Range<usize> {
        if rows.is_empty() {
            return 0..0;
        }
        rows.start / self.rows_per_stripe..rows.end.div_ceil(self.rows_per_stripe)
    }

    #[inline]
    fn take(
        &self,
        rows: Range<usize>,
        stripes: Range<usize>,
        limit: Option<Duration>,
    ) -> Result<MutexGuard<'_, T, D>, LockError<'_, T, D>> {
        if self.is_forked() {
            return Err(LockError::Forked);
        }
        if stripes.len() == 1 {
            // Whatever may panic comes before the lock is taken. So nothing need be taken back, and the compiler writes the part to its
            // place at once, in place of building it elsewhere.
            let (view, place) = (self.view(&rows), self.parts.place(stripes.start));
            if self.stripes.take_at_rest(stripes.start) {
                return Ok(self.lend(Some(place), Part { held: Held::new(self, stripes), view, rows }));
            }
        }
        self.take_others(rows, stripes, limit)
    }

    /// None, several, or one that is not at rest.
    #[cold]
    fn take_others(
        &self,
        rows: Range<usize>,
        stripes: Range<usize>,
        limit: Option<Duration>,
    ) -> Result<MutexGuard<'_, T, D>, LockError<'_, T, D>> {
        let first = stripes.start;
        let mut held = Held::new(self, first..first);
        let mut until = Until::limit(limit);
        let mut is_poisoned = false;
        for stripe in stripes.clone() {
            match self.stripes.take(&self.file, stripe, &mut until) {
                Ok(taken) => is_poisoned |= taken.is_poisoned,
                // Those that were taken are given back.
                Err(Refused::Held) => return Err(LockError::Held),
                Err(Refused::OwnedByThisThread) => return Err(LockError::Deadlock),
            }
            held.add_next();
        }
        let place = (!stripes.is_empty()).then(|| self.parts.place(first));
        let guard = self.lend(place, Part { held, view: self.view(&rows), rows });
        if is_poisoned { Err(guard.poisoned()) } else { Ok(guard) }
    }

    /// The rows, to be accessed by whoever holds their locks.
    #[inline]
    #[expect(unsafe_code, reason = "the locks are what the view needs")]
    fn view(&self, rows: &Range<usize>) -> ArrayViewMut<'static, T, D> {
        // SAFETY: the view is used through a guard alone, which borrows this mutex, whose file stays mapped, and has the locks for as long
        // as it lives.
        unsafe { view_of_rows(&self.file, &self.dim, rows) }
    }

    /// Lends what was taken: in the place that the first of the locks has, or in a box, if there is none.
    #[inline]
    #[expect(unsafe_code, reason = "the locks are what the place needs")]
    fn lend<'a>(&'a self, place: Option<&'a Place<Part<T, D>>>, part: Part<T, D>) -> MutexGuard<'a, T, D> {
        MutexGuard::new(match place {
            // SAFETY: whoever had the place by this handle gave the lock back while his part was dropped, which happened before the lock was
            // taken for this one; who forgets a guard keeps both.
            Some(place) => unsafe { place.put(part) },
            None => Shelved::boxed(part),
        })
    }
}

/// The rows of the array in a file, to be written.
///
/// # Safety
///
/// For as long as the view is used, the file is mapped, and nobody else accesses the rows: the caller holds their locks, or nobody knows the
/// file yet.
#[inline]
#[expect(unsafe_code, reason = "the locks are what the view needs")]
unsafe fn view_of_rows<'v, T: Element, D: Dimension>(
    file: &Published,
    dim: &D,
    rows: &Range<usize>,
) -> ArrayViewMut<'v, T, D> {
    let row_bytes = row_len(dim.slice()) * size_of::<T>();
    debug_assert!(file.data_offset() + rows.end * row_bytes <= file.tables_offset());
    let data = file.mapping().as_mut_ptr().wrapping_add(file.data_offset());
    let first = data.wrapping_add(rows.start * row_bytes).cast();
    let dim = if rows.len() == n_rows(dim.slice()) { dim.clone() } else { with_rows(dim, rows) };
    // SAFETY: rows and shape were checked against the array, and the array against the file, which stays mapped, as the caller promises.
    // Elements are valid: zero or copied when the file was made, looked at when it was attached, and written since by those who hold
    // the locks, as values of the same type. Nobody else accesses them: a promise, too.
    unsafe { view::view_mut(first, dim) }
}

impl<T: Element, D: Dimension> fmt::Debug for Mutex<T, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mutex")
            .field("name", &self.file.name().to_string())
            .field("dtype", &T::DTYPE)
            .field("shape", &self.shape())
            .field("n_stripes", &self.n_stripes())
            .finish_non_exhaustive()
    }
}
