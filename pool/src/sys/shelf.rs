//! Boxes whose memory is there already.
//!
//! A value that is moved out of a function in a `Result` is copied on its way, more than once. What was written a moment ago in small pieces
//! and is then read in a large one waits until the processor has put the pieces together: for a lock's guard with a view in it, that took
//! longer than the lock. A guard that owns a place on a shelf is one pointer, which travels in a register.

use std::cell::UnsafeCell;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ops::{Deref, DerefMut};
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::ptr::NonNull;

/// Places for values.
pub(crate) struct Shelf<V>(Box<[Place<V>]>);

/// A place for one value at a time.
pub(crate) struct Place<V>(UnsafeCell<MaybeUninit<Item<V>>>);

struct Item<V> {
    value: V,
    is_boxed: bool,
}

// SAFETY: a shelf by itself gives access to no value, and drops none. What does is returned by `put`, borrows the shelf, so that it is not
// sent anywhere meanwhile, and stays with its thread.
unsafe impl<V> Send for Shelf<V> {}
// SAFETY: as for `Send`; who shares the shelf and puts something into a place has it alone, as he promises.
unsafe impl<V> Sync for Shelf<V> {}

// What was put there by a thread that panicked is dropped, or forgotten: nobody sees it.
impl<V> UnwindSafe for Shelf<V> {}
impl<V> RefUnwindSafe for Shelf<V> {}

impl<V> Shelf<V> {
    /// `n` places with nothing in them.
    pub(crate) fn new(n: usize) -> Self {
        Self((0..n).map(|_| Place(UnsafeCell::new(MaybeUninit::uninit()))).collect())
    }

    /// One of the places.
    ///
    /// # Panics
    ///
    /// If there are not so many.
    #[inline]
    pub(crate) fn place(&self, index: usize) -> &Place<V> {
        &self.0[index]
    }
}

impl<V> Place<V> {
    /// Puts a value here. Once the value is there, nothing can fail: so it is written where it stays, and nowhere else before.
    ///
    /// # Safety
    ///
    /// Nobody has the place: the destructor of whatever was put here before has begun, or will never run, and that happened before.
    #[inline]
    pub(crate) unsafe fn put(&self, value: V) -> Shelved<'_, V> {
        // SAFETY: nobody else has the place, by the promise above.
        let place = unsafe { &mut *self.0.get() };
        let item = place.write(Item { value, is_boxed: false });
        Shelved { item: NonNull::from(item), shelf: PhantomData }
    }
}

/// A value on a shelf. It leaves the shelf before it is dropped: its destructor may say that the place is free.
pub(crate) struct Shelved<'a, V> {
    /// A pointer, too, because what is here must not leave its thread.
    item: NonNull<Item<V>>,
    shelf: PhantomData<(&'a Shelf<V>, V)>,
}

impl<V> Shelved<'_, V> {
    /// A value without a shelf.
    pub(crate) fn boxed(value: V) -> Self {
        let item = Box::leak(Box::new(Item { value, is_boxed: true }));
        Self { item: NonNull::from(item), shelf: PhantomData }
    }
}

impl<V> Deref for Shelved<'_, V> {
    type Target = V;

    #[inline]
    fn deref(&self) -> &V {
        // SAFETY: `put` wrote the item to the shelf, which is borrowed, or to a box, and it is reached through this alone.
        let item = unsafe { self.item.as_ref() };
        &item.value
    }
}

impl<V> DerefMut for Shelved<'_, V> {
    #[inline]
    fn deref_mut(&mut self) -> &mut V {
        // SAFETY: as in `deref`.
        let item = unsafe { self.item.as_mut() };
        &mut item.value
    }
}

impl<V> Drop for Shelved<'_, V> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: as in `deref`. The item is used no more afterwards: its place is written before it is read again.
        let item = unsafe { self.item.read() };
        if item.is_boxed {
            // SAFETY: it came from a box, in `put`, and was moved out of it, so that the memory alone is left.
            drop(unsafe { Box::from_raw(self.item.cast::<MaybeUninit<Item<V>>>().as_ptr()) });
        }
        drop(item.value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::rc::Rc;

    #[test]
    fn values_are_dropped_once_wherever_they_were() {
        let count = Rc::new(());
        let shelf = Shelf::new(2);
        for place in [0, 1, 0] {
            // SAFETY: what was there before was dropped at the end of its turn.
            let mut value = unsafe { shelf.place(place).put(vec![count.clone()]) };
            value.push(count.clone());
            assert_eq!((value.len(), Rc::strong_count(&count)), (2, 3));
            // SAFETY: the other place is free.
            let other = unsafe { shelf.place(1 - place).put(vec![count.clone()]) };
            let third = Shelved::boxed(vec![count.clone()]);
            assert_eq!((other.len(), third.len(), Rc::strong_count(&count)), (1, 1, 5));
        }
        assert_eq!(Rc::strong_count(&count), 1);
    }

    #[test]
    fn a_place_is_free_when_its_value_is_dropped() {
        struct Again<'a>(&'a Shelf<Again<'a>>, u32);
        impl Drop for Again<'_> {
            fn drop(&mut self) {
                if self.1 > 0 {
                    // SAFETY: this was in the place, and is being dropped.
                    let next = unsafe { self.0.place(0).put(Again(self.0, self.1 - 1)) };
                    assert_eq!(next.1 + 1, self.1);
                }
            }
        }
        let shelf = Shelf::new(1);
        // SAFETY: nothing was put there yet.
        drop(unsafe { shelf.place(0).put(Again(&shelf, 3)) });
    }
}
