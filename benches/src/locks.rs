//! How long does it take to lock and unlock where nobody else wants the lock, and to wake a process that waits for an event?
//!
//! The peers of the lock are glibc's mutexes in shared memory: the plain one, which nobody gets who waits for the dead, and the robust
//! one, which is told of them. That of the event is two processes that wake each other with a futex, each asleep when its turn comes, on a
//! core each, as in `noop_parked`.

use crate::affinity::Affinity;
use crate::bare::{Bare, Role, Shared, die_with_parent, futex_wait, futex_wake};
use crate::measure::{Pair, in_turns};
use crate::noop_parked::{SLEEP, wait_until_asleep};
use crate::row::{Goal, Question, Skipped, Unit};
use ndpool::shared::{Event, Mutex};
use std::hint::black_box;
use std::mem::MaybeUninit;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

pub(crate) const LOCK: Question = Question {
    name: "lock_unlock",
    peer_name: "process-shared pthread mutex",
    goal: Goal::Ratio(1.2),
    unit: Unit::Nanoseconds,
    measure: || measure_lock(false),
};

pub(crate) const VS_ROBUST: Question = Question {
    name: "lock_unlock_vs_robust",
    peer_name: "process-shared robust pthread mutex",
    measure: || measure_lock(true),
    ..LOCK
};

pub(crate) const EVENT: Question = Question {
    name: "event_wake",
    peer_name: "two processes that wake each other with a futex",
    goal: Goal::Ratio(1.15),
    unit: Unit::Microseconds,
    measure: measure_event,
};

/// Sleeps until one event is set, and sets another.
pub(crate) const ANSWER_EVENT: Role = Role { name: "answer-event", play: answer };

const N_LOCK_RUNS: usize = 301;
/// Turns of one run.
const N_TURNS: usize = 100_000;
const N_EVENT_RUNS: usize = 501;

fn measure_lock(is_robust: bool) -> Result<Pair, Skipped> {
    let ours = Mutex::<f64, _>::create(&format!("bench_lock_{}", std::process::id()), 1000)?;
    let memory = Shared::new(4096)?;
    let peer = PthreadMutex::new(&memory, is_robust)?;
    let pair = in_turns(
        N_LOCK_RUNS,
        || {
            let start = Instant::now();
            for _ in 0..N_TURNS {
                drop(black_box(black_box(&ours).lock().map_err(ndpool::Error::from)?));
            }
            Ok(start.elapsed())
        },
        || {
            let start = Instant::now();
            for _ in 0..N_TURNS {
                black_box(&peer).lock_and_unlock()?;
            }
            Ok(start.elapsed())
        },
    )?;
    Ok(pair.per_item(N_TURNS, N_TURNS))
}

/// The mutex that the system offers.
struct PthreadMutex(*mut libc::pthread_mutex_t);

impl PthreadMutex {
    fn new(memory: &Shared, is_robust: bool) -> Result<Self, Skipped> {
        let mutex: *mut libc::pthread_mutex_t = memory.words().as_ptr().cast_mut().cast();
        let mut attributes = MaybeUninit::uninit();
        let attributes = attributes.as_mut_ptr();
        // SAFETY: the place is a local.
        check(unsafe { libc::pthread_mutexattr_init(attributes) })?;
        // SAFETY: they were initialised.
        check(unsafe { libc::pthread_mutexattr_setpshared(attributes, libc::PTHREAD_PROCESS_SHARED) })?;
        if is_robust {
            // SAFETY: as before.
            check(unsafe { libc::pthread_mutexattr_setrobust(attributes, libc::PTHREAD_MUTEX_ROBUST) })?;
        }
        // SAFETY: the mutex lies at the start of a page of its own, which is mapped for writing as long as the memory.
        check(unsafe { libc::pthread_mutex_init(mutex, attributes) })?;
        Ok(Self(mutex))
    }

    fn lock_and_unlock(&self) -> Result<(), Skipped> {
        // SAFETY: it was initialised, and its memory is kept by the caller.
        check(unsafe { libc::pthread_mutex_lock(self.0) })?;
        // SAFETY: this thread has just locked it.
        check(unsafe { libc::pthread_mutex_unlock(self.0) })
    }
}

fn check(code: libc::c_int) -> Result<(), Skipped> {
    if code == 0 { Ok(()) } else { Err(std::io::Error::from_raw_os_error(code).into()) }
}

fn measure_event() -> Result<Pair, Skipped> {
    let names = ["go", "done"].map(|what| format!("bench_event_{what}_{}", std::process::id()));
    let (go, done) = (Event::create(&names[0])?, Event::create(&names[1])?);
    let ours = Bare::start(ANSWER_EVENT, &names)?;
    let memory = Shared::new(0)?;
    let theirs = Bare::start(SLEEP, &[memory.path()])?;
    let (question, answer) = (memory.word(0), memory.word(1));
    let cores = Affinity::of_caller()?;
    cores.pin(ours.pid(), 0)?;
    cores.pin(theirs.pid(), 0)?;
    let _caller = cores.pin_caller(1)?;
    let mut n = 0;
    // The first answer says that the events are attached.
    done.wait();
    let pair = in_turns(
        N_EVENT_RUNS,
        || {
            done.clear();
            wait_until_asleep(ours.pid())?;
            let start = Instant::now();
            go.set();
            done.wait();
            Ok(start.elapsed())
        },
        || {
            wait_until_asleep(theirs.pid())?;
            n += 1;
            let start = Instant::now();
            futex_wake(question, n);
            while answer.load(Ordering::Acquire) != n {
                futex_wait(answer, n - 1);
            }
            Ok::<Duration, Skipped>(start.elapsed())
        },
    )?;
    Ok(pair.by_median())
}

fn answer(args: &[String]) -> Result<(), Skipped> {
    die_with_parent();
    let [go, done] = args else { return Err(Skipped("needs two events".to_owned())) };
    let (go, done) = (Event::attach(go)?, Event::attach(done)?);
    loop {
        done.set();
        go.wait();
        go.clear();
    }
}
