//! Goal: what runs too long, or does not start, ends, with an error that says what was wrong; and a limit never hits the
//! wrong block.
//!
//! Method: tasks that wait at a gate for ever, stopped workers, worker programs that never say hello. Kinds, texts and
//! exact lists of blocks are compared. How long anything takes is never looked at.

use ndarray::prelude::*;
use ndpool::merge::{Concat, Sum};
use ndpool::{Block, ErrorKind, Pool, Stderr, WorkerExit, call, task};
use ndpool_tests::{Actor, Gate, Run, assert_applied_but, role, stop, watchdog};
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

/// Hangs in some blocks, in the first attempts.
#[task]
fn hangs(
    block: &Block,
    gate: &str,
    which: &[usize],
    attempts: u32,
    mut x: ArrayViewMut1<i64>,
) -> Concat<u32> {
    x += 1;
    if which.contains(&block.index()) && block.attempt() < attempts {
        Gate::pass(gate);
    }
    Concat(vec![block.attempt()])
}

#[task]
fn hangs_writing(block: &Block, gate: &str, which: &[usize], #[out] mut x: ArrayViewMut1<i64>) {
    x.fill(1);
    if which.contains(&block.index()) {
        Gate::pass(gate);
    }
}

#[task]
fn add(mut x: ArrayViewMut1<i64>) -> Sum<u32> {
    x += 1;
    Sum(std::process::id() % 2)
}

#[task]
fn pid() -> u32 {
    std::process::id()
}

const LIMIT: Duration = Duration::from_millis(60);
/// Longer than any test.
const NEVER: Duration = Duration::from_secs(3600);

fn pool() -> Pool {
    Pool::builder().workers(2).stderr(Stderr::Keep).build().unwrap()
}

#[ndpool::test]
fn a_block_past_its_timeout_is_tried_again() {
    let _watchdog = watchdog();
    let (pool, gate) = (pool(), Gate::new());
    let mut x = pool.zeros::<i64, _>(20).unwrap();
    let attempts =
        pool.run(hangs(gate.name(), &[3, 7], 1, &mut x).block_rows(2).block_timeout(LIMIT)).unwrap();
    let expected: Vec<u32> = (0..10).map(|i| u32::from(i == 3 || i == 7)).collect();
    assert_eq!(attempts.0, expected);
    assert_eq!(x.view().to_vec(), [1; 20]);
    assert_eq!(pool.stats().workers_lost, 2);
}

#[ndpool::test]
fn a_block_that_always_hangs_times_out_alone() {
    let _watchdog = watchdog();
    let (pool, gate) = (pool(), Gate::new());
    let mut x = pool.zeros::<i64, _>(20).unwrap();
    let call = hangs(gate.name(), &[6, 2], u32::MAX, &mut x).block_rows(2).block_timeout(LIMIT).attempts(2);
    let error = pool.run(call).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert_eq!(error.worker_exit(), Some(&WorkerExit::TimedOut(LIMIT)));
    assert!(error.to_string().contains("block 2 was given up after 2 attempts"), "{error}");
    assert!(error.to_string().contains("block timeout of 60ms"), "{error}");
    assert_eq!(error.failed_blocks().failed, [2..3, 6..7]);
    assert_applied_but(&[2, 6], x.view(), 2);
    assert_eq!(gate.n_arrived(), 4, "two blocks, two attempts");
    pool.run(add(&mut x)).unwrap();
}

#[ndpool::test]
fn a_limit_may_be_for_ever() {
    let _watchdog = watchdog();
    let pool = Pool::builder()
        .workers(2)
        .start_deadline(Duration::MAX)
        .shutdown_grace(Duration::MAX)
        .cancel_grace(Duration::MAX)
        .build()
        .unwrap();
    let (run, gate) = (Run::of(&pool), Gate::new());
    let mut x = pool.zeros::<i64, _>(4).unwrap();
    pool.run(add(&mut x).block_timeout(Duration::MAX).deadline(Duration::MAX).cancel_grace(Duration::MAX))
        .unwrap();
    // One that is cancelled waits for the block that runs.
    let call = hangs(gate.name(), &[0], 1, &mut x).block_rows(4).deadline(Duration::MAX);
    let job = pool.submit(call.block_timeout(Duration::MAX)).unwrap();
    gate.wait_for(1);
    job.cancel();
    gate.open();
    assert_eq!(job.join().unwrap().0, [0]);
    assert_eq!(x.view().to_vec(), [2; 4]);
    assert_eq!(pool.stats().workers_lost, 0);
    drop((pool, x));
    run.assert_gone();
}

#[ndpool::test]
fn a_stopped_worker_times_out() {
    let _watchdog = watchdog();
    let (pool, gate) = (pool(), Gate::new());
    let mut x = pool.zeros::<i64, _>(2).unwrap();
    let job = pool.submit(hangs(gate.name(), &[0, 1], 1, &mut x).block_rows(1).block_timeout(LIMIT)).unwrap();
    gate.wait_for(2);
    pool.worker_pids().into_iter().for_each(stop);
    assert_eq!(job.join().unwrap().0, [1, 1]);
    assert_eq!(x.view().to_vec(), [1, 1]);
    // Without a block, it is missed by nobody; and it does not keep the pool from ending.
    pool.worker_pids().into_iter().take(1).for_each(stop);
    pool.run(add(&mut x)).unwrap();
    let run = Run::of(&pool);
    drop((pool, x));
    run.assert_gone();
}

#[ndpool::test]
fn past_its_deadline_a_job_ends_with_a_list() {
    let _watchdog = watchdog();
    let pool = Pool::builder().workers(1).build().unwrap();
    let gate = Gate::new();
    let mut x = pool.zeros::<i64, _>(20).unwrap();
    let error =
        pool.run(hangs(gate.name(), &[4], u32::MAX, &mut x).block_rows(2).deadline(LIMIT)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Deadline, "{error}");
    let blocks = error.failed_blocks();
    assert!(error.to_string().contains("deadline of 60ms"), "{error}");
    // A slow machine may come to the deadline before block 4.
    let applied: Vec<_> = (0..10).filter(|i| !blocks.not_applied().contains(i)).collect();
    assert_eq!(applied, (0..applied.len()).collect::<Vec<_>>(), "one worker goes from front to back");
    assert!(applied.len() <= 4 && blocks.torn.is_empty(), "{blocks:?}");
    if gate.n_arrived() == 1 {
        assert_eq!(format!("{:?} {:?}", blocks.failed, blocks.not_run), "[4..5] [5..10]");
    }
    for (i, &v) in x.view().iter().enumerate() {
        assert_eq!(v, i64::from(applied.contains(&(i / 2))), "row {i}");
    }
    // The same with an output: the block in hand is torn.
    let gate = Gate::new();
    let mut y = pool.zeros::<i64, _>(4).unwrap();
    let error = pool.run(hangs_writing(gate.name(), &[1], &mut y).block_rows(1).deadline(LIMIT)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Deadline, "{error}");
    if gate.n_arrived() == 1 {
        let blocks = error.failed_blocks();
        assert_eq!(format!("{:?} {:?}", blocks.torn, blocks.not_run), "[1..2] [2..4]");
    }
    pool.run(add(&mut y)).unwrap();
}

#[ndpool::test]
fn a_job_that_no_worker_saw_lists_all_its_blocks() {
    #[task]
    fn waits(gate: &str) {
        Gate::pass(gate);
    }
    let _watchdog = watchdog();
    let (pool, gate) = (pool(), Gate::new());
    let mut x = pool.zeros::<i64, _>(20).unwrap();
    // All places on the board are taken, so the next job queues.
    let open: Vec<_> = (0..64).map(|_| pool.submit(waits(gate.name())).unwrap()).collect();
    let queued = pool.submit(add(&mut x).block_rows(2)).unwrap();
    queued.cancel();
    let error = queued.join().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled, "{error}");
    assert_eq!(error.failed_blocks().not_run, std::slice::from_ref(&(0..10)), "{:?}", error.failed_blocks());
    assert_eq!(error.failed_blocks().n_blocks, 10);
    assert_eq!(x.view().to_vec(), [0; 20]);
    gate.open();
    open.into_iter().for_each(|job| job.join().unwrap());
}

#[ndpool::test]
fn a_timeout_hits_no_other_block() {
    let _watchdog = watchdog();
    let pool = pool();
    // Blocks that end about when their time is over: whoever is killed was past the limit, nobody else's rows suffer.
    #[task]
    fn spins(micros: u64, mut x: ArrayViewMut1<i64>) {
        x += 1;
        let start = std::time::Instant::now();
        while start.elapsed() < Duration::from_micros(micros) {
            std::hint::spin_loop();
        }
    }
    let limit = Duration::from_millis(4);
    let mut n_errors = 0;
    for round in 0..30 {
        let mut x = pool.zeros::<i64, _>(16).unwrap();
        let call = spins(3_000 + round * 100, &mut x).block_rows(1).block_timeout(limit).attempts(1);
        let not_applied = match pool.run(call) {
            Ok(()) => Vec::new(),
            Err(error) => {
                n_errors += 1;
                assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
                assert!(error.failed_blocks().not_run.is_empty() && error.failed_blocks().torn.is_empty());
                error.failed_blocks().not_applied()
            }
        };
        for (i, &v) in x.view().iter().enumerate() {
            assert_eq!(v, i64::from(!not_applied.contains(&i)), "round {round}, block {i}");
        }
    }
    println!("{n_errors} of 30 jobs had timeouts");
}

#[ndpool::test]
fn workers_are_replaced_after_their_share_of_blocks() {
    let _watchdog = watchdog();
    let pool = Pool::builder().workers(2).max_tasks_per_worker(5).build().unwrap();
    let mut pids: Vec<u32> = pool.map((0..100).map(|_| pid())).collect::<ndpool::Result<_>>().unwrap();
    assert_eq!(pids.len(), 100);
    pids.sort_unstable();
    let most = pids.chunk_by(|a, b| a == b).map(<[_]>::len).max().unwrap();
    assert!(most <= 5, "one worker ran {most} blocks");
    let mut x = pool.zeros::<i64, _>(300).unwrap();
    pool.run(add(&mut x).block_rows(1)).unwrap();
    assert_eq!(x.view().to_vec(), [1; 300]);
    assert_eq!(pool.stats().workers_lost, 0, "{:?}", pool.stats());
    assert!(pool.stats().workers_started >= 80, "{:?}", pool.stats());
}

/// A script that stands in for a worker program, removed when dropped.
struct Script(std::path::PathBuf);

impl Script {
    fn new(name: &str, text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("ndpool-script.{}.{name}", std::process::id()));
        std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        Self(path)
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[ndpool::test]
fn a_program_that_never_says_hello_is_given_up() {
    let _watchdog = watchdog();
    const MARK: &str = "NDPOOL_TESTS_MARK";
    let silent = Script::new("silent", "exec sleep 3600");
    let error = Pool::builder()
        .workers(2)
        .worker_program(&silent.0)
        .env(MARK, &silent.0)
        .start_deadline(LIMIT)
        .build();
    let error = error.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Start);
    assert!(error.to_string().contains("did not say hello within 60ms"), "{error}");
    assert!(error.hint().unwrap().contains("ndpool::init()"), "{error}");
    assert_eq!(ndpool_tests::processes_of(MARK, silent.0.to_str().unwrap()), [0; 0]);
}

#[ndpool::test]
fn a_program_that_ends_at_once_is_quoted() {
    let _watchdog = watchdog();
    let script = Script::new("ends", "echo 'libfoo.so.3: cannot open' >&2; exit 127");
    let builder = || Pool::builder().workers(1).stderr(Stderr::Keep).start_deadline(NEVER);
    let error = builder().worker_program(&script.0).build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Start);
    assert!(error.to_string().contains("exited with code 127 before it said hello"), "{error}");
    assert!(error.to_string().contains("libfoo.so.3: cannot open"), "{error}");
    let error = builder().worker_program("/no/such/program").build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Start);
    assert!(error.to_string().contains("/no/such/program"), "{error}");
    let script = Script::new("killed", "kill -9 $$");
    let error = builder().worker_program(&script.0).build().unwrap_err();
    assert!(error.to_string().contains("SIGKILL"), "{error}");
}

/// Not an `ndpool::test`, in a process of its own, where no other test has called `init`.
#[test]
fn a_program_without_init_is_told_so() {
    if role().is_some() {
        let error = Pool::builder().workers(1).build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotInitialised);
        assert!(error.hint().unwrap().contains("#[ndpool::test]"), "{error}");
        // Without workers there is nothing to initialise.
        assert_eq!(Pool::builder().in_process().build().unwrap().run(call(|x: u32| x + 1, 1)).unwrap(), 2);
        return;
    }
    let (text, status) = Actor::start("a_program_without_init_is_told_so", "forgetful").wait();
    assert!(status.success(), "{text}");
}

#[ndpool::test]
fn a_worker_builds_no_pool() {
    #[task]
    fn build() -> Result<(), ndpool::Error> {
        Pool::builder().workers(1).build().map(drop)
    }
    let _watchdog = watchdog();
    let error = pool().run(build()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Task);
    assert!(error.to_string().contains("a worker cannot build a pool of its own"), "{error}");
}

#[ndpool::test]
fn options_that_make_no_pool_are_refused() {
    let _watchdog = watchdog();
    for builder in [
        Pool::builder().workers(0),
        Pool::builder().workers(1 << 20),
        Pool::builder().workers(1).max_tasks_per_worker(0),
        Pool::builder().workers(1).threads_per_worker(0),
    ] {
        assert_eq!(builder.build().unwrap_err().kind(), ErrorKind::InvalidArgument);
    }
    let pool = pool();
    let mut x = pool.zeros::<i64, _>(4).unwrap();
    for call in [add(&mut x).attempts(0), add(&mut pool.zeros::<i64, _>(4).unwrap()).block_rows(0)] {
        assert_eq!(pool.run(call).unwrap_err().kind(), ErrorKind::InvalidArgument);
    }
}

#[ndpool::test]
fn options_reach_the_workers() {
    let _watchdog = watchdog();
    let pool = Pool::builder()
        .workers(2)
        .threads_per_worker(3)
        .env("NDPOOL_TESTS_COLOUR", "mauve")
        .pin_cpus(true)
        .idle_spin(Duration::ZERO)
        .build()
        .unwrap();
    let variable =
        |name: &str| pool.run(call(|name: String| std::env::var(name).ok(), name.to_owned())).unwrap();
    assert_eq!(variable("NDPOOL_TESTS_COLOUR").as_deref(), Some("mauve"));
    assert_eq!(variable("RAYON_NUM_THREADS").as_deref(), Some("3"));
    assert_eq!(variable("OMP_NUM_THREADS").as_deref(), Some("3"));
    assert_eq!(variable("NDPOOL_SOCKET"), None, "what a task starts is no worker");
    assert_eq!(variable("NDPOOL_SUPERVISOR"), None);
    let cpus = pool.run(call(|()| std::thread::available_parallelism().unwrap().get(), ())).unwrap();
    assert_eq!(cpus, 1, "pinned to one core");
}

#[ndpool::test]
fn the_last_of_several_failures_to_start_is_told() {
    let _watchdog = watchdog();
    let gate = Gate::new();
    let script = Script::new(
        "once",
        &format!("if mkdir {0}/once; then exec sleep 3600; fi; echo gone >&2; exit 9", gate.name()),
    );
    let error = Pool::builder()
        .workers(1)
        .stderr(Stderr::Keep)
        .worker_program(&script.0)
        .start_deadline(LIMIT)
        .build()
        .unwrap_err();
    assert!(error.to_string().contains("exited with code 9"), "the last attempt is told: {error}");
}
