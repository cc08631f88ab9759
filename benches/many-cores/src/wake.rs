use crate::clock::Clock;
use crate::machine::{Line, Machine};
use serde::Serialize;

/// Who wakes how many of the workers that sleep.
#[derive(Debug, Clone, Copy)]
pub struct FanOut {
    /// Wake-ups by the publisher.
    pub first: usize,
    /// Wake-ups by each worker that comes.
    pub each: usize,
    /// How a waker finds who sleeps.
    pub roster: Roster,
}

/// How a waker finds who sleeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Roster {
    /// A flag in each worker's own line: all lines are looked at.
    Beds,
    /// One bit for each worker, in a line for each node.
    Bits,
}

/// What came of it, in nanoseconds since the publication.
#[derive(Debug, Clone, Serialize)]
pub struct Woken {
    /// When the publisher could go on.
    pub publisher_done: u64,
    /// When each worker ran, by number.
    pub awake_at: Vec<u64>,
    /// Time spent on waking, by all together.
    pub spent: u64,
}

impl Woken {
    /// When the last worker ran.
    pub fn last(&self) -> u64 {
        self.awake_at.iter().copied().max().unwrap_or(0)
    }

    /// When half of the workers ran.
    pub fn half(&self) -> u64 {
        let mut sorted = self.awake_at.clone();
        sorted.sort_unstable();
        sorted[sorted.len() / 2]
    }
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// Somebody is about to look for a sleeper, with so many wake-ups left.
    Looks { who: usize, left: usize },
    /// A worker runs.
    Runs { worker: usize },
}

/// The beds, as the caches of those who look at them have them. The publisher, on node 0, is numbered after the workers.
struct Beds<'m> {
    machine: &'m Machine,
    is_parked: Vec<bool>,
    /// The node from which a bed was changed last, and how often it was.
    changed: Vec<(usize, u32)>,
    /// How often each bed had been changed when somebody saw it last, by who looks.
    seen: Vec<Vec<u32>>,
    /// One line for each node.
    bits: Vec<Line>,
}

impl<'m> Beds<'m> {
    fn new(machine: &'m Machine) -> Self {
        let n = machine.n_workers;
        Self {
            machine,
            is_parked: vec![true; n],
            changed: (0..n).map(|worker| (machine.node_of(worker), 1)).collect(),
            seen: vec![vec![0; n]; n + 1],
            bits: vec![Line::default(); machine.n_nodes],
        }
    }

    fn node_of(&self, who: usize) -> usize {
        if who == self.machine.n_workers { 0 } else { self.machine.node_of(who) }
    }

    /// What a look at all beds costs.
    fn look(&mut self, who: usize) -> u64 {
        let node = self.node_of(who);
        let mut cost = 0;
        for (seen, &(from, version)) in self.seen[who].iter_mut().zip(&self.changed) {
            let is_known = *seen == version;
            cost +=
                if is_known { self.machine.costs.line_own } else { self.machine.line_between(from, node) };
            *seen = version;
        }
        cost
    }

    /// When `who`, who begins to look at `now`, has taken a sleeper, and whom.
    fn take(&mut self, who: usize, now: u64, roster: Roster) -> (u64, Option<usize>) {
        let node = self.node_of(who);
        let parked = || (0..self.machine.n_workers).rev().filter(|&worker| self.is_parked[worker]);
        let (now, found) = match roster {
            Roster::Beds => {
                let found = parked().next();
                (now + self.look(who), found)
            }
            Roster::Bits => {
                // Of the own node, if there is one.
                let near = parked().find(|&worker| self.machine.node_of(worker) == node);
                let found = near.or_else(|| parked().next());
                let line = found.map_or(node, |worker| self.machine.node_of(worker));
                (self.bits[line].write(self.machine, who, node, now), found)
            }
        };
        let Some(worker) = found else { return (now, None) };
        self.is_parked[worker] = false;
        let (from, version) = self.changed[worker];
        self.changed[worker] = (node, version + 1);
        (now + self.machine.line_between(from, node), Some(worker))
    }
}

/// Wakes all workers of a machine for a job that has a block for each.
///
/// # Panics
///
/// If a worker is woken twice.
pub fn wake_all(machine: &Machine, fan_out: FanOut) -> Woken {
    let publisher = machine.n_workers;
    let mut beds = Beds::new(machine);
    let mut clock = Clock::default();
    let mut woken = Woken { publisher_done: 0, awake_at: vec![u64::MAX; machine.n_workers], spent: 0 };
    clock.at(0, Event::Looks { who: publisher, left: fan_out.first });
    while let Some((now, event)) = clock.next() {
        match event {
            Event::Runs { worker } => {
                assert_eq!(woken.awake_at[worker], u64::MAX, "worker {worker} is woken twice");
                woken.awake_at[worker] = now;
                // It comes to the job first: the entry on the board, and a claim.
                let came = now + machine.line_between(0, machine.node_of(worker)) + machine.costs.claim;
                clock.at(came, Event::Looks { who: worker, left: fan_out.each });
            }
            Event::Looks { who, left } => {
                let mut done = now;
                if left > 0 {
                    let (found_at, found) = beds.take(who, now, fan_out.roster);
                    done = found_at;
                    if let Some(worker) = found {
                        done += machine.costs.wake_call;
                        clock.at(found_at + machine.costs.wake_latency, Event::Runs { worker });
                        clock.at(done, Event::Looks { who, left: left - 1 });
                    }
                }
                woken.spent += done - now;
                if who == publisher {
                    woken.publisher_done = done;
                }
            }
        }
    }
    woken
}
