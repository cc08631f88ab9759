use crate::supervisor::lifecycle::{Action, Event, Lifecycle, State};
use proptest::prelude::*;
use std::time::Duration;

/// What the README promises, counted from what happened alone.
#[derive(Debug, Default)]
struct Oracle {
    /// Whether the slot has a process now.
    has_process: bool,
    /// Whether that process was welcomed.
    is_ready: bool,
    is_shut_down: bool,
    /// Failures and kills since a worker that served ended.
    n_failures: u32,
    n_kills: u32,
    was_refused: bool,
}

/// How a process that is being started, or serves, comes to its next event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Well,
    FailsItself,
    KilledFromOutside,
    Refused,
    ShutDown,
}

impl Oracle {
    /// Carries an action out as the slot's thread does, and says what came of it.
    fn carry_out(&mut self, action: Action, fate: Fate) -> Event {
        if fate == Fate::ShutDown && !self.is_shut_down && action != Action::End {
            self.is_shut_down = true;
            return Event::ShutDown;
        }
        let event = match action {
            Action::Start => {
                assert!(!self.has_process, "a second process in one slot");
                assert!(!self.is_shut_down, "a start after the shutdown");
                match fate {
                    Fate::FailsItself => Event::Failed,
                    Fate::KilledFromOutside => Event::Killed,
                    Fate::Refused => Event::Refused,
                    Fate::Well | Fate::ShutDown => {
                        (self.has_process, self.is_ready) = (true, true);
                        Event::Ready
                    }
                }
            }
            Action::Watch => {
                assert!(self.has_process && self.is_ready && !self.is_shut_down, "nobody to watch");
                (self.has_process, self.is_ready) = (false, false);
                // A welcomed worker that says that it cannot serve is a failure; all else is just an end.
                if fate == Fate::FailsItself { Event::Failed } else { Event::Ended }
            }
            Action::Wait(delay) => {
                assert!(!self.has_process && self.n_failures + self.n_kills > 0, "a wait for nothing");
                let expected = Duration::from_millis(10) * (1 << self.n_failures.saturating_sub(1));
                assert_eq!(delay, expected, "after {} failures", self.n_failures);
                Event::DelayOver
            }
            Action::End => {
                assert!(self.is_shut_down);
                (self.has_process, self.is_ready) = (false, false);
                Event::Ended
            }
            Action::GiveUp => {
                assert!(!self.has_process && !self.is_shut_down);
                assert!(
                    self.was_refused || self.n_failures >= 5 || self.n_kills >= 200,
                    "given up too early: {self:?}"
                );
                self.is_shut_down = true;
                Event::ShutDown
            }
            Action::Finish => unreachable!("the thread is done"),
        };
        match event {
            Event::Failed => self.n_failures += 1,
            Event::Killed => self.n_kills += 1,
            Event::Refused => self.was_refused = true,
            Event::Ended => (self.n_failures, self.n_kills) = (0, 0),
            _ => {}
        }
        event
    }
}

fn fates() -> impl Strategy<Value = Vec<Fate>> {
    let fate = prop_oneof![
        8 => Just(Fate::Well),
        4 => Just(Fate::FailsItself),
        8 => Just(Fate::KilledFromOutside),
        1 => Just(Fate::Refused),
        1 => Just(Fate::ShutDown),
    ];
    prop::collection::vec(fate, 0..120)
}

/// Runs a slot's thread over these fates, then shuts it down; the steps that this took, and whether the slot was given up.
fn live(fates: &[Fate]) -> bool {
    let (mut life, mut oracle) = (Lifecycle::new(), Oracle::default());
    let mut action = life.step(Event::Begin);
    let mut was_given_up = false;
    for &fate in fates {
        if action == Action::Finish {
            break;
        }
        was_given_up |= action == Action::GiveUp;
        action = life.step(oracle.carry_out(action, fate));
    }
    // Two more steps: the shutdown, and the end of a process.
    for _ in 0..2 {
        if action != Action::Finish {
            was_given_up |= action == Action::GiveUp;
            action = life.step(oracle.carry_out(action, Fate::ShutDown));
        }
    }
    assert_eq!((action, life.state), (Action::Finish, State::Stopped), "it does not end");
    assert!(!oracle.has_process, "a process is left");
    was_given_up
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let all = [
        Event::Begin,
        Event::Failed,
        Event::Killed,
        Event::Refused,
        Event::Ready,
        Event::Ended,
        Event::DelayOver,
        Event::ShutDown,
    ];
    prop::collection::vec(prop::sample::select(all.to_vec()), 0..100)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_slot_keeps_its_promises_whatever_becomes_of_its_processes(fates in fates()) {
        live(&fates);
    }

    #[test]
    fn fewer_kills_than_the_limit_never_give_a_slot_up(kills in prop::collection::vec(0usize..200, 1..6)) {
        // Storms before a process is ready, with one that serves in between.
        let mut fates = Vec::new();
        for n in kills {
            // Each kill is followed by a wait; the last start goes well and its worker is killed while it serves.
            fates.extend([Fate::KilledFromOutside, Fate::Well].repeat(n));
            fates.extend([Fate::Well, Fate::KilledFromOutside]);
        }
        prop_assert!(!live(&fates));
    }

    #[test]
    fn events_that_mean_nothing_change_nothing(events in events()) {
        let mut life = Lifecycle::new();
        let mut is_shut_down = false;
        for event in events {
            let before = life;
            let action = life.step(event);
            if life.state == before.state && !(event == Event::Killed || event == Event::Failed) {
                // Asked for again.
                let means_nothing = before == life;
                let begins_anew = (before.state, event) == (State::Serving, Event::Ended);
                prop_assert!(means_nothing || begins_anew, "{:?} in {:?}", event, before);
            }
            is_shut_down |= event == Event::ShutDown;
            if is_shut_down {
                prop_assert!(matches!(action, Action::End | Action::Finish), "{:?} after the shutdown", action);
            }
            if before.state == State::Stopped {
                prop_assert_eq!(action, Action::Finish);
            }
        }
    }
}
