//! Lock words on the control page of a file, and what a process must do around them.
//!
//! Each word has a line of the processor's cache to itself, from word 64 of the page on. A structure that wants one lock or several
//! makes [`Stripes`] of its file; which data each of them guards is the structure's business.

use std::cell::Cell;
use std::ops::Range;
use std::sync::atomic::AtomicUsize;
use std::sync::{Mutex, PoisonError};

use super::file::Published;
use super::lock::{Lock, Owners, Taken};
use super::role::Role;
use super::until::Until;
use crate::error::Result;
use crate::segment::PAGE_BYTES;
use crate::sys::cells::{Placed, declare_cells};
use crate::sys::kill_point;
use crate::sys::primitive::{AtomicU32, Ordering};

/// Most locks of one file.
pub(crate) const MOST_STRIPES: usize = 56;

/// Where on the control page they begin.
const OFFSET: usize = 64 * 8;

/// A lock word on a line of its own.
#[repr(C)]
struct Stripe {
    word: AtomicU32,
    _rest: [AtomicU32; 15],
}

declare_cells!(Stripe: 64);
const _: () = assert!(OFFSET + MOST_STRIPES * size_of::<Stripe>() == PAGE_BYTES);

/// Why a lock was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Patience was over first.
    Held,
    /// This very thread holds it, by this very handle.
    OwnedByThisThread,
}

/// The locks of a file, as seen by one handle of it.
#[derive(Debug)]
pub(crate) struct Stripes {
    words: Placed<Stripe>,
    seat: u16,
    /// Which thread of this process holds each by this handle, by its number; 0 if none.
    threads: Box<[AtomicUsize]>,
    /// Held while another's seat is. The lock on a seat belongs to the open file, and threads that share it would not see each other.
    settling: Mutex<()>,
}

impl Stripes {
    /// The first `n` locks on the page of a file, to be taken by its handle.
    ///
    /// # Errors
    ///
    /// If the handle is read-only, all seats are taken, or the system refuses.
    ///
    /// # Panics
    ///
    /// If there are not so many, or the handle has a seat already: then nobody has settled these words for it.
    pub(crate) fn new(file: &Published, n: usize) -> Result<Self> {
        assert!((1..=MOST_STRIPES).contains(&n), "{n} locks; a page has {MOST_STRIPES}");
        let mut words = None;
        let seat = file.seat(|seat| {
            let placed = Placed::<Stripe>::new(file.mapping(), file.len_bytes() - PAGE_BYTES + OFFSET, n);
            for stripe in &*placed {
                // The one who had the seat before died with it.
                if Lock(&stripe.word).settle(seat) {
                    kill_point!("shared.lock.seat.settled");
                    Lock(&stripe.word).wake_next();
                }
            }
            words = Some(placed);
        })?;
        let words = words.expect("the seat of a handle is taken with its locks");
        let threads = (0..n).map(|_| AtomicUsize::new(0)).collect();
        Ok(Self { words, seat, threads, settling: Mutex::new(()) })
    }

    #[inline]
    pub(crate) fn n(&self) -> usize {
        self.words.len()
    }

    /// Takes one that nobody holds, waits for or has poisoned; whether it was so. To be inlined: it is one compare-and-swap.
    #[inline]
    pub(crate) fn take_at_rest(&self, stripe: usize) -> bool {
        kill_point!("shared.lock.take");
        let is_taken = self.lock(stripe).take_at_rest(self.seat);
        if is_taken {
            self.was_taken(stripe);
        }
        is_taken
    }

    /// Takes one.
    pub(crate) fn take(&self, file: &Published, stripe: usize, until: &mut Until) -> Result<Taken, Refused> {
        if self.take_at_rest(stripe) {
            return Ok(Taken { is_poisoned: false });
        }
        // Only this thread writes its own number there, so nothing needs an order.
        if self.threads[stripe].load(Ordering::Relaxed) == this_thread() {
            return Err(Refused::OwnedByThisThread);
        }
        let lock = self.lock(stripe);
        for _ in 0..N_LOOKS {
            if lock.owner().is_none() {
                break;
            }
            std::hint::spin_loop();
        }
        let taken = lock.take(self.seat, &Seats { file, stripes: self }, until).ok_or(Refused::Held)?;
        self.was_taken(stripe);
        Ok(taken)
    }

    #[inline]
    fn was_taken(&self, stripe: usize) {
        kill_point!("shared.lock.taken");
        self.threads[stripe].store(this_thread(), Ordering::Relaxed);
    }

    /// Gives one back that this handle holds.
    #[inline]
    pub(crate) fn give_back(&self, stripe: usize) {
        self.threads[stripe].store(0, Ordering::Relaxed);
        kill_point!("shared.lock.give_back");
        if self.lock(stripe).give_back(self.seat) {
            kill_point!("shared.lock.given_back");
            self.lock(stripe).wake_next();
        }
        kill_point!("shared.lock.woken");
    }

    /// Says of those that this handle holds whether their data are right.
    #[cold]
    pub(crate) fn set_poisoned(&self, stripes: Range<usize>, is_poisoned: bool) {
        for stripe in stripes {
            if is_poisoned { self.lock(stripe).poison() } else { self.lock(stripe).pardon() }
        }
    }

    /// Whether one that this handle holds is poisoned.
    pub(crate) fn is_poisoned(&self, stripe: usize) -> bool {
        self.lock(stripe).is_poisoned()
    }

    /// Whether somebody holds it, dead or alive.
    pub(crate) fn is_held(&self, stripe: usize) -> bool {
        self.lock(stripe).owner().is_some()
    }

    #[inline]
    fn lock(&self, stripe: usize) -> Lock<'_> {
        Lock(&self.words[stripe].word)
    }
}

/// Looks at a lock that is held before one queues for it: about as long as a short turn takes.
const N_LOOKS: u32 = 64;

/// A number that no other thread of this process has or will have: what a thread that is gone has forgotten to give back is not its
/// successor's.
#[inline]
fn this_thread() -> usize {
    thread_local!(static NUMBER: Cell<usize> = const { Cell::new(0) });
    static NEXT: AtomicUsize = AtomicUsize::new(1);
    NUMBER.with(|number| {
        if number.get() == 0 {
            number.set(NEXT.fetch_add(1, Ordering::Relaxed));
        }
        number.get()
    })
}

/// Who owns locks of a file: holders of its seats.
struct Seats<'a> {
    file: &'a Published,
    stripes: &'a Stripes,
}

impl Owners for Seats<'_> {
    fn if_dead(&self, seat: u16, settle: impl FnOnce()) -> bool {
        // This process, and the lock on its own seat would be granted.
        if seat == self.stripes.seat {
            return false;
        }
        let _alone = self.stripes.settling.lock().unwrap_or_else(PoisonError::into_inner);
        // A system that refuses does not say that anybody is dead.
        if !self.file.try_take(Role::Seat(seat)).unwrap_or(false) {
            return false;
        }
        kill_point!("shared.lock.settle");
        settle();
        kill_point!("shared.lock.settled");
        self.file.give_back(Role::Seat(seat));
        kill_point!("shared.lock.seat.given_back");
        true
    }
}
