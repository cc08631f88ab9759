//! Four processes update one array under a lock, some die in the middle of it, and the array is exact.
//!
//! Shows: an array that any processes change by turns, what the death of a holder looks like to the next, how the array is put right
//! again, and an event that starts all at once. Without a lock, most of the additions are lost.
//!
//! Run: `cargo run --release --example lock_protected`
//!
//! Prints: how many processes died while they held the lock, how often the next one was told, and that every element is what
//! a serial loop gives.

use ndarray::prelude::*;
use ndpool::shared::{Event, LockError, Mutex, MutexGuard};
use nix::sys::signal::{Signal, raise};
use std::process::Command;

const N_PROCESSES: usize = 4;
const N_ADDITIONS: u64 = 100;
const N: usize = 10_000;
/// A process dies in the middle of its additions with these numbers, but each only once.
const DIES_AT: [u64; 2] = [20, 70];

/// What is protected: how many additions each process has completed, how often somebody was found dead, then the array itself.
const N_POISONED: usize = N_PROCESSES;
const DATA: usize = N_PROCESSES + 1;

/// Locks; if the holder before has died half-way, undoes what it had not completed.
fn lock(x: &Mutex<u64, Ix1>) -> ndpool::Result<MutexGuard<'_, u64, Ix1>> {
    match x.lock() {
        Err(LockError::Poisoned(mut poisoned)) => {
            let guard = poisoned.guard_mut();
            // Each completed addition has added one to every element.
            let n_completed = guard.slice(s![..N_PROCESSES]).sum();
            guard.slice_mut(s![DATA..]).fill(n_completed);
            guard[N_POISONED] += 1;
            Ok(poisoned.recover())
        }
        other => Ok(other?),
    }
}

/// One of the four: adds one to every element, a hundred times.
fn add(name: &str, process: usize, n_deaths: usize) -> ndpool::Result<()> {
    let start = Event::attach(&format!("{name}_start"))?;
    let x = Mutex::<u64, Ix1>::attach(&format!("{name}_array"))?;
    start.wait();
    loop {
        let mut guard = lock(&x)?;
        if guard[process] == N_ADDITIONS {
            return Ok(());
        }
        if DIES_AT.get(n_deaths) == Some(&guard[process]) {
            guard.slice_mut(s![DATA..DATA + N / 2]).map_inplace(|x| *x += 1);
            // As `kill -9` would do it: nothing is unlocked, and nothing tidied up.
            let _ = raise(Signal::SIGKILL);
        }
        guard.slice_mut(s![DATA..]).map_inplace(|x| *x += 1);
        guard[process] += 1;
    }
}

/// Starts one of the four, again and again until it has come to its end; how often it died.
fn see_through(name: &str, process: usize) -> ndpool::Result<usize> {
    let this = std::env::current_exe().expect("a program has a path");
    for n_deaths in 0..=DIES_AT.len() {
        let mut command = Command::new(&this);
        command.args([name, &process.to_string(), &n_deaths.to_string()]);
        if command.status().expect("it can be started").success() {
            return Ok(n_deaths);
        }
    }
    panic!("process {process} dies every time");
}

fn main() -> ndpool::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [name, process, n_deaths] = &args[..] {
        let number = |text: &str| text.parse().expect("a number");
        return add(name, number(process), number(n_deaths));
    }

    let name = format!("lock_protected_{}", std::process::id());
    let start = Event::create(&format!("{name}_start"))?;
    let x = Mutex::<u64, _>::create(&format!("{name}_array"), DATA + N)?;
    let n_deaths: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..N_PROCESSES)
            .map(|process| {
                let name = &name;
                scope.spawn(move || see_through(name, process))
            })
            .collect();
        start.set();
        threads.into_iter().map(|thread| thread.join().expect("it does not panic")).sum::<ndpool::Result<_>>()
    })?;

    let guard = lock(&x)?;
    println!(
        "{n_deaths} processes died while they held the lock; the next one was told {} times",
        guard[N_POISONED]
    );
    assert_eq!(n_deaths, N_PROCESSES * DIES_AT.len());
    assert_eq!(guard[N_POISONED], n_deaths as u64);

    let mut serial = Array1::<u64>::zeros(N);
    for _ in 0..N_PROCESSES as u64 * N_ADDITIONS {
        serial += 1;
    }
    assert_eq!(guard.slice(s![DATA..]), serial);
    println!("{N} elements are {}, as a serial loop has them", serial[0]);
    Ok(())
}
