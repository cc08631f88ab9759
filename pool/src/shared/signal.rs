//! The word of an event.
//!
//! ```text
//!    31                                   1    0
//!   | how often it was set, from clear     | is set |
//!
//!   set:   count + 1, 1       (set already: nothing changes)
//!   clear: count, 0
//! ```
//!
//! A waiter remembers the word that it came upon, which was clear, and goes when the word is another: since only *set* changes a clear
//! word, and no two clear words are alike, a set that was cleared at once lets it go as well. (The count goes round after 2³¹ sets. Who
//! sleeps through exactly so many, and finds the event clear, waits for the next.)
//!
//! Who sets wakes all sleepers, whether there are any or not: handles that may not write can wait, and leave no trace that they do. A
//! setter may die between the word and the wake-up; so no sleep is for ever, and the next setter wakes though it finds the event set.
//! Sleepers leave nothing, so their deaths are nobody's business.
//!
//! The word has 32 bits, since that is what the kernel compares before a sleep.
//!
//! This file depends on `sys::primitive` alone, so that the model checker can take it as it is.

use super::lock::Patience;
use crate::sys::primitive::{AtomicU32, Ordering, futex_wake};

const SET: u32 = 1;
/// From a clear word to the set word behind it: one count more, and the bit.
const NEXT_SET: u32 = 2 + SET;

/// An event, wherever its word lies.
#[derive(Clone, Copy)]
pub(crate) struct Signal<'a>(pub(crate) &'a AtomicU32);

impl Signal<'_> {
    pub(crate) fn is_set(self) -> bool {
        // Acquire pairs with the release in `raise`: what was written before the event was set is seen.
        self.0.load(Ordering::Acquire) & SET != 0
    }

    /// Sets the word. To be followed by [`wake`](Self::wake), whatever it was.
    pub(crate) fn raise(self) {
        let mut word = self.0.load(Ordering::Relaxed);
        loop {
            let next = if word & SET == 0 { word.wrapping_add(NEXT_SET) } else { word };
            // Stored even if it is the same: who finds the event set sees what each setter wrote before.
            match self.0.compare_exchange(word, next, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return,
                Err(now) => word = now,
            }
        }
    }

    /// Wakes all who sleep.
    pub(crate) fn wake(self) {
        futex_wake(self.0, u32::MAX);
    }

    /// Clears the word; whether it was set.
    pub(crate) fn clear(self) -> bool {
        self.0.fetch_and(!SET, Ordering::AcqRel) & SET != 0
    }

    /// Waits until the event is set, or was set since this began; `false` if patience was over first.
    pub(crate) fn wait(self, patience: &mut impl Patience) -> bool {
        let clear = self.0.load(Ordering::Acquire);
        if clear & SET != 0 {
            return true;
        }
        while self.0.load(Ordering::Acquire) == clear {
            if patience.is_over() {
                return false;
            }
            patience.nap(self.0, clear);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Does something in place of each nap, and is over after the last.
    struct Script<F>(Vec<F>);

    impl<F: FnOnce()> Patience for Script<F> {
        fn is_over(&mut self) -> bool {
            self.0.is_empty()
        }

        fn is_long(&mut self) -> bool {
            false
        }

        fn nap(&mut self, word: &AtomicU32, value: u32) {
            assert_eq!(word.load(Ordering::Relaxed), value, "sleeps on what it has seen");
            (self.0.remove(0))();
        }
    }

    #[test]
    fn setting_and_clearing_go_round_with_the_count() {
        let word = AtomicU32::new(u32::MAX - 1);
        let event = Signal(&word);
        assert!(!event.is_set());
        event.raise();
        assert_eq!((event.is_set(), word.load(Ordering::Relaxed)), (true, 1));
        event.raise();
        assert_eq!(word.load(Ordering::Relaxed), 1, "set twice is set once");
        assert!(event.clear() && !event.clear() && !event.is_set());
    }

    #[test]
    fn a_set_that_is_cleared_at_once_lets_a_waiter_go() {
        let word = AtomicU32::new(0);
        let event = Signal(&word);
        let naps: Vec<Box<dyn FnOnce()>> = vec![
            Box::new(|| ()),
            Box::new(|| {
                event.clear();
            }),
            Box::new(|| {
                event.raise();
                event.clear();
            }),
        ];
        assert!(event.wait(&mut Script(naps)));
        assert!(!event.wait(&mut Script(vec![|| (), || ()])), "the next one waits for the next");
        event.raise();
        assert!(event.wait(&mut Script::<fn()>(vec![])), "no nap");
    }
}
