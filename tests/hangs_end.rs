//! Goal: what hangs ends, by a time limit or after a cancellation, whatever it ignores, and at the cost of its own block alone;
//! and no limit runs while the program that sets it is stopped, nor by the wrong clock.
//!
//! Method: tasks that wait at a gate for ever, that heed cancellation or do not, that ignore SIGTERM or are stopped; a
//! supervisor that is stopped for longer than its limits; a time namespace whose clocks are far off. Kinds and exact lists of
//! blocks are compared.

use ndarray::prelude::*;
use ndpool::merge::Concat;
use ndpool::{Block, ErrorKind, Pool, Stderr, WorkerExit, task};
use ndpool_tests::{Actor, Gate, Run, assert_applied_but, kill, role, say, skip, stop, watchdog};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use std::time::Duration;

/// Adds one; some blocks wait at a gate.
#[task]
fn waits(block: &Block, gate: &str, which: &[usize], mut x: ArrayViewMut1<i64>) -> Concat<u32> {
    x += 1;
    if which.contains(&block.index()) {
        Gate::pass(gate);
    }
    Concat(vec![block.attempt()])
}

#[task]
fn writes_and_waits(block: &Block, gate: &str, which: &[usize], #[out] mut x: ArrayViewMut1<i64>) {
    x.fill(1);
    if which.contains(&block.index()) {
        Gate::pass(gate);
    }
}

/// Adds one, and a hundred more when the job was cancelled; arrives at a gate before it waits for that.
#[task]
fn heeds(block: &Block, gate: &str, mut x: ArrayViewMut1<i64>) {
    x += 1;
    Gate::arrive(gate);
    while !block.is_cancelled() {
        std::thread::yield_now();
    }
    x += 100;
}

/// Waits at a gate and does not end by SIGTERM.
#[task]
fn ignores(gate: &str) -> u32 {
    let ignore = SigAction::new(SigHandler::SigIgn, SaFlags::empty(), SigSet::empty());
    // SAFETY: ignoring a signal runs no code.
    unsafe { sigaction(Signal::SIGTERM, &ignore) }.unwrap();
    Gate::pass(gate);
    std::process::id()
}

#[task]
fn add(mut x: ArrayViewMut1<i64>) {
    x += 1;
}

const GRACE: Duration = Duration::from_millis(60);
/// Longer than any test.
const NEVER: Duration = Duration::from_secs(3600);

fn pool(n_workers: usize, grace: Duration) -> Pool {
    Pool::builder().workers(n_workers).stderr(Stderr::Keep).cancel_grace(grace).build().unwrap()
}

#[ndpool::test]
fn a_cancelled_job_ends_though_its_block_does_not() {
    let _watchdog = watchdog();
    let pool = pool(2, GRACE);
    let run = Run::of(&pool);
    let (stuck, other) = (Gate::new(), Gate::new());
    let mut x = pool.zeros::<i64, _>(6).unwrap();
    let mut y = pool.zeros::<i64, _>(1).unwrap();
    // One worker each; the job of the other is not cancelled, and lasts as long.
    let job = pool.submit(waits(stuck.name(), &[0, 1, 2, 3, 4, 5], &mut x).block_rows(1)).unwrap();
    stuck.wait_for(2);
    drop(job);
    let before = x.view().to_vec();
    assert_eq!(before, [0; 6], "the lease ended with the workers, and no block was applied");
    assert_eq!(pool.stats().blocks_finished, 0);
    let long = pool.submit(waits(other.name(), &[0], &mut y)).unwrap();
    other.wait_for(1);
    let job = pool.submit(waits(stuck.name(), &[1], &mut x).block_rows(3)).unwrap();
    stuck.wait_for(3);
    job.cancel();
    let error = job.join().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled, "{error}");
    let blocks = error.failed_blocks();
    assert_eq!((blocks.failed.len(), blocks.torn.len(), blocks.not_run.len()), (0, 0, 1), "{blocks:?}");
    assert_applied_but(&blocks.not_applied(), x.view(), 3);
    other.open();
    assert_eq!(long.join().unwrap().0, [0], "the other job's block was run once, from begin to end");
    pool.run(add(&mut x)).unwrap();
    drop((pool, x, y));
    run.assert_gone();
}

#[ndpool::test]
fn a_block_that_heeds_cancellation_is_applied() {
    let _watchdog = watchdog();
    let pool = pool(2, NEVER);
    let gate = Gate::new();
    let mut x = pool.zeros::<i64, _>(6).unwrap();
    let job = pool.submit(heeds(gate.name(), &mut x).block_rows(1)).unwrap();
    gate.wait_for(2);
    job.cancel();
    let error = job.join().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled, "{error}");
    assert_eq!(error.failed_blocks().not_applied().len(), 4);
    assert_eq!(x.view().iter().filter(|&&v| v == 101).count(), 2);
    assert_eq!(x.view().sum(), 202);
    assert_eq!(pool.stats().workers_lost, 0);
}

#[ndpool::test]
fn the_grace_of_a_call_is_its_own() {
    let _watchdog = watchdog();
    // The pool would wait for ever.
    let pool = pool(1, NEVER);
    let gate = Gate::new();
    let mut x = pool.zeros::<i64, _>(2).unwrap();
    let job = pool.submit(waits(gate.name(), &[0], &mut x).block_rows(1).cancel_grace(GRACE)).unwrap();
    gate.wait_for(1);
    job.cancel();
    let error = job.join().unwrap_err();
    assert_eq!(error.failed_blocks().not_applied(), [0, 1]);
    assert_eq!(x.view().to_vec(), [0, 0]);
}

#[ndpool::test]
fn an_output_is_torn_where_the_grace_ended() {
    let _watchdog = watchdog();
    let pool = pool(1, GRACE);
    let gate = Gate::new();
    let mut x = pool.zeros::<i64, _>(3).unwrap();
    let job = pool.submit(writes_and_waits(gate.name(), &[1], &mut x).block_rows(1)).unwrap();
    gate.wait_for(1);
    job.cancel();
    let error = job.join().unwrap_err();
    let blocks = error.failed_blocks();
    assert_eq!(format!("{:?} {:?}", blocks.torn, blocks.not_run), "[1..2] [2..3]");
    assert_eq!(x.view().to_vec(), [1, 1, 0]);
}

#[ndpool::test]
fn a_stopped_worker_does_not_hold_up_a_cancellation() {
    let _watchdog = watchdog();
    let pool = pool(1, GRACE);
    let gate = Gate::new();
    let mut x = pool.zeros::<i64, _>(2).unwrap();
    let job = pool.submit(heeds(gate.name(), &mut x).block_rows(1)).unwrap();
    gate.wait_for(1);
    pool.worker_pids().into_iter().for_each(stop);
    job.cancel();
    let error = job.join().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled, "{error}");
    let sum: i64 = x.view().sum();
    // It may have seen the cancellation before it stopped.
    assert!(sum == 0 || sum == 101, "{:?}", x.view());
    pool.run(add(&mut x)).unwrap();
}

#[ndpool::test]
fn a_task_that_ignores_sigterm_ends_at_its_limit() {
    let _watchdog = watchdog();
    let pool = pool(1, GRACE);
    let gate = Gate::new();
    let limit = Duration::from_millis(200);
    let job = pool.submit(ignores(gate.name()).block_timeout(limit).attempts(1)).unwrap();
    gate.wait_for(1);
    let pid = pool.worker_pids()[0];
    // If it has been killed by its limit already, nobody else has the number yet: it is the pool's to wait for.
    let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid as i32), Signal::SIGTERM);
    let error = job.join().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    assert_eq!(error.worker_exit(), Some(&WorkerExit::TimedOut(limit)));
    assert!(error.to_string().contains("given up after 1 attempt:"), "{error}");
}

#[ndpool::test]
fn a_pool_in_this_process_tells_its_progress() {
    let pool = Pool::builder().in_process().build().unwrap();
    let mut x = pool.zeros::<i64, _>(3).unwrap();
    let mut seen = Vec::new();
    pool.run(
        add(&mut x)
            .block_rows(1)
            .on_progress(|progress| seen.push((progress.blocks_done, progress.n_blocks))),
    )
    .unwrap();
    assert_eq!(seen, [(1, 3), (2, 3), (3, 3)]);
}

/// Of a supervisor that is stopped for longer.
const LIMIT: Duration = Duration::from_secs(2);

#[ndpool::test]
fn no_limit_runs_while_the_supervisor_is_stopped() {
    let _watchdog = watchdog();
    if let Some(name) = role() {
        let pool = pool(2, NEVER);
        let mut x = pool.zeros::<i64, _>(2).unwrap();
        let call =
            waits(&name, &[0, 1], &mut x).block_rows(1).block_timeout(LIMIT).deadline(LIMIT).attempts(1);
        let job = pool.submit(call).unwrap();
        say("submitted");
        assert_eq!(job.join().unwrap().0, [0, 0]);
        assert_eq!((x.view().to_vec(), pool.stats().workers_lost), (vec![1, 1], 0));
        return;
    }
    let gate = Gate::new();
    let mut actor = Actor::start("no_limit_runs_while_the_supervisor_is_stopped", gate.name());
    actor.hear();
    gate.wait_for(2);
    // Only its own process: the workers go on waiting.
    actor.signal(Signal::SIGSTOP);
    // Time itself is what is tested here; nothing is waited for.
    std::thread::sleep(LIMIT + LIMIT / 2);
    actor.signal(Signal::SIGCONT);
    gate.open();
    let (text, status) = actor.wait();
    assert!(status.success(), "{text}");
}

#[ndpool::test]
fn clocks_that_are_far_off_change_no_limit() {
    let _watchdog = watchdog();
    if role().is_some() {
        let pool = pool(2, GRACE);
        let gate = Gate::new();
        let mut x = pool.zeros::<i64, _>(4).unwrap();
        // What hangs is ended, what does not is not.
        let call = waits(gate.name(), &[2], &mut x).block_rows(1).block_timeout(GRACE).attempts(2);
        let error = pool.run(call).unwrap_err();
        assert_eq!((error.kind(), error.failed_blocks().not_applied()), (ErrorKind::Timeout, vec![2]));
        pool.run(add(&mut x).block_timeout(NEVER).deadline(NEVER)).unwrap();
        assert_eq!(x.view().to_vec(), [2, 2, 1, 2]);
        let pid = pool.worker_pids()[0];
        kill(pid);
        pool.run(add(&mut x)).unwrap();
        let run = Run::of(&pool);
        drop((pool, x));
        run.assert_gone();
        return;
    }
    // Ten years on, and back to about when the machine started.
    let uptime = std::fs::read_to_string("/proc/uptime").unwrap();
    let uptime: u64 = uptime.split('.').next().unwrap().parse().unwrap();
    for offset in ["315360000".to_string(), format!("-{}", uptime.saturating_sub(1))] {
        let wrapper = ["unshare", "--time", "--fork", "--monotonic", &offset, "--boottime", &offset];
        let Ok(output) =
            Actor::command(&wrapper, "clocks_that_are_far_off_change_no_limit", "shifted").output()
        else {
            return skip("there is no `unshare`");
        };
        let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        if text.contains("unshare:") {
            return skip(&format!("no time namespace can be made: {text}"));
        }
        assert!(output.status.success(), "{offset} s: {text}");
    }
}
