//! Goal: descriptors, processes, address space or file size used up: a clear error with a remedy, or fewer workers; never a
//! hang, a signal or a leak. When the pressure is gone, the same pool works again. And a pool takes no more cores than it
//! is given.
//!
//! Method: programs with pools run as processes of their own, with limits and control groups that are tightened and
//! lifted at moments of the test's choice. Where control groups may not be made, the tests print why, and end; with
//! `NDPOOL_TEST_REQUIRE_NAMESPACES` they fail then.

use ndarray::prelude::*;
use ndpool::merge::Sum;
use ndpool::{Backing, ErrorKind, Pool, Stderr, call, task};
use ndpool_tests::{
    Actor, Cgroup, Gate, Run, become_user, kill, play, role, say, skip, wait_to_be_told, wait_until, watchdog,
};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

#[task]
fn add(mut x: ArrayViewMut1<f64>) -> Sum<f64> {
    x += 1.0;
    Sum(x.sum())
}

#[task]
fn repeat(n: usize) -> Vec<u8> {
    vec![7; n]
}

#[task]
fn wait_behind(gate: &str) {
    Gate::pass(gate);
}

/// Has a test play a role alone, in a process of its own.
fn alone(test: &str) {
    play(Actor::command(&[], test, "alone"));
}

/// Tightens a limit of this process, and of what it starts.
fn set_limit(resource: Resource, limit: Option<u64>) {
    let (_, hard) = getrlimit(resource).unwrap();
    setrlimit(resource, limit.unwrap_or(hard), hard).unwrap();
}

fn kill_all(pool: &Pool) {
    pool.worker_pids().into_iter().for_each(|pid| _ = kill(pid));
}

/// Waits until the pool has noticed that none of these serve any more.
fn wait_until_lost(pool: &Pool, pids: &[u32]) {
    wait_until(|| !pool.worker_pids().iter().any(|pid| pids.contains(pid)));
}

/// Has every worker run something: one that was only just welcomed has yet to start a thread.
fn all_work(pool: &Pool) {
    let gate = Gate::new();
    let jobs: Vec<_> =
        (0..pool.n_workers()).map(|_| pool.submit(wait_behind(gate.name())).unwrap()).collect();
    gate.wait_for(jobs.len());
    gate.open();
    jobs.into_iter().for_each(|job| job.join().unwrap());
}

/// Goes through what a limit on new processes can do; `forbid(true)` allows not one more process or thread.
fn without_new_processes(forbid: impl Fn(bool)) {
    let builder = || Pool::builder().workers(3).stderr(Stderr::Keep);
    // A pool cannot be built, says why, and leaves nothing.
    forbid(true);
    let error = builder().build().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Start | ErrorKind::Io), "{error:#?}");
    assert!(error.hint().is_some_and(|hint| hint.contains("pids.max")), "{error:#?}");
    forbid(false);
    let pool = builder().build().unwrap();
    let run = Run::of(&pool);
    let mut x = pool.zeros::<f64, _>(1_000).unwrap();
    pool.run(add(&mut x).block_rows(100)).unwrap();
    all_work(&pool);

    // One that lives goes on with the workers that it has.
    forbid(true);
    let lost = pool.worker_pids()[0];
    assert!(kill(lost));
    wait_until_lost(&pool, &[lost]);
    assert_eq!(pool.run(add(&mut x).block_rows(100)).unwrap().0, 2_000.0);
    assert_eq!(pool.worker_pids().len(), 2, "{:?}", pool.stats());

    // Without any, jobs are errors and do not hang; nothing of them was applied.
    let all = pool.worker_pids();
    kill_all(&pool);
    wait_until_lost(&pool, &all);
    let error = pool.run(add(&mut x).block_rows(100)).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Start | ErrorKind::Io), "{error:#?}");
    assert!(error.hint().is_some_and(|hint| hint.contains("pids.max")), "{error:#?}");
    assert_eq!(x.view().sum(), 2_000.0);
    let error = pool.run(add(&mut x)).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Start | ErrorKind::Io), "{error:#?}");

    // The pressure is gone: the very next job works, and in time all workers are back.
    forbid(false);
    assert_eq!(pool.run(add(&mut x).block_rows(100)).unwrap().0, 3_000.0);
    wait_until(|| {
        pool.run(call(|()| (), ())).unwrap();
        pool.worker_pids().len() == 3
    });
    drop((pool, x));
    run.assert_gone();
}

#[ndpool::test]
fn a_control_group_that_is_full_of_processes_is_an_error_and_not_the_end() {
    const NAME: &str = "a_control_group_that_is_full_of_processes_is_an_error_and_not_the_end";
    let _watchdog = watchdog();
    if role().is_some() {
        // The test has put this process into the group, and changes its limit.
        say("here");
        wait_to_be_told();
        without_new_processes(|forbid| {
            say(if forbid { "1" } else { "max" });
            wait_to_be_told();
        });
        return say("done");
    }
    let Some(group) = Cgroup::new("pids") else { return };
    let mut actor = Actor::start(NAME, "member");
    actor.hear();
    group.add(actor.pid());
    actor.tell("in");
    loop {
        match actor.hear().as_str() {
            "done" => break,
            limit => group.set("pids.max", limit),
        }
        actor.tell("set");
    }
    let (text, status) = actor.let_go();
    assert!(status.success(), "{text}");
}

#[ndpool::test]
fn a_limit_on_processes_is_an_error_and_not_the_end() {
    const NAME: &str = "a_limit_on_processes_is_an_error_and_not_the_end";
    let _watchdog = watchdog();
    if role().is_none() {
        if !nix::unistd::geteuid().is_root() {
            return skip("only root can become a user with no other processes");
        }
        return alone(NAME);
    }
    // Root is not limited.
    become_user(54_321);
    without_new_processes(|forbid| set_limit(Resource::RLIMIT_NPROC, forbid.then_some(1)));
}

#[ndpool::test]
fn descriptors_that_are_used_up_are_an_error_and_not_the_end() {
    const NAME: &str = "descriptors_that_are_used_up_are_an_error_and_not_the_end";
    let _watchdog = watchdog();
    if role().is_none() {
        return alone(NAME);
    }
    let forbid = |forbid: bool| set_limit(Resource::RLIMIT_NOFILE, forbid.then_some(10));
    let pool = Pool::builder().workers(2).stderr(Stderr::Keep).build().unwrap();
    let run = Run::of(&pool);
    let mut x = pool.zeros::<f64, _>(1_000).unwrap();
    pool.run(add(&mut x).block_rows(100)).unwrap();
    all_work(&pool);
    // All that are below are in use.
    let mut files = Vec::new();
    wait_until(|| {
        files.push(std::fs::File::open("/dev/null").unwrap());
        std::os::fd::AsRawFd::as_raw_fd(files.last().unwrap()) >= 10
    });
    forbid(true);
    let error = pool.zeros::<f64, _>(1_000).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OutOfSpace, "{error}");
    assert!(error.hint().unwrap().contains("ulimit -n"), "{error:#?}");
    Pool::builder().workers(1).build().unwrap_err();
    let path = std::env::temp_dir().join(format!("ndpool-no-descriptor.{}.npy", std::process::id()));
    x.save_npy(&path).unwrap_err();
    // What needs none works.
    assert_eq!(pool.run(add(&mut x).block_rows(100)).unwrap().0, 2_000.0);
    // A worker cannot be replaced; without workers there are errors, then it works again.
    let all = pool.worker_pids();
    assert!(kill(all[0]));
    wait_until_lost(&pool, &all[..1]);
    assert_eq!(pool.run(add(&mut x).block_rows(100)).unwrap().0, 3_000.0);
    assert!(kill(all[1]));
    wait_until_lost(&pool, &all);
    let error = pool.run(add(&mut x).block_rows(100)).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Start | ErrorKind::Io), "{error:#?}");
    assert_eq!(x.view().sum(), 3_000.0);
    forbid(false);
    assert_eq!(pool.run(add(&mut x).block_rows(100)).unwrap().0, 4_000.0);
    x.save_npy(&path).unwrap();
    std::fs::remove_file(path).unwrap();
    drop((pool, x));
    run.assert_gone();
}

#[ndpool::test]
fn address_space_that_is_used_up_is_an_error_and_not_the_end() {
    const NAME: &str = "address_space_that_is_used_up_is_an_error_and_not_the_end";
    let _watchdog = watchdog();
    if role().is_none() {
        return alone(NAME);
    }
    const MB: usize = 1 << 20;
    let limit = |pid: u32, bytes: Option<u64>| {
        let limit = bytes.unwrap_or(libc::RLIM_INFINITY);
        let limits = libc::rlimit { rlim_cur: limit, rlim_max: libc::RLIM_INFINITY };
        // SAFETY: the limits are read from a valid place; the old ones are not asked for.
        let failed =
            unsafe { libc::prlimit(pid as i32, libc::RLIMIT_AS, &raw const limits, std::ptr::null_mut()) };
        assert_eq!(failed, 0, "{}", std::io::Error::last_os_error());
    };
    let used = |pid: u32| {
        let statm = std::fs::read_to_string(format!("/proc/{pid}/statm")).unwrap();
        statm.split(' ').next().unwrap().parse::<u64>().unwrap() * 4096
    };
    let pool = Pool::builder().workers(2).stderr(Stderr::Keep).build().unwrap();
    let run = Run::of(&pool);
    all_work(&pool);
    let own = std::process::id();
    let mut small = pool.zeros::<f64, _>(1_000).unwrap();
    let mut large = pool.zeros::<f64, _>(128 * MB / 8).unwrap();
    // The supervisor's: arrays that it cannot map.
    limit(own, Some(used(own) + 64 * MB as u64));
    for result in [pool.zeros::<f64, _>(128 * MB / 8), pool.full(128 * MB / 8, 1.0)] {
        let error = result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::OutOfSpace, "{error}");
        assert!(error.hint().unwrap().contains("ulimit -v"), "{error:#?}");
    }
    assert_eq!(pool.run(add(&mut small)).unwrap().0, 1_000.0);
    limit(own, None);
    drop(pool.zeros::<f64, _>(128 * MB / 8).unwrap());
    // The workers': arrays that they cannot map.
    for pid in pool.worker_pids() {
        limit(pid, Some(used(pid) + 64 * MB as u64));
    }
    let error = pool.run(add(&mut large)).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::OutOfSpace | ErrorKind::Segment), "{error:#?}");
    assert!(error.to_string().contains("no address space"), "{error}");
    assert_eq!(pool.run(add(&mut small)).unwrap().0, 2_000.0);
    assert!(large.view().iter().all(|&v| v == 0.0));
    for pid in pool.worker_pids() {
        limit(pid, None);
    }
    assert_eq!(pool.run(add(&mut large)).unwrap().0, (128 * MB / 8) as f64);
    assert_eq!(pool.stats().workers_lost, 0);
    drop((pool, small, large));
    run.assert_gone();
}

#[ndpool::test]
fn a_limit_on_the_size_of_files_is_an_error_and_no_signal() {
    const NAME: &str = "a_limit_on_the_size_of_files_is_an_error_and_no_signal";
    let _watchdog = watchdog();
    if role().is_none() {
        return alone(NAME);
    }
    const MB: usize = 1 << 20;
    for backing in [Backing::Named, Backing::Memfd] {
        set_limit(Resource::RLIMIT_FSIZE, Some(4 * MB as u64));
        // The workers inherit the limit.
        let pool = Pool::builder().workers(2).backing(backing).stderr(Stderr::Keep).build().unwrap();
        let error = pool.zeros::<u8, _>(8 * MB).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::OutOfSpace, "{error}");
        assert!(error.hint().unwrap().contains("ulimit -f"), "{error:#?}");
        // Results that do not fit a worker's spill file: not SIGXFSZ, which nobody could have handled.
        let error = pool.run(repeat(8 * MB)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::OutOfSpace, "{error}");
        assert_eq!(pool.run(repeat(MB)).unwrap().len(), MB);
        assert_eq!(pool.stats().workers_lost, 0);
        set_limit(Resource::RLIMIT_FSIZE, None);
        drop(pool.zeros::<u8, _>(8 * MB).unwrap());
        // The program's own files: what was there stays as it was, and nothing half written beside it.
        let scratch = std::env::temp_dir().join(format!("ndpool-limit.{}", std::process::id()));
        std::fs::create_dir(&scratch).unwrap();
        let path = scratch.join("x.npy");
        let x = pool.full::<u8, _>(8 * MB, 1).unwrap();
        std::fs::write(&path, "old").unwrap();
        set_limit(Resource::RLIMIT_FSIZE, Some(4 * MB as u64));
        let error = x.save_npy(&path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io, "{error}");
        assert!(error.hint().unwrap().contains("ulimit -f"), "{error:#?}");
        set_limit(Resource::RLIMIT_FSIZE, None);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "old");
        assert_eq!(std::fs::read_dir(&scratch).unwrap().count(), 1, "no temporary file is left");
        x.save_npy(&path).unwrap();
        std::fs::remove_dir_all(scratch).unwrap();
        let fresh = Pool::builder().workers(1).build().unwrap();
        assert_eq!(fresh.run(repeat(8 * MB)).unwrap().len(), 8 * MB);
    }
}

#[ndpool::test]
fn a_pool_has_a_worker_for_each_core_of_its_affinity() {
    const NAME: &str = "a_pool_has_a_worker_for_each_core_of_its_affinity";
    let _watchdog = watchdog();
    if role().is_none() {
        return alone(NAME);
    }
    use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
    let this = nix::unistd::Pid::from_raw(0);
    let all = sched_getaffinity(this).unwrap();
    let cpus: Vec<usize> = (0..CpuSet::count()).filter(|&cpu| all.is_set(cpu).unwrap()).collect();
    for n in 1..=cpus.len().min(3) {
        let mut some = CpuSet::new();
        cpus[..n].iter().for_each(|&cpu| some.set(cpu).unwrap());
        sched_setaffinity(this, &some).unwrap();
        let pool = Pool::new().unwrap();
        assert_eq!(pool.n_workers(), n);
        let seen = pool.run(call(|()| std::thread::available_parallelism().unwrap().get(), ())).unwrap();
        assert_eq!(seen, n, "workers inherit it");
    }
}

#[ndpool::test]
fn a_pool_has_no_more_workers_than_its_control_group_has_cores() {
    const NAME: &str = "a_pool_has_no_more_workers_than_its_control_group_has_cores";
    let _watchdog = watchdog();
    if role().is_some() {
        say("here");
        loop {
            match wait_to_be_told().as_str() {
                "count" => say(&Pool::new().unwrap().n_workers().to_string()),
                _ => return,
            }
        }
    }
    let n_cores = std::thread::available_parallelism().unwrap().get();
    let Some(group) = Cgroup::new("cpu") else { return };
    let set_cores = |hundredths: usize| {
        if group.is_v1() {
            group.set("cpu.cfs_period_us", "100000");
            group.set("cpu.cfs_quota_us", &(hundredths * 1_000).to_string());
        } else {
            group.set("cpu.max", &format!("{} 100000", hundredths * 1_000));
        }
    };
    let mut actor = Actor::start(NAME, "member");
    actor.hear();
    group.add(actor.pid());
    for (hundredths, expected) in [(100, 1), (50, 1), (n_cores * 100, n_cores), (n_cores * 1_000, n_cores)] {
        set_cores(hundredths);
        actor.tell("count");
        assert_eq!(actor.hear(), expected.to_string(), "{hundredths} hundredths of a core");
    }
    let (text, status) = actor.let_go();
    assert!(status.success(), "{text}");
}
