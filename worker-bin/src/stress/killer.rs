//! What happens to processes: chance decides what, to whom and when.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::chance::Chance;
use super::figures::{Figures, Target};
use super::herd::Herd;

/// Time between two strokes, on average.
const MEAN_PAUSE: Duration = Duration::from_millis(30);
/// How far strokes may be behind.
const MAX_LATE: Duration = Duration::from_millis(300);

/// Whoever strikes.
#[derive(Debug)]
pub struct Killer {
    chance: Chance,
    next: Instant,
}

/// One stroke.
#[derive(Debug, Clone, Copy)]
enum Stroke {
    /// One worker is killed.
    Worker,
    /// One worker gets a crash signal.
    Crash,
    /// One worker is asked to end.
    Terminate,
    /// One worker is stopped for a while.
    Stop,
    /// All workers of a supervisor are killed.
    Workers,
    /// A worker that cleans up after its supervisor is killed.
    Orphan,
    /// A supervisor is killed.
    Supervisor,
    /// A supervisor is stopped for a while.
    StopSupervisor,
    /// A supervisor and its workers are killed at once.
    Together,
    /// A supervisor is killed while its workers are stopped.
    WhileStopped,
}

/// Strokes by how often they fall.
const STROKES: [(u64, Stroke); 10] = [
    (50, Stroke::Worker),
    (6, Stroke::Crash),
    (6, Stroke::Terminate),
    (10, Stroke::Stop),
    (5, Stroke::Workers),
    (6, Stroke::Orphan),
    (4, Stroke::Supervisor),
    (3, Stroke::StopSupervisor),
    (2, Stroke::Together),
    (2, Stroke::WhileStopped),
];

impl Killer {
    pub fn new(chance: Chance) -> Self {
        Self { chance, next: Instant::now() }
    }

    /// Strikes if it is time. `supervisors` are those that live, in the order of their numbers.
    pub fn step(&mut self, herd: &mut Herd, supervisors: &[u32], figures: &mut Figures) {
        if Instant::now() < self.next {
            return;
        }
        // What was missed is made up for, but not what a quiet point took.
        self.next = self.next.max(Instant::now().checked_sub(MAX_LATE).unwrap_or(self.next));
        self.next += self.chance.pause(MEAN_PAUSE);
        herd.look();
        let stroke = self.chance.weighted(&STROKES);
        // Drawn whether or not it is of use, so that what is drawn next does not depend on it.
        let (who, which, millis) = (self.chance.next(), self.chance.next(), self.chance.within(5..500));
        let supervisors: Vec<u32> =
            supervisors.iter().copied().filter(|&pid| herd.get(pid).is_some()).collect();
        let Some(&supervisor) = one_of(&supervisors, who) else { return };
        let workers = herd.workers_of(supervisor);
        let worker = one_of(&workers, which).copied();
        let until = Instant::now() + Duration::from_millis(millis);
        match (stroke, worker) {
            (Stroke::Worker, Some(pid)) => _ = kill(figures, herd, pid, Signal::SIGKILL, Target::Worker),
            (Stroke::Crash, Some(pid)) => _ = kill(figures, herd, pid, Signal::SIGSEGV, Target::Worker),
            (Stroke::Terminate, Some(pid)) => _ = kill(figures, herd, pid, Signal::SIGTERM, Target::Worker),
            (Stroke::Stop, Some(pid)) => figures.stops += u64::from(herd.stop(pid, until)),
            (Stroke::Workers, _) => {
                for pid in workers {
                    kill(figures, herd, pid, Signal::SIGKILL, Target::Worker);
                }
            }
            (Stroke::Orphan, _) => {
                let mut orphans: Vec<u32> = herd
                    .pids()
                    .filter(|&pid| {
                        herd.get(pid).is_some_and(|member| member.orphaned.is_some() && !member.is_doomed)
                    })
                    .collect();
                orphans.sort_unstable();
                if let Some(&pid) = one_of(&orphans, which) {
                    kill(figures, herd, pid, Signal::SIGKILL, Target::Orphan);
                }
            }
            (Stroke::Supervisor, _) => {
                let signal =
                    *one_of(&[Signal::SIGKILL, Signal::SIGSEGV, Signal::SIGTERM], which).expect("not empty");
                kill(figures, herd, supervisor, signal, Target::Supervisor);
            }
            (Stroke::StopSupervisor, _) => figures.stops += u64::from(herd.stop(supervisor, until)),
            (Stroke::Together, _) => {
                // Stopped first, so that no one sees another's end.
                let everybody: Vec<u32> = workers.into_iter().chain([supervisor]).collect();
                for &pid in &everybody {
                    herd.stop(pid, until);
                }
                for pid in everybody {
                    let target = if pid == supervisor { Target::Supervisor } else { Target::Worker };
                    kill(figures, herd, pid, Signal::SIGKILL, target);
                }
                figures.killed_together += 1;
            }
            (Stroke::WhileStopped, _) => {
                for pid in workers {
                    // For ever, as far as the soak is concerned: its supervisor's end resumes it.
                    if herd.stop(pid, until + Duration::from_secs(3600)) {
                        figures.stops += 1;
                    }
                }
                if kill(figures, herd, supervisor, Signal::SIGKILL, Target::Supervisor) {
                    figures.killed_while_stopped += 1;
                }
            }
            (_, None) => {}
        }
    }
}

fn one_of<T>(of: &[T], number: u64) -> Option<&T> {
    (!of.is_empty()).then(|| &of[(number % of.len() as u64) as usize])
}

/// Sends a signal that ends a process, and counts it; whether it did.
fn kill(figures: &mut Figures, herd: &mut Herd, pid: u32, signal: Signal, target: Target) -> bool {
    let is_hit = herd.kill(pid, signal);
    if is_hit {
        figures.count_kill(signal, target);
    }
    is_hit
}
