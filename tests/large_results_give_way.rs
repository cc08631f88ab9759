//! Goal: results for which there is no space fail no block that would find some, wait for none with a block in hand, and end
//! in an error that says which blocks were not applied; and what a process cannot map, a fresh one does.
//!
//! Method: `/dev/shm` of 64 MB in a mount namespace, results that all workers write at the same instant and of which some
//! fit, with and without deaths in between; workers whose descriptors were used up by tasks.

use ndarray::prelude::*;
use ndpool::inject::{Fault, Faults, Moment, Rule};
use ndpool::merge::{Concat, Sum};
use ndpool::{Backing, Block, ErrorKind, Pool, SharedArray, Stderr, task};
use ndpool_tests::{Container, Gate, Run, assert_applied_but, role, wait_until, watchdog};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::fs::File;
use std::io::Write;

const MIB: usize = 1 << 20;

/// Adds one, and gives so many bytes as soon as all workers are here.
#[task]
fn large(gate: &str, len: usize, mut x: ArrayViewMut1<i64>) -> Concat<String> {
    x += 1;
    Gate::pass(gate);
    Concat(vec!["x".repeat(len)])
}

/// As `large`, into rows that are written in place.
#[task]
fn large_written(gate: &str, len: usize, #[out] mut x: ArrayViewMut1<i64>) -> Concat<String> {
    x.fill(1);
    Gate::pass(gate);
    Concat(vec!["x".repeat(len)])
}

#[task]
fn add(mut x: ArrayViewMut1<i64>) -> Sum<usize> {
    x += 1;
    Sum(x.len())
}

/// Plays the role of `test` where `/dev/shm` has 64 MB; says so if that cannot be made.
fn with_64_mb(test: &str) {
    if let Some(container) = Container::with_shared_memory("size=64m") {
        container.play(test, "namespace");
    }
}

/// As many blocks as workers, whose results are written at the same instant; some of them fit.
fn contend(pool: &Pool, len: usize, n_that_fit: usize) {
    let gate = Gate::new();
    let n_blocks = pool.n_workers();
    let mut x = pool.zeros::<i64, _>(n_blocks).unwrap();
    let job = pool.submit(large(gate.name(), len, &mut x).block_rows(1)).unwrap();
    gate.wait_for(n_blocks);
    gate.open();
    let error = job.join().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OutOfSpace, "{error}");
    assert!(error.hint().unwrap().contains("#[out]"), "{error}");
    let blocks = error.failed_blocks();
    assert!(blocks.not_run.is_empty() && blocks.torn.is_empty(), "{blocks:?}");
    let failed = blocks.not_applied();
    assert_eq!(failed.len(), n_blocks - n_that_fit, "as many as fit are applied: {blocks:?}");
    assert_applied_but(&failed, x.view(), 1);
}

#[ndpool::test]
fn as_many_results_are_kept_as_fit_however_workers_contend() {
    let _watchdog = watchdog();
    if role().is_none() {
        return with_64_mb("as_many_results_are_kept_as_fit_however_workers_contend");
    }
    let pool = Pool::builder().workers(2).backing(Backing::Named).stderr(Stderr::Keep).build().unwrap();
    let run = Run::of(&pool);
    for _ in 0..4 {
        // Written side by side, each finds half of the space.
        contend(&pool, 40 * MIB, 1);
    }
    assert_eq!(pool.stats().workers_lost, 0, "a lack of space costs no worker");
    // What was spilled is given back: the whole of the space can be had.
    let gate = Gate::new();
    gate.open();
    let mut x = pool.zeros::<i64, _>(4).unwrap();
    let all = pool.run(large(gate.name(), 14 * MIB, &mut x).block_rows(1)).unwrap().0;
    assert_eq!(all.iter().map(String::len).sum::<usize>(), 4 * 14 * MIB);
    drop((pool, x));
    run.assert_gone();
    assert_eq!(std::fs::read_dir("/dev/shm").unwrap().count(), 0);
}

/// Takes most of `/dev/shm` away.
struct Filler;

impl Filler {
    const PATH: &str = "/dev/shm/filler";

    fn new() -> Self {
        std::fs::write(Self::PATH, vec![1_u8; 50 * MIB]).unwrap();
        Self
    }
}

impl Drop for Filler {
    fn drop(&mut self) {
        std::fs::remove_file(Self::PATH).unwrap();
    }
}

/// A pool of two workers, two rows for a job that finds no space, and an array that a job has been over once, for all that jobs
/// need to be there before the space goes.
fn short_of_space() -> (Pool, SharedArray<i64, Ix1>, SharedArray<i64, Ix1>, Filler) {
    let pool = Pool::builder().workers(2).backing(Backing::Named).build().unwrap();
    let x = pool.zeros::<i64, _>(2).unwrap();
    let mut other = pool.zeros::<i64, _>(1).unwrap();
    pool.run(add(&mut other)).unwrap();
    (pool, x, other, Filler::new())
}

/// Block 0 gives so many bytes, the others wait at a gate.
fn give_or_wait(block: &Block, gate: &str, len: usize) -> Concat<String> {
    if block.index() > 0 {
        Gate::pass(gate);
        return Concat(vec![String::new()]);
    }
    Concat(vec!["x".repeat(len)])
}

#[task]
fn first_is_large(block: &Block, gate: &str, len: usize, mut x: ArrayViewMut1<i64>) -> Concat<String> {
    x += 1;
    give_or_wait(block, gate, len)
}

#[ndpool::test]
fn a_block_gives_way_until_space_comes_back() {
    let _watchdog = watchdog();
    if role().is_none() {
        return with_64_mb("a_block_gives_way_until_space_comes_back");
    }
    let (pool, mut x, mut other, filler) = short_of_space();
    let gate = Gate::new();
    let job = pool.submit(first_is_large(gate.name(), 40 * MIB, &mut x).block_rows(1)).unwrap();
    gate.wait_for(1);
    // The other worker has given its block back, else it could not run this; and takes it again only when it may fit.
    pool.run(add(&mut other)).unwrap();
    pool.run(add(&mut other)).unwrap();
    assert!(!job.is_finished());
    drop(filler);
    gate.open();
    let lens: Vec<usize> = job.join().unwrap().0.iter().map(String::len).collect();
    assert_eq!((lens, x.view().to_vec()), (vec![40 * MIB, 0], vec![1, 1]));
    // Alone, with nobody who could give anything back, it fails.
    let _filler = Filler::new();
    let error = pool.run(first_is_large(gate.name(), 40 * MIB, &mut x).block_rows(1)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OutOfSpace, "{error}");
    assert_eq!(error.failed_blocks().not_applied(), [0]);
    assert_eq!(x.view().to_vec(), [1, 2]);
}

/// As `first_is_large`, with a gate for either block; notes in a file each time that block 0 is run.
#[task]
fn first_is_large_and_noted(
    block: &Block,
    gates: (String, String),
    notes: &str,
    len: usize,
    mut x: ArrayViewMut1<i64>,
) -> Concat<String> {
    x += 1;
    if block.index() > 0 {
        Gate::pass(&gates.1);
        return Concat(vec![String::new()]);
    }
    File::options().append(true).create(true).open(notes).unwrap().write_all(b".").unwrap();
    Gate::pass(&gates.0);
    Concat(vec!["x".repeat(len)])
}

#[ndpool::test]
fn a_block_that_gave_way_in_a_cancelled_job_is_not_run_again() {
    let _watchdog = watchdog();
    if role().is_none() {
        return with_64_mb("a_block_that_gave_way_in_a_cancelled_job_is_not_run_again");
    }
    let (pool, mut x, mut other, _filler) = short_of_space();
    let (first, second) = (Gate::new(), Gate::new());
    let gates = (first.name().to_owned(), second.name().to_owned());
    let notes = format!("{}.notes", first.name());
    let job = pool.submit(first_is_large_and_noted(gates, &notes, 40 * MIB, &mut x).block_rows(1)).unwrap();
    first.wait_for(1);
    second.wait_for(1);
    job.cancel();
    first.open();
    // The first worker has given its block back, else it could not run these. Nobody waits for them: who waits looks at all jobs, and
    // cancels what is free again before a worker could take it.
    for _ in 0..3 {
        let other = pool.submit(add(&mut other)).unwrap();
        wait_until(|| other.is_finished());
        other.join().unwrap();
    }
    second.open();
    wait_until(|| job.is_finished());
    let error = job.join().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled, "{error}");
    assert_eq!(error.failed_blocks().not_applied(), [0]);
    assert_eq!(x.view().to_vec(), [0, 1]);
    assert_eq!(std::fs::read_to_string(&notes).unwrap(), ".", "block 0 was run once");
    std::fs::remove_file(notes).unwrap();
}

/// As `first_is_large`, into rows that are written in place.
#[task]
fn first_is_large_written(
    block: &Block,
    gate: &str,
    len: usize,
    #[out] mut x: ArrayViewMut1<i64>,
) -> Concat<String> {
    x.fill(1);
    give_or_wait(block, gate, len)
}

#[ndpool::test]
fn an_output_whose_block_gave_way_and_was_cancelled_is_torn() {
    let _watchdog = watchdog();
    if role().is_none() {
        return with_64_mb("an_output_whose_block_gave_way_and_was_cancelled_is_torn");
    }
    let (pool, mut x, mut other, _filler) = short_of_space();
    let gate = Gate::new();
    let job = pool.submit(first_is_large_written(gate.name(), 40 * MIB, &mut x).block_rows(1)).unwrap();
    gate.wait_for(1);
    pool.run(add(&mut other)).unwrap();
    // Whichever of the two jobs the other worker looked at first, it has seen both by now.
    pool.run(add(&mut other)).unwrap();
    job.cancel();
    gate.open();
    let error = job.join().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled, "{error}");
    let blocks = error.failed_blocks();
    assert_eq!(
        (blocks.torn.len(), blocks.not_applied()),
        (1, vec![0]),
        "its task ran and nothing of it counts: {blocks:?}"
    );
    assert!(blocks.not_run.is_empty() && blocks.failed.is_empty(), "{blocks:?}");
    assert_eq!(x.view().to_vec(), [1, 1]);
}

#[ndpool::test]
fn deaths_among_those_who_give_way_change_nothing() {
    let _watchdog = watchdog();
    if role().is_none() {
        return with_64_mb("deaths_among_those_who_give_way_change_nothing");
    }
    for seed in 0..2 {
        let faults = Faults::new().seed(seed).add(Rule::new(Fault::Kill).rate(0.4).at(Moment::After));
        let builder = Pool::builder().workers(4).backing(Backing::Named).stderr(Stderr::Keep);
        let pool = builder.inject(faults).build().unwrap();
        contend(&pool, 24 * MIB, 2);
        contend(&pool, 24 * MIB, 2);
    }
}

#[ndpool::test]
fn an_output_without_space_for_its_result_is_torn_or_applied() {
    let _watchdog = watchdog();
    if role().is_none() {
        return with_64_mb("an_output_without_space_for_its_result_is_torn_or_applied");
    }
    let pool = Pool::builder().workers(4).backing(Backing::Named).build().unwrap();
    let gate = Gate::new();
    let mut x = pool.zeros::<i64, _>(4).unwrap();
    let job = pool.submit(large_written(gate.name(), 24 * MIB, &mut x).block_rows(1)).unwrap();
    gate.wait_for(4);
    gate.open();
    let error = job.join().unwrap_err();
    let blocks = error.failed_blocks();
    assert!(blocks.not_run.is_empty() && blocks.failed.is_empty(), "{blocks:?}");
    assert_eq!(blocks.not_applied().len(), 2, "{blocks:?}");
}

/// Uses up the descriptors of its worker; gives its process.
#[task]
fn uses_up_descriptors() -> u32 {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, 64.min(hard), hard).unwrap();
    while let Ok(file) = File::open("/dev/null") {
        std::mem::forget(file);
    }
    std::process::id()
}

/// A task that maps nothing new, for it to be known that the worker still serves.
#[task]
fn pid(block: &Block) -> u32 {
    let _ = block.worker();
    std::process::id()
}

#[ndpool::test]
fn a_worker_without_descriptors_makes_way_for_a_fresh_one() {
    let _watchdog = watchdog();
    for n_workers in [1, 2] {
        let pool = Pool::builder().workers(n_workers).build().unwrap();
        let used_up = pool.run(uses_up_descriptors()).unwrap();
        let mut x = pool.zeros::<i64, _>(10).unwrap();
        assert_eq!(pool.run(add(&mut x).block_rows(1)).unwrap().0, 10);
        assert_eq!(x.view().to_vec(), [1; 10]);
        // With two workers the other may have done it all.
        if n_workers == 1 {
            assert_ne!(pool.run(pid()).unwrap(), used_up);
        }
        let stats = pool.stats();
        assert_eq!((stats.workers_lost, stats.blocks_redone), (0, 0), "{stats:?}");
    }
}

#[ndpool::test]
fn what_no_process_can_map_fails_and_replaces_nobody() {
    let _watchdog = watchdog();
    let pool = Pool::builder().workers(2).stderr(Stderr::Keep).backing(Backing::Named).build().unwrap();
    let mut x = pool.zeros::<i64, _>(6).unwrap();
    // The file under the name of the array is another: every process refuses it, and none is replaced for that.
    let path = x.path().to_owned();
    std::fs::rename(&path, path.with_extension("away")).unwrap();
    std::fs::write(&path, vec![0_u8; 3 * 4096]).unwrap();
    let error = pool.run(add(&mut x).block_rows(1)).unwrap_err();
    std::fs::rename(path.with_extension("away"), &path).unwrap();
    assert_eq!(error.kind(), ErrorKind::Segment, "{error}");
    assert_eq!(error.failed_blocks().not_applied(), [0, 1, 2, 3, 4, 5]);
    assert_eq!(pool.stats().workers_started, 2);
    assert_eq!(pool.run(add(&mut x).block_rows(1)).unwrap().0, 6);
}
