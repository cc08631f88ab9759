//! What whoever holds a lock has of the array, and why somebody does not hold it.

use std::fmt;
use std::ops::{Deref, DerefMut, Range};
use std::ptr::NonNull;
use std::thread;

use ndarray::{ArrayRef, ArrayViewMut, Dimension};

use super::mutex::Mutex;
use crate::array::Element;
use crate::error::{Error, ErrorKind};
use crate::sys::kill_point;
use crate::sys::shelf::Shelved;

/// Locks that this thread holds, given back when dropped.
pub(super) struct Held<T: Element, D: Dimension> {
    /// Borrowed for as long as this lives, by whoever has it.
    mutex: NonNull<Mutex<T, D>>,
    /// The first, and how many: no more than a page has.
    first: u16,
    n: u16,
    /// A panic that began before is no fault of what happens under the lock.
    was_panicking: bool,
}

impl<T: Element, D: Dimension> Held<T, D> {
    /// These, which the thread has just taken by this mutex; more may [come](Self::add_next).
    ///
    /// The mutex stays where it is for as long as this lives.
    #[inline]
    pub(super) fn new(mutex: &Mutex<T, D>, stripes: Range<usize>) -> Self {
        let (first, n) = (stripes.start as u16, stripes.len() as u16);
        Self { mutex: mutex.into(), first, n, was_panicking: thread::panicking() }
    }

    /// One more, which was taken.
    #[inline]
    pub(super) fn add_next(&mut self) {
        self.n += 1;
    }

    #[inline]
    fn stripes(&self) -> Range<usize> {
        self.first.into()..usize::from(self.first) + usize::from(self.n)
    }

    #[inline]
    #[expect(unsafe_code, reason = "a guard of one word cannot have the borrow beside the array")]
    fn mutex(&self) -> &Mutex<T, D> {
        // SAFETY: the pointer was made of a reference, and whoever has this has the borrow: a guard, by its lifetime, or `Mutex::take`.
        unsafe { self.mutex.as_ref() }
    }
}

impl<T: Element, D: Dimension> Drop for Held<T, D> {
    #[inline]
    fn drop(&mut self) {
        let mutex = self.mutex();
        // It has neither the memory nor the locks.
        if mutex.is_forked() {
            return;
        }
        if !self.was_panicking && thread::panicking() {
            mutex.stripes.set_poisoned(self.stripes(), true);
            kill_point!("shared.lock.poisoned");
        }
        for stripe in self.stripes() {
            mutex.stripes.give_back(stripe);
        }
    }
}

/// What is under the locks that somebody holds.
pub(super) struct Part<T: Element, D: Dimension> {
    pub(super) held: Held<T, D>,
    pub(super) view: ArrayViewMut<'static, T, D>,
    pub(super) rows: Range<usize>,
}

/// The array of a [`Mutex`], or some rows of it, for whoever holds the lock; unlocked when dropped. It dereferences to `ndarray`'s
/// [`ArrayRef`], with all methods of a view.
#[must_use = "unlocked when dropped"]
pub struct MutexGuard<'a, T: Element, D: Dimension> {
    /// In the place of the first of the locks.
    part: Shelved<'a, Part<T, D>>,
}

impl<'a, T: Element, D: Dimension> MutexGuard<'a, T, D> {
    #[inline]
    pub(super) fn new(part: Shelved<'a, Part<T, D>>) -> Self {
        Self { part }
    }

    /// The guard, with a word about the data.
    pub(super) fn poisoned(self) -> LockError<'a, T, D> {
        LockError::Poisoned(Poisoned { guard: self })
    }

    /// Which rows of the array they are.
    pub fn rows(&self) -> Range<usize> {
        self.part.rows.clone()
    }

    /// The rows as a view to write.
    pub fn view_mut(&mut self) -> ArrayViewMut<'_, T, D> {
        self.part.view.view_mut()
    }
}

impl<T: Element, D: Dimension> Deref for MutexGuard<'_, T, D> {
    type Target = ArrayRef<T, D>;

    #[inline]
    fn deref(&self) -> &ArrayRef<T, D> {
        &self.part.view
    }
}

impl<T: Element, D: Dimension> DerefMut for MutexGuard<'_, T, D> {
    #[inline]
    fn deref_mut(&mut self) -> &mut ArrayRef<T, D> {
        &mut self.part.view
    }
}

/// A lock whose last holder died or panicked; the data may be half written.
///
/// Dropped, or turned [into the guard](Self::into_guard), it stays poisoned.
///
/// # Example
///
/// ```
/// use ndpool::shared::{LockError, Mutex};
///
/// let counts = Mutex::<u64, _>::create("mutex_example_poisoned", 4)?;
/// let panicked = std::thread::scope(|scope| {
///     let thread = scope.spawn(|| {
///         let mut guard = counts.lock().unwrap();
///         guard[0] = 1;
///         panic!("half way");
///     });
///     thread.join()
/// });
/// assert!(panicked.is_err());
///
/// let guard = match counts.lock() {
///     Ok(guard) => guard,
///     Err(LockError::Poisoned(mut poisoned)) => {
///         poisoned.guard_mut().fill(0); // what makes the data right again
///         poisoned.recover()
///     }
///     Err(error) => return Err(error.into()),
/// };
/// drop(guard);
/// assert_eq!(counts.lock()?.sum(), 0);
/// # Ok::<(), ndpool::Error>(())
/// ```
#[must_use = "unlocked when dropped, and still poisoned"]
pub struct Poisoned<'a, T: Element, D: Dimension> {
    guard: MutexGuard<'a, T, D>,
}

impl<'a, T: Element, D: Dimension> Poisoned<'a, T, D> {
    /// What was locked.
    pub fn guard(&self) -> &MutexGuard<'a, T, D> {
        &self.guard
    }

    /// What was locked, to be put right.
    pub fn guard_mut(&mut self) -> &mut MutexGuard<'a, T, D> {
        &mut self.guard
    }

    /// Those of the locked rows whose locks are poisoned, in ascending order; other rows are as their last holder left them.
    pub fn rows(&self) -> Vec<Range<usize>> {
        let Part { held, rows, .. } = &*self.guard.part;
        let mutex = held.mutex();
        let poisoned = held.stripes().filter(|&stripe| mutex.stripes.is_poisoned(stripe));
        let rows = poisoned.map(|stripe| {
            let first = stripe * mutex.rows_per_stripe();
            first.max(rows.start)..(first + mutex.rows_per_stripe()).min(rows.end)
        });
        rows.filter(|rows| !rows.is_empty()).collect()
    }

    /// Says that the data are right. Who locks from now on hears nothing of it.
    pub fn recover(self) -> MutexGuard<'a, T, D> {
        let held = &self.guard.part.held;
        kill_point!("shared.lock.recover");
        held.mutex().stripes.set_poisoned(held.stripes(), false);
        kill_point!("shared.lock.recovered");
        self.guard
    }

    /// The guard, without a word about the data: the lock stays poisoned.
    pub fn into_guard(self) -> MutexGuard<'a, T, D> {
        self.guard
    }
}

/// Why a [`Mutex`] was not locked, or not as it should be.
#[non_exhaustive]
pub enum LockError<'a, T: Element, D: Dimension> {
    /// It is locked; but a process died, or a thread panicked, while it held the lock, and the data may be half written.
    Poisoned(Poisoned<'a, T, D>),
    /// Others that live, or are stopped, held it all the time.
    Held,
    /// This thread holds it already, by the same handle.
    Deadlock,
    /// The process was forked from the one that has the handle, and has not its memory.
    Forked,
}

impl<T: Element, D: Dimension> fmt::Display for LockError<'_, T, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Poisoned(poisoned) => {
                let mutex = poisoned.guard.part.held.mutex();
                let name = mutex.file.name();
                write!(f, "a holder of the mutex `{name}` died or panicked, and left rows ")?;
                for (i, rows) in poisoned.rows().into_iter().enumerate() {
                    write!(f, "{}{rows:?}", if i == 0 { "" } else { ", " })?;
                }
                f.write_str(" half written, perhaps")
            }
            Self::Held => f.write_str("others held the mutex all the time"),
            Self::Deadlock => f.write_str("this thread holds the mutex already"),
            Self::Forked => f.write_str("the mutex was attached before this process was forked"),
        }
    }
}

impl<T: Element, D: Dimension> std::error::Error for LockError<'_, T, D> {}

/// Unlocks, if it was poisoned.
impl<T: Element, D: Dimension> From<LockError<'_, T, D>> for Error {
    fn from(error: LockError<'_, T, D>) -> Self {
        let message = error.to_string();
        let hint = match error {
            LockError::Poisoned(_) => {
                "match on LockError::Poisoned, put the data right, and call Poisoned::recover"
            }
            LockError::Held => "wait longer, or without a limit",
            LockError::Deadlock => "drop the guard before the lock is taken again",
            LockError::Forked => "attach anew in the child",
        };
        Self::new(ErrorKind::Lock, message).with_hint(hint)
    }
}

impl<T: Element, D: Dimension> fmt::Debug for MutexGuard<'_, T, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MutexGuard").field("rows", &self.part.rows).finish_non_exhaustive()
    }
}

impl<T: Element, D: Dimension> fmt::Debug for Poisoned<'_, T, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Poisoned").field("rows", &self.rows()).finish_non_exhaustive()
    }
}

impl<T: Element, D: Dimension> fmt::Debug for LockError<'_, T, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Poisoned(poisoned) => f.debug_tuple("Poisoned").field(poisoned).finish(),
            Self::Held => f.write_str("Held"),
            Self::Deadlock => f.write_str("Deadlock"),
            Self::Forked => f.write_str("Forked"),
        }
    }
}
