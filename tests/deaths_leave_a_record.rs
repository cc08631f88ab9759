//! Goal: no worker dies without a record that says when, which, how and what it was doing; a record is left of nothing else; and
//! records agree with counters and events.
//!
//! Method: real processes end by faults, by signals, by `exit`, by the pool's own hand, before they serve and in storms. The records in
//! the error and in `Pool::deaths` are compared field by field, and the counters with the number of records. What the causes are:
//! `causes_of_death_are_told.rs`.

use ndarray::prelude::*;
use ndpool::merge::Sum;
use ndpool::{Block, Cause, ErrorKind, Fate, Pool, Stderr, WorkerExit, task};
use ndpool_tests::{End, Gate, Killer, Listener, kill, wait_for_deaths, wait_until, watchdog};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::hint::black_box;
use std::os::unix::fs::PermissionsExt;
use std::sync::Mutex;
use std::time::Duration;

/// No `Debug`: the record names its type.
#[derive(Clone, Serialize, Deserialize)]
struct Opaque(u16);

#[task]
fn ends(
    end: End,
    label: &str,
    opaque: Opaque,
    block: &Block,
    x: ArrayView2<f32>,
    #[out] mut y: ArrayViewMut1<i64>,
) {
    let _ = (label, opaque.0, x.len());
    y.fill(1);
    if block.index() == 2 {
        eprintln!("about to end");
        end.happen();
    }
}

#[task]
fn alone(end: Option<End>) -> u32 {
    if let Some(end) = end {
        end.happen();
    }
    7
}

/// Waits at the gate in its first attempt, then ends if it is told to.
#[task]
fn waits(block: &Block, gate: &str, end: Option<End>) -> u32 {
    if block.attempt() == 0 {
        Gate::pass(gate);
        end.into_iter().for_each(End::happen);
    }
    block.attempt()
}

#[task]
fn increment(block: &Block, mut x: ArrayViewMut1<i64>) -> Sum<usize> {
    x += 1;
    Sum(block.rows().len())
}

fn pool(workers: usize) -> Pool {
    Pool::builder().workers(workers).stderr(Stderr::Keep).build().unwrap()
}

#[ndpool::test]
fn a_block_is_recorded_with_its_arguments_and_arrays() {
    let _watchdog = watchdog();
    let pool = pool(2);
    let x = pool.full::<f32, _>((10, 3), 0.5).unwrap();
    let mut y = pool.zeros::<i64, _>(10).unwrap();
    let label = "x".repeat(200);
    let call = ends(End::Abort, &label, Opaque(300), &x, &mut y).block_rows(4).attempts(2).name("my job");
    let error = pool.run(call).unwrap_err();
    assert_eq!(error.failed_blocks().not_applied(), [2]);
    let deaths = pool.deaths();
    assert_eq!(deaths.len(), 2);
    for (attempt, death) in deaths.iter().enumerate() {
        let block = death.block.as_ref().unwrap();
        assert_eq!((&*block.job, block.index, block.n_blocks), ("my job", 2, 3));
        assert_eq!((block.attempt, &*block.task), (attempt as u32, "deaths_leave_a_record::ends"));
        assert_eq!(block.fate, [Fate::RunAgain, Fate::GivenUp][attempt]);
        assert_eq!(death.stderr, ["about to end"]);
        let arguments: Vec<_> = block.arguments.iter().map(ToString::to_string).collect();
        assert_eq!(arguments[0], "end = Abort");
        // Cut off, the quotation mark at its start counted.
        assert_eq!(arguments[1], format!("label = \"{}…", "x".repeat(79)));
        assert_eq!(arguments[2], "opaque = (deaths_leave_a_record::Opaque, 2 bytes)");
        let [of_x, of_y] = block.arrays.as_slice() else { panic!("{death}") };
        assert_eq!(
            (of_x.name.as_deref(), &*of_x.shape, &*of_x.dtype),
            (Some("x"), [2, 3].as_slice(), "float32")
        );
        assert_eq!((of_x.n_bytes, &*of_x.access, &*of_y.access), (24, "read", "out"));
        assert!(of_x.segment.contains(&x.segment_name()), "{death}");
        assert_eq!((of_y.name.as_deref(), &*of_y.shape, of_y.n_bytes), (Some("y"), [2].as_slice(), 16));
    }
    assert_eq!(error.death(), Some(&*deaths[1]));
    // Calls of a map each have their own.
    let results: Vec<_> =
        pool.map((0..40).map(|i| alone((i == 17).then_some(End::Exit(i))).attempts(1))).collect();
    assert!(results.iter().enumerate().all(|(i, result)| result.is_ok() == (i != 17)));
    let death = results[17].as_ref().unwrap_err().death().unwrap();
    assert_eq!(death.block.as_ref().unwrap().arguments[0].text, "Some(Exit(17))");
}

#[ndpool::test]
fn the_pools_own_kills_are_recorded_with_their_reason() {
    let _watchdog = watchdog();
    let (pool, gate) = (pool(2), Gate::new());
    let limit = Duration::from_millis(60);
    let error = pool.run(waits(gate.name(), None).block_timeout(limit).attempts(1)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert_eq!(error.death().map(|death| &death.cause), Some(&Cause::BlockTimeout), "{error}");
    let error = pool.run(waits(gate.name(), None).deadline(limit)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Deadline);
    let deaths = wait_for_deaths(&pool, 2);
    assert_eq!(deaths[0].exit, WorkerExit::TimedOut(limit));
    assert_eq!((&deaths[1].exit, &deaths[1].cause), (&WorkerExit::PastDeadline, &Cause::Deadline));
    assert_eq!(deaths[1].block.as_ref().map(|block| block.fate), Some(Fate::GivenUp));
    assert_eq!(pool.stats().workers_lost, 2);
}

#[ndpool::test]
fn memory_that_the_worker_had_is_told() {
    #[task]
    fn fills_and_dies(n_bytes: usize) {
        black_box(vec![1_u8; n_bytes]);
        std::process::abort();
    }
    let _watchdog = watchdog();
    let pool = pool(1);
    let n_bytes = 300 << 20;
    let error = pool.run(fills_and_dies(n_bytes).attempts(1)).unwrap_err();
    let peak = error.death().unwrap().peak_resident_bytes.unwrap();
    assert!((n_bytes as u64..2 * n_bytes as u64).contains(&peak), "{peak}");
}

#[ndpool::test]
fn of_a_cancelled_job_it_is_said_that_nothing_is_run_again() {
    let _watchdog = watchdog();
    let (pool, gate) = (pool(1), Gate::new());
    let job = pool.submit(waits(gate.name(), None)).unwrap();
    gate.wait_for(1);
    job.cancel();
    assert!(kill(pool.worker_pids()[0]));
    let deaths = wait_for_deaths(&pool, 1);
    assert_eq!(deaths[0].block.as_ref().map(|block| block.fate), Some(Fate::Cancelled), "{}", deaths[0]);
    assert_eq!(job.join().unwrap_err().kind(), ErrorKind::Cancelled);
}

#[ndpool::test]
fn whoever_listens_to_events_is_told() {
    static EVENTS: Mutex<Vec<BTreeMap<&'static str, String>>> = Mutex::new(Vec::new());
    let _watchdog = watchdog();
    Listener::install(|event| EVENTS.lock().unwrap().push(event));
    let pool = pool(1);
    let error = pool.run(alone(Some(End::Exit(9))).attempts(1)).unwrap_err();
    let pid = error.death().unwrap().pid.unwrap().to_string();
    // Tests of other pools run beside this one.
    let is_ours = |event: &BTreeMap<_, _>| event.get("pid") == Some(&pid);
    wait_until(|| EVENTS.lock().unwrap().iter().any(is_ours));
    let events = EVENTS.lock().unwrap();
    let event = events.iter().find(|event| is_ours(event)).unwrap();
    for (field, value) in [
        ("worker", "0"),
        ("message", "a worker died"),
        ("exit", "exited with code 9"),
        ("cause", "called exit"),
        ("block", "0"),
        ("attempt", "0"),
        ("task", "\"deaths_leave_a_record::alone\""),
        ("arguments", "\"end = Some(Exit(9))\""),
    ] {
        assert_eq!(event.get(field).map(String::as_str), Some(value), "{field} of {event:?}");
    }
}

/// A program of one's own, in a directory that is removed with it.
struct Script(std::path::PathBuf);

impl Script {
    fn new(name: &str, text: &str) -> Self {
        let directory = std::env::temp_dir().join(format!("ndpool-script.{}.{name}", std::process::id()));
        std::fs::create_dir(&directory).unwrap();
        let path = directory.join("worker");
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        Self(path)
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(self.0.parent().unwrap());
    }
}

#[ndpool::test]
fn deaths_at_the_start_are_recorded_too() {
    let _watchdog = watchdog();
    // A program that works once, then not any more: the pool exists, so that its records can be asked for.
    let script = Script::new("start", "");
    let write = |text: &str| {
        // A new file: the old one may be running.
        let fresh = script.0.with_extension("new");
        std::fs::write(&fresh, text).unwrap();
        std::fs::set_permissions(&fresh, std::fs::Permissions::from_mode(0o755)).unwrap();
        std::fs::rename(&fresh, &script.0).unwrap();
    };
    let foreign = env!("CARGO_BIN_EXE_foreign-worker");
    std::fs::copy(foreign, &script.0).unwrap();
    let pool = Pool::builder().workers(1).worker_program(&script.0).stderr(Stderr::Keep).build().unwrap();
    write("#!/bin/sh\necho cannot find libfoo >&2\nexit 127\n");
    assert!(kill(pool.worker_pids()[0]));
    let deaths = wait_for_deaths(&pool, 3);
    assert_eq!(deaths[0].cause, Cause::Killed { by: None });
    assert_eq!(
        (&deaths[1].exit, &deaths[1].cause),
        (&WorkerExit::Code(127), &Cause::DidNotStart),
        "{}",
        deaths[1]
    );
    assert_eq!(deaths[1].stderr, ["cannot find libfoo"]);
    assert!(deaths[1].pid.is_some() && deaths[1].block.is_none());
    std::fs::remove_file(&script.0).unwrap();
    // Five failures in a row, some of them by a program that is not there any more.
    wait_until(|| pool.deaths().len() == 6);
    let deaths = pool.deaths();
    for death in &deaths[1..] {
        assert_eq!(death.cause, Cause::DidNotStart, "{death}");
        assert_eq!(death.pid.is_none(), death.exit == WorkerExit::NeverStarted, "{death}");
    }
    assert_eq!(pool.stats().workers_lost, 6);
}

#[ndpool::test]
fn a_pool_that_cannot_be_built_says_how_its_workers_ended() {
    let _watchdog = watchdog();
    let build =
        |program: &str| Pool::builder().workers(1).worker_program(program).stderr(Stderr::Keep).build();
    let error = build("/nowhere/worker").unwrap_err();
    let death = error.death().unwrap();
    assert_eq!((error.kind(), &death.exit), (ErrorKind::Start, &WorkerExit::NeverStarted), "{error}");
    assert_eq!((&death.cause, death.pid), (&Cause::DidNotStart, None), "{death}");
    assert!(death.evidence[0].contains("/nowhere/worker"), "{death}");
    let script = Script::new("segfault", "#!/bin/sh\nkill -SEGV $$\n");
    let error = build(script.0.to_str().unwrap()).unwrap_err();
    let death = error.death().unwrap();
    assert_eq!((error.kind(), death.exit.signal_name()), (ErrorKind::Start, Some("SIGSEGV")), "{error}");
    assert!(death.evidence.contains(&"it ended before it said hello".to_owned()), "{death}");
}

#[ndpool::test]
fn records_agree_with_the_counters() {
    let _watchdog = watchdog();
    let pool = pool(3);
    let killer = Killer::new(5, Duration::from_millis(3));
    let mut x = pool.zeros::<i64, _>(1 << 20).unwrap();
    while pool.stats().workers_lost < 150 {
        killer.during(&pool, || pool.run(increment(&mut x).block_rows(1 << 14)).unwrap());
    }
    let n = |fate| {
        pool.deaths()
            .iter()
            .filter(|death| death.block.as_ref().is_some_and(|block| block.fate == fate))
            .count()
    };
    // The last ones may still be on their way.
    wait_until(|| {
        let stats = pool.stats();
        stats.workers_lost == pool.deaths().len() as u64
            && stats.blocks_redone == n(Fate::RunAgain) as u64
            && stats.blocks_finished == n(Fate::Applied) as u64
    });
    println!("{:?}", pool.stats());
    assert!(n(Fate::RunAgain) > 0 && n(Fate::GivenUp) == 0);
}

#[ndpool::test]
fn who_was_asked_to_end_leaves_no_record() {
    let _watchdog = watchdog();
    // Replaced after their share of blocks.
    let busy = Pool::builder().workers(2).max_tasks_per_worker(3).stderr(Stderr::Keep).build().unwrap();
    let results: Vec<_> = busy.map((0..100).map(|_| alone(None))).collect::<ndpool::Result<_>>().unwrap();
    assert_eq!(results, [7; 100]);
    assert_eq!((busy.deaths().len(), busy.stats().workers_lost), (0, 0));
    assert!(busy.stats().workers_started > 20);
    // Replaced by a fresh one, for a block that was charged with the death of another.
    let pool = pool(2);
    let mut x = pool.zeros::<i64, _>(40).unwrap();
    pool.run(increment(&mut x).block_rows(1)).unwrap();
    pool.run(alone(Some(End::Abort)).attempts(2)).unwrap_err();
    assert_eq!((pool.deaths().len(), pool.stats().workers_lost), (2, 2));
    // An exit of the task's own in its last block is none.
    let one = Pool::builder().workers(1).max_tasks_per_worker(1).stderr(Stderr::Keep).build().unwrap();
    one.run(alone(Some(End::Exit(0))).attempts(1)).unwrap_err();
    assert_eq!(one.deaths().iter().map(|death| &death.cause).collect::<Vec<_>>(), [&Cause::Exit]);
}

#[ndpool::test]
fn the_last_records_are_kept_and_all_are_counted() {
    let _watchdog = watchdog();
    let pool = pool(2);
    let killer = Killer::new(11, Duration::from_millis(1));
    let mut x = pool.zeros::<i64, _>(4_000).unwrap();
    let mut n_rounds = 0;
    while pool.stats().workers_lost < 300 {
        killer.during(&pool, || pool.run(increment(&mut x).block_rows(100)).unwrap());
        n_rounds += 1;
    }
    assert!(x.view().iter().all(|&v| v == n_rounds));
    let (deaths, stats) = (pool.deaths(), pool.stats());
    assert!(stats.workers_lost >= 300 && deaths.len() == 256, "{stats:?}, {} records", deaths.len());
    assert!(deaths.is_sorted_by_key(|death| death.time), "the oldest first");
    for death in &deaths {
        assert_eq!(death.cause, Cause::Killed { by: None }, "{death}");
        if let Some(block) = &death.block {
            assert_ne!(block.fate, Fate::GivenUp, "{death}");
        }
    }
}
