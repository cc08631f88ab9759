//! Goal: a program that asked for it (`handle_signals`) ends cleanly on SIGINT, SIGTERM and SIGHUP, even with a job in
//! flight: nothing is left, and its parent sees that it died of that very signal. A second signal ends it at once.
//!
//! Method: a program with a pool and a job that would never end runs as a process of its own and gets signals, alone or
//! with its whole group, as from a terminal.

use ndarray::prelude::*;
use ndpool::{Pool, task};
use ndpool_tests::{Actor, Gate, Run, is_alive, kill_group, role, say, stop, wait_until, watchdog};
use nix::sys::signal::Signal;
use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

#[task]
fn wait_behind(gate: &str, mut x: ArrayViewMut1<i64>) {
    Gate::pass(gate);
    x += 1;
}

/// A program in the middle of its work; the role says how long its workers may take to end.
fn play_program(grace: &str) {
    let gate = Gate::new();
    let grace = Duration::from_secs(grace.parse().unwrap());
    let pool = Pool::builder().workers(2).handle_signals(true).shutdown_grace(grace).build().unwrap();
    let run = Run::of(&pool);
    let mut x = pool.zeros::<i64, _>(4).unwrap();
    let job = pool.submit(wait_behind(gate.name(), &mut x)).unwrap();
    gate.wait_for(2);
    let pids: Vec<_> = pool.worker_pids().iter().map(u32::to_string).collect();
    say(&format!("{} {} {}", run.id(), pids.join(","), gate.name()));
    // Whatever comes of it: the signal ends the program before, or while, this returns.
    let _ = job.join();
    loop {
        std::thread::park();
    }
}

struct Program {
    actor: Actor,
    run: Run,
    workers: Vec<u32>,
    gate: String,
}

impl Program {
    fn start(test: &str, grace: &str) -> Self {
        let mut actor = Actor::start_in_group(test, grace);
        let line = actor.hear();
        let [run, workers, gate] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let (run, gate) = (Run::named(run), gate.to_owned());
        let workers = workers.split(',').map(|pid| pid.parse().unwrap()).collect();
        Self { actor, run, workers, gate }
    }

    /// Waits for the program to die of the signal; then nothing may be there.
    fn must_end_cleanly(self, signal: Signal) {
        let (text, status) = self.actor.wait();
        assert_eq!(status.signal(), Some(signal as i32), "{status}: {text}");
        self.run.assert_gone();
        assert!(!self.workers.iter().any(|&pid| is_alive(pid)));
        let _ = std::fs::remove_dir_all(self.gate);
    }
}

#[ndpool::test]
fn one_signal_ends_it_cleanly() {
    if let Some(grace) = role() {
        return play_program(&grace);
    }
    let _watchdog = watchdog();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        let program = Program::start("one_signal_ends_it_cleanly", "0");
        program.actor.signal(signal);
        program.must_end_cleanly(signal);
    }
}

#[ndpool::test]
fn a_signal_to_the_whole_group_ends_it_as_cleanly() {
    if let Some(grace) = role() {
        return play_program(&grace);
    }
    let _watchdog = watchdog();
    let program = Program::start("a_signal_to_the_whole_group_ends_it_as_cleanly", "0");
    // As Ctrl-C does. Workers have groups of their own.
    kill_group(program.actor.pid(), Signal::SIGINT);
    program.must_end_cleanly(Signal::SIGINT);
}

#[ndpool::test]
fn a_second_signal_ends_it_at_once() {
    if let Some(grace) = role() {
        return play_program(&grace);
    }
    let _watchdog = watchdog();
    // Its workers have an hour to end, and are stopped, so they do not even hear of it.
    let program = Program::start("a_second_signal_ends_it_at_once", "3600");
    program.workers.iter().for_each(|&pid| stop(pid));
    program.actor.signal(Signal::SIGINT);
    program.actor.signal(Signal::SIGTERM);
    let Program { actor, run, workers, gate } = program;
    // Two signals that are pending at once may be handled in either order.
    let (_, status) = actor.wait();
    assert!([Some(libc::SIGINT), Some(libc::SIGTERM)].contains(&status.signal()), "{status}");
    wait_until(|| !workers.iter().any(|&pid| is_alive(pid)));
    run.wait_until_gone();
    let _ = std::fs::remove_dir_all(gate);
}

#[ndpool::test]
fn without_the_option_a_signal_is_the_programs_own() {
    const NAME: &str = "without_the_option_a_signal_is_the_programs_own";
    if role().is_some() {
        let pool = Pool::builder().workers(2).build().unwrap();
        say(Run::of(&pool).id());
        ndpool_tests::wait_to_be_told();
        return;
    }
    let _watchdog = watchdog();
    let mut actor = Actor::start(NAME, "plain");
    let run = Run::named(&actor.hear());
    actor.signal(Signal::SIGTERM);
    assert_eq!(actor.wait().1.signal(), Some(libc::SIGTERM));
    // The workers clean up.
    run.wait_until_gone();
}
