//! Structs of atomics in memory that several processes map.
//!
//! A reference to memory that another process writes is sound only if every access through it is atomic. A type
//! that implements [`Cells`] promises that it consists of atomics alone.

use super::map::Mapping;

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
/// If they do not lie inside the mapping or are not aligned.
pub(crate) fn cells<T: Cells>(mapping: &Mapping, offset: usize, n: usize) -> &[T] {
    let len = size_of::<T>().checked_mul(n).and_then(|len| len.checked_add(offset));
    assert!(len.is_some_and(|end| end <= mapping.len()), "cells outside of a mapping");
    assert!(offset.is_multiple_of(align_of::<T>()), "cells not aligned");
    let start = mapping.as_mut_ptr().wrapping_add(offset).cast_const().cast::<T>();
    // SAFETY: `start` lies `offset` bytes into the mapping, which is page-aligned, so it is aligned and non-null;
    // the length was checked above; `Cells` promises that any bytes are valid and that every access is atomic, so
    // writes by other processes are no data race; the reference borrows the mapping, which stays until dropped.
    unsafe { std::slice::from_raw_parts(start, n) }
}
