//! Goal: telling of a death harms nothing: no sweep, no job and no thread of the pool waits for what the user's code does while it
//! is shown, and none ends of it.
//!
//! Method: arguments whose `Debug` waits for the caller, panics, panics twice or overflows a stack; a caller that holds stderr; listeners
//! to events that wait for the caller or panic. The job must end as it would have, and the pool work on.

use ndpool::{ErrorKind, Pool, Stderr, task};
use ndpool_tests::{Actor, End, Grudge, Listener, role, watchdog};
use serde::{Deserialize, Serialize};
use std::sync::Mutex;

#[task]
fn alone(end: Option<End>) -> u32 {
    if let Some(end) = end {
        end.happen();
    }
    7
}

fn pool(workers: usize) -> Pool {
    Pool::builder().workers(workers).stderr(Stderr::Keep).build().unwrap()
}

/// Held by a test while its job runs.
static WANTED: Mutex<()> = Mutex::new(());

/// Its `Debug` wants what the caller holds.
#[derive(Clone, Serialize, Deserialize)]
struct Shy;

impl std::fmt::Debug for Shy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let _wanted = WANTED.lock();
        f.write_str("shy")
    }
}

/// Panics when it is shown, and once more when that panic's payload is dropped.
#[derive(Clone, Serialize, Deserialize)]
struct Explosive;

impl std::fmt::Debug for Explosive {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::panic::panic_any(Grudge("a payload was dropped"))
    }
}

/// As deep as it was made.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Deep(Option<Box<Deep>>);

#[task]
fn shy_ends(shy: Shy, n: u32) {
    let _ = (shy, n);
    std::process::abort();
}

#[task]
fn explosive_ends(explosive: Explosive) {
    let _ = explosive;
    std::process::abort();
}

#[task]
fn deep_ends(deep: Deep) {
    std::mem::forget(deep);
    std::process::abort();
}

#[ndpool::test]
fn an_argument_whose_debug_waits_for_the_caller_holds_up_no_sweep() {
    let _watchdog = watchdog();
    let pool = pool(1);
    let wanted = WANTED.lock().unwrap();
    let error = pool.run(shy_ends(Shy, 3).attempts(2)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WorkerLost, "{error}");
    let deaths = pool.deaths();
    assert_eq!(deaths.len(), 2);
    for death in &deaths {
        let arguments = &death.block.as_ref().unwrap().arguments;
        assert_eq!(arguments[0].to_string(), "shy = (telling_of_deaths_harms_nothing::Shy, not shown)");
        assert_eq!(arguments[1].to_string(), "n = (u32, not shown)");
    }
    assert_eq!(pool.run(alone(None)).unwrap(), 7);
    drop(wanted);
}

#[ndpool::test]
fn a_caller_that_holds_stderr_is_not_waited_for_with_a_dead_workers_lines() {
    let _watchdog = watchdog();
    let pool = Pool::builder().workers(1).stderr(Stderr::Forward).build().unwrap();
    let held = std::io::stderr().lock();
    let error = pool.run(alone(Some(End::StackOverflow)).attempts(1)).unwrap_err();
    drop(held);
    assert!(!error.death().unwrap().stderr.is_empty(), "{error}");
}

#[ndpool::test]
fn a_panic_of_an_argument_that_panics_again_ends_no_thread_of_the_pool() {
    let _watchdog = watchdog();
    let pool = pool(1);
    let error = pool.run(explosive_ends(Explosive).attempts(1)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WorkerLost, "{error}");
    let death = error.death().unwrap();
    let argument = death.block.as_ref().unwrap().arguments[0].to_string();
    assert!(argument.contains("panicked"), "{argument}");
    assert_eq!(pool.run(alone(None)).unwrap(), 7);
}

#[ndpool::test]
fn an_argument_that_is_deeper_than_a_threads_stack_is_survived() {
    let _watchdog = watchdog();
    let test = || {
        let pool = pool(1);
        for depth in [20_000, 60_000] {
            let mut deep = Deep(None);
            for _ in 0..depth {
                deep = Deep(Some(Box::new(deep)));
            }
            // By its own recursion in the worker, or by the task.
            let error = pool.run(deep_ends(deep).attempts(1)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::WorkerLost, "{error}");
            let death = error.death().unwrap();
            let argument = death.block.as_ref().unwrap().arguments[0].to_string();
            assert!(argument.starts_with("deep = "), "{argument}");
        }
        assert_eq!(pool.run(alone(None)).unwrap(), 7);
    };
    let thread = std::thread::Builder::new().stack_size(1 << 30).spawn(test).unwrap();
    thread.join().unwrap();
}

#[ndpool::test]
fn an_argument_that_cannot_be_shown_harms_nothing() {
    #[derive(Clone, Serialize, Deserialize)]
    struct Shy;
    impl std::fmt::Debug for Shy {
        fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            panic!("not today")
        }
    }
    #[task]
    fn dies_of(shy: Shy, big: Vec<u8>) -> usize {
        let _ = shy;
        if big.is_empty() { 0 } else { std::process::abort() }
    }
    let _watchdog = watchdog();
    let pool = pool(1);
    let error = pool.run(dies_of(Shy, vec![1]).attempts(1)).unwrap_err();
    let text = &error.death().unwrap().block.as_ref().unwrap().arguments;
    assert!(text[0].text.contains("panicked"), "{text:?}");
    let error = pool.run(dies_of(Shy, vec![1; 4 << 20]).attempts(1)).unwrap_err();
    let text = &error.death().unwrap().block.as_ref().unwrap().arguments;
    assert_eq!(text[1].to_string(), "big = (alloc::vec::Vec<u8>, not shown)");
    assert_eq!(pool.run(dies_of(Shy, Vec::new())).unwrap(), 0);
    // A function without a macro has no names, and a generic one no `Debug`.
    let error = pool
        .run(ndpool::call(|code: i32| std::process::exit(code), 5).then(|()| ()).attempts(1))
        .unwrap_err();
    let text = &error.death().unwrap().block.as_ref().unwrap().arguments;
    assert_eq!(text[0].to_string(), "argument = (i32, 1 byte)");
}

#[ndpool::test]
fn a_listener_that_waits_for_the_caller_or_panics_keeps_no_job_from_ending() {
    const TEST: &str = "a_listener_that_waits_for_the_caller_or_panics_keeps_no_job_from_ending";

    let _watchdog = watchdog();
    if let Some(role) = role() {
        let must_panic = role == "panics";
        Listener::install(move |_| {
            if must_panic {
                std::panic::panic_any(Grudge("a payload was dropped"));
            }
            let _wanted = WANTED.lock();
        });
        let pool = pool(1);
        let wanted = WANTED.lock().unwrap();
        // Every attempt but the first needs the slot to be filled again.
        let error = pool.run(alone(Some(End::Abort)).attempts(3)).unwrap_err();
        assert_eq!((error.kind(), pool.deaths().len()), (ErrorKind::WorkerLost, 3), "{error}");
        assert_eq!(pool.run(alone(None)).unwrap(), 7);
        drop(pool);
        drop(wanted);
        return;
    }
    for role in ["waits", "panics"] {
        let (text, status) = Actor::start(TEST, role).let_go();
        assert!(status.success(), "{role}: {text}");
    }
}
