//! Structs of atomics in memory that several processes map.
//!
//! A reference to memory that another process writes is sound only if every access through it is atomic. A type
//! that implements [`Cells`] promises that it consists of atomics alone.

use super::map::Mapping;
use std::fmt;
use std::ops::Deref;
use std::ptr::NonNull;
use std::sync::Arc;

use super::primitive::{AtomicU32, AtomicU64, Ordering};

/// A struct of atomics.
///
/// # Safety
///
/// The type is `repr(C)`, all its fields are atomic integers or arrays of them (so that every bit pattern is
/// valid and every access atomic), and it has no padding that anybody reads.
pub(crate) unsafe trait Cells: Sync + Sized {}

/// Declares that structs are [`Cells`], after checking what can be checked.
macro_rules! declare_cells {
    ($($t:ty: $size:expr),+ $(,)?) => { $(
        const _: () = assert!(size_of::<$t>() == $size && align_of::<$t>() <= 64);
        // SAFETY: the invoking module lists its `repr(C)` structs of atomics only; the size shows no padding
        // crept in.
        #[expect(unsafe_code, reason = "the promise that a struct consists of atomics, made where it is declared")]
        unsafe impl $crate::sys::cells::Cells for $t {}
    )+ };
}
pub(crate) use declare_cells;

/// The `n` structs at `offset` of a read-write mapping.
///
/// # Panics
///
/// If they do not lie inside the mapping or are not aligned, or if it is read-only.
pub(crate) fn cells<T: Cells>(mapping: &Mapping, offset: usize, n: usize) -> &[T] {
    assert!(mapping.is_writable(), "cells of a read-only mapping");
    cells_to_load(mapping, offset, n)
}

/// The `n` structs at `offset` of a mapping that may be read-only. They are for plain loads then: a store is a segmentation fault.
///
/// # Panics
///
/// If they do not lie inside the mapping or are not aligned.
fn cells_to_load<T: Cells>(mapping: &Mapping, offset: usize, n: usize) -> &[T] {
    let len = size_of::<T>().checked_mul(n).and_then(|len| len.checked_add(offset));
    assert!(len.is_some_and(|end| end <= mapping.len()), "cells outside of a mapping");
    assert!(offset.is_multiple_of(align_of::<T>()), "cells not aligned");
    let start = mapping.as_ptr().wrapping_add(offset).cast::<T>();
    // SAFETY: `start` lies `offset` bytes into the mapping, which is page-aligned, so it is aligned and non-null;
    // the length was checked above; `Cells` promises that any bytes are valid and that every access is atomic, so
    // writes by other processes are no data race; the reference borrows the mapping, which stays until dropped.
    unsafe { std::slice::from_raw_parts(start, n) }
}

// SAFETY: one atomic integer.
unsafe impl Cells for AtomicU64 {}
// SAFETY: one atomic integer.
unsafe impl Cells for AtomicU32 {}

/// Structs of atomics at a place of a mapping that was checked once; they keep the mapping.
pub(crate) struct Placed<T: Cells> {
    first: NonNull<T>,
    n: usize,
    _mapping: Arc<Mapping>,
}

impl<T: Cells> Placed<T> {
    /// The `n` structs at `offset` of a read-write mapping.
    ///
    /// # Panics
    ///
    /// As [`cells`] does.
    pub(crate) fn new(mapping: &Arc<Mapping>, offset: usize, n: usize) -> Self {
        Self::at(mapping, cells(mapping, offset, n))
    }

    /// The `n` structs at `offset` of a mapping that may be read-only, and then for loads only.
    ///
    /// # Panics
    ///
    /// If they do not lie inside the mapping or are not aligned.
    pub(crate) fn to_load(mapping: &Arc<Mapping>, offset: usize, n: usize) -> Self {
        Self::at(mapping, cells_to_load(mapping, offset, n))
    }

    fn at(mapping: &Arc<Mapping>, cells: &[T]) -> Self {
        Self { first: NonNull::from(cells).cast(), n: cells.len(), _mapping: Arc::clone(mapping) }
    }
}

impl<T: Cells> Deref for Placed<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: pointer and number come from a slice that `cells` made; the mapping behind it is held by `self`, which the
        // result borrows, and does not move while it is.
        unsafe { std::slice::from_raw_parts(self.first.as_ptr(), self.n) }
    }
}

// SAFETY: what it gives out is `&[T]`, with `T: Sync`; and the mapping that it drops may be dropped by any thread.
unsafe impl<T: Cells> Send for Placed<T> {}
// SAFETY: as for `Send`: there is nothing but shared access to `T: Sync`.
unsafe impl<T: Cells> Sync for Placed<T> {}

impl<T: Cells> fmt::Debug for Placed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Placed").field("n", &self.n).finish_non_exhaustive()
    }
}

/// Copies bytes into cells, word by word: other processes may read meanwhile.
pub(crate) fn store_bytes(cells: &[AtomicU64], bytes: &[u8]) {
    let (whole, rest) = bytes.as_chunks::<8>();
    for (cell, word) in cells.iter().zip(whole) {
        cell.store(u64::from_le_bytes(*word), Ordering::Relaxed);
    }
    if !rest.is_empty() {
        let mut word = [0; 8];
        word[..rest.len()].copy_from_slice(rest);
        cells[whole.len()].store(u64::from_le_bytes(word), Ordering::Relaxed);
    }
}

/// Copies bytes out of cells, in place of what the vector holds.
pub(crate) fn load_bytes(cells: &[AtomicU64], len: usize, bytes: &mut Vec<u8>) {
    bytes.clear();
    for cell in &cells[..len.div_ceil(8)] {
        bytes.extend_from_slice(&cell.load(Ordering::Relaxed).to_le_bytes());
    }
    bytes.truncate(len);
}
