//! Goal: a worker that the kernel kills for want of memory is told from one that somebody killed, with the evidence; its block is
//! charged, everything else goes on; and a group that is killed as a whole leaves nothing.
//!
//! Method: a supervisor, in a process of its own, enters a real memory control group and runs jobs of which one block
//! takes more than the group may have. What it was told is compared here. Where this machine permits no such group, the tests
//! say so and pass.

use ndarray::prelude::*;
use ndpool::{Block, Cause, ErrorKind, Fate, Pool, Stderr, task};
use ndpool_tests::{
    Actor, MemoryGroup, Run, assert_applied_but, is_alive, kill, role, say, skip, wait_to_be_told,
    wait_until, watchdog,
};
use std::hint::black_box;

const MIB: u64 = 1 << 20;
/// Room for a supervisor, its workers and their arrays, and not for one hungry block more.
const LIMIT: u64 = 256 * MIB;
const HUNGER: usize = 600 << 20;

/// Adds one; a hungry block takes memory first, in as many attempts as are to fail.
#[task]
fn hungry(which: Option<usize>, attempts: u32, block: &Block, mut x: ArrayViewMut1<i64>) {
    x += 1;
    if which == Some(block.index()) && block.attempt() < attempts {
        black_box(vec![1_u8; HUNGER]);
    }
}

/// Enters a group, then takes more than it may have.
#[task]
fn moves_and_is_hungry(group: &str) {
    MemoryGroup::enter(group);
    black_box(vec![1_u8; HUNGER]);
}

#[task]
fn oom_score() -> String {
    std::fs::read_to_string("/proc/self/oom_score_adj").unwrap_or_default()
}

fn pool() -> Pool {
    Pool::builder().workers(2).stderr(Stderr::Keep).build().unwrap()
}

/// A group, or the reason printed why there is none.
fn group() -> Option<MemoryGroup> {
    MemoryGroup::new(LIMIT).map_err(|why| skip(&format!("there is no memory control group: {why}"))).ok()
}

#[ndpool::test]
fn a_worker_killed_by_the_memory_controller_is_told_with_the_evidence() {
    const TEST: &str = "a_worker_killed_by_the_memory_controller_is_told_with_the_evidence";
    let _watchdog = watchdog();
    if role().is_some() {
        MemoryGroup::enter(&wait_to_be_told());
        let pool = pool();
        let run = Run::of(&pool);
        let mut x = pool.zeros::<i64, _>(20).unwrap();
        // Every attempt: the block is charged, and poison after its attempts.
        let error = pool.run(hungry(Some(4), 9, &mut x).block_rows(2).attempts(2)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::OutOfMemory, "{error}");
        assert_eq!(error.failed_blocks().not_applied(), [4]);
        assert!(error.to_string().contains("after 2 attempts: worker"), "{error}");
        assert!(error.to_string().contains("probable cause: out of memory: in its control group"), "{error}");
        assert!(error.hint().is_some_and(|hint| hint.contains("fewer workers")), "{error}");
        assert_applied_but(&[4], x.view(), 2);
        // One attempt: the block is run again by a fresh worker.
        pool.run(hungry(Some(1), 1, &mut x).block_rows(2)).unwrap();
        let deaths = pool.deaths();
        assert_eq!(deaths.len(), 3);
        for (i, death) in deaths.iter().enumerate() {
            assert_eq!(
                (&death.cause, death.exit.signal_name()),
                (&Cause::OutOfMemory, Some("SIGKILL")),
                "{death}"
            );
            assert!(death.evidence[0].contains("has just killed a process for want of memory"), "{death}");
            assert!(death.evidence[0].contains("limit of 256 MiB"), "{death}");
            let fate = if i == 1 { Fate::GivenUp } else { Fate::RunAgain };
            assert_eq!(death.block.as_ref().map(|block| block.fate), Some(fate), "{death}");
            assert!(death.peak_resident_bytes.is_some_and(|bytes| bytes > LIMIT / 4), "{death}");
        }
        // A kill by hand right afterwards is not taken for the same.
        let victim = pool.worker_pids()[0];
        assert!(kill(victim));
        wait_until(|| pool.deaths().len() == 4);
        assert_eq!(pool.deaths()[3].cause, Cause::Killed { by: None }, "{}", pool.deaths()[3]);
        pool.run(hungry(None, 0, &mut x).block_rows(2)).unwrap();
        assert_eq!(pool.stats().workers_lost, 4);
        drop(x);
        drop(pool);
        run.assert_gone();
        say(&deaths[0].to_string().replace('\n', " | "));
        return;
    }
    let Some(group) = group() else { return };
    let mut supervisor = Actor::start(TEST, "supervisor");
    supervisor.tell(group.path().to_str().unwrap());
    println!("{}", supervisor.hear().replace(" | ", "\n"));
    assert!(supervisor.let_go().1.success());
}

#[ndpool::test]
fn a_worker_that_moved_to_another_group_is_found_in_the_kernels_log() {
    let _watchdog = watchdog();
    let Some(group) = group() else { return };
    if std::fs::File::open("/dev/kmsg").is_err() {
        println!("skipped: this user may not read the kernel's log");
        return;
    }
    let pool = pool();
    let error = pool.run(moves_and_is_hungry(group.path().to_str().unwrap()).attempts(1)).unwrap_err();
    let death = error.death().unwrap();
    println!("{death}");
    assert_eq!((error.kind(), &death.cause), (ErrorKind::OutOfMemory, &Cause::OutOfMemory), "{error}");
    let pid = death.pid.unwrap();
    assert!(death.evidence[0].starts_with("the kernel's log says: "), "{death}");
    assert!(death.evidence[0].contains(&pid.to_string()), "{death}");
}

/// Version 1 of control groups cannot kill a group as one: there the nearest is that the test sends `SIGKILL` to all of the
/// group's processes, one after the other.
#[ndpool::test]
fn a_group_that_is_killed_as_a_whole_leaves_nothing_to_the_next_pool() {
    const TEST: &str = "a_group_that_is_killed_as_a_whole_leaves_nothing_to_the_next_pool";
    let _watchdog = watchdog();
    if role().is_some() {
        MemoryGroup::enter(&wait_to_be_told());
        let pool = pool();
        let mut x = pool.zeros::<i64, _>(2_000).unwrap();
        pool.run(hungry(None, 0, &mut x).block_rows(2)).unwrap();
        say(Run::of(&pool).id());
        wait_to_be_told();
        let _ = pool.run(hungry(Some(3), 9, &mut x).block_rows(2));
        unreachable!("the group was killed as one");
    }
    let Some(group) = group() else { return };
    let mut supervisor = Actor::start(TEST, "supervisor");
    supervisor.tell(group.path().to_str().unwrap());
    let run = Run::named(&supervisor.hear());
    let pids = group.processes();
    assert!(pids.len() >= 3, "a supervisor and two workers: {pids:?}");
    if group.kill_as_one() {
        supervisor.tell("be hungry");
    } else {
        println!("version 1 of control groups: all are killed one by one");
        while group.processes().into_iter().filter(|&pid| is_alive(pid)).map(kill).count() > 0 {}
    }
    assert!(!supervisor.wait().1.success());
    wait_until(|| pids.iter().all(|&pid| !is_alive(pid)));
    // Whatever of the run is left, the next pool removes.
    let next = pool();
    run.assert_gone();
    assert_eq!(next.run(ndpool::call(|x: u8| x + 1, 1)).unwrap(), 2);
}

#[ndpool::test]
fn the_kernel_is_to_take_a_worker_before_the_supervisor() {
    let _watchdog = watchdog();
    let own: i32 = std::fs::read_to_string("/proc/self/oom_score_adj").unwrap().trim().parse().unwrap();
    let worker: i32 = pool().run(oom_score()).unwrap().trim().parse().unwrap();
    assert!(worker > own, "{worker} > {own}");
}
