//! What a unit test has happen at a kill point: another actor's steps, between two of this one's.
//!
//! A kill point is where a process can be killed, and so where it can be stopped for any length of time. A test that says what
//! others do meanwhile has one order of events at will, and always the same.

use std::cell::RefCell;

type Act = Box<dyn FnOnce()>;

thread_local! {
    static PLANNED: RefCell<Vec<(&'static str, Act)>> = const { RefCell::new(Vec::new()) };
}

/// Something that is to happen; dropped, it sees that it did.
pub(crate) struct Planned(&'static str);

/// Has this thread do something when it passes a point for the next time.
pub(crate) fn at(point: &'static str, act: impl FnOnce() + 'static) -> Planned {
    PLANNED.with_borrow_mut(|planned| planned.push((point, Box::new(act))));
    Planned(point)
}

/// Passes a point.
pub(crate) fn reach(point: &'static str) {
    let take = |planned: &RefCell<Vec<(&'static str, Act)>>| {
        let mut planned = planned.borrow_mut();
        let i = planned.iter().position(|(other, _)| *other == point)?;
        Some(planned.remove(i).1)
    };
    // A thread that ends may have no plans any more.
    if let Ok(Some(act)) = PLANNED.try_with(take) {
        act();
    }
}

impl Drop for Planned {
    fn drop(&mut self) {
        let is_left = PLANNED.with_borrow_mut(|planned| {
            let n = planned.len();
            planned.retain(|(point, _)| *point != self.0);
            planned.len() != n
        });
        assert!(!is_left || std::thread::panicking(), "{} was not passed", self.0);
    }
}
