use crate::mortal;
use crate::shared::lock::Patience;
use crate::shared::signal::Signal;
use crate::sys::primitive::{AtomicU32, AtomicU64, Ordering, futex_wait};
use crate::world::{Plain, check};
use loom::sync::Arc;
use loom::thread;

/// When the news is written that the event tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// Before the event is set.
    Before,
    /// After: must fail.
    After,
}

struct World {
    word: AtomicU32,
    news: Plain,
    /// How many have seen the event clear and are about to sleep.
    n_waiting: AtomicU64,
}

impl World {
    fn new() -> Arc<Self> {
        Arc::new(Self { word: AtomicU32::new(0), news: Plain::new(0), n_waiting: AtomicU64::new(0) })
    }

    fn signal(&self) -> Signal<'_> {
        Signal(&self.word)
    }

    /// As `Event::set`.
    fn set(&self) {
        self.signal().raise();
        mortal::step();
        self.signal().wake();
    }
}

/// Sleeps without a limit, or with naps that end at any moment; tells when it has looked.
struct Sleeper<'a> {
    told: Option<&'a AtomicU64>,
    is_restless: bool,
}

impl Patience for Sleeper<'_> {
    fn is_over(&mut self) -> bool {
        if let Some(n_waiting) = self.told.take() {
            n_waiting.store(1, Ordering::Release);
        }
        false
    }

    fn is_long(&mut self) -> bool {
        false
    }

    fn nap(&mut self, word: &AtomicU32, value: u32) {
        if self.is_restless {
            thread::yield_now();
        } else {
            futex_wait(word, value, None);
        }
    }
}

/// *Goal:* whoever waits is released, and sees what was written before the event was set.
///
/// *Actors:* waiters, some of which come early and some late; one that sets.
///
/// *What would break it:* a wake-up before the word changes; a set that does not release, or a wait that does not acquire.
pub fn waiters_are_released_and_see_the_news(n_waiters: usize, news: News) {
    check(3, move || {
        let world = World::new();
        let waiters: Vec<_> = (0..n_waiters)
            .map(|_| {
                let world = Arc::clone(&world);
                thread::spawn(move || {
                    assert!(world.signal().wait(&mut Sleeper { told: None, is_restless: false }));
                    assert_eq!(world.news.get(), 1);
                })
            })
            .collect();
        if news == News::Before {
            world.news.set(1);
        }
        world.set();
        if news == News::After {
            world.news.set(1);
        }
        for waiter in waiters {
            waiter.join().unwrap();
        }
    });
}

/// *Goal:* a set that is cleared at once releases whoever had begun to wait.
///
/// *Actors:* a waiter that has seen the event clear; one that sets and clears, once or twice.
///
/// *What would break it:* a word without a count; a waiter that only looks whether the event is set.
pub fn a_set_that_is_cleared_at_once_releases(n_times: usize) {
    check(3, move || {
        let world = World::new();
        let waiter = {
            let world = Arc::clone(&world);
            thread::spawn(move || {
                let told = Some(&world.n_waiting);
                assert!(world.signal().wait(&mut Sleeper { told, is_restless: false }));
            })
        };
        while world.n_waiting.load(Ordering::Acquire) == 0 {
            thread::yield_now();
        }
        for _ in 0..n_times {
            world.set();
            assert!(world.signal().clear());
        }
        waiter.join().unwrap();
    });
}

/// *Goal:* a setter that dies leaves the event set or clear, and nobody asleep.
///
/// *Actors:* a setter that dies before the word, between word and wake-up, or after; a waiter that lives, and one whose naps have
/// no end; a second setter.
///
/// *What would break it:* a setter that does not wake because it finds the event set; a sleep for ever.
pub fn a_setter_may_die_at_any_step(n_steps: usize, is_restless: bool) {
    check(3, move || {
        let world = World::new();
        let waiter = {
            let world = Arc::clone(&world);
            thread::spawn(move || assert!(world.signal().wait(&mut Sleeper { told: None, is_restless })))
        };
        mortal::live(n_steps, || {
            mortal::step();
            world.set();
        });
        // Naps that end find out by themselves what the word says.
        if !is_restless || n_steps == 0 {
            world.set();
        }
        waiter.join().unwrap();
        assert!(world.signal().is_set());
    });
}
