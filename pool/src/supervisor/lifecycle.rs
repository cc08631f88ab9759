//! The life of a worker slot as a pure function: event in, action out.
//!
//! ```text
//!             ┌──────────── ended ────────────┐
//!             ▼                               │
//!   idle ─► starting ───────── ready ─────► serving
//!             │  ▲                            │
//!   failed,   │  │ delay over        failed   │ shut down
//!   ended     ▼  │         ◄──────────────────┤
//!             │  │                            ▼
//!           waiting      refused, or       ending ─ ended ─► stopped
//!             │          too many failures
//!             └─────────────► given up ─ retry ─► starting
//! ```
//!
//! - *ended* while serving starts the next process at once: a storm of kills must not slow a pool down, let alone
//!   end it. Only what ends by itself before it was ready, or says that it cannot serve, counts as a failure, and makes
//!   the next start wait.
//! - *killed* before it was ready is somebody else's doing: it makes the next start wait too, but takes many to end it.
//! - *refused* is final: another build does not become this one by trying again.
//! - *retry* comes with the next job: what a start wanted for, processes or descriptors, may be there by now.
//! - *shut down* leads to *stopped*, by way of *ending* if there is a process.

use std::time::Duration;

/// Failures to start, in a row, after which a slot is given up.
const MAX_FAILURES: u32 = 5;
/// Kills before a process was ready, in a row, after which a slot is given up.
const MAX_KILLS: u32 = 200;
/// Wait after the first failure; doubled after each further one.
const FIRST_DELAY: Duration = Duration::from_millis(10);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Nothing was done yet.
    Idle,
    /// A process is being started, and has not been welcomed.
    Starting,
    /// A process serves.
    Serving,
    /// Waiting before the next start.
    Waiting,
    /// A process was asked to end.
    Ending,
    /// Nothing will be done any more, as wished.
    Stopped,
    /// Workers do not start: nothing is done until there is a reason to try again.
    GivenUp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    /// The slot is to be filled.
    Begin,
    /// The process could not be started, or ended by itself before it could run a block.
    Failed,
    /// The process was killed from outside before it was ready.
    Killed,
    /// The process is not one that can serve this pool.
    Refused,
    /// The process was welcomed.
    Ready,
    /// The process has ended, was waited for, and was swept.
    Ended,
    /// The wait is over.
    DelayOver,
    /// There is work for a slot that was given up.
    Retry,
    /// The pool shuts down.
    ShutDown,
}

/// What to do next; its outcome is the next event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// Start a process and welcome it.
    Start,
    /// Watch the process until it ends or the pool shuts down.
    Watch,
    /// Wait, or until the pool shuts down.
    Wait(Duration),
    /// Have the process end, by force if need be.
    End,
    /// Tell the pool that this slot stays empty, then wait for a reason to try again or the shutdown.
    GiveUp,
    /// The slot's thread is done.
    Finish,
}

/// A slot's state with the failures that led to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lifecycle {
    pub(super) state: State,
    n_failures: u32,
    n_kills: u32,
}

impl Lifecycle {
    pub(super) fn new() -> Self {
        Self { state: State::Idle, n_failures: 0, n_kills: 0 }
    }

    /// The next state and what to do in it; events that mean nothing in a state change nothing and ask for what
    /// the state does anyway.
    pub(super) fn step(&mut self, event: Event) -> Action {
        use State::{Ending, GivenUp, Idle, Serving, Starting, Stopped, Waiting};
        self.state = match (self.state, event) {
            (Starting | Serving | Ending, Event::ShutDown) => Ending,
            (Ending, Event::Ended | Event::Failed | Event::Killed | Event::Refused) => Stopped,
            (Idle | Waiting | GivenUp, Event::ShutDown) => Stopped,
            (Idle, Event::Begin) | (Waiting, Event::DelayOver) => Starting,
            (Starting, Event::Ready) => Serving,
            (Serving, Event::Ended | Event::Killed) => {
                self.n_failures = 0;
                self.n_kills = 0;
                Starting
            }
            (Starting | Serving, Event::Failed) | (Starting, Event::Ended) => {
                self.n_failures += 1;
                if self.n_failures >= MAX_FAILURES { GivenUp } else { Waiting }
            }
            (Starting, Event::Killed) => {
                self.n_kills += 1;
                if self.n_kills >= MAX_KILLS { GivenUp } else { Waiting }
            }
            (Starting, Event::Refused) => GivenUp,
            (GivenUp, Event::Retry) => {
                self.n_failures = 0;
                self.n_kills = 0;
                Starting
            }
            (state, _) => state,
        };
        match self.state {
            Idle | Stopped => Action::Finish,
            Starting => Action::Start,
            Serving => Action::Watch,
            Waiting => Action::Wait(FIRST_DELAY * 2u32.pow(self.n_failures.saturating_sub(1))),
            Ending => Action::End,
            GivenUp => Action::GiveUp,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATES: [State; 7] = [
        State::Idle,
        State::Starting,
        State::Serving,
        State::Waiting,
        State::Ending,
        State::Stopped,
        State::GivenUp,
    ];
    const EVENTS: [Event; 9] = [
        Event::Begin,
        Event::Failed,
        Event::Killed,
        Event::Refused,
        Event::Ready,
        Event::Ended,
        Event::DelayOver,
        Event::Retry,
        Event::ShutDown,
    ];

    #[test]
    fn every_state_is_left_by_a_shutdown_and_none_leaves_stopped() {
        for state in STATES {
            for event in EVENTS {
                let mut life = Lifecycle { state, n_failures: 0, n_kills: 0 };
                life.step(event);
                if state == State::Stopped {
                    assert_eq!(life.state, State::Stopped, "{event:?}");
                }
                if event == Event::ShutDown {
                    assert!(matches!(life.state, State::Ending | State::Stopped), "{state:?}");
                    life.step(Event::Ended);
                    assert_eq!(life.state, State::Stopped, "{state:?}");
                }
            }
        }
    }

    #[test]
    fn a_storm_of_kills_never_ends_a_slot() {
        let mut life = Lifecycle::new();
        assert_eq!(life.step(Event::Begin), Action::Start);
        for _ in 0..1_000 {
            assert_eq!(life.step(Event::Ready), Action::Watch);
            assert_eq!(life.step(Event::Ended), Action::Start);
        }
    }

    #[test]
    fn kills_before_a_process_is_ready_take_many_to_end_a_slot() {
        let mut life = Lifecycle::new();
        life.step(Event::Begin);
        for _ in 1..MAX_KILLS {
            assert_eq!(life.step(Event::Killed), Action::Wait(FIRST_DELAY));
            assert_eq!(life.step(Event::DelayOver), Action::Start);
        }
        assert_eq!(life.step(Event::Killed), Action::GiveUp);
    }

    #[test]
    fn a_worker_that_is_welcomed_and_cannot_serve_is_a_failure() {
        let mut life = Lifecycle::new();
        life.step(Event::Begin);
        for _ in 1..MAX_FAILURES {
            assert_eq!(life.step(Event::Ready), Action::Watch);
            assert!(matches!(life.step(Event::Failed), Action::Wait(_)));
            assert_eq!(life.step(Event::DelayOver), Action::Start);
        }
        life.step(Event::Ready);
        assert_eq!(life.step(Event::Failed), Action::GiveUp);
    }

    #[test]
    fn a_program_that_never_starts_is_given_up_after_growing_waits() {
        let mut life = Lifecycle::new();
        life.step(Event::Begin);
        let mut waits = Vec::new();
        loop {
            match life.step(Event::Ended) {
                Action::Wait(delay) => waits.push(delay),
                Action::GiveUp => break,
                other => panic!("{other:?}"),
            }
            assert_eq!(life.step(Event::DelayOver), Action::Start);
        }
        // Given up, it starts over when it is told to.
        assert_eq!(life.clone().step(Event::Retry), Action::Start);
        assert_eq!(waits.len() as u32, MAX_FAILURES - 1);
        assert!(waits.is_sorted() && waits[0] < waits[3]);
    }
}
