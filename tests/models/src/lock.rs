use crate::mortal;
use crate::shared::lock::{Lock, Owners, Patience, Taken};
use crate::sys::primitive::{AtomicU32, futex_wait};
use crate::world::{Plain, check};
use loom::sync::{Arc, Mutex};
use loom::thread;

/// Who has a seat: the kernel's lock on a byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seat {
    Free,
    Taken,
    /// Held by somebody who settles what its last holder has left.
    BeingSettled,
}

/// How a dead owner's lock is settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settling {
    /// By whoever holds the dead one's seat meanwhile: the product's order.
    UnderTheSeat,
    /// By whoever has seen that the seat is free: must fail.
    AfterALook,
}

/// What a process does once it has a seat that somebody else had before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Newcomer {
    /// Settles the words that name it, then locks: the product's order.
    SettlesFirst,
    /// Settles whatever names it once it owns the lock, and is settled by itself: must fail.
    SettlesLast,
}

/// When an owner writes what the lock protects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writing {
    /// Before it gives the lock back: the product's order.
    Before,
    /// Not all of it: must fail.
    After,
}

/// One lock, what it protects, and the seats of those who own it. Seat numbers begin at 1.
struct World {
    word: AtomicU32,
    /// Two halves that are equal when nobody is in the middle of a turn.
    halves: [Plain; 2],
    seats: [Mutex<Seat>; 3],
    settling: Settling,
    writing: Writing,
}

impl World {
    fn new(settling: Settling, writing: Writing) -> Arc<Self> {
        Arc::new(Self {
            word: AtomicU32::new(0),
            halves: [Plain::new(0), Plain::new(0)],
            seats: std::array::from_fn(|_| Mutex::new(Seat::Taken)),
            settling,
            writing,
        })
    }

    fn lock(&self) -> Lock<'_> {
        Lock(&self.word)
    }

    /// Changes who has a seat, if it is as expected.
    fn pass(&self, seat: u16, from: Seat, to: Seat) -> bool {
        let mut state = self.seats[usize::from(seat) - 1].lock().unwrap();
        let fits = *state == from;
        if fits {
            *state = to;
        }
        fits
    }

    /// Takes the lock as `Stripes` does.
    fn take(&self, seat: u16, patience: &mut impl Patience) -> Option<Taken> {
        mortal::step();
        let taken = if self.lock().take_at_rest(seat) {
            Some(Taken { is_poisoned: false })
        } else {
            self.lock().take(seat, &Seats { world: self, own: seat }, patience)
        };
        mortal::step();
        taken
    }

    /// One turn of whoever owns the lock: adds one to both halves, and puts them right first if they may be wrong.
    fn turn(&self, seat: u16, taken: Taken) {
        let [first, second] = &self.halves;
        if taken.is_poisoned {
            second.set(first.get());
            mortal::step();
            self.lock().pardon();
            mortal::step();
        }
        assert_eq!(first.get(), second.get(), "half a turn, and nobody tells");
        first.set(first.get() + 1);
        mortal::step();
        if self.writing == Writing::Before {
            second.set(first.get());
            mortal::step();
        }
        if self.lock().give_back(seat) {
            mortal::step();
            self.lock().wake_next();
        }
        if self.writing == Writing::After {
            second.set(first.get());
        }
    }

    /// A process that takes one turn and dies after so many steps, holding this seat; whether it lived to the end.
    fn live(&self, seat: u16, n_steps: usize, patience: &mut impl Patience) -> bool {
        let end = mortal::live(n_steps, || {
            let taken = self.take(seat, patience).expect("it has patience");
            self.turn(seat, taken);
        });
        end.is_some()
    }
}

struct Seats<'a> {
    world: &'a World,
    own: u16,
}

impl Owners for Seats<'_> {
    fn if_dead(&self, seat: u16, settle: impl FnOnce()) -> bool {
        if seat == self.own || !self.world.pass(seat, Seat::Free, Seat::BeingSettled) {
            return false;
        }
        if self.world.settling == Settling::AfterALook {
            self.world.pass(seat, Seat::BeingSettled, Seat::Free);
            settle();
            return true;
        }
        // Whoever dies here gives the seat back by that.
        let _held = GivenBack(self.world, seat);
        mortal::step();
        settle();
        mortal::step();
        true
    }
}

/// The kernel gives a seat back, whatever becomes of its holder.
struct GivenBack<'a>(&'a World, u16);

impl Drop for GivenBack<'_> {
    fn drop(&mut self) {
        self.0.pass(self.1, Seat::BeingSettled, Seat::Free);
    }
}

/// Sleeps until woken, without a limit: a wake-up that is lost is a deadlock.
struct Endless {
    is_long: bool,
}

impl Patience for Endless {
    fn is_over(&mut self) -> bool {
        false
    }

    fn is_long(&mut self) -> bool {
        self.is_long
    }

    fn nap(&mut self, word: &AtomicU32, value: u32) {
        futex_wait(word, value, None);
    }
}

/// Sleeps that end at any moment, for ever or for so many. Others come first, so that the model ends.
struct Restless {
    n_naps: usize,
}

impl Patience for Restless {
    fn is_over(&mut self) -> bool {
        self.n_naps == 0
    }

    fn is_long(&mut self) -> bool {
        false
    }

    fn nap(&mut self, _: &AtomicU32, _: u32) {
        mortal::step();
        self.n_naps -= 1;
        thread::yield_now();
        mortal::step();
    }
}

fn endless(is_long: bool) -> Endless {
    Endless { is_long }
}

fn restless() -> Restless {
    Restless { n_naps: usize::MAX }
}

/// *Goal:* one owner at a time, each sees what the one before wrote, and nobody sleeps on while the lock is free. Naps have no end here: a
/// wake-up that is lost is a deadlock, which loom reports.
///
/// *Actors:* processes that take one turn each, with or without having waited for long.
///
/// *What would break it:* owners that do not acquire or release; a wake-up before the lock is given back; a waiter that does not
/// take *woken* down; a waiter that was woken and sleeps on a free lock.
pub fn owners_come_one_after_the_other(
    n_owners: u16,
    max_preemptions: usize,
    is_long: bool,
    writing: Writing,
) {
    check(max_preemptions, move || {
        let world = World::new(Settling::UnderTheSeat, writing);
        let turn = move |world: &World, seat| {
            let taken = world.take(seat, &mut endless(is_long)).expect("it has patience");
            assert!(!taken.is_poisoned);
            world.turn(seat, taken);
        };
        let others: Vec<_> = (2..=n_owners)
            .map(|seat| {
                let world = Arc::clone(&world);
                thread::spawn(move || turn(&world, seat))
            })
            .collect();
        turn(&world, 1);
        for other in others {
            other.join().unwrap();
        }
        assert_eq!(world.halves.each_ref().map(Plain::get), [u64::from(n_owners); 2]);
    });
}

/// *Goal:* who gives up takes no wake-up with him.
///
/// *Actors:* an owner; a waiter without a limit; one that gives up, after no nap or one, which ends by itself or by being woken.
///
/// *What would break it:* leaving without taking *woken* down, or without looking whether the lock is free.
pub fn who_gives_up_takes_no_wake_up_along(n_naps: usize) {
    check(2, move || {
        let world = World::new(Settling::UnderTheSeat, Writing::Before);
        let first = world.take(1, &mut endless(false)).unwrap();
        let waiter = {
            let world = Arc::clone(&world);
            thread::spawn(move || {
                let taken = world.take(2, &mut endless(false)).expect("it has patience");
                world.turn(2, taken);
            })
        };
        let leaver = {
            let world = Arc::clone(&world);
            thread::spawn(move || {
                /// One nap that others may end, then no more.
                struct Once(usize);
                impl Patience for Once {
                    fn is_over(&mut self) -> bool {
                        self.0 == 0
                    }
                    fn is_long(&mut self) -> bool {
                        false
                    }
                    fn nap(&mut self, word: &AtomicU32, value: u32) {
                        self.0 -= 1;
                        futex_wait(word, value, None);
                    }
                }
                if let Some(taken) = world.take(3, &mut Once(n_naps)) {
                    world.turn(3, taken);
                }
            })
        };
        world.turn(1, first);
        waiter.join().unwrap();
        leaver.join().unwrap();
    });
}

/// Steps of one turn: beginning, naps and settlements included, as many as a death may come between.
const MOST_STEPS: usize = 12;

/// *Goal:* whoever dies at whichever step, the others get the lock, and hear of it if a turn is half done.
///
/// *Actors:* a process that takes a turn and dies after `k` of its steps, for every `k`: before and after it takes the lock, in the
/// middle of its turn, after it gave the lock back and before it wakes, between the mark and the wake-up, before and after a
/// nap, while it settles for another. One, or two, that live and take their turn. Naps may end at any moment.
///
/// *What would break it:* a settlement that does not poison; one that leaves the word; waiting for somebody in particular.
pub fn a_death_at_any_step_leaves_the_lock_usable(n_living: u16) {
    for n_steps in 0..MOST_STEPS {
        check(if n_living == 1 { 3 } else { 1 }, move || {
            let world = World::new(Settling::UnderTheSeat, Writing::Before);
            let living: Vec<_> = (2..2 + n_living)
                .map(|seat| {
                    let world = Arc::clone(&world);
                    thread::spawn(move || assert!(world.live(seat, usize::MAX, &mut restless())))
                })
                .collect();
            world.live(1, n_steps, &mut restless());
            assert!(world.pass(1, Seat::Taken, Seat::Free));
            for living in living {
                living.join().unwrap();
            }
            // Its turn counts if its first half was written.
            let n = world.halves[1].get();
            assert!(n == u64::from(n_living) || n == u64::from(n_living) + 1);
            // Whatever the dead one has left, the lock is to be had at once.
            assert!(world.lock().owner().is_none_or(|owner| owner == 1));
            assert!(world.live(2, usize::MAX, &mut Restless { n_naps: 1 }));
        });
    }
}

/// *Goal:* two deaths, one of them while it settles for the other, harm the third no more than one.
///
/// *Actors:* a process that dies while it owns the lock, after `k` steps; a second one that dies after `l`; a third that lives.
///
/// *What would break it:* a settlement that needs its settler to end it.
pub fn a_settler_may_die_too() {
    for first in 1..6 {
        for second in 0..MOST_STEPS {
            check(1, move || {
                let world = World::new(Settling::UnderTheSeat, Writing::Before);
                world.live(1, first, &mut restless());
                assert!(world.pass(1, Seat::Taken, Seat::Free));
                let mortal = {
                    let world = Arc::clone(&world);
                    thread::spawn(move || {
                        world.live(2, second, &mut restless());
                        assert!(world.pass(2, Seat::Taken, Seat::Free));
                    })
                };
                assert!(world.live(3, usize::MAX, &mut restless()));
                mortal.join().unwrap();
                assert!(world.live(3, usize::MAX, &mut restless()));
            });
        }
    }
}

/// *Goal:* a seat that passes from a dead owner to a newcomer is never taken for dead while the newcomer owns the lock, nor for alive while
/// the dead one does.
///
/// *Actors:* a process that dies as the owner; a newcomer that takes its seat, if nobody is settling under it just then, and takes a turn; a
/// waiter in another seat.
///
/// *What would break it:* a settler that looks at the seat and settles later ([`Settling::AfterALook`]): it frees the newcomer's lock; a
/// newcomer that does not settle first ([`Newcomer::SettlesLast`]): the word names it, and it waits for itself, until it gives up.
pub fn a_seat_passes_from_the_dead_to_the_living(settling: Settling, newcomer: Newcomer) {
    check(3, move || {
        let world = World::new(settling, Writing::Before);
        // Dies in the middle of its turn.
        assert!(!world.live(1, 3, &mut restless()));
        assert!(world.pass(1, Seat::Taken, Seat::Free));
        let waiter = {
            let world = Arc::clone(&world);
            thread::spawn(move || assert!(world.live(2, usize::MAX, &mut restless())))
        };
        if world.pass(1, Seat::Free, Seat::Taken) {
            if newcomer == Newcomer::SettlesFirst && world.lock().settle(1) {
                world.lock().wake_next();
            }
            // More naps than others can be the reason of.
            let taken = world.take(1, &mut Restless { n_naps: 8 });
            world.turn(1, taken.expect("the lock is to be had"));
        }
        waiter.join().unwrap();
    });
}
