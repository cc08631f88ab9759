//! Goal: what a `Mutex` protects is changed by one at a time, of all threads of all processes; the death of a holder is told, and that of
//! anybody else is nobody's business; nobody starves.
//!
//! Method: processes that add to every element of an array, killed in the middle of it or at random; holders that are stopped, killed,
//! panic or fork; waiters that are killed in their sleep; a process that queues among others that hardly ever let go. Sums, counts of
//! turns and of poison are compared, never times.

use ndarray::prelude::*;
use ndpool::shared::{LockError, Mutex, Options};
use ndpool_tests::{Actor, Random, kill, role, say, stop, wait_until, watchdog};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::signal::{Signal, raise};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, Pid, fork};
use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// A name that no other test has.
fn name(of: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("test_{of}_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// What an actor is told: a word, and the name of a mutex.
fn part() -> Option<(String, String)> {
    let role = role()?;
    let (part, name) = role.split_once(' ').expect("a part and a name");
    Some((part.to_owned(), name.to_owned()))
}

const N_PROCESSES: usize = 4;
const N_ADDITIONS: i64 = 100;
const N_ELEMENTS: usize = 10_000;

#[test]
fn additions_of_four_processes_are_exact() {
    const TEST: &str = "additions_of_four_processes_are_exact";
    let _watchdog = watchdog();
    if let Some((_, name)) = part() {
        let x = Mutex::<i64, Ix1>::attach(&name).unwrap();
        for _ in 0..N_ADDITIONS {
            *x.lock().unwrap() += 1;
        }
        return;
    }
    let name = name("additions");
    let x = Mutex::<i64, _>::create(&name, N_ELEMENTS).unwrap();
    let actors: Vec<_> = (0..N_PROCESSES).map(|_| Actor::start(TEST, &format!("adds {name}"))).collect();
    for actor in actors {
        assert!(actor.wait().1.success());
    }
    let expected = N_PROCESSES as i64 * N_ADDITIONS;
    assert!(x.lock().unwrap().iter().all(|&x| x == expected));
}

#[test]
fn additions_to_overlapping_rows_are_exact() {
    const TEST: &str = "additions_to_overlapping_rows_are_exact";
    let _watchdog = watchdog();
    const N_ROWS: usize = 90;
    let ranges = |seed: u64| {
        let mut random = Random::new(seed);
        (0..300).map(move |_| {
            let start = random.below(0..N_ROWS as u64) as usize;
            start..random.below(start as u64..N_ROWS as u64) as usize + 1
        })
    };
    if let Some((seed, name)) = part() {
        let x = Mutex::<i64, Ix2>::attach(&name).unwrap();
        for rows in ranges(seed.parse().unwrap()) {
            *x.lock_rows(rows).unwrap() += 1;
        }
        return;
    }
    let name = name("rows");
    let x = Mutex::<i64, _>::create_striped(&Options::new(), &name, (N_ROWS, 50), 7).unwrap();
    let actors: Vec<_> = (0..4).map(|seed| Actor::start(TEST, &format!("{seed} {name}"))).collect();
    for actor in actors {
        assert!(actor.wait().1.success());
    }
    let mut expected = Array2::<i64>::zeros((N_ROWS, 50));
    for rows in (0..4).flat_map(ranges) {
        expected.slice_mut(s![rows, ..]).map_inplace(|x| *x += 1);
    }
    assert_eq!(*x.lock().unwrap(), *expected);
}

/// Where in the array of the next test things are: additions that each process has completed, how often poison was found, then the data.
const DONE: Range<usize> = 0..N_PROCESSES;
const N_POISONED: usize = N_PROCESSES;
const DATA: usize = N_PROCESSES + 1;

/// Locks, and undoes what a dead holder has left half done: each addition that was completed is counted, so the data are known.
fn lock_and_mend(x: &Mutex<i64, Ix1>) -> ndpool::shared::MutexGuard<'_, i64, Ix1> {
    match x.lock() {
        Ok(guard) => guard,
        Err(LockError::Poisoned(mut poisoned)) => {
            let guard = poisoned.guard_mut();
            let n_done = guard.slice(s![DONE]).sum();
            guard.slice_mut(s![DATA..]).fill(n_done);
            guard[N_POISONED] += 1;
            poisoned.recover()
        }
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn additions_that_were_completed_count_though_holders_are_killed() {
    const TEST: &str = "additions_that_were_completed_count_though_holders_are_killed";
    let _watchdog = watchdog();
    if let Some((part, name)) = part() {
        let (process, life) = part.split_once('-').unwrap();
        let (process, life): (usize, u64) = (process.parse().unwrap(), life.parse().unwrap());
        let mut random = Random::new(1000 * process as u64 + life);
        let x = Mutex::<i64, Ix1>::attach(&name).unwrap();
        loop {
            let mut guard = lock_and_mend(&x);
            if guard[process] == N_ADDITIONS {
                return;
            }
            // Every tenth addition ends a life, but nobody dies for ever.
            let dies = life < 12 && random.below(0..10) == 0;
            let n_written = if dies { random.below(0..N_ELEMENTS as u64) as usize } else { N_ELEMENTS };
            guard.slice_mut(s![DATA..DATA + n_written]).map_inplace(|x| *x += 1);
            if dies {
                raise(Signal::SIGKILL).unwrap();
            }
            guard[process] += 1;
        }
    }
    let name = name("killed");
    let x = Mutex::<i64, _>::create(&name, DATA + N_ELEMENTS).unwrap();
    let n_deaths: i64 = std::thread::scope(|scope| {
        let lives: Vec<_> = (0..N_PROCESSES)
            .map(|process| {
                let name = &name;
                scope.spawn(move || {
                    let mut n_deaths = 0;
                    while !Actor::start(TEST, &format!("{process}-{n_deaths} {name}")).wait().1.success() {
                        n_deaths += 1;
                    }
                    n_deaths
                })
            })
            .collect();
        lives.into_iter().map(|life| life.join().unwrap()).sum()
    });
    let guard = lock_and_mend(&x);
    assert!(guard.slice(s![DONE]).iter().all(|&done| done == N_ADDITIONS));
    assert!(guard.slice(s![DATA..]).iter().all(|&x| x == N_PROCESSES as i64 * N_ADDITIONS));
    assert!(n_deaths > N_PROCESSES as i64, "this test is about deaths");
    assert_eq!(guard[N_POISONED], n_deaths, "each death under the lock is told once");
}

#[test]
fn random_kills_leave_a_lock_that_can_be_had() {
    const TEST: &str = "random_kills_leave_a_lock_that_can_be_had";
    let _watchdog = watchdog();
    if let Some((_, name)) = part() {
        let x = Mutex::<i64, Ix1>::attach(&name).unwrap();
        say("adds");
        loop {
            let mut guard = lock_and_mend(&x);
            guard.slice_mut(s![DATA..]).map_inplace(|x| *x += 1);
            guard[0] += 1;
        }
    }
    let name = name("random");
    let x = Mutex::<i64, _>::create(&name, DATA + 100).unwrap();
    let mut random = Random::new(41);
    let mut actors: Vec<_> = (0..3).map(|_| Actor::start(TEST, &format!("adds {name}"))).collect();
    for _ in 0..60 {
        let victim = random.below(0..3) as usize;
        let _ = actors[victim].hear();
        // As many turns later as chance decides; the lock tells of a turn by being had.
        for _ in 0..random.below(0..20) {
            let guard = lock_and_mend(&x);
            assert!(guard.slice(s![DATA..]).iter().all(|&x| x == guard[0]));
        }
        assert!(kill(actors[victim].pid()));
        actors[victim] = Actor::start(TEST, &format!("adds {name}"));
    }
    drop(actors);
    let guard = lock_and_mend(&x);
    assert!(guard.slice(s![DATA..]).iter().all(|&x| x == guard[0]));
}

/// Locks and says so, then waits to be told to go.
fn hold(name: &str) {
    let x = Mutex::<i64, Ix1>::attach(name).unwrap();
    let guard = x.lock().unwrap();
    say("holds");
    ndpool_tests::wait_to_be_told();
    drop(guard);
    say("gave back");
    ndpool_tests::wait_to_be_told();
}

#[test]
fn a_stopped_holder_is_waited_for_and_a_dead_one_is_told_of() {
    const TEST: &str = "a_stopped_holder_is_waited_for_and_a_dead_one_is_told_of";
    let _watchdog = watchdog();
    if let Some((_, name)) = part() {
        return hold(&name);
    }
    let name = name("stopped");
    let x = Mutex::<i64, _>::create_striped(&Options::new(), &name, 10, 3).unwrap();
    let start = || {
        let mut holder = Actor::start(TEST, &format!("holds {name}"));
        assert_eq!(holder.hear(), "holds");
        holder
    };
    let mut holder = start();
    assert!(matches!(x.try_lock(), Err(LockError::Held)) && x.is_locked());
    assert!(matches!(x.lock_timeout(Duration::from_millis(10)), Err(LockError::Held)));
    holder.tell("go");
    assert_eq!(holder.hear(), "gave back");
    drop(x.try_lock().unwrap());
    drop(holder);

    let holder = start();
    stop(holder.pid());
    // Longer than a nap: its death would have been noticed.
    assert!(matches!(x.lock_timeout(Duration::from_millis(200)), Err(LockError::Held)));
    assert!(kill(holder.pid()));
    let (_, status) = holder.wait();
    assert!(!status.success());
    let Err(LockError::Poisoned(poisoned)) = x.try_lock() else { panic!("its death is told at once") };
    assert_eq!(poisoned.rows(), [0..4, 4..8, 8..10]);
    assert!(LockError::Poisoned(poisoned).to_string().contains("died"));
    let Err(LockError::Poisoned(poisoned)) = x.lock_rows(3..5) else { panic!("nobody has recovered it") };
    assert_eq!(poisoned.rows(), [3..4, 4..5]);
    drop(poisoned.recover());
    assert!(x.lock_rows(..8).is_ok(), "these were put right");
    let Err(LockError::Poisoned(poisoned)) = x.lock() else { panic!("the last were not") };
    assert!(matches!(&poisoned.rows()[..], [rows] if *rows == (8..10)));
}

#[test]
fn who_waits_for_a_holder_that_dies_has_the_lock() {
    const TEST: &str = "who_waits_for_a_holder_that_dies_has_the_lock";
    let _watchdog = watchdog();
    if let Some((_, name)) = part() {
        return hold(&name);
    }
    let name = name("dies");
    let x = Mutex::<i64, _>::create(&name, 10).unwrap();
    for _ in 0..5 {
        let mut holder = Actor::start(TEST, &format!("holds {name}"));
        assert_eq!(holder.hear(), "holds");
        std::thread::scope(|scope| {
            // One that comes before the death and one that may come after.
            let waiters = [(); 2].map(|()| scope.spawn(|| x.lock().map(drop).is_err()));
            assert!(kill(holder.pid()));
            let told = waiters.map(|waiter| waiter.join().unwrap());
            assert_eq!(told, [true; 2], "poison stays until somebody recovers");
        });
        drop(holder.wait());
        let Err(LockError::Poisoned(poisoned)) = x.lock() else { panic!("it is poisoned") };
        drop(poisoned.recover());
    }
}

#[test]
fn a_seat_of_the_dead_passes_on_without_its_locks() {
    const TEST: &str = "a_seat_of_the_dead_passes_on_without_its_locks";
    let _watchdog = watchdog();
    if let Some((_, name)) = part() {
        return hold(&name);
    }
    let name = name("seat");
    let x = Mutex::<i64, _>::create(&name, 10).unwrap();
    for _ in 0..5 {
        let mut holder = Actor::start(TEST, &format!("holds {name}"));
        assert_eq!(holder.hear(), "holds");
        assert!(kill(holder.pid()));
        drop(holder.wait());
        // The next handle gets the lowest number, which is the one that the word names.
        let newcomer = Mutex::<i64, Ix1>::attach(&name).unwrap();
        let Err(LockError::Poisoned(poisoned)) = newcomer.lock() else { panic!("it is poisoned") };
        let guard = poisoned.recover();
        assert!(matches!(x.try_lock(), Err(LockError::Held)), "the newcomer lives");
        drop(guard);
        assert!(x.try_lock().is_ok());
    }
}

#[test]
fn waiters_that_die_are_in_nobodys_way() {
    const TEST: &str = "waiters_that_die_are_in_nobodys_way";
    let _watchdog = watchdog();
    if let Some((_, name)) = part() {
        let x = Mutex::<i64, Ix1>::attach(&name).unwrap();
        say(&nix::unistd::gettid().to_string());
        *x.lock().unwrap() += 1;
        return;
    }
    let name = name("waiters");
    let x = Mutex::<i64, _>::create(&name, 1).unwrap();
    let guard = x.lock().unwrap();
    let mut waiters: Vec<_> = (0..3).map(|_| Actor::start(TEST, &format!("waits {name}"))).collect();
    for waiter in &mut waiters {
        let thread = waiter.hear();
        wait_until(|| is_in_futex(waiter.pid(), &thread));
    }
    let living = waiters.pop().unwrap();
    for waiter in waiters {
        assert!(kill(waiter.pid()));
        drop(waiter.wait());
    }
    drop(guard);
    // Often enough that the lock is reserved for the dead, more than once.
    for _ in 0..5000 {
        *x.lock().unwrap() += 1;
    }
    assert!(living.wait().1.success());
    assert_eq!(x.lock().unwrap()[0], 5001);
}

/// Whether a thread is in the call in which it sleeps.
fn is_in_futex(pid: u32, thread: &str) -> bool {
    let call = std::fs::read_to_string(format!("/proc/{pid}/task/{thread}/syscall")).unwrap_or_default();
    call.split(' ').next() == Some(&libc::SYS_futex.to_string())
}

/// Keeps this thread on a core, so that who wakes somebody is not put aside for it. With one core, or fewer rights, everybody does.
fn pin_to(core: usize) {
    let mut cores = CpuSet::new();
    if cores.set(core).is_ok() {
        let _ = sched_setaffinity(Pid::from_raw(0), &cores);
    }
}

#[test]
fn nobody_starves() {
    const TEST: &str = "nobody_starves";
    let _watchdog = watchdog();
    if let Some((_, name)) = part() {
        pin_to(0);
        let turns = Mutex::<u64, Ix1>::attach(&name).unwrap();
        say("hogs");
        loop {
            let mut guard = turns.lock().unwrap();
            guard[0] += 1;
            // Some tenths of a millisecond; and as good as no time until the next turn.
            for _ in 0..20_000 {
                std::hint::spin_loop();
            }
            if guard[1] == 1 {
                return;
            }
        }
    }
    /// Turns of this process.
    const N_TURNS: u64 = 20;
    /// The other may have so many for each of them. With luck alone it is a thousand: who is woken comes while the lock is held, but once in
    /// as many turns as the moment between two is shorter than a turn.
    const MOST_BETWEEN: u64 = 100;
    pin_to(1);
    let name = name("starves");
    let turns = Mutex::<u64, _>::create(&name, 2).unwrap();
    let mut hog = Actor::start(TEST, &format!("hogs {name}"));
    assert_eq!(hog.hear(), "hogs");
    let first = turns.lock().unwrap()[0];
    let mut last = first;
    for _ in 0..N_TURNS {
        // It is to queue, not to come by chance.
        while !turns.is_locked() {
            std::thread::yield_now();
        }
        last = turns.lock().unwrap()[0];
    }
    turns.lock().unwrap()[1] = 1;
    assert!(hog.wait().1.success());
    let n_between = last - first;
    println!("{n_between} turns of the other for {N_TURNS}");
    assert!(n_between < N_TURNS * MOST_BETWEEN, "{n_between} turns of the other for {N_TURNS}");
}

#[test]
fn threads_exclude_each_other_by_one_handle_and_by_two() {
    let _watchdog = watchdog();
    let name = name("threads");
    let x = Mutex::<u64, _>::create_striped(&Options::new(), &name, (6, 2), 3).unwrap();
    let other = Mutex::<u64, Ix2>::attach(&name).unwrap();
    std::thread::scope(|scope| {
        for handle in [&x, &x, &other] {
            scope.spawn(move || {
                for _ in 0..2000 {
                    *handle.lock().unwrap() += 1;
                    *handle.lock_rows(1..3).unwrap() += 1;
                }
            });
        }
    });
    assert_eq!(x.lock().unwrap().column(0).to_vec(), [6000, 12000, 12000, 6000, 6000, 6000]);

    let upper = x.lock_rows(..2).unwrap();
    let lower = x.lock_rows(2..).unwrap();
    assert!(matches!(x.lock_rows(1..2), Err(LockError::Deadlock)), "this thread has them");
    assert!(matches!(x.lock(), Err(LockError::Deadlock)));
    assert!(matches!(other.lock_rows_timeout(5.., Duration::ZERO), Err(LockError::Held)));
    std::thread::scope(|scope| {
        let held = scope.spawn(|| matches!(x.try_lock(), Err(LockError::Held)));
        assert!(held.join().unwrap(), "another thread has not");
    });
    drop(lower);
    assert!(other.lock_rows_timeout(2.., Duration::ZERO).is_ok());
    drop(upper);
    assert!(other.try_lock().is_ok());
    assert_eq!(x.lock_rows(3..3).unwrap().shape(), [0, 2]);
}

#[test]
fn what_a_thread_forgot_is_held_and_not_another_threads() {
    let x = Mutex::<u8, _>::create(&name("forgotten"), 4).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| std::mem::forget(x.lock().unwrap()));
    });
    // A thread that comes later may have the memory of the one that is gone.
    for _ in 0..20 {
        std::thread::scope(|scope| {
            let held = scope.spawn(|| matches!(x.try_lock(), Err(LockError::Held)));
            assert!(held.join().unwrap());
        });
    }
}

#[test]
fn what_is_done_to_a_guards_view_ends_with_the_guard() {
    let x = Mutex::<u64, _>::create_striped(&Options::new(), &name("views"), (6, 2), 3).unwrap();
    let mut upper = x.lock_rows(..2).unwrap();
    upper.row_mut(1).fill(7);
    upper.invert_axis(Axis(0));
    assert_eq!((upper[(0, 0)], upper.rows()), (7, 0..2));
    // Guards without a lock are in nobody's way.
    let nothing = [x.lock_rows(1..1).unwrap(), x.lock_rows(6..).unwrap()];
    assert!(nothing.iter().all(|guard| guard.is_empty()));
    drop((upper, nothing));
    assert_eq!(x.lock_rows(..2).unwrap().column(0).to_vec(), [0, 7]);
    let mut all = x.lock().unwrap();
    all.collapse_axis(Axis(0), 1);
    assert_eq!(all.shape(), [1, 2]);
    drop(all);
    assert_eq!(x.lock().unwrap().column(0).to_vec(), [0, 7, 0, 0, 0, 0]);

    // What handles keep for their guards makes them no less fit to be shared.
    fn is_shared<T: Send + Sync + std::panic::RefUnwindSafe + std::panic::UnwindSafe>(_: &T) {}
    is_shared(&x);
    let deep = Mutex::<u8, _>::create(&name("deep"), IxDyn(&[2, 1, 2, 1, 2, 1, 2])).unwrap();
    for _ in 0..3 {
        deep.lock().unwrap().fill(1);
    }
    assert_eq!(deep.lock().unwrap().shape(), [2, 1, 2, 1, 2, 1, 2]);
}

#[test]
fn a_panic_under_the_guard_poisons_and_one_before_does_not() {
    let name = name("panics");
    let x = Mutex::<u8, _>::create(&name, 4).unwrap();
    let panics = |work: &(dyn Fn() + Sync)| {
        std::thread::scope(|scope| assert!(scope.spawn(work).join().is_err()));
    };
    panics(&|| {
        let _guard = x.lock().unwrap();
        panic!("under the guard");
    });
    let Err(LockError::Poisoned(poisoned)) = x.lock() else { panic!("it is poisoned") };
    drop(poisoned.into_guard());
    let Err(LockError::Poisoned(poisoned)) = x.lock() else { panic!("still") };
    drop(poisoned.recover());
    struct LocksAtTheEnd<'a>(&'a Mutex<u8, Ix1>);
    impl Drop for LocksAtTheEnd<'_> {
        fn drop(&mut self) {
            self.0.lock().unwrap()[0] = 7;
        }
    }
    panics(&|| {
        let _last = LocksAtTheEnd(&x);
        panic!("before");
    });
    assert_eq!(x.lock().unwrap()[0], 7);
}

#[test]
fn a_forked_child_gives_nothing_back() {
    const TEST: &str = "a_forked_child_gives_nothing_back";
    let _watchdog = watchdog();
    if let Some((_, name)) = part() {
        let x = Mutex::<i64, Ix1>::attach(&name).unwrap();
        let guard = x.lock().unwrap();
        // SAFETY: the child drops a guard, which is what is tested, and ends; it takes no lock that another thread might hold.
        match unsafe { fork() }.unwrap() {
            ForkResult::Child => {
                drop(guard);
                let is_refused = matches!(x.lock(), Err(LockError::Forked));
                // SAFETY: no pointers, and it does not return.
                unsafe { libc::_exit((!is_refused).into()) }
            }
            ForkResult::Parent { child } => {
                say(&format!("{:?}", waitpid(child, None).unwrap()));
                ndpool_tests::wait_to_be_told();
                drop(guard);
            }
        }
        return;
    }
    let name = name("forked");
    let x = Mutex::<i64, _>::create(&name, 4).unwrap();
    let mut parent = Actor::start(TEST, &format!("forks {name}"));
    let end = parent.hear();
    assert!(end.starts_with("Exited(") && end.ends_with(", 0)"), "{end}");
    assert!(matches!(x.try_lock(), Err(LockError::Held)));
    assert!(parent.let_go().1.success());
    assert!(x.try_lock().is_ok());
}

#[test]
fn what_is_no_such_mutex_is_refused() {
    let name = name("refused");
    let x = Mutex::from_array(&Options::new(), &name, &array![[true, false], [false, true]], 2).unwrap();
    assert_eq!(*x.lock().unwrap(), *array![[true, false], [false, true]]);
    assert_eq!((x.shape(), x.n_rows(), x.n_stripes(), x.rows_per_stripe()), (&[2, 2][..], 2, 2, 1));
    assert!(Mutex::<bool, Ix1>::attach(&name).unwrap_err().to_string().contains("2 axes"));
    assert!(Mutex::<u8, Ix2>::attach(&name).unwrap_err().to_string().contains("type"));
    let read_only = Options::new().read_only(true);
    assert_eq!(
        Mutex::<bool, Ix2>::attach_with(&read_only, &name).unwrap_err().kind(),
        ndpool::ErrorKind::InvalidArgument
    );
    assert_eq!(Mutex::<bool, IxDyn>::attach(&name).unwrap().lock().unwrap().shape(), [2, 2]);
    assert!(Mutex::<u8, _>::create_striped(&Options::new(), &(name.clone() + "x"), 3, 57).is_err());
    assert!(Mutex::<u8, _>::create(&name, 3).is_err(), "the name is taken");
}
