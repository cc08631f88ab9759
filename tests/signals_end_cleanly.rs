//! Goal: a program that asked for it (`handle_signals`) ends cleanly on SIGINT, SIGTERM and SIGHUP, even with a job in
//! flight: nothing is left, and its parent sees that it died of that very signal. A second signal ends it at once.
//!
//! Method: a program with a pool and a job that would never end runs as a process of its own and gets signals, alone or
//! with its whole group, as from a terminal.

use ndarray::prelude::*;
use ndpool::{Backing, Pool, task};
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
        Self::of(Actor::start_in_group(test, grace))
    }

    fn of(mut actor: Actor) -> Self {
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

#[ndpool::test]
fn a_second_sigint_to_the_group_ends_it_at_once_and_without_a_word() {
    const NAME: &str = "a_second_sigint_to_the_group_ends_it_at_once_and_without_a_word";
    if let Some(grace) = role() {
        return play_program(&grace);
    }
    let _watchdog = watchdog();
    let said = std::env::temp_dir().join(format!("ndpool-said.{}", std::process::id()));
    for (n_signals, grace) in [(1, "0"), (2, "3600")] {
        let mut command = Actor::command(&[], NAME, grace);
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        command.stderr(std::fs::File::create(&said).unwrap());
        let program = Program::of(Actor::spawn(command));
        if n_signals == 2 {
            program.workers.iter().for_each(|&pid| stop(pid));
        }
        for _ in 0..n_signals {
            // An impatient user presses Ctrl-C again once the first has been taken.
            wait_until(|| !is_pending(program.actor.pid(), Signal::SIGINT));
            kill_group(program.actor.pid(), Signal::SIGINT);
        }
        let Program { actor, run, workers, gate } = program;
        let (text, status) = actor.wait();
        assert_eq!(status.signal(), Some(libc::SIGINT), "{status}: {text}");
        wait_until(|| !workers.iter().any(|&pid| is_alive(pid)));
        run.wait_until_gone();
        let _ = std::fs::remove_dir_all(gate);
        // No panic, no backtrace, no error of a worker.
        assert_eq!(std::fs::read_to_string(&said).unwrap(), "", "{n_signals} signals");
    }
    std::fs::remove_file(said).unwrap();
}

/// Whether a signal was sent and not taken yet.
fn is_pending(pid: u32, signal: Signal) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let masks =
        status.lines().filter_map(|line| line.strip_prefix("ShdPnd:").or(line.strip_prefix("SigPnd:")));
    let bit = 1_u64 << (signal as u32 - 1);
    masks.filter_map(|mask| u64::from_str_radix(mask.trim(), 16).ok()).any(|mask| mask & bit != 0)
}

#[ndpool::test]
fn two_pools_and_threads_that_submit_end_with_one_signal() {
    #[task]
    fn add(mut x: ArrayViewMut1<i64>) {
        x += 1;
    }
    const NAME: &str = "two_pools_and_threads_that_submit_end_with_one_signal";
    if role().is_some() {
        let new = || {
            Pool::builder().workers(2).handle_signals(true).shutdown_grace(Duration::ZERO).build().unwrap()
        };
        // A pool that is gone takes the handler of the others with it as little as a new one replaces it.
        drop(new());
        let pools = [new(), new()];
        say(&format!("{} {}", Run::of(&pools[0]).id(), Run::of(&pools[1]).id()));
        std::thread::scope(|scope| {
            for thread in 0..6 {
                let pool = &pools[thread % 2];
                scope.spawn(move || {
                    let mut x = pool.zeros::<i64, _>(100).unwrap();
                    // Racing with the shutdown until the process ends: no call may return then, let alone panic.
                    loop {
                        match thread / 2 {
                            0 => pool.run(add(&mut x).block_rows(10)).unwrap(),
                            1 => pool.submit(add(&mut x)).unwrap().join().unwrap(),
                            _ => drop(pool.zeros::<i64, _>(1_000)),
                        }
                    }
                });
            }
        });
    }
    let _watchdog = watchdog();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        let mut actor = Actor::start(NAME, "busy");
        let line = actor.hear();
        let runs: Vec<_> = line.split(' ').map(Run::named).collect();
        actor.signal(signal);
        let (text, status) = actor.wait();
        assert_eq!(status.signal(), Some(signal as i32), "{status}: {text}");
        runs.iter().for_each(Run::assert_gone);
    }
}

#[ndpool::test]
fn a_call_whose_output_cannot_be_made_any_more_does_not_return_before_the_program_ends() {
    const NAME: &str = "a_call_whose_output_cannot_be_made_any_more_does_not_return_before_the_program_ends";
    if role().is_some() {
        let new = |grace| {
            let builder = Pool::builder().workers(1).backing(Backing::Named).handle_signals(true);
            builder.shutdown_grace(grace).build().unwrap()
        };
        // Shut down in this order; the second one has an hour for it, and its worker is busy.
        let (first, second) = (new(Duration::ZERO), new(Duration::from_secs(3600)));
        let gate = Gate::new();
        let mut y = second.zeros::<i64, _>(1).unwrap();
        let _job = second.submit(wait_behind(gate.name(), &mut y)).unwrap();
        gate.wait_for(1);
        let x = first.zeros::<f64, _>((1 << 14, 2)).unwrap();
        let run = Run::of(&first);
        say(&format!("{} {} {}", run.id(), Run::of(&second).id(), gate.name()));
        run.wait_until_gone();
        std::thread::scope(|scope| {
            let (tell, told) = std::sync::mpsc::channel();
            let (first, x) = (&first, &x);
            let caller = scope.spawn(move || {
                tell.send(nix::unistd::gettid()).unwrap();
                first.run(ndpool::ops::sum_axis(x, Axis(1))).map(drop)
            });
            let stat = format!("/proc/self/task/{}/stat", told.recv().unwrap());
            let sleeps = || std::fs::read_to_string(&stat).is_ok_and(|stat| stat.contains(") S "));
            wait_until(|| caller.is_finished() || sleeps());
            say(if caller.is_finished() { "returned" } else { "waits" });
        });
    }
    let _watchdog = watchdog();
    let mut actor = Actor::start(NAME, "late");
    let line = actor.hear();
    let [first, second, gate] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
    actor.signal(Signal::SIGINT);
    assert_eq!(actor.hear(), "waits");
    actor.signal(Signal::SIGTERM);
    let (text, status) = actor.wait();
    assert_eq!(status.signal(), Some(libc::SIGTERM), "{status}: {text}");
    [first, second].map(Run::named).iter().for_each(Run::wait_until_gone);
    let _ = std::fs::remove_dir_all(gate);
}
