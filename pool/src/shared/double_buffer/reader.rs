//! Reading frames, whole or lent, and waiting for the next.

use std::fmt;
use std::mem::MaybeUninit;
use std::sync::Arc;
use std::time::Duration;

use ndarray::{Array, ArrayRef, ArrayView, Dimension};

use super::Shared;
use crate::array::Element;
use crate::error::{Error, ErrorKind, Result};
use crate::shared::file::Published;
use crate::sys::view;

/// A copy of a frame.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Frame<T, D: Dimension> {
    /// Its number, from 1 on; 0 if nothing was written yet.
    pub number: u64,
    /// How many frames were written between the one that the same reader got before, if any, and this one.
    pub missed: u64,
    /// Its elements.
    pub array: Array<T, D>,
}

/// A reader of a [`DoubleBuffer`](super::DoubleBuffer). It gets the last complete frame each time, and knows which it got before.
pub struct Reader<T: Element, D: Dimension> {
    shared: Arc<Shared<D>>,
    /// The frame that it got last, if any.
    got: Option<u64>,
    missed: u64,
    /// For frames that cannot be lent.
    scratch: Vec<MaybeUninit<T>>,
}

impl<T: Element, D: Dimension> Reader<T, D> {
    pub(super) fn new(shared: Arc<Shared<D>>) -> Self {
        Self { shared, got: None, missed: 0, scratch: Vec::new() }
    }

    /// The file, as far as others need it.
    pub(crate) fn published(&self) -> &Published {
        self.shared.versioned.published()
    }

    /// Copies the last complete frame: zeros, with number 0, if there is none yet.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::TooSlow`] if the writer overwrote it each of many times that it was copied, while all that can be held was held by others
    /// or the handle is read-only; the next attempt may succeed. [`ErrorKind::Segment`] if its bytes are no values of the type.
    pub fn read(&mut self) -> Result<Frame<T, D>> {
        let mut array = Array::uninit(self.shared.dim.clone());
        let elements = array.as_slice_mut().expect("it was just made");
        let number = copy_latest(&self.shared, elements)?;
        #[expect(unsafe_code, reason = "what was copied and checked is initialised")]
        // SAFETY: `copy_latest` has written every element.
        let array = unsafe { array.assume_init() };
        self.note(number);
        Ok(Frame { number, missed: self.missed, array })
    }

    /// Copies the last complete frame into an array of its shape, and returns its number: for many reads without new memory.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read). Then the array's elements are what they were, or parts of frames.
    ///
    /// # Panics
    ///
    /// If the array has not the shape of a frame.
    pub fn read_into(&mut self, target: &mut ArrayRef<T, D>) -> Result<u64> {
        assert_eq!(target.shape(), self.shared.dim.slice(), "the shape of a frame");
        let all_bytes_are_values = T::valid(&[u8::MAX]);
        match target.as_slice_mut() {
            Some(elements) if all_bytes_are_values => {
                #[expect(unsafe_code, reason = "any bytes are values")]
                // SAFETY: only bytes are written there, and any bytes are values of `T`, as was just asked.
                let elements = unsafe { view::as_uninit(elements) };
                let number = copy_latest(&self.shared, elements)?;
                self.note(number);
            }
            _ => self.read_with(|frame| target.assign(&frame))?,
        }
        Ok(self.number())
    }

    /// Lends the last complete frame: zeros if there is none yet.
    ///
    /// Nothing is copied, and the frame stays what it is until the closure returns, however long that takes; the writer goes on with the
    /// other buffers. If all that can be [held](super::DoubleBufferBuilder::buffers) is held by others, or the handle is
    /// read-only, the closure gets a copy.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub fn read_with<R>(&mut self, read: impl FnOnce(ArrayView<'_, T, D>) -> R) -> Result<R> {
        let dim = self.shared.dim.clone();
        let Some(held) = self.shared.versioned.hold() else { return self.read_scratch(read) };
        let version = held.version();
        let Some(offset) = held.offset(0) else {
            // Held before the first frame.
            drop(held);
            return self.read_scratch(read);
        };
        let bytes = self.published().mapping().bytes_at_rest(offset, dim.size() * size_of::<T>());
        if !T::valid(bytes) {
            return Err(no_values(&self.shared, version));
        }
        let first = bytes.as_ptr().cast::<T>();
        #[expect(unsafe_code, reason = "the view of a buffer that nobody writes")]
        // SAFETY: the buffer lies within the mapping and is as long as the shape says, by the checks of `Versioned::new`; `held` keeps it
        // mapped, and keeps the writer from choosing it until it is dropped, after the closure. Its elements are valid, as was just
        // asked.
        let view = unsafe { view::view(first, dim) };
        let result = read(view);
        drop(held);
        self.note(version);
        Ok(result)
    }

    /// [`read_with`](Self::read_with) on a copy.
    #[cold]
    fn read_scratch<R>(&mut self, read: impl FnOnce(ArrayView<'_, T, D>) -> R) -> Result<R> {
        let dim = self.shared.dim.clone();
        self.scratch.resize(dim.size(), MaybeUninit::uninit());
        let number = copy_latest(&self.shared, &mut self.scratch)?;
        #[expect(unsafe_code, reason = "what was copied and checked is initialised")]
        // SAFETY: `copy_latest` has written every element; the memory is this reader's own.
        let view = unsafe { view::view(self.scratch.as_ptr().cast::<T>(), dim) };
        let result = read(view);
        self.note(number);
        Ok(result)
    }

    /// Waits until there is a later frame than `number`, for as long as `timeout`. Returns the number of the last one, or `None` if the
    /// time is over.
    ///
    /// `reader.wait_newer(reader.number(), timeout)` waits for one that this reader has not got yet. What kills a writer between a frame
    /// and the waking of those who wait for it delays them, by 50 ms at most.
    pub fn wait_newer(&self, number: u64, timeout: Duration) -> Option<u64> {
        self.shared.versioned.wait_newer(number, timeout)
    }

    /// The lengths of all axes.
    pub fn shape(&self) -> &[usize] {
        self.shared.dim.slice()
    }

    /// Number of the frame that this reader got last; 0 if none.
    pub fn number(&self) -> u64 {
        self.got.unwrap_or(0)
    }

    /// How many frames were written between the two that this reader got last.
    pub fn missed(&self) -> u64 {
        self.missed
    }

    fn note(&mut self, number: u64) {
        self.missed = self.got.map_or(0, |before| number.saturating_sub(before + 1));
        self.got = Some(number);
    }
}

/// Fills all elements with those of the last complete frame, or with zeros; returns its number.
fn copy_latest<T: Element, D: Dimension>(shared: &Shared<D>, elements: &mut [MaybeUninit<T>]) -> Result<u64> {
    let number = shared.versioned.copy_latest(view::uninit_bytes(elements))?;
    if number == 0 {
        elements.fill(MaybeUninit::new(T::ZERO));
        return Ok(number);
    }
    #[expect(unsafe_code, reason = "what was copied is initialised")]
    // SAFETY: `Versioned::copy_latest` has copied all bytes.
    let bytes = unsafe { view::init_bytes(elements) };
    // Another user may have written them, who need not be trusted.
    if T::valid(bytes) { Ok(number) } else { Err(no_values(shared, number)) }
}

fn no_values<D>(shared: &Shared<D>, number: u64) -> Error {
    let message =
        format!("frame {number} of `{}` has bytes that are no values", shared.versioned.published().name());
    Error::new(ErrorKind::Segment, message)
        .with_hint("something else than its writer has written to the file")
}

impl<T: Element, D: Dimension> fmt::Debug for Reader<T, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader")
            .field("number", &self.number())
            .field("missed", &self.missed)
            .finish_non_exhaustive()
    }
}
