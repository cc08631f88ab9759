//! Goal: a block that takes more memory than a worker may have fails alone, with an error that says so; shared memory does not
//! count; what tasks leak ends with the worker, between blocks and at no block's cost.
//!
//! Method: tasks that allocate and touch private memory, more at once than the system grants, or slowly and then wait to be
//! killed; leaks from block to block, whose workers measure themselves; arrays larger than the limit. Rows, errors and counts
//! are compared.

use ndarray::prelude::*;
use ndpool::inject::{Fault, Faults, Rule};
use ndpool::merge::Concat;
use ndpool::{Block, Builder, ErrorKind, Pool, Stderr, WorkerExit, call, task};
use ndpool_tests::{Gate, Run, assert_applied_but, watchdog};
use std::hint::black_box;

const MIB: usize = 1 << 20;
const LIMIT: usize = 48 * MIB;

fn builder() -> Builder {
    Pool::builder().workers(2).stderr(Stderr::Keep)
}

fn limited() -> Pool {
    builder().memory_limit_per_worker(LIMIT as u64).build().unwrap()
}

/// Bytes that a process has to itself.
fn own_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.trim().trim_end_matches("kB").trim().parse::<usize>().unwrap() << 10
}

/// Adds one; some blocks touch memory beyond the limit in small steps, in some attempts, and then wait at a gate.
#[task]
fn grows(
    block: &Block,
    gate: &str,
    which: &[usize],
    attempts: u32,
    mut x: ArrayViewMut1<i64>,
) -> Concat<u32> {
    x += 1;
    if which.contains(&block.index()) && block.attempt() < attempts {
        let mut all = Vec::new();
        while all.len() * MIB < LIMIT + LIMIT / 2 {
            all.push(vec![1_u8; MIB]);
        }
        black_box(&all);
        Gate::pass(gate);
    }
    Concat(vec![block.attempt()])
}

/// Adds one; some blocks want many times the limit at once.
#[task]
fn wants(block: &Block, which: &[usize], mut x: ArrayViewMut1<i64>) {
    x += 1;
    if which.contains(&block.index()) {
        black_box(vec![1_u8; 16 * LIMIT]);
    }
}

/// As `wants`, but asks first.
#[task]
fn asks(block: &Block, which: &[usize], mut x: ArrayViewMut1<i64>) -> Result<(), String> {
    x += 1;
    if which.contains(&block.index()) {
        let mut much = Vec::<u8>::new();
        much.try_reserve_exact(16 * LIMIT).map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// Adds one and leaks memory that it has touched; gives what the worker had before, and its process.
#[task]
fn leaks(bytes: usize, mut x: ArrayViewMut1<i64>) -> Concat<(usize, u32)> {
    let before = own_bytes();
    x += 1;
    black_box(vec![1_u8; bytes].leak());
    Concat(vec![(before, std::process::id())])
}

#[task]
fn add(mut x: ArrayViewMut1<i64>) {
    x += 1;
}

/// Adds two arrays into a third, in place.
#[task]
fn sums(x: ArrayView1<i64>, mut y: ArrayViewMut1<i64>, #[out] mut z: ArrayViewMut1<i64>) {
    y += &x;
    z.assign(&y);
}

#[ndpool::test]
fn a_block_over_the_limit_fails_alone() {
    let _watchdog = watchdog();
    let (pool, gate) = (limited(), Gate::new());
    let run = Run::of(&pool);
    let mut x = pool.zeros::<i64, _>(20).unwrap();
    let error = pool.run(grows(gate.name(), &[3, 7], u32::MAX, &mut x).block_rows(2)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::MemoryLimit, "{error}");
    match error.worker_exit() {
        Some(&WorkerExit::MemoryLimit { limit_bytes, found_bytes: Some(found) }) => {
            assert_eq!(limit_bytes, LIMIT as u64);
            assert!(found > LIMIT as u64, "{found}");
            assert!(error.to_string().contains(&format!("{found} bytes of memory of its own")), "{error}");
        }
        other => panic!("{other:?}: {error}"),
    }
    assert!(error.to_string().contains("grows, block 3 was given up after 3 attempts: worker "), "{error}");
    assert!(error.to_string().contains(&format!("over its limit of {LIMIT}")), "{error}");
    assert!(error.hint().unwrap().contains("block_rows"), "{error}");
    assert_eq!(error.failed_blocks().failed, [3..4, 7..8]);
    assert!(error.failed_blocks().not_run.is_empty() && error.failed_blocks().torn.is_empty());
    assert_applied_but(&[3, 7], x.view(), 2);
    pool.run(add(&mut x)).unwrap();
    drop((pool, x));
    run.assert_gone();
}

#[ndpool::test]
fn a_block_that_was_over_the_limit_once_is_run_again() {
    let _watchdog = watchdog();
    let (pool, gate) = (limited(), Gate::new());
    let mut x = pool.zeros::<i64, _>(20).unwrap();
    let attempts = pool.run(grows(gate.name(), &[4], 2, &mut x).block_rows(2)).unwrap().0;
    assert_eq!(attempts, [0, 0, 0, 0, 2, 0, 0, 0, 0, 0]);
    assert_eq!(x.view().to_vec(), [1; 20]);
}

#[ndpool::test]
fn more_at_once_than_the_limit_is_refused_and_told() {
    let _watchdog = watchdog();
    let pool = limited();
    let mut x = pool.zeros::<i64, _>(10).unwrap();
    let error = pool.run(wants(&[2], &mut x).block_rows(1)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::MemoryLimit, "{error}");
    let exit = WorkerExit::MemoryLimit { limit_bytes: LIMIT as u64, found_bytes: None };
    assert_eq!(error.worker_exit(), Some(&exit));
    assert!(
        error.to_string().contains(&format!("memory allocation of {} bytes failed", 16 * LIMIT)),
        "{error}"
    );
    assert_eq!(error.failed_blocks().not_applied(), [2]);
    // Whoever asks and can do without is not killed for it.
    let error = pool.run(asks(&[2], &mut x).block_rows(1)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Task, "{error}");
    assert_eq!(x.view().to_vec(), [2, 2, 0, 2, 2, 2, 2, 2, 2, 2]);
}

#[ndpool::test]
fn an_abort_for_another_reason_is_not_the_limits() {
    let _watchdog = watchdog();
    let faults = Faults::new().add(Rule::new(Fault::Abort).block(1));
    let pool = builder().memory_limit_per_worker(LIMIT as u64).inject(faults).build().unwrap();
    let mut x = pool.zeros::<i64, _>(10).unwrap();
    let error = pool.run(add(&mut x).block_rows(1)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WorkerLost, "{error}");
    assert_eq!(error.worker_exit().unwrap().signal_name(), Some("SIGABRT"));
}

#[ndpool::test]
fn shared_memory_does_not_count() {
    let _watchdog = watchdog();
    let pool = limited();
    let n = 2 * LIMIT / size_of::<i64>();
    let x = pool.full(n, 3_i64).unwrap();
    let mut y = pool.full(n, 4_i64).unwrap();
    let mut z = pool.zeros::<i64, _>(n).unwrap();
    // One block: all rows are staged by one worker, three arrays are mapped by it.
    pool.run(sums(&x, &mut y, &mut z).block_rows(n)).unwrap();
    assert!(y.view().iter().chain(z.view()).all(|&v| v == 7));
    assert_eq!(pool.stats().workers_lost, 0);
}

#[ndpool::test]
fn what_earlier_blocks_leaked_fails_no_block() {
    let _watchdog = watchdog();
    let pool = Pool::builder()
        .workers(1)
        .stderr(Stderr::Keep)
        .memory_limit_per_worker(LIMIT as u64)
        .build()
        .unwrap();
    let mut x = pool.zeros::<i64, _>(12).unwrap();
    // Two of these are over the limit, and a third is beyond what the system grants: whichever is noticed where, a fresh
    // worker can run each.
    let blocks = pool.run(leaks(LIMIT * 3 / 5, &mut x).block_rows(1)).unwrap().0;
    assert_eq!((blocks.len(), x.view().to_vec()), (12, vec![1; 12]));
}

#[ndpool::test]
fn a_worker_that_has_grown_is_replaced_between_blocks() {
    let _watchdog = watchdog();
    let pool = builder().recycle_above(LIMIT as u64).build().unwrap();
    let mut x = pool.zeros::<i64, _>(40).unwrap();
    let blocks = pool.run(leaks(LIMIT / 3, &mut x).block_rows(1)).unwrap().0;
    assert_eq!(x.view().to_vec(), [1; 40]);
    for &(before, pid) in &blocks {
        // The kernel counts a process's pages with some delay.
        assert!(before < LIMIT + 4 * MIB, "process {pid} began a block with {before} bytes");
    }
    let mut pids: Vec<u32> = blocks.iter().map(|&(_, pid)| pid).collect();
    pids.sort_unstable();
    let most = pids.chunk_by(|a, b| a == b).map(<[_]>::len).max().unwrap();
    assert!((2..=4).contains(&most), "a worker ran {most} blocks");
    let stats = pool.stats();
    assert_eq!((stats.workers_lost, stats.blocks_redone), (0, 0), "{stats:?}");
    assert!(stats.workers_started >= 10, "{stats:?}");
}

#[ndpool::test]
fn workers_that_do_not_grow_are_kept() {
    let _watchdog = watchdog();
    let pool =
        builder().recycle_above(4 * LIMIT as u64).memory_limit_per_worker(4 * LIMIT as u64).build().unwrap();
    let pids = pool.worker_pids();
    let mut x = pool.zeros::<i64, _>(200).unwrap();
    pool.run(add(&mut x).block_rows(1)).unwrap();
    assert_eq!(pool.worker_pids(), pids);
    let found = pool.run(call(|()| std::process::id(), ())).unwrap();
    assert!(pids.contains(&found));
}

#[ndpool::test]
fn a_worker_without_memory_is_no_option() {
    let _watchdog = watchdog();
    let error = builder().memory_limit_per_worker(0).build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
}
