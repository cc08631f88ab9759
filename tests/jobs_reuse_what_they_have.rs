//! Goal: memory that was there for one job is there for the next. A job like one before it faults no page in, in the worker or in
//! the caller, whatever its arrays are for; and a worker asks its allocator for no more, the more blocks a job has.
//!
//! Method: the kernel counts each process's faults, and this program, which is its workers' too, counts its allocations. With one
//! worker, which is certain to have had each block before: of several, another may take it the next time.

use ndarray::prelude::*;
use ndpool::{Block, Pool, merge::Sum, ops, task};
use ndpool_tests::watchdog;
use nix::sys::resource::{UsageWho, getrusage};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering};

/// The system's allocator, which counts.
struct Counting;

static N_ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: every request goes to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        N_ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promises are those that are asked for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are those that are asked for, and the memory came from there.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        N_ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promises are those that are asked for, and the memory came from there.
        unsafe { System.realloc(pointer, layout, new_size) }
    }
}

/// 16 MiB.
const N: usize = 1 << 21;
/// Pages of them, if the kernel maps single ones.
const N_PAGES: u64 = 4096;
/// Faults that the kernel may cause by itself, by moving pages: a job that faults its own pages in has hundreds.
const STRAY_FAULTS: u64 = 8;
/// What a worker allocates for a job of many blocks beyond one of one: the tree in which it merges results, which grows with the
/// logarithm of their number.
const ALLOCATIONS_OF_A_TREE: u64 = 6;

#[task]
fn sum(x: ArrayView1<f64>) -> Sum<f64> {
    Sum(x.sum())
}

/// Changes rows in place, through a staged copy.
#[task]
fn add(mut x: ArrayViewMut1<f64>) {
    x += 1.0;
}

/// Writes rows that need no copy.
#[task]
fn number(#[out] mut x: ArrayViewMut1<f64>, block: &Block) {
    x.fill(block.index() as f64);
}

#[task]
fn triple(x: u64) -> u64 {
    3 * x
}

/// How often this worker has asked for memory.
#[task]
fn n_allocations() -> u64 {
    N_ALLOCATIONS.load(Ordering::Relaxed)
}

fn pool() -> Pool {
    Pool::builder().workers(1).build().unwrap()
}

/// Faults so far of the worker and of this thread.
fn n_faults(pool: &Pool) -> [u64; 2] {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pool.worker_pids()[0])).unwrap();
    // proc_pid_stat(5): `minflt` is field 10, and the name in parentheses is field 2.
    let worker = stat.rsplit(')').next().unwrap().split_whitespace().nth(7).unwrap().parse().unwrap();
    let caller = getrusage(UsageWho::RUSAGE_THREAD).unwrap().minor_page_faults() as u64;
    [worker, caller]
}

/// Faults of the worker and of the caller during some work.
fn faults_of(pool: &Pool, work: impl FnOnce(&Pool)) -> [u64; 2] {
    let before = n_faults(pool);
    work(pool);
    let after = n_faults(pool);
    [after[0] - before[0], after[1] - before[1]]
}

/// Fails if work like work before faults anything in; the faults of the first time.
#[track_caller]
fn assert_faults_once(pool: &Pool, mut work: impl FnMut(&Pool)) -> [u64; 2] {
    let first = faults_of(pool, &mut work);
    let again = faults_of(pool, |pool| (0..10).for_each(|_| work(pool)));
    assert!(again.iter().all(|&n| n <= STRAY_FAULTS), "{again:?} in ten jobs, {first:?} in the first one");
    first
}

#[ndpool::test]
fn pages_of_arrays_that_are_read() {
    let _watchdog = watchdog();
    let pool = pool();
    let x = pool.full(N, 0.5_f64).unwrap();
    let first = assert_faults_once(&pool, |pool| assert_eq!(pool.run(sum(&x)).unwrap().0, 0.5 * N as f64));
    // There was something to save. The kernel maps some neighbours of a page along with it, at most 64 KiB in all by default.
    assert!(first[0] >= N_PAGES / 512, "{first:?}");
}

#[ndpool::test]
fn pages_of_arrays_that_are_changed() {
    let _watchdog = watchdog();
    let pool = pool();
    let mut x = pool.full(N, 0.5_f64).unwrap();
    assert_faults_once(&pool, |pool| pool.run(add(&mut x)).unwrap());
}

#[ndpool::test]
fn pages_of_arrays_that_are_written() {
    let _watchdog = watchdog();
    let pool = pool();
    let mut x = pool.full(N, 0.5_f64).unwrap();
    assert_faults_once(&pool, |pool| pool.run(number(&mut x)).unwrap());
}

#[ndpool::test]
fn pages_of_dropped_arrays() {
    let _watchdog = watchdog();
    let pool = pool();
    assert_faults_once(&pool, |pool| {
        let x = pool.full(N, 0.5_f64).unwrap();
        assert_eq!(pool.run(ops::sum(&x)).unwrap(), 0.5 * N as f64);
    });
}

#[ndpool::test]
fn pages_of_arguments_and_results() {
    let _watchdog = watchdog();
    let pool = pool();
    assert_faults_once(&pool, |pool| {
        for x in 0..1000 {
            assert_eq!(pool.run(triple(x)).unwrap(), 3 * x);
        }
    });
}

#[ndpool::test]
fn buffers_of_a_worker() {
    let _watchdog = watchdog();
    let pool = pool();
    let mut x = pool.full(N, 0.5_f64).unwrap();
    let count = || pool.run(n_allocations()).unwrap();
    // Allocations of three jobs of so many blocks, that read, change and write, after others like them.
    let mut of_jobs = |n_blocks: usize| {
        let mut of = [0; 3];
        for _ in 0..2 {
            let mut before = count();
            let mut take = |n: &mut u64| *n = count() - std::mem::replace(&mut before, count());
            pool.run(sum(&x).block_rows(N / n_blocks)).unwrap();
            take(&mut of[0]);
            pool.run(add(&mut x).block_rows(N / n_blocks)).unwrap();
            take(&mut of[1]);
            pool.run(number(&mut x).block_rows(N / n_blocks)).unwrap();
            take(&mut of[2]);
        }
        of
    };
    const MANY: usize = 1024;
    let (few, many) = (of_jobs(1), of_jobs(MANY));
    for kind in 0..3 {
        assert!(many[kind] <= few[kind] + ALLOCATIONS_OF_A_TREE, "of {MANY} blocks {many:?}, of one {few:?}");
    }
}
