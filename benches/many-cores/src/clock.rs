use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// What is to happen, in the order of time; at the same time, in the order in which it was noted.
#[derive(Debug)]
pub struct Clock<E> {
    events: BinaryHeap<Reverse<(u64, u64, E)>>,
    n_noted: u64,
}

impl<E: Ord> Default for Clock<E> {
    fn default() -> Self {
        Self { events: BinaryHeap::new(), n_noted: 0 }
    }
}

impl<E: Ord> Clock<E> {
    /// Notes what happens at a time.
    pub fn at(&mut self, time: u64, event: E) {
        self.events.push(Reverse((time, self.n_noted, event)));
        self.n_noted += 1;
    }
}

/// What happens next, and when.
impl<E: Ord> Iterator for Clock<E> {
    type Item = (u64, E);

    fn next(&mut self) -> Option<(u64, E)> {
        self.events.pop().map(|Reverse((time, _, event))| (time, event))
    }
}
