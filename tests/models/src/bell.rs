use crate::shared::bell::Bell;
use crate::sys::primitive::{AtomicU32, AtomicU64, Ordering, futex_wait, futex_wake};
use crate::world::check;
use loom::sync::Arc;
use loom::thread;

/// In which order things are done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// As the product does them.
    Right,
    /// The sequence is not bumped again once the flag is down.
    OneBump,
    /// A sleeper looks at the sequence, then puts up its flag: no harm, since the kernel looks at the sequence again.
    FlagAfterLook,
    /// A ringer takes the flag down once it has woken those who sleep.
    FlagDownLast,
    /// A sleeper looks for news, then reads the sequence.
    NewsBeforeSequence,
    /// A ringer rings, then stores its news.
    RingBeforeNews,
}

struct Shared {
    sequence: AtomicU32,
    sleepers: AtomicU32,
    news: AtomicU64,
}

impl Shared {
    /// With the flag of somebody who has died asleep.
    fn new() -> Arc<Self> {
        Arc::new(Self { sequence: AtomicU32::new(0), sleepers: AtomicU32::new(1), news: AtomicU64::new(0) })
    }

    fn bell(&self) -> Bell<'_> {
        Bell::new(&self.sequence, &self.sleepers)
    }

    fn has_news(&self) -> bool {
        self.news.load(Ordering::Relaxed) != 0
    }

    /// Sleeps until there is news.
    fn sleep(&self, order: Order, may_write: bool) {
        loop {
            let early = order == Order::NewsBeforeSequence && self.has_news();
            let seen = self.bell().sequence();
            if early || order != Order::NewsBeforeSequence && self.has_news() {
                return;
            }
            assert!(seen < TIME_IS_OVER, "a wake-up was lost");
            if order == Order::FlagAfterLook {
                if self.bell().sequence() == seen {
                    self.sleepers.store(1, Ordering::SeqCst);
                    futex_wait(&self.sequence, seen, None);
                }
            } else {
                self.bell().wait(seen, None, may_write);
            }
        }
    }

    /// The first steps of a ring.
    fn ring(&self, order: Order, n_steps: usize) {
        let mut n_left = n_steps;
        let mut lives = || {
            let lives = n_left > 0;
            n_left -= usize::from(lives);
            lives
        };
        if !lives() {
            return;
        }
        self.sequence.fetch_add(1, Ordering::SeqCst);
        if !lives() || self.sleepers.load(Ordering::SeqCst) == 0 || !lives() {
            return;
        }
        if order != Order::FlagDownLast {
            self.sleepers.store(0, Ordering::SeqCst);
        }
        if order != Order::OneBump {
            if !lives() {
                return;
            }
            self.sequence.fetch_add(1, Ordering::SeqCst);
        }
        if lives() {
            futex_wake(&self.sequence, u32::MAX);
        }
        if order == Order::FlagDownLast {
            self.sleepers.store(0, Ordering::SeqCst);
        }
    }

    /// As the product rings, unless the order is another.
    fn ring_in(&self, order: Order) {
        match order {
            Order::OneBump | Order::FlagDownLast => self.ring(order, N_STEPS),
            _ => self.bell().ring(false),
        }
    }

    /// Time passes, once all have rung: how many had to wait for that.
    fn end_all_sleep(&self) -> u32 {
        self.sequence.fetch_add(TIME_IS_OVER, Ordering::SeqCst);
        futex_wake(&self.sequence, u32::MAX)
    }
}

/// What is added to a sequence in the end. Who reads it after that has missed nothing.
const TIME_IS_OVER: u32 = 1 << 16;

/// Steps of a ring that finds a flag: bump, look, flag down, bump, wake.
pub const N_STEPS: usize = 5;
/// As many steps and the flag is down, but those who left it are not woken.
pub const UNWOKEN: [usize; 2] = [3, 4];

/// *Goal:* a ring wakes whoever sleeps and wants the news that was stored before it, though the flags are no count: somebody who has died
/// asleep has left one, and another ring takes it down at the same time.
///
/// *Actors:* a sleeper; two that ring, one with the news.
///
/// *What would break it:* each wrong [`Order`], but for a flag after the look.
pub fn a_ring_wakes_all_who_sleep(order: Order) {
    check(if order == Order::FlagAfterLook { 3 } else { 4 }, move || {
        let shared = Shared::new();
        let sleeper = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || shared.sleep(order, true))
        };
        let other = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || shared.ring_in(order))
        };
        if order == Order::RingBeforeNews {
            shared.ring_in(order);
            shared.news.store(1, Ordering::Relaxed);
        } else {
            shared.news.store(1, Ordering::Relaxed);
            shared.ring_in(order);
        }
        other.join().unwrap();
        assert_eq!(shared.end_all_sleep(), 0, "a wake-up was lost");
        sleeper.join().unwrap();
    });
}

/// *Goal:* a ringer that dies harms nobody for longer than one sleep. Only where it has taken a flag down and woken nobody is that time
/// needed; in all other places the next ring wakes all, as ever.
///
/// *Actors:* a sleeper; a ringer that dies after `n_steps`; another that rings with the news; time, which passes last.
///
/// *What would break it:* a sleeper that does not look for news when its time is over; sleepers that are counted, since the count
/// of the dead would stay.
pub fn a_ringer_may_die_at_any_step(n_steps: usize) {
    check(3, move || {
        let shared = Shared::new();
        let sleeper = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || shared.sleep(Order::Right, true))
        };
        let dying = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || shared.ring(Order::Right, n_steps))
        };
        shared.news.store(1, Ordering::Relaxed);
        shared.bell().ring(false);
        dying.join().unwrap();
        let n_late = shared.end_all_sleep();
        assert!(n_late == 0 || UNWOKEN.contains(&n_steps), "a wake-up was lost after {n_steps} steps");
        sleeper.join().unwrap();
    });
}

/// *Goal:* who may not leave a flag is woken as well, by those who know that there may be such.
///
/// *Actors:* a sleeper that may only read; a ringer.
///
/// *What would break it:* a ringer that calls the kernel for flags alone.
pub fn who_leaves_no_flag_is_woken(calls_always: bool) {
    check(3, move || {
        let shared = Shared::new();
        shared.sleepers.store(0, Ordering::SeqCst);
        let sleeper = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || shared.sleep(Order::Right, false))
        };
        shared.news.store(1, Ordering::Relaxed);
        shared.bell().ring(calls_always);
        assert_eq!(shared.end_all_sleep(), 0, "a wake-up was lost");
        sleeper.join().unwrap();
    });
}
