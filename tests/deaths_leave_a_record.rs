//! Goal: no worker dies without a record that says when, which, how and probably why, and what it was doing; and a record is left
//! of nothing else.
//!
//! Method: real processes end in every way there is: by faults of native code, by signals from a process whose number is known,
//! by `exit`, by the pool's own hand, by the memory controller. The record in the error and in `Pool::deaths` is
//! compared field by field, and the counters with the number of records.

use ndarray::prelude::*;
use ndpool::merge::Sum;
use ndpool::{Block, Cause, Death, ErrorKind, Fate, Pool, Stats, Stderr, WorkerExit, task};
use ndpool_tests::{Gate, Run, wait_until, watchdog};
use serde::{Deserialize, Serialize};
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// How a task ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum End {
    NullPointer,
    WildPointer,
    ShortFile,
    NoSuchInstruction,
    DivideByZero,
    Abort,
    StackOverflow,
    DoublePanic,
    Raise(i32),
    Exit(i32),
}

impl End {
    fn happen(self) {
        match self {
            Self::NullPointer => write_to(std::ptr::null_mut()),
            // Beyond the half of the address space that processes have.
            Self::WildPointer => write_to(std::ptr::without_provenance_mut(0xdead_beef_dead_beef)),
            Self::ShortFile => {
                let file = nix::sys::memfd::memfd_create("short", nix::sys::memfd::MFdFlags::empty()).unwrap();
                // SAFETY: a new mapping at a place of the kernel's choice. It has no memory behind it, which is the point.
                let start = unsafe {
                    let (length, protection) = (4096, libc::PROT_READ | libc::PROT_WRITE);
                    let fd = std::os::fd::AsRawFd::as_raw_fd(&file);
                    libc::mmap(std::ptr::null_mut(), length, protection, libc::MAP_SHARED, fd, 0)
                };
                write_to(start.cast());
            }
            Self::NoSuchInstruction => no_such_instruction(),
            Self::DivideByZero => divide_by_zero(),
            Self::Abort => std::process::abort(),
            Self::StackOverflow => {
                black_box(overflow(0));
            }
            Self::DoublePanic => {
                struct PanicsToo;
                impl Drop for PanicsToo {
                    fn drop(&mut self) {
                        panic!("the second panic");
                    }
                }
                let _guard = PanicsToo;
                panic!("the first panic");
            }
            Self::Raise(number) => nix::sys::signal::raise(number.try_into().unwrap()).unwrap(),
            Self::Exit(code) => std::process::exit(code),
        }
    }
}

fn write_to(place: *mut u8) {
    // SAFETY: there is none: this is the native code with a bug that a pool is for. The process dies here.
    unsafe { libc::memset(black_box(place).cast(), 1, 1) };
}

fn no_such_instruction() {
    // SAFETY: the instruction is defined to be undefined: it raises SIGILL and does nothing else.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        std::arch::asm!("ud2");
    }
    // SAFETY: as above.
    #[cfg(target_arch = "aarch64")]
    unsafe {
        std::arch::asm!("udf #0");
    }
}

fn divide_by_zero() {
    // SAFETY: division by zero raises SIGFPE, which is the point; the registers it changes are declared.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        std::arch::asm!("div {0}", in(reg) 0_u64, inout("rax") 1_u64 => _, inout("rdx") 0_u64 => _);
    }
    // Other processors divide by zero and go on.
    #[cfg(not(target_arch = "x86_64"))]
    nix::sys::signal::raise(nix::sys::signal::Signal::SIGFPE).unwrap();
}

#[expect(unconditional_recursion, reason = "to overflow the stack")]
fn overflow(depth: u64) -> u64 {
    let room = black_box([depth; 512]);
    overflow(depth + 1) + room[7]
}

/// No `Debug`: the record names its type.
#[derive(Clone, Serialize, Deserialize)]
struct Opaque(u16);

#[task]
fn ends(end: End, label: &str, opaque: Opaque, block: &Block, x: ArrayView2<f32>, #[out] mut y: ArrayViewMut1<i64>) {
    let _ = (label, opaque.0, x.len());
    y.fill(1);
    if block.index() == 2 {
        eprintln!("about to end");
        end.happen();
    }
}

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

/// The one record of a pool whose first call ended so.
fn death_of(end: End) -> Arc<Death> {
    let pool = pool(1);
    let run = Run::of(&pool);
    let pid = pool.worker_pids()[0];
    let before = SystemTime::now();
    let error = pool.run(alone(Some(end)).attempts(1)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WorkerLost, "{error}");
    let deaths = pool.deaths();
    assert_eq!(deaths.len(), 1, "{end:?}: {deaths:?}");
    assert_eq!(error.death(), Some(&*deaths[0]), "the error's record is the pool's");
    assert_eq!(error.worker_exit(), Some(&deaths[0].exit));
    let Death { time, worker, pid: dead, block, n_begun, evidence, .. } = &*deaths[0];
    assert!((before..=SystemTime::now()).contains(time), "{time:?}");
    assert_eq!((*worker, *dead, *n_begun), (0, Some(pid), 1));
    let block = block.as_ref().unwrap();
    assert!(block.task.ends_with("::alone") && block.had_begun, "{block:?}");
    assert_eq!((block.index, block.n_blocks, block.attempt, block.fate), (0, 1, 0, Fate::GivenUp));
    assert_eq!(block.arguments[0].to_string(), format!("end = Some({end:?})"));
    assert!(!evidence.is_empty(), "{end:?}");
    let text = error.to_string();
    assert!(text.contains("probable cause: ") && text.contains(&evidence[0]), "{text}");
    assert!(text.contains(&format!("its arguments: end = Some({end:?})")), "{text}");
    // The pool works on, and no further record is made of its shutdown.
    assert_eq!(pool.run(alone(None)).unwrap(), 7);
    assert_eq!((pool.stats().workers_lost, pool.deaths().len()), (1, 1));
    let death = Arc::clone(&deaths[0]);
    drop(pool);
    run.assert_gone();
    println!("{death}\n");
    death
}

#[ndpool::test]
fn faults_of_native_code_are_told_apart() {
    let _watchdog = watchdog();
    for (end, signal, cause, evidence) in [
        (End::NullPointer, "SIGSEGV", Cause::InvalidAccess, "null pointer"),
        (End::WildPointer, "SIGSEGV", Cause::InvalidAccess, "no process can have"),
        (End::ShortFile, "SIGBUS", Cause::BusError, "at address 0x"),
        (End::NoSuchInstruction, "SIGILL", Cause::IllegalInstruction, "at address 0x"),
        (End::DivideByZero, "SIGFPE", Cause::Arithmetic, "SIGFPE"),
        (End::Abort, "SIGABRT", Cause::Abort, "abort"),
        (End::StackOverflow, "SIGABRT", Cause::StackOverflow, "has overflowed its stack"),
        (End::DoublePanic, "SIGABRT", Cause::Panic, "the first panic"),
    ] {
        let death = death_of(end);
        assert_eq!((death.exit.signal_name(), &death.cause), (Some(signal), &cause), "{death}");
        assert!(death.evidence.iter().any(|sentence| sentence.contains(evidence)), "{death}");
    }
}
