//! Goal: what sets containers apart does not confuse pools: neither equal process numbers, nor a `/dev/shm` that several
//! share, nor users that have other numbers there.
//!
//! Method: programs with pools run under `unshare` in PID, IPC and user namespaces of their own, with one `/dev/shm` of the
//! test's in a mount namespace. They reap, are killed with everything in their container at once, and are looked at from
//! their neighbours. Where namespaces are not permitted, the tests print why, and end; with
//! `NDPOOL_TEST_REQUIRE_NAMESPACES` they fail then.

use ndarray::prelude::*;
use ndpool::merge::Sum;
use ndpool::{Backing, Pool, task};
use ndpool_tests::{Actor, Container, Run, kill, role, say, wait_to_be_told, wait_until, watchdog};

#[task]
fn add(mut x: ArrayViewMut1<i64>) -> Sum<i64> {
    x += 1;
    Sum(x.sum())
}

/// Alone in its PID namespace but for what it starts, as a container's program is; killed, all in it die at once.
const PID_NAMESPACE: [&str; 5] = ["--pid", "--fork", "--kill-child", "--mount-proc", "--mount"];

/// A program in a container: has a pool, and does as it is told.
fn play_program() {
    // With one worker all processes and threads up to it are made one after the other: their numbers are always the same.
    let pool = Pool::builder().workers(1).backing(Backing::Named).build().unwrap();
    let mut x = pool.zeros::<i64, _>(100).unwrap();
    let mut n = 0;
    let run = Run::of(&pool);
    let workers: Vec<_> = pool.worker_pids().iter().map(u32::to_string).collect();
    say(&format!("{} {} {}", run.id(), std::process::id(), workers.join(",")));
    loop {
        match wait_to_be_told().as_str() {
            "work" => {
                n += 1;
                assert_eq!(pool.run(add(&mut x).block_rows(10)).unwrap().0, 100 * n);
                assert_eq!(pool.stats().workers_lost, 0);
                say("worked");
            }
            "reap" => {
                let reaped = ndpool::reap(false).unwrap();
                // As every new pool does.
                drop(Pool::builder().workers(1).build().unwrap());
                say(&reaped.len().to_string());
            }
            "list" => {
                let mut runs: Vec<_> = ndpool::list()
                    .unwrap()
                    .into_iter()
                    .map(|info| format!("{}:{}:{}", info.run, info.alive, info.pid.unwrap_or(0)))
                    .collect();
                runs.sort();
                say(&runs.join(" "));
            }
            _ => return,
        }
    }
}

struct Program {
    actor: Actor,
    run: Run,
    pids: String,
}

impl Program {
    fn start(container: &Container, test: &str) -> Self {
        let mut actor = container.start(test, "program");
        let line = actor.hear();
        let (run, pids) = line.split_once(' ').expect("run and process numbers");
        Self { actor, run: Run::named(run), pids: pids.to_owned() }
    }

    fn ask(&mut self, what: &str) -> String {
        self.actor.tell(what);
        self.actor.hear()
    }
}

/// The process that started this one.
fn parent_of(pid: u32) -> u32 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("it lives");
    let after_name = stat.rsplit(')').next().expect("a name in parentheses");
    after_name.split_whitespace().nth(1).expect("state, parent").parse().expect("a number")
}

/// Has the test play its parts in a mount namespace with a `/dev/shm` of its own.
fn in_a_mount_namespace(test: &str) {
    if let Some(container) = Container::with_shared_memory("size=64m") {
        container.play(test, "host");
    }
}

#[ndpool::test]
fn pid_1_of_two_containers_reaps_the_dead_and_spares_the_living() {
    const NAME: &str = "pid_1_of_two_containers_reaps_the_dead_and_spares_the_living";
    let _watchdog = watchdog();
    match role().as_deref() {
        None => return in_a_mount_namespace(NAME),
        Some("host") => {}
        Some(_) => return play_program(),
    }
    let Some(container) = Container::new(&PID_NAMESPACE, "true") else { return };
    let mut one = Program::start(&container, NAME);
    let mut two = Program::start(&container, NAME);
    // The very same numbers, of the supervisors and of their workers.
    assert_eq!(one.pids, two.pids);
    assert!(one.pids.starts_with("1 "), "{}", one.pids);

    // Neither takes the other for dead, from whichever side.
    for _ in 0..3 {
        assert_eq!((one.ask("reap"), two.ask("reap")), ("0".to_owned(), "0".to_owned()));
        assert!(ndpool::reap(false).unwrap().is_empty());
        assert_eq!((one.ask("work"), two.ask("work")), ("worked".to_owned(), "worked".to_owned()));
    }
    let mut expected = [format!("{}:true:1", one.run.id()), format!("{}:true:1", two.run.id())];
    expected.sort();
    assert_eq!(two.ask("list"), expected.join(" "));

    let files = two.run.files();
    assert!(files.len() > 3 && one.run.files().len() == files.len(), "{files:?}");

    // One container dies whole: nobody in it is left to clean up. The other does.
    one.actor.signal(nix::sys::signal::Signal::SIGKILL);
    wait_until(|| {
        two.ask("reap");
        one.run.files().is_empty()
    });
    assert_eq!(two.ask("list"), format!("{}:true:1", two.run.id()));
    assert_eq!(two.run.files(), files);
    assert_eq!(two.ask("work"), "worked");

    // A third, with the same numbers again, reaps the second.
    two.actor.signal(nix::sys::signal::Signal::SIGKILL);
    let mut three = Program::start(&container, NAME);
    assert_eq!(three.pids, two.pids);
    wait_until(|| {
        three.ask("reap");
        two.run.files().is_empty()
    });
    assert_eq!(three.ask("work"), "worked");
    // Told nothing more, it ends by itself and takes all along.
    let run = three.run.clone();
    let (text, status) = three.actor.let_go();
    assert!(status.success(), "{text}");
    assert_eq!(run.files(), [""; 0]);
    assert_eq!(std::fs::read_dir("/dev/shm").unwrap().count(), 0);
}

#[ndpool::test]
fn a_supervisor_that_is_killed_in_its_container_leaves_nothing_to_the_neighbour() {
    const NAME: &str = "a_supervisor_that_is_killed_in_its_container_leaves_nothing_to_the_neighbour";
    let _watchdog = watchdog();
    match role().as_deref() {
        None => return in_a_mount_namespace(NAME),
        Some("host") => {}
        Some(_) => return play_program(),
    }
    // Not PID 1 but its child, as under an init: the workers outlive their supervisor for a moment, and reap.
    let init = "[ \"$0\" = true ] || { \"$0\" \"$@\"; exec sleep 1000; }";
    let Some(container) = Container::new(&PID_NAMESPACE, init) else { return };
    let Some(neighbours) = Container::new(&PID_NAMESPACE, "true") else { return };
    let mut neighbour = Program::start(&neighbours, NAME);
    let program = Program::start(&container, NAME);
    assert!(!program.pids.starts_with("1 "), "{}", program.pids);
    // As this namespace numbers it.
    let supervisor = parent_of(program.run.processes()[0]);
    assert!(kill(supervisor));
    // By the workers alone: nobody else looks.
    program.run.wait_until_gone();
    assert_eq!(neighbour.ask("work"), "worked");
    assert_eq!(neighbour.ask("list"), format!("{}:true:1", neighbour.run.id()));
}

#[ndpool::test]
fn a_pool_works_in_an_ipc_namespace() {
    const NAME: &str = "a_pool_works_in_an_ipc_namespace";
    let _watchdog = watchdog();
    if role().is_some() {
        return play_program();
    }
    let Some(container) = Container::new(&["--ipc", "--uts"], "true") else { return };
    let mut inside = Program::start(&container, NAME);
    assert_eq!(inside.ask("work"), "worked");
    // `/dev/shm` belongs to the mount namespace, not to that of System V's memory: each sees the other, and lets it live.
    let pool = Pool::builder().workers(1).build().unwrap();
    let run = Run::of(&pool);
    assert!(inside.ask("list").contains(run.id()));
    inside.ask("reap");
    ndpool::reap(false).unwrap();
    assert_eq!(inside.ask("work"), "worked");
    let mut x = pool.zeros::<i64, _>(10).unwrap();
    assert_eq!(pool.run(add(&mut x)).unwrap().0, 10);
    let inside_run = inside.run.clone();
    drop(inside);
    inside_run.wait_until_gone();
    drop((pool, x));
    run.assert_gone();
}

#[ndpool::test]
fn users_with_other_numbers_in_a_user_namespace_have_pools_too() {
    const NAME: &str = "users_with_other_numbers_in_a_user_namespace_have_pools_too";
    let _watchdog = watchdog();
    if role().is_some() {
        return play_program();
    }
    let outside = Pool::builder().workers(1).build().unwrap();
    let run = Run::of(&outside);
    let mut x = outside.zeros::<i64, _>(10).unwrap();
    // The user of the outside as root, and as somebody.
    for mapping in [&["--user", "--map-root-user"][..], &["--user", "--map-user=4321"]] {
        let Some(container) = Container::new(mapping, "true") else { return };
        let mut inside = Program::start(&container, NAME);
        assert_eq!(inside.ask("work"), "worked");
        assert_eq!(inside.ask("reap"), "0", "{mapping:?}");
        assert!(
            ndpool::list().unwrap().iter().any(|info| info.alive && info.run.to_string() == inside.run.id())
        );
        ndpool::reap(false).unwrap();
        assert_eq!(inside.ask("work"), "worked");
        assert!(outside.run(add(&mut x)).unwrap().0 > 0);
        let inside_run = inside.run.clone();
        drop(inside);
        inside_run.wait_until_gone();
    }
    drop((outside, x));
    run.assert_gone();
}
