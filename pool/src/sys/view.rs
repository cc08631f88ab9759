//! Typed `ndarray` views on mapped memory.
//!
//! What can be checked is checked here, in the order in which ndarray's constructors ask for it: overflow, alignment,
//! length. What cannot be checked, that nobody writes the memory meanwhile, is what the caller promises.

use std::mem::MaybeUninit;
use std::slice;

use ndarray::{ArrayView, ArrayViewMut, Dimension};
use num_complex::Complex;

/// Plain data: no padding, no pointers, no destructor, so that its bytes can be copied from and to shared memory.
///
/// # Safety
///
/// Every byte of a value is initialised, and zero bytes are a value.
pub unsafe trait Plain: Copy + Send + Sync + 'static {}

macro_rules! plain {
    ($($type:ty),*) => { $(
        // SAFETY: a number (a pair of them, a `bool`) has no padding, and zero bytes are zero (`false`).
        unsafe impl Plain for $type {}
    )* };
}
plain!(f32, f64, i8, i16, i32, i64, u8, u16, u32, u64, bool, Complex<f32>, Complex<f64>);

/// The number of bytes of an array, or `None` if it overflows what ndarray and the machine can address.
///
/// As ndarray does, axes of length zero are left out of the check: the array of the others must be addressable too.
#[inline]
pub(crate) fn checked_len_bytes(shape: &[usize], item_bytes: usize) -> Option<usize> {
    let limit = isize::MAX.unsigned_abs();
    let nonzero = shape
        .iter()
        .filter(|&&n| n != 0)
        .try_fold(item_bytes, |product, &n| product.checked_mul(n))
        .filter(|&len| len <= limit)?;
    Some(if shape.contains(&0) { 0 } else { nonzero })
}

/// A view, in C order, of the array at `first`.
///
/// # Safety
///
/// For as long as `'a`, or until the view and all that were made of it are dropped: the bytes of the array stay mapped, every element is a
/// valid `T`, and nobody writes them.
///
/// # Panics
///
/// If the size overflows or the pointer is not aligned.
pub(crate) unsafe fn view<'a, T: Plain, D: Dimension>(first: *const T, dim: D) -> ArrayView<'a, T, D> {
    check(first, &dim);
    // SAFETY: the pointer is aligned and the size does not overflow, by the check; validity of memory and values and the
    // absence of writers are the caller's promise; standard strides of a shape stay within its product.
    unsafe { ArrayView::from_shape_ptr(dim, first) }
}

/// A view, in C order, of the array at `first`, to be written.
///
/// # Safety
///
/// As for [`view`], and nobody reads them either, but through the view.
///
/// # Panics
///
/// If the size overflows or the pointer is not aligned.
#[inline]
pub(crate) unsafe fn view_mut<'a, T: Plain, D: Dimension>(first: *mut T, dim: D) -> ArrayViewMut<'a, T, D> {
    check(first, &dim);
    // SAFETY: as in `view`, with exclusive access.
    unsafe { ArrayViewMut::from_shape_ptr(dim, first) }
}

/// A view of an array whose elements need not be valid yet, to be filled.
///
/// # Safety
///
/// As for [`view_mut`], but for the validity of the elements.
///
/// # Panics
///
/// If the size overflows or the pointer is not aligned.
pub(crate) unsafe fn view_uninit<'a, T: Plain, D: Dimension>(
    first: *mut T,
    dim: D,
) -> ArrayViewMut<'a, MaybeUninit<T>, D> {
    check(first, &dim);
    // SAFETY: as in `view_mut`; any bytes are a valid `MaybeUninit`.
    unsafe { ArrayViewMut::from_shape_ptr(dim, first.cast()) }
}

#[inline]
fn check<T, D: Dimension>(first: *const T, dim: &D) {
    assert!(
        checked_len_bytes(dim.slice(), size_of::<T>()).is_some(),
        "the shape {:?} overflows",
        dim.slice()
    );
    assert!(first.is_aligned(), "{first:p} is not aligned for elements of {} bytes", size_of::<T>());
}

/// The bytes of a slice.
pub(crate) fn bytes_of<T: Plain>(items: &[T]) -> &[u8] {
    // SAFETY: plain data has no padding, so all its bytes are initialised; bytes need no alignment; the borrow is kept.
    unsafe { slice::from_raw_parts(items.as_ptr().cast(), size_of_val(items)) }
}

/// The bytes of a slice of what need not be initialised.
pub(crate) fn uninit_bytes<T: Plain>(items: &mut [MaybeUninit<T>]) -> &mut [MaybeUninit<u8>] {
    // SAFETY: the same memory, and bytes need no alignment; whatever is written there is a `MaybeUninit<T>` again; the borrow is kept.
    unsafe { slice::from_raw_parts_mut(items.as_mut_ptr().cast(), size_of_val(items)) }
}

/// The bytes of a slice that was filled, though perhaps with no values.
///
/// # Safety
///
/// All bytes are initialised.
pub(crate) unsafe fn init_bytes<T: Plain>(items: &[MaybeUninit<T>]) -> &[u8] {
    // SAFETY: initialised, by the caller's promise; bytes need no alignment; the borrow is kept.
    unsafe { slice::from_raw_parts(items.as_ptr().cast(), size_of_val(items)) }
}

/// A slice as memory to be filled anew.
///
/// # Safety
///
/// Only values of the type are written there.
pub(crate) unsafe fn as_uninit<T: Plain>(items: &mut [T]) -> &mut [MaybeUninit<T>] {
    // SAFETY: `MaybeUninit<T>` has the layout of `T`; that the elements stay values is the caller's promise; the borrow is kept.
    unsafe { slice::from_raw_parts_mut(items.as_mut_ptr().cast(), items.len()) }
}
