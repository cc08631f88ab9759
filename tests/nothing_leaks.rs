//! Goal: whatever dies, and in whatever order, no process and no segment stays; and a long life costs no more than a
//! short one.
//!
//! Method: programs with pools run as processes of their own and are ended with SIGKILL, alone, with all their workers,
//! or with a stopped one; what is left is looked for until it is gone, and the watchdog ends a search that has no
//! end. For long lives, descriptors, mappings and memory are counted in supervisor and workers before and after.

use ndarray::prelude::*;
use ndpool::merge::Sum;
use ndpool::{Backing, Pool, Stderr, task};
use ndpool_tests::{
    Actor, Gate, Run, is_alive, kill, role, say, stop, wait_to_be_told, wait_until, watchdog,
};
use nix::sys::signal::Signal;

#[task]
fn add_behind(gate: &str, mut x: ArrayViewMut1<i64>) {
    Gate::pass(gate);
    x += 1;
}

#[task]
fn add(mut x: ArrayViewMut1<i64>) -> Sum<i64> {
    x += 1;
    Sum(x.sum())
}

#[task]
fn numbers(n: usize) -> Vec<u64> {
    (0..n as u64).collect()
}

/// A program with a pool, arrays, and a job in flight: says its run and its workers, and waits.
fn play_supervisor(backing: Backing) {
    let gate = Gate::new();
    let pool = Pool::builder().workers(2).backing(backing).build().unwrap();
    let run = Run::of(&pool);
    let _kept = pool.zeros::<f64, _>((1000, 1000)).unwrap();
    let mut x = pool.zeros::<i64, _>(64).unwrap();
    let _job = pool.submit(add_behind(gate.name(), &mut x)).unwrap();
    gate.wait_for(2);
    let pids: Vec<_> = pool.worker_pids().iter().map(u32::to_string).collect();
    say(&format!("{} {} {}", run.id(), pids.join(","), gate.name()));
    match wait_to_be_told().as_str() {
        "exit" => std::process::exit(3),
        "abort" => std::process::abort(),
        "" => {}
        other => panic!("{other}"),
    }
    // Let go: the pool is dropped with the job in flight.
}

struct Program {
    actor: Actor,
    run: Run,
    workers: Vec<u32>,
    gate: String,
}

impl Program {
    fn start(test: &str) -> Self {
        let mut actor = Actor::start(test, "supervisor");
        let line = actor.hear();
        let [run, workers, gate] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let workers: Vec<u32> = workers.split(',').map(|pid| pid.parse().unwrap()).collect();
        let program = Self { actor, run: Run::named(run), workers, gate: gate.to_owned() };
        assert_eq!(program.workers.len(), 2);
        assert_eq!(program.run.processes().len(), 2);
        program
    }

    /// Waits until neither workers nor segments are there, though nobody opened the gate.
    fn wait_until_gone(&self) {
        wait_until(|| !self.workers.iter().any(|&pid| is_alive(pid)));
        self.run.wait_until_gone();
        let _ = std::fs::remove_dir_all(&self.gate);
    }
}

#[ndpool::test]
fn workers_clean_up_after_a_killed_supervisor() {
    if role().is_some() {
        return play_supervisor(Backing::Auto);
    }
    let _watchdog = watchdog();
    let program = Program::start("workers_clean_up_after_a_killed_supervisor");
    assert!(!program.run.files().is_empty());
    program.actor.signal(Signal::SIGKILL);
    program.wait_until_gone();
}

#[ndpool::test]
fn what_tasks_have_started_goes_with_a_killed_supervisor() {
    #[task]
    fn start_a_child(gate: &str) -> u32 {
        #[expect(clippy::zombie_processes, reason = "it is to be killed with its group")]
        let child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        Gate::pass(gate);
        child.id()
    }
    if role().is_some() {
        let gate = Gate::new();
        gate.open();
        let pool = Pool::builder().workers(2).build().unwrap();
        let child = pool.run(start_a_child(gate.name())).unwrap();
        say(&format!("{} {child}", Run::of(&pool).id()));
        wait_to_be_told();
        return;
    }
    let _watchdog = watchdog();
    let mut actor = Actor::start("what_tasks_have_started_goes_with_a_killed_supervisor", "supervisor");
    let line = actor.hear();
    let (run, child) = line.split_once(' ').unwrap();
    let child = child.parse().unwrap();
    assert!(is_alive(child));
    actor.signal(Signal::SIGKILL);
    wait_until(|| !is_alive(child));
    Run::named(run).wait_until_gone();
}

#[ndpool::test]
fn anonymous_memory_leaves_nothing_either() {
    if role().is_some() {
        return play_supervisor(Backing::Memfd);
    }
    let _watchdog = watchdog();
    let program = Program::start("anonymous_memory_leaves_nothing_either");
    program.actor.signal(Signal::SIGKILL);
    program.wait_until_gone();
}

#[ndpool::test]
fn a_stopped_worker_goes_too() {
    if role().is_some() {
        return play_supervisor(Backing::Auto);
    }
    let _watchdog = watchdog();
    let program = Program::start("a_stopped_worker_goes_too");
    program.workers.iter().for_each(|&pid| stop(pid));
    program.actor.signal(Signal::SIGKILL);
    program.wait_until_gone();
}

#[ndpool::test]
fn a_program_that_exits_aborts_or_just_ends_leaves_nothing() {
    const NAME: &str = "a_program_that_exits_aborts_or_just_ends_leaves_nothing";
    if role().is_some() {
        return play_supervisor(Backing::Auto);
    }
    let _watchdog = watchdog();
    for how in ["exit", "abort", ""] {
        let mut program = Program::start(NAME);
        program.actor.tell(how);
        if how == "exit" {
            wait_until(|| !is_alive(program.actor.pid()));
        }
        program.wait_until_gone();
    }
}

#[ndpool::test]
fn what_died_all_at_once_goes_with_the_next_pool_and_the_living_stay() {
    const NAME: &str = "what_died_all_at_once_goes_with_the_next_pool_and_the_living_stay";
    if role().is_some() {
        return play_supervisor(Backing::Auto);
    }
    let _watchdog = watchdog();
    let living = Program::start(NAME);
    let living_files = living.run.files().len();
    for by_hand in [false, true] {
        let dead = Program::start(NAME);
        // Stopped first, so that no one sees another's end; SIGKILL needs nobody's attention.
        let everybody = dead.workers.iter().copied().chain([dead.actor.pid()]);
        everybody.clone().for_each(stop);
        everybody.for_each(|pid| assert!(kill(pid)));
        wait_until(|| !dead.workers.iter().any(|&pid| is_alive(pid)) && !is_alive(dead.actor.pid()));
        if by_hand {
            let seen = ndpool::reap(true).unwrap();
            let seen: Vec<_> = seen.iter().filter(|info| info.run.to_string() == dead.run.id()).collect();
            // Another test's pool may have reaped it in between, or be about to.
            assert!(seen.iter().all(|info| !info.alive));
            ndpool::reap(false).unwrap();
        } else {
            drop(Pool::builder().workers(1).build().unwrap());
        }
        // Whoever reaps at the same time, another test among them, may still be at it.
        dead.run.wait_until_gone();
        let _ = std::fs::remove_dir_all(&dead.gate);
    }
    assert_eq!(living.run.files().len(), living_files);
    assert!(living.workers.iter().all(|&pid| is_alive(pid)));
    let info =
        ndpool::list().unwrap().into_iter().find(|info| info.run.to_string() == living.run.id()).unwrap();
    assert!(info.alive);
    assert_eq!(info.pid, Some(living.actor.pid()));
    drop(living.actor);
    living.run.wait_until_gone();
    let _ = std::fs::remove_dir_all(&living.gate);
}

/// What a process holds: descriptors, mappings, and memory of its own and shared in KiB.
#[derive(Debug, Clone, Copy)]
struct Holdings {
    descriptors: usize,
    mappings: usize,
    kib: u64,
}

impl Holdings {
    fn of(pid: u32) -> Self {
        let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
        let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
        let rss = rollup.lines().find_map(|line| line.strip_prefix("Rss:")).unwrap();
        Self {
            descriptors: std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count(),
            mappings: maps.lines().count(),
            kib: rss.trim().trim_end_matches(" kB").parse().unwrap(),
        }
    }

    /// Fails the test if this is notably more than it was.
    fn assert_not_above(self, before: Self, who: &str) {
        // The allocator may keep some, and a free list of segments does.
        assert!(self.descriptors <= before.descriptors + 16, "{who}: {before:?}, then {self:?}");
        assert!(self.mappings <= before.mappings + 32, "{who}: {before:?}, then {self:?}");
        assert!(self.kib <= before.kib + 64 * 1024, "{who}: {before:?}, then {self:?}");
    }
}

/// In a process of its own: other tests of this file hold things too.
#[ndpool::test]
fn ten_thousand_arrays_cost_no_more_than_a_few() {
    const NAME: &str = "ten_thousand_arrays_cost_no_more_than_a_few";
    let _watchdog = watchdog();
    if role().is_none() {
        let (text, status) = Actor::start(NAME, "holder").wait();
        assert!(status.success(), "{text}");
        return;
    }
    let pool = Pool::builder().workers(2).build().unwrap();
    let run = Run::of(&pool);
    let use_arrays = |n: usize| {
        for i in 0..n {
            // Of many sizes, up to 2 MiB now and then, so that recycling does not always fit.
            let len = if i % 100 == 0 { 1 << 18 } else { 1 + (i * 37) % 3000 };
            let mut x = pool.full(len, 1_i64).unwrap();
            let sum = pool.run(add(&mut x)).unwrap();
            assert_eq!(sum.0, 2 * len as i64);
        }
    };
    use_arrays(500);
    let all = || {
        let mut pids = pool.worker_pids();
        pids.push(std::process::id());
        pids
    };
    let before: Vec<_> = all().into_iter().map(|pid| (pid, Holdings::of(pid))).collect();
    let files = run.files().len();
    use_arrays(10_000);
    assert_eq!(pool.stats().workers_lost, 0);
    for (pid, before) in before {
        Holdings::of(pid).assert_not_above(before, &format!("process {pid}"));
    }
    assert!(run.files().len() <= files + 16, "{} files, then {}", files, run.files().len());

    // Maps with results that spill, and kills, cost nothing that stays either.
    let spill = || {
        pool.map((0..50).map(|_| numbers(20_000)))
            .for_each(|result| assert_eq!(result.unwrap().len(), 20_000))
    };
    spill();
    let before = Holdings::of(std::process::id());
    for _ in 0..15 {
        spill();
        pool.worker_pids().into_iter().for_each(|pid| _ = kill(pid));
    }
    Holdings::of(std::process::id()).assert_not_above(before, "after kills");
    let blocks = |run: &Run| -> u64 {
        use std::os::unix::fs::MetadataExt;
        run.files()
            .iter()
            .filter_map(|name| std::fs::metadata(format!("/dev/shm/{name}")).ok())
            .map(|m| m.blocks())
            .sum()
    };
    assert!(blocks(&run) * 512 < 128 << 20, "{} bytes of shared memory are held", blocks(&run) * 512);
    drop(pool);
    run.assert_gone();
}

#[ndpool::test]
fn a_forked_child_harms_nothing() {
    let _watchdog = watchdog();
    const NAME: &str = "a_forked_child_harms_nothing";
    // Alone in its process: a fork of a program with many busy threads is another matter.
    if role().is_none() {
        let (text, status) = Actor::start(NAME, "forker").wait();
        assert!(status.success(), "{text}");
        return;
    }
    let pool = Pool::builder().workers(2).stderr(Stderr::Keep).build().unwrap();
    let run = Run::of(&pool);
    let mut x = pool.zeros::<i64, _>(100).unwrap();
    for how in 0..2 {
        let job = pool.submit(add(&mut x)).unwrap();
        // SAFETY: the child only drops the pool or not, and ends. Dropping is what is tested: it must do nothing.
        let child = unsafe { libc::fork() };
        if child == 0 {
            if how == 0 {
                drop(job);
                drop(pool);
                drop(x);
            }
            // SAFETY: ends the process, nothing else.
            unsafe { libc::_exit(0) };
        }
        let mut status = 0;
        // SAFETY: the child of the line above; the status is this function's.
        let waited = unsafe { libc::waitpid(child, &mut status, 0) };
        assert_eq!((waited, status), (child, 0));
        job.join().unwrap();
        assert_eq!(run.processes().len(), 2);
        assert!(run.files().iter().any(|name| name.ends_with("manifest")));
        // Whoever reaps now must find the pool alive.
        ndpool::reap(false).unwrap();
        assert_eq!(x.view().sum(), 100 * (how + 1));
        pool.run(add(x.rows_mut(..0))).unwrap();
    }
    drop((pool, x));
    run.assert_gone();
}

#[ndpool::test]
fn a_living_child_of_a_fork_does_not_keep_a_dead_pool() {
    const NAME: &str = "a_living_child_of_a_fork_does_not_keep_a_dead_pool";
    if role().is_some() {
        let pool = Pool::builder().workers(2).build().unwrap();
        let run = Run::of(&pool);
        // SAFETY: the child only waits for its end.
        let child = unsafe { libc::fork() };
        if child == 0 {
            loop {
                // SAFETY: takes no arguments.
                unsafe { libc::pause() };
            }
        }
        say(&format!("{} {child}", run.id()));
        wait_to_be_told();
        return;
    }
    let _watchdog = watchdog();
    let mut actor = Actor::start(NAME, "forker");
    let line = actor.hear();
    let (run, child) = line.split_once(' ').unwrap();
    let run = Run::named(run);
    actor.signal(Signal::SIGKILL);
    wait_until(|| !is_alive(actor.pid()));
    // The lock died with the supervisor, though a child lives that was forked from it.
    run.wait_until_gone();
    assert!(is_alive(child.parse().unwrap()));
    assert!(kill(child.parse().unwrap()));
}
