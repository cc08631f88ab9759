//! Writing frames.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use ndarray::{ArrayRef, ArrayViewMut, Dimension};

use super::Shared;
use crate::array::Element;
use crate::shared::versioned::WriterRole;
use crate::sys::kill_point;
use crate::sys::view;

/// The writer of a [`DoubleBuffer`](super::DoubleBuffer), of which there is one at a time.
///
/// It never waits, whatever readers do. Dropped, or when its process ends, the next one may come.
pub struct Writer<T: Element, D: Dimension> {
    role: WriterRole,
    shared: Arc<Shared<D>>,
    elements: PhantomData<T>,
}

/// What a closure finds in the frame that it is to write.
#[derive(Clone, Copy)]
enum Before {
    /// An older frame, whichever.
    Anything,
    /// The last frame.
    Last,
}

impl<T: Element, D: Dimension> Writer<T, D> {
    pub(super) fn new(role: WriterRole, shared: Arc<Shared<D>>) -> Self {
        Self { role, shared, elements: PhantomData }
    }

    /// Writes the next frame and publishes it, which wakes who waits for it. Returns its number.
    ///
    /// The closure finds some older frame in the buffer, no matter which, and writes all elements. If it panics, the last frame
    /// stays what it was.
    pub fn write(&mut self, write: impl FnOnce(ArrayViewMut<'_, T, D>)) -> u64 {
        let Ok(number) = self.try_write(|frame| {
            write(frame);
            Ok::<_, std::convert::Infallible>(())
        });
        number
    }

    /// As [`write`](Self::write), with a closure that may fail: then the last frame stays what it was.
    ///
    /// # Errors
    ///
    /// That of the closure.
    pub fn try_write<E>(
        &mut self,
        write: impl FnOnce(ArrayViewMut<'_, T, D>) -> Result<(), E>,
    ) -> Result<u64, E> {
        self.write_over(Before::Anything, write)
    }

    /// As [`write`](Self::write), but the closure finds a copy of the last frame, and changes what has changed.
    ///
    /// # Example
    ///
    /// ```
    /// use ndarray::Ix1;
    /// use ndpool::shared::{DoubleBuffer, Options};
    ///
    /// let options = Options::new().directory(std::env::temp_dir());
    /// let counts = DoubleBuffer::<u64, Ix1>::create_with(&options, "update_example", 3)?;
    /// let mut writer = counts.writer()?;
    /// for i in [0, 2, 2] {
    ///     writer.update(|mut frame| frame[i] += 1);
    /// }
    /// assert_eq!(counts.reader().read()?.array.to_vec(), [1, 0, 2]);
    /// # Ok::<(), ndpool::Error>(())
    /// ```
    pub fn update(&mut self, update: impl FnOnce(ArrayViewMut<'_, T, D>)) -> u64 {
        let Ok(number) = self.try_update(|frame| {
            update(frame);
            Ok::<_, std::convert::Infallible>(())
        });
        number
    }

    /// As [`update`](Self::update), with a closure that may fail: then the last frame stays what it was.
    ///
    /// # Errors
    ///
    /// That of the closure.
    pub fn try_update<E>(
        &mut self,
        update: impl FnOnce(ArrayViewMut<'_, T, D>) -> Result<(), E>,
    ) -> Result<u64, E> {
        self.write_over(Before::Last, update)
    }

    /// Publishes a copy of an array as the next frame: the quickest way for one that exists. Returns its number.
    ///
    /// # Panics
    ///
    /// If its shape is not that of a frame.
    pub fn assign(&mut self, array: &ArrayRef<T, D>) -> u64 {
        assert_eq!(array.shape(), self.shared.dim.slice(), "the shape of a frame");
        let Some(elements) = array.as_slice() else {
            return self.write(|mut frame| frame.assign(array));
        };
        let mut writing = self.role.begin();
        writing.fill(0, view::bytes_of(elements));
        kill_point!("double_buffer.assign.filled");
        writing.commit()
    }

    /// Number of the last complete frame; 0 if there is none yet.
    pub fn number(&self) -> u64 {
        self.shared.versioned.version()
    }

    #[expect(unsafe_code, reason = "the view of a buffer that nobody else has a reference to")]
    fn write_over<E>(
        &mut self,
        before: Before,
        write: impl FnOnce(ArrayViewMut<'_, T, D>) -> Result<(), E>,
    ) -> Result<u64, E> {
        // Unless it is committed, also if `write` panics, it never was.
        let mut writing = self.role.begin();
        let target = match before {
            Before::Anything => writing.column(0),
            Before::Last => writing.column_with_last(0),
        };
        let first = writing.first_byte(0, target).cast::<T>();
        let (at, mapping) = (writing.offset(0, target), self.shared.versioned.published().mapping());
        let len = self.shared.dim.size() * size_of::<T>();
        if !T::valid(mapping.bytes_at_rest(at, len)) {
            // Something else than a writer was at it. Readers of such a frame were told.
            mapping.zero(at..at + len);
        }
        // SAFETY: the buffer lies within the mapping, which `self` keeps, and is as long as the shape says, by the checks of
        // `Versioned::new`. Its elements are valid, as was just asked, or zero. No reference to it exists: `column` chooses a buffer that no reader has pinned, and none can
        // pin it, as it holds neither the last version nor a later one; others are not lent, but copied by raw pointers and checked; and
        // there is one writer, who has this `&mut self`. The view ends with the closure, before the commit.
        write(unsafe { view::view_mut(first, self.shared.dim.clone()) })?;
        kill_point!("double_buffer.write.written");
        Ok(writing.commit())
    }
}

impl<T: Element, D: Dimension> fmt::Debug for Writer<T, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").field("number", &self.number()).finish_non_exhaustive()
    }
}
