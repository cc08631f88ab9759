//! Killing workers at random moments.

use crate::leftovers::wait_until;
use crate::random::Random;
use ndpool::Pool;
use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;
use std::fs::DirEntry;
use std::time::{Duration, Instant};

/// Sends SIGKILL; whether somebody got it.
pub fn kill(pid: u32) -> bool {
    signal::kill(Pid::from_raw(pid as i32), Signal::SIGKILL).is_ok()
}

/// Sends a signal to a process group.
pub fn kill_group(group: u32, signal: Signal) {
    signal::killpg(Pid::from_raw(group as i32), signal).expect("the group has members");
}

/// Stops a process; returns when all its threads stand still, which takes the kernel a moment after the signal.
pub fn stop(pid: u32) {
    signal::kill(Pid::from_raw(pid as i32), Signal::SIGSTOP).expect("it is there");
    let stands_still = |thread: std::io::Result<DirEntry>| {
        let status = thread.and_then(|thread| std::fs::read_to_string(thread.path().join("status")));
        // A thread that has ended meanwhile does nothing either.
        status.map_or(true, |status| status.contains("\nState:\tT"))
    };
    let threads = || std::fs::read_dir(format!("/proc/{pid}/task"));
    wait_until(|| threads().map_or(true, |mut threads| threads.all(stands_still)));
}

/// Kills workers of a pool while something else runs.
#[derive(Debug)]
pub struct Killer {
    seed: u64,
    longest_pause: Duration,
}

impl Killer {
    /// A killer that waits up to `longest_pause` between two kills.
    pub fn new(seed: u64, longest_pause: Duration) -> Self {
        Self { seed, longest_pause }
    }

    /// Runs `work` while workers are killed, at moments and in an order that chance decides. Its result, and how many
    /// were killed.
    pub fn during<R>(&self, pool: &Pool, work: impl FnOnce() -> R) -> (R, u64) {
        // A channel ends the killer whether `work` returns or panics.
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        std::thread::scope(|scope| {
            let killer = scope.spawn(move || {
                let mut random = Random::new(self.seed);
                let mut n_killed = 0;
                while let Err(std::sync::mpsc::TryRecvError::Empty) = stopped.try_recv() {
                    let pause = self.longest_pause.mul_f64(random.unit());
                    let start = Instant::now();
                    while start.elapsed() < pause {
                        // On few cores the workers need this one too.
                        std::thread::yield_now();
                    }
                    // One that ends and is buried right here leaves its number free, but the kernel gives numbers out
                    // in turn: it takes thousands of new processes until somebody else has it.
                    let pids = pool.worker_pids();
                    if !pids.is_empty() {
                        let victim = pids[random.below(0..pids.len() as u64) as usize];
                        n_killed += u64::from(kill(victim));
                    }
                }
                n_killed
            });
            let result = work();
            drop(stop);
            (result, killer.join().expect("the killer does not panic"))
        })
    }
}
