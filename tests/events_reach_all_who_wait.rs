//! Goal: an event that is set releases all that wait for it, in any process, by handles that write or only read, even if it is cleared at
//! once; deaths of those who wait or set change nothing for the others.
//!
//! Method: processes that wait, of which the kernel says that they sleep before the event is set, or before some are killed; setters that
//! are killed at random. Who was released is counted.

use ndpool::shared::{Event, Options};
use ndpool_tests::{Actor, Random, kill, role, say, wait_to_be_told, wait_until, watchdog};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// A name that no other test has.
fn name(of: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("test_event_{of}_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Plays one who waits, again and again: says its thread, waits, says that it was released.
fn wait_again_and_again(part: &str) {
    let (how, name) = part.split_once(' ').expect("how, and the name of an event");
    let event = Event::attach_with(&Options::new().read_only(how == "reads"), name).unwrap();
    loop {
        say(&nix::unistd::gettid().to_string());
        event.wait();
        say("released");
        wait_to_be_told();
    }
}

/// One who waits.
struct Waiter(Actor);

impl Waiter {
    fn start(test: &str, how: &str, name: &str) -> Self {
        Self(Actor::start(test, &format!("{how} {name}")))
    }

    /// Returns once it sleeps.
    fn sleeps(mut self) -> Self {
        let thread = self.0.hear();
        let call = format!("/proc/{}/task/{thread}/syscall", self.0.pid());
        wait_until(|| {
            let call = std::fs::read_to_string(&call).unwrap_or_default();
            call.split(' ').next() == Some(&libc::SYS_futex.to_string())
        });
        self
    }

    fn is_released(mut self) -> Self {
        assert_eq!(self.0.hear(), "released");
        self
    }
}

#[test]
fn who_sleeps_is_released_by_what_is_cleared_at_once() {
    const TEST: &str = "who_sleeps_is_released_by_what_is_cleared_at_once";
    let _watchdog = watchdog();
    if let Some(part) = role() {
        return wait_again_and_again(&part);
    }
    let name = name("cleared");
    let event = Event::create(&name).unwrap();
    let mut waiters = ["writes", "reads", "writes", "reads"].map(|how| Waiter::start(TEST, how, &name));
    for _ in 0..20 {
        waiters = waiters.map(Waiter::sleeps);
        event.set();
        assert!(event.clear());
        waiters = waiters.map(Waiter::is_released);
        assert!(!event.is_set());
        for waiter in &mut waiters {
            waiter.0.tell("once more");
        }
    }
}

#[test]
fn sleepers_that_die_are_in_nobodys_way() {
    const TEST: &str = "sleepers_that_die_are_in_nobodys_way";
    let _watchdog = watchdog();
    if let Some(part) = role() {
        return wait_again_and_again(&part);
    }
    let name = name("sleepers");
    let event = Event::create(&name).unwrap();
    let waiters = [(); 3].map(|()| Waiter::start(TEST, "writes", &name).sleeps());
    let [first, second, third] = waiters;
    for dead in [first, second] {
        assert!(kill(dead.0.pid()));
        drop(dead.0.wait());
    }
    event.set();
    let third = third.is_released();
    assert!(Event::attach(&name).unwrap().wait_timeout(Duration::ZERO), "set until it is cleared");
    assert!(event.clear() && !event.clear());
    assert!(!event.wait_timeout(Duration::from_millis(1)));
    drop(third);
}

#[test]
fn setters_that_die_leave_an_event_that_works() {
    const TEST: &str = "setters_that_die_leave_an_event_that_works";
    let _watchdog = watchdog();
    if let Some(part) = role() {
        let (how, name) = part.split_once(' ').unwrap();
        if how != "sets" {
            return wait_again_and_again(&part);
        }
        let event = Event::attach(name).unwrap();
        say("sets");
        loop {
            event.set();
            event.clear();
        }
    }
    let name = name("setters");
    let event = Event::create(&name).unwrap();
    let mut random = Random::new(5);
    let mut waiter = Waiter::start(TEST, "reads", &name);
    for _ in 0..20 {
        let mut setter = Actor::start(TEST, &format!("sets {name}"));
        assert_eq!(setter.hear(), "sets");
        for _ in 0..random.below(0..10) {
            event.wait();
        }
        assert!(kill(setter.pid()));
        drop(setter.wait());
        // Whatever it left, set or clear, told or not.
        event.set();
        let _thread = waiter.0.hear();
        waiter = waiter.is_released();
        event.clear();
        waiter.0.tell("once more");
    }
}

#[test]
fn who_waits_sees_what_was_written_before() {
    let _watchdog = watchdog();
    let name = name("before");
    let (event, other) = (Event::create(&name).unwrap(), Event::attach(&name).unwrap());
    for round in 0..2000 {
        // Relaxed: whatever order there is comes from the event.
        let news = AtomicU32::new(0);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                news.store(round, Ordering::Relaxed);
                event.set();
            });
            other.wait();
            assert_eq!(news.load(Ordering::Relaxed), round);
        });
        other.clear();
    }
}

#[test]
fn numpy_sees_a_number_and_a_reader_changes_nothing() {
    let name = name("file");
    let event = Event::create(&name).unwrap();
    let number = || {
        let bytes = std::fs::read(event.path()).unwrap();
        u32::from_ne_bytes(bytes[4096..4100].try_into().unwrap())
    };
    assert_eq!(number(), 0);
    event.set();
    assert_eq!(number(), 3);
    event.clear();
    event.set();
    assert_eq!(number(), 5);
    let reader = Event::attach_with(&Options::new().read_only(true), &name).unwrap();
    assert!(reader.is_set() && reader.wait_timeout(Duration::ZERO) && reader.is_current());
    for change in [|event: &Event| event.set(), |event: &Event| drop(event.clear())] {
        let refused = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| change(&reader)));
        assert!(refused.is_err());
    }
    assert_eq!(number(), 5);
    assert!(ndpool::shared::Mutex::<u32, ndarray::Ix1>::attach(&name).is_err(), "another kind");
}
