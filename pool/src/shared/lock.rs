//! The word of a lock that processes hold, and that outlives any of them.
//!
//! ```text
//!    31        30      29     22 21      12 11      0
//!   | poisoned | woken | waiting | passed  | owner  |
//! ```
//!
//! - *owner*: the seat of the handle that holds the lock; 0 is nobody.
//! - *passed*: how often the lock was taken by others since somebody began to wait. At its limit the lock is *reserved*: only those
//!   who have waited take it.
//! - *waiting*: how many wait, asleep or about to.
//! - *woken*: one of them was woken and has not looked yet; until then nobody else is woken.
//! - *poisoned*: an owner died or panicked, and nobody has said since that the data are right again.
//!
//! Taking a lock that nobody wants is one compare-and-swap of the word zero; giving it back, one subtraction, which tells whether
//! somebody waits.
//!
//! # Deaths
//!
//! | who dies | what is left | who makes it good |
//! |---|---|---|
//! | owner | a word that names a dead seat | whoever wants the lock, or takes the seat: [`Lock::settle`], free and poisoned |
//! | who has given back, before it wakes | a free word, sleepers | the next sleeper whose nap ends |
//! | who settles, before it wakes | the same | the same |
//! | a waiter, asleep or not | *waiting* is one too high: some wake-ups of nobody, then a reservation for nobody | who naps on it: takes the lock, and the dead one off |
//! | a waiter that was woken | *woken* stays set: others are not woken | the next waiter whose nap ends |
//!
//! No nap is longer than some 50 ms, and that is what a death costs the others at most, once. A process that is stopped costs the same,
//! except as owner: it is not dead, and is waited for.
//!
//! A seat must not pass to another process while a word names it for the dead, nor be taken for dead while it passes. Both are kept apart by
//! the lock on the seat: who settles holds it meanwhile ([`Owners::if_dead`]), and who takes a seat settles all words before it uses it. So
//! no settlement acts on what it saw before: an owner that is seen under that lock is dead as long as it is held.
//!
//! # Fairness
//!
//! Who comes while the lock is free takes it, though others wait: waking one of them takes as long as a thousand short turns. But each
//! such turn is counted, and a waiter that finds the lock taken after a millisecond ends the count at once. Then newcomers queue, and a waiter
//! gets the lock. So no waiters are passed more than [`MOST_PASSED`] times before one of them has it, however slow they are; and the kernel wakes
//! the one first that sleeps longest.
//!
//! This file depends on `sys::primitive` alone, so that the model checker can take it as it is.

use crate::sys::primitive::{AtomicU32, Ordering, futex_wake};

/// How often waiters are passed, at most.
pub(crate) const MOST_PASSED: u32 = 1023;

const OWNER: Field = Field { shift: 0, most: 4095 };
const PASSED: Field = Field { shift: 12, most: MOST_PASSED };
const WAITING: Field = Field { shift: 22, most: 255 };
const WOKEN: Field = Field { shift: 30, most: 1 };
const POISONED: Field = Field { shift: 31, most: 1 };

/// Some bits of the word.
#[derive(Clone, Copy)]
struct Field {
    shift: u32,
    most: u32,
}

/// What the word says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Word(u32);

impl Word {
    #[inline]
    fn get(self, field: Field) -> u32 {
        self.0 >> field.shift & field.most
    }

    #[inline]
    fn with(self, field: Field, value: u32) -> Self {
        Self(self.0 & !(field.most << field.shift) | value.min(field.most) << field.shift)
    }

    #[inline]
    fn is_free(self) -> bool {
        self.get(OWNER) == 0
    }

    fn is_reserved(self) -> bool {
        self.get(PASSED) == MOST_PASSED
    }

    /// Whether nobody has been told yet that the lock is free.
    #[inline]
    fn is_to_be_told(self) -> bool {
        self.is_free() && self.get(WAITING) != 0 && self.get(WOKEN) == 0
    }

    /// Without so many of those who wait. Who is passed where nobody waits is not counted.
    fn with_fewer_waiting(self, n: u32) -> Self {
        let n_left = self.get(WAITING).saturating_sub(n);
        let fewer = self.with(WAITING, n_left);
        if n_left == 0 { fewer.with(PASSED, 0) } else { fewer }
    }
}

/// What a lock must know of those who own it.
pub(crate) trait Owners {
    /// Runs `settle` if the holder of a seat is dead, and does not let anybody take the seat meanwhile; whether it was dead.
    fn if_dead(&self, seat: u16, settle: impl FnOnce()) -> bool;
}

/// For how long somebody waits, and how he sleeps.
pub(crate) trait Patience {
    /// Whether it is over.
    fn is_over(&mut self) -> bool;

    /// Whether it has been long.
    fn is_long(&mut self) -> bool;

    /// Sleeps until the word is woken, if it has this value, but not for long. May return early.
    fn nap(&mut self, word: &AtomicU32, value: u32);
}

/// How a lock was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) is_poisoned: bool,
}

/// A lock, wherever its word lies.
#[derive(Clone, Copy)]
pub(crate) struct Lock<'a>(pub(crate) &'a AtomicU32);

impl Lock<'_> {
    /// Takes a lock that nobody holds, waits for or has poisoned.
    #[inline]
    pub(crate) fn take_at_rest(self, seat: u16) -> bool {
        // Acquire pairs with the release in `give_back`: what the owner before did to the data is seen.
        self.0.compare_exchange(0, u32::from(seat), Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    /// Gives the lock back; whether somebody is to be [woken](Self::wake_next).
    #[inline]
    pub(crate) fn give_back(self, seat: u16) -> bool {
        // A subtraction of what only the owner adds: those who come meanwhile lose nothing of what they write.
        let before = self.0.fetch_sub(u32::from(seat), Ordering::Release);
        Word(before).with(OWNER, 0).is_to_be_told()
    }

    /// Wakes one of those who wait for a lock that has become free.
    pub(crate) fn wake_next(self) {
        loop {
            let word = self.load();
            // If somebody has it again, he will be the one to wake.
            if !word.is_to_be_told() {
                return;
            }
            if self.exchange(word, word.with(WOKEN, 1), Ordering::Relaxed) {
                break;
            }
        }
        if futex_wake(self.0, 1) == 0 {
            // Who waits was not asleep yet, and sees the change, or is dead.
            self.0.fetch_and(!Word(0).with(WOKEN, 1).0, Ordering::Relaxed);
        }
    }

    /// Takes the lock, waiting as long as there is patience; `None` if it was not to be had.
    ///
    /// Who has no patience left takes a free lock though it is reserved.
    pub(crate) fn take(self, seat: u16, owners: &impl Owners, patience: &mut impl Patience) -> Option<Taken> {
        let (mut is_counted, mut has_slept) = (false, false);
        // A free word on which a nap has ended though nothing happened: somebody who was to take it did not.
        let mut quiet = None;
        loop {
            let word = self.load();
            let is_over = patience.is_over();
            if word.is_free() && (has_slept || is_over || !word.is_reserved()) {
                let n_gone = u32::from(is_counted) + u32::from(quiet == Some(word));
                let mut next = word.with_fewer_waiting(n_gone).with(OWNER, u32::from(seat));
                if is_counted {
                    next = next.with(WOKEN, 0).with(PASSED, 0);
                } else if next.get(WAITING) != 0 {
                    next = next.with(PASSED, next.get(PASSED) + 1);
                }
                // Acquire as in `take_at_rest`, and with the release of `settle`.
                if self.exchange(word, next, Ordering::Acquire) {
                    return Some(Taken { is_poisoned: word.get(POISONED) != 0 });
                }
                continue;
            }
            if !word.is_free() && self.settle_dead(word, owners) {
                continue;
            }
            let mut next = word;
            if has_slept {
                next = next.with(WOKEN, 0);
            }
            if is_over {
                // Not free. Its owner wakes another one, if this one was woken.
                if self.exchange(word, next.with_fewer_waiting(u32::from(is_counted)), Ordering::Relaxed) {
                    return None;
                }
                continue;
            }
            // One that was taken off for dead counts again.
            if !is_counted || next.get(WAITING) == 0 {
                next = next.with(WAITING, next.get(WAITING) + 1);
            }
            if is_counted && patience.is_long() {
                next = next.with(PASSED, MOST_PASSED);
            }
            if !self.exchange(word, next, Ordering::Relaxed) {
                continue;
            }
            is_counted = true;
            patience.nap(self.0, next.0);
            has_slept = true;
            quiet = next.is_free().then_some(next);
        }
    }

    /// Frees and poisons the lock, if its owner is this one, who is dead; whether it was.
    ///
    /// To be called only while nobody can take the seat, or by the one who has just taken it.
    pub(crate) fn settle(self, seat: u16) -> bool {
        loop {
            let word = self.load();
            if word.get(OWNER) != u32::from(seat) {
                return false;
            }
            // Release passes on what the owner wrote, which came here with the news of its death.
            if self.exchange(word, word.with(OWNER, 0).with(POISONED, 1), Ordering::AcqRel) {
                return true;
            }
        }
    }

    /// Settles a word whose owner is dead; whether anything was settled.
    fn settle_dead(self, word: Word, owners: &impl Owners) -> bool {
        let Ok(owner) = u16::try_from(word.get(OWNER)) else { return false };
        let mut is_settled = false;
        owners.if_dead(owner, || is_settled = self.settle(owner));
        if is_settled {
            self.wake_next();
        }
        is_settled
    }

    /// Says that the data may be wrong. For the owner.
    pub(crate) fn poison(self) {
        self.0.fetch_or(Word(0).with(POISONED, 1).0, Ordering::Relaxed);
    }

    /// Says that the data are right. For the owner.
    pub(crate) fn pardon(self) {
        self.0.fetch_and(!Word(0).with(POISONED, 1).0, Ordering::Relaxed);
    }

    /// Whether the lock is poisoned. For the owner, who is the only one to change that.
    pub(crate) fn is_poisoned(self) -> bool {
        self.load().get(POISONED) != 0
    }

    /// The seat of the owner at this moment.
    pub(crate) fn owner(self) -> Option<u16> {
        u16::try_from(self.load().get(OWNER)).ok().filter(|&seat| seat != 0)
    }

    fn load(self) -> Word {
        Word(self.0.load(Ordering::Relaxed))
    }

    fn exchange(self, word: Word, next: Word, success: Ordering) -> bool {
        word == next && success == Ordering::Relaxed
            || self.0.compare_exchange(word.0, next.0, success, Ordering::Relaxed).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    /// Seats of which some are dead.
    struct Dead<'a>(&'a [u16]);

    impl Owners for Dead<'_> {
        fn if_dead(&self, seat: u16, settle: impl FnOnce()) -> bool {
            let is_dead = self.0.contains(&seat);
            if is_dead {
                settle();
            }
            is_dead
        }
    }

    const NOBODY: Dead<'static> = Dead(&[]);

    /// Does something in place of each nap, and is over after the last.
    struct Script<'a> {
        naps: Vec<Box<dyn FnOnce() + 'a>>,
        is_long: bool,
    }

    impl Patience for Script<'_> {
        fn is_over(&mut self) -> bool {
            self.naps.is_empty()
        }

        fn is_long(&mut self) -> bool {
            self.is_long
        }

        fn nap(&mut self, word: &AtomicU32, value: u32) {
            assert_eq!(word.load(Ordering::Relaxed), value, "sleeps on what it has seen");
            (self.naps.remove(0))();
        }
    }

    fn naps<'a>(naps: Vec<Box<dyn FnOnce() + 'a>>) -> Script<'a> {
        Script { naps, is_long: false }
    }

    fn none() -> Script<'static> {
        naps(vec![])
    }

    const SOUND: Taken = Taken { is_poisoned: false };

    #[test]
    fn fields_do_not_overlap_and_fill_the_word() {
        let fields = [OWNER, PASSED, WAITING, WOKEN, POISONED];
        let bits = fields.map(|field| Word(0).with(field, u32::MAX).0);
        assert_eq!(bits.iter().fold(0, |all, bits| all | bits), u32::MAX);
        assert_eq!(bits.iter().map(|bits| bits.count_ones()).sum::<u32>(), 32);
        for field in fields {
            assert_eq!(Word(u32::MAX).with(field, 0).get(field), 0);
            assert_eq!(Word(0).with(field, field.most).get(field), field.most);
        }
    }

    #[test]
    fn a_lock_that_nobody_wants_is_zero_when_it_is_free() {
        let word = AtomicU32::new(0);
        let lock = Lock(&word);
        assert!(lock.take_at_rest(7) && !lock.take_at_rest(8));
        assert_eq!(lock.owner(), Some(7));
        assert_eq!(lock.take(8, &NOBODY, &mut none()), None);
        assert!(!lock.give_back(7), "nobody is to be woken");
        assert_eq!((word.load(Ordering::Relaxed), lock.owner()), (0, None));
        assert_eq!(lock.take(8, &NOBODY, &mut none()), Some(SOUND));
    }

    #[test]
    fn waiters_leave_nothing_once_all_have_had_it() {
        let word = AtomicU32::new(0);
        let lock = Lock(&word);
        assert!(lock.take_at_rest(1));
        let gives_back = || assert!(lock.give_back(1));
        let taken = lock.take(2, &NOBODY, &mut naps(vec![Box::new(|| ()), Box::new(gives_back)]));
        assert_eq!(taken, Some(SOUND));
        assert!(!lock.give_back(2));
        assert_eq!(word.load(Ordering::Relaxed), 0);
        // Nor does one that gives up.
        assert!(lock.take_at_rest(1));
        assert_eq!(lock.take(2, &NOBODY, &mut naps(vec![Box::new(|| ())])), None);
        assert!(!lock.give_back(1));
        assert_eq!(word.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn the_dead_are_told_of_until_the_data_are_right() {
        let word = AtomicU32::new(0);
        let lock = Lock(&word);
        assert!(lock.take_at_rest(3));
        assert!(!lock.settle(4), "somebody else");
        let poisoned = Taken { is_poisoned: true };
        assert_eq!(lock.take(5, &Dead(&[3]), &mut none()), Some(poisoned));
        assert!(!lock.give_back(5));
        assert_eq!(lock.take(5, &NOBODY, &mut none()), Some(poisoned), "still");
        assert!(lock.is_poisoned());
        lock.pardon();
        assert!(!lock.give_back(5));
        assert_eq!(lock.take(6, &NOBODY, &mut none()), Some(SOUND));
        lock.poison();
        assert!(!lock.give_back(6));
        assert!(!lock.take_at_rest(6), "who takes it at rest hears nothing");
        assert_eq!(lock.take(6, &NOBODY, &mut none()), Some(poisoned));
    }

    /// Turns that newcomers get in a row, until one would have to wait.
    fn n_turns_of_newcomers(lock: Lock<'_>) -> u32 {
        let mut n = 0;
        loop {
            let refused = Cell::new(false);
            // If it has to queue, the nap says so; then it is over, and it takes the lock as the last of its kind.
            let taken = lock.take(9, &NOBODY, &mut naps(vec![Box::new(|| refused.set(true))]));
            assert_eq!(taken, Some(SOUND));
            lock.give_back(9);
            if refused.get() {
                return n;
            }
            n += 1;
            assert!(n <= 2 * MOST_PASSED, "newcomers never queue");
        }
    }

    #[test]
    fn waiters_are_passed_so_often_and_no_more() {
        let word = AtomicU32::new(0);
        let lock = Lock(&word);
        assert!(lock.take_at_rest(1));
        let n_passed = Cell::new(0);
        // It sleeps all the time; what newcomers do goes by without it.
        let meanwhile = || {
            assert!(lock.give_back(1));
            n_passed.set(n_turns_of_newcomers(lock));
        };
        assert_eq!(lock.take(2, &NOBODY, &mut naps(vec![Box::new(meanwhile), Box::new(|| ())])), Some(SOUND));
        assert_eq!(n_passed.get(), MOST_PASSED);
    }

    #[test]
    fn who_has_waited_long_is_next() {
        let word = AtomicU32::new(0);
        let lock = Lock(&word);
        assert!(lock.take_at_rest(1));
        let n_passed = Cell::new(u32::MAX);
        let meanwhile = || {
            assert!(lock.give_back(1));
            n_passed.set(n_turns_of_newcomers(lock));
        };
        let mut patience = naps(vec![Box::new(|| ()), Box::new(meanwhile), Box::new(|| ())]);
        patience.is_long = true;
        assert_eq!(lock.take(2, &NOBODY, &mut patience), Some(SOUND));
        assert_eq!(n_passed.get(), 0);
    }

    #[test]
    fn a_reservation_for_the_dead_costs_one_nap() {
        let word = AtomicU32::new(0);
        let lock = Lock(&word);
        // One waiter has died, and the lock is reserved for it.
        let abandoned = Word(0).with(WAITING, 1).with(PASSED, MOST_PASSED).with(WOKEN, 1);
        word.store(abandoned.0, Ordering::Relaxed);
        let n_naps = Cell::new(0);
        let count = || -> Box<dyn FnOnce()> { Box::new(|| n_naps.set(n_naps.get() + 1)) };
        assert_eq!(lock.take(2, &NOBODY, &mut naps(vec![count(), count()])), Some(SOUND));
        assert!(!lock.give_back(2));
        assert_eq!((n_naps.get(), word.load(Ordering::Relaxed)), (1, 0));
    }

    #[test]
    fn one_is_woken_at_a_time() {
        let word = AtomicU32::new(Word(0).with(WAITING, 2).0);
        let lock = Lock(&word);
        assert_eq!(lock.take(1, &NOBODY, &mut none()), Some(SOUND));
        assert!(lock.give_back(1), "two wait");
        word.fetch_or(Word(0).with(WOKEN, 1).0, Ordering::Relaxed);
        assert_eq!(lock.take(1, &NOBODY, &mut none()), Some(SOUND));
        assert!(!lock.give_back(1), "one of them was woken, and has not come yet");
        lock.wake_next();
        assert_eq!(
            Word(word.load(Ordering::Relaxed)).get(WAITING),
            2,
            "nobody sleeps, which changes no count"
        );
    }
}
