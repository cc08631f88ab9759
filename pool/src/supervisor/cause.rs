//! Why a worker ended: the probable cause, and what says so. A pure function of what was found.

use crate::error::{Cause, Sender, WorkerExit};
use crate::job::board::Farewell;
use crate::sys::crash::SignalNote;

/// What was found about an end.
#[derive(Debug)]
pub(super) struct Facts<'f> {
    pub(super) exit: &'f WorkerExit,
    pub(super) pid: Option<u32>,
    /// What went wrong with the start, if the process did not come to serve.
    pub(super) failed_start: Option<&'f str>,
    /// What the worker's signal handler was told.
    pub(super) signal: Option<SignalNote>,
    /// What the worker said before it ended of its own accord.
    pub(super) farewell: Option<Farewell>,
    /// Whether a task was running.
    pub(super) is_in_task: bool,
    /// Blocks that the process had begun.
    pub(super) n_begun: u64,
    /// The text of a panic, or the reason of a farewell.
    pub(super) last_words: &'f str,
    pub(super) stderr: &'f [String],
    /// What says that the kernel killed for want of memory.
    pub(super) memory: &'f [String],
}

#[cfg(test)]
impl<'f> Facts<'f> {
    /// Of the end of a worker that ran its first task, with nothing else found.
    pub(super) fn of_nothing_but(exit: &'f WorkerExit) -> Self {
        Self {
            exit,
            pid: None,
            failed_start: None,
            signal: None,
            farewell: None,
            is_in_task: true,
            n_begun: 1,
            last_words: "",
            stderr: &[],
            memory: &[],
        }
    }
}

impl Facts<'_> {
    /// Why the worker said that it ends.
    fn own_words(&self) -> String {
        if self.last_words.is_empty() {
            "it did not say why".into()
        } else {
            format!("it said: {}", self.last_words)
        }
    }
}

/// Rust's runtime prints it before it aborts.
const OVERFLOW: &str = "has overflowed its stack";

/// The probable cause of an end with its evidence, a sentence each.
pub(super) fn diagnose(facts: &Facts<'_>) -> (Cause, Vec<String>) {
    let mut evidence = Vec::new();
    evidence.extend(facts.failed_start.map(str::to_owned));
    let cause = match facts.exit {
        WorkerExit::TimedOut(limit) => {
            evidence.push(format!("the pool killed it: the block ran longer than {limit:?}"));
            Cause::BlockTimeout
        }
        WorkerExit::PastDeadline => {
            evidence.push("the pool killed it: the job was over its deadline".into());
            Cause::Deadline
        }
        WorkerExit::Cancelled(grace) => {
            evidence.push(format!(
                "the pool killed it: its job was cancelled, and its block went on for more than {grace:?}"
            ));
            Cause::Cancelled
        }
        WorkerExit::MemoryLimit { limit_bytes, found_bytes } => {
            evidence.push(match found_bytes {
                Some(found) => {
                    format!("the pool killed it: {found} bytes of memory of its own, {limit_bytes} allowed")
                }
                None => format!("the system refused it memory beyond twice its limit of {limit_bytes} bytes"),
            });
            Cause::MemoryLimit
        }
        WorkerExit::NeverStarted => Cause::DidNotStart,
        WorkerExit::Code(code) => of_code(facts, *code, &mut evidence),
        WorkerExit::Signal { number, .. } => of_signal(facts, *number, &mut evidence),
        WorkerExit::Unknown => {
            evidence.push("somebody else waited for the process, or SIGCHLD is ignored".into());
            match (facts.farewell, facts.signal) {
                (Some(_), _) => of_code(facts, crate::control::EXIT_CANNOT_SERVE, &mut evidence),
                (None, Some(signal)) => of_signal(facts, signal.number, &mut evidence),
                (None, None) if !facts.memory.is_empty() => {
                    evidence.extend(facts.memory.iter().cloned());
                    Cause::OutOfMemory
                }
                (None, None) if facts.failed_start.is_some() => Cause::DidNotStart,
                (None, None) => Cause::Unknown,
            }
        }
    };
    (cause, evidence)
}

fn of_code(facts: &Facts<'_>, code: i32, evidence: &mut Vec<String>) -> Cause {
    let first_line = || facts.stderr.iter().rev().find_map(|line| line.strip_prefix("ndpool: "));
    match facts.farewell {
        Some(Farewell::SupervisorLost) => {
            evidence.push(facts.own_words());
            return Cause::SupervisorLost;
        }
        Some(Farewell::GaveUp) => {
            evidence.push(facts.own_words());
            return Cause::GaveUp;
        }
        // One that was not asked to retire leaves like that only if its cells were overwritten.
        Some(Farewell::Retired) => {
            evidence.push("it said that it was asked to end, but nobody had asked".into());
            return Cause::Unknown;
        }
        None => {}
    }
    if facts.failed_start.is_some() {
        return Cause::DidNotStart;
    }
    if code == crate::control::EXIT_CANNOT_SERVE && facts.n_begun == 0 {
        evidence.push(first_line().unwrap_or("it ended before its first block").to_owned());
        return Cause::GaveUp;
    }
    evidence.push(if facts.is_in_task {
        format!("the task, or something that it called, ended the process with exit({code})")
    } else {
        format!(
            "exit({code}) while no task was running: by a thread that a task had started, or by a destructor"
        )
    });
    Cause::Exit
}

fn of_signal(facts: &Facts<'_>, number: i32, evidence: &mut Vec<String>) -> Cause {
    let name = signal_name(number);
    if facts.farewell == Some(Farewell::SupervisorLost) {
        evidence.push(facts.own_words());
        return Cause::SupervisorLost;
    }
    let note = facts.signal.filter(|note| note.number == number);
    if let Some(other) = facts.signal.filter(|note| note.number != number && !note.was_sent()) {
        evidence.push(format!("{} at address {:#x} before that", signal_name(other.number), other.address));
    }
    if number == libc::SIGABRT
        && let Some(line) = facts.stderr.iter().rev().find(|line| line.contains(OVERFLOW))
    {
        evidence.push(format!("it said: {}", line.trim()));
        return Cause::StackOverflow;
    }
    if let Some(note) = note.filter(SignalNote::was_sent) {
        if Some(note.sender_pid) != facts.pid {
            let by = Sender { pid: note.sender_pid, uid: note.sender_uid, name: note.sender_name() };
            evidence.push(format!("the kernel names the sender of {name}"));
            return Cause::Killed { by: Some(by) };
        }
        return match number {
            libc::SIGABRT => of_abort(facts, evidence),
            _ => {
                evidence.push(format!("it sent {name} to itself (`raise`, `kill`)"));
                Cause::Signal
            }
        };
    }
    let at = note.filter(|note| note.code != SI_KERNEL);
    let at = at.map(|note| format!(" at address {:#x}", note.address)).unwrap_or_default();
    match number {
        libc::SIGSEGV if note.is_some_and(|note| note.is_near_stack()) => {
            evidence.push(format!(
                "{name}{at}, next to the stack pointer {:#x}",
                note.map_or(0, |note| note.stack)
            ));
            Cause::StackOverflow
        }
        libc::SIGSEGV => {
            evidence.push(match note {
                Some(note) if note.code == SI_KERNEL => {
                    format!("{name}: an address that no process can have")
                }
                Some(note) if note.address < 4096 => format!("{name}{at}: a null pointer"),
                Some(_) => format!("{name}{at}"),
                // The handler is there from before the first block on.
                None if facts.n_begun > 0 => {
                    format!(
                        "{name}; no handler came to run, as when a thread of native code overflows its stack"
                    )
                }
                None => name,
            });
            Cause::InvalidAccess
        }
        libc::SIGBUS => {
            evidence.push(format!("{name}{at}"));
            Cause::BusError
        }
        libc::SIGILL => {
            evidence.push(format!("{name}{at}"));
            Cause::IllegalInstruction
        }
        libc::SIGFPE => {
            evidence.push(format!("{name}{at}"));
            Cause::Arithmetic
        }
        libc::SIGABRT => of_abort(facts, evidence),
        libc::SIGTRAP => {
            evidence.push(format!("{name}{at}: a trap instruction, as checks in native code use"));
            Cause::Signal
        }
        libc::SIGSYS => {
            evidence.push(format!("{name}: a system call that a filter (seccomp) forbids"));
            Cause::Signal
        }
        libc::SIGXCPU => {
            evidence.push(format!("{name}: the limit on processor time (`ulimit -t`)"));
            Cause::Signal
        }
        libc::SIGALRM | libc::SIGVTALRM | libc::SIGPROF => {
            evidence.push(format!("{name}: a timer of its own"));
            Cause::Signal
        }
        libc::SIGPIPE => {
            evidence.push(format!("{name}: it wrote to a pipe that nobody reads"));
            Cause::Signal
        }
        libc::SIGKILL => {
            if !facts.memory.is_empty() {
                evidence.extend(facts.memory.iter().cloned());
                return Cause::OutOfMemory;
            }
            evidence.push("the kernel tells nobody who sends SIGKILL; no sign that memory ran out".into());
            Cause::Killed { by: None }
        }
        _ => {
            evidence.push(format!("{name}, of which the worker did not learn who sent it"));
            Cause::Killed { by: None }
        }
    }
}

/// `si_code` of a fault without an address that could be told.
const SI_KERNEL: i32 = 0x80;

fn of_abort(facts: &Facts<'_>, evidence: &mut Vec<String>) -> Cause {
    match facts.last_words.lines().next() {
        Some(first) if !first.is_empty() => {
            evidence.push(format!("it panicked before: {first}"));
            Cause::Panic
        }
        _ => {
            evidence.push("SIGABRT, as `abort` raises it".into());
            Cause::Abort
        }
    }
}

fn signal_name(number: i32) -> String {
    match nix::sys::signal::Signal::try_from(number) {
        Ok(signal) => signal.as_str().to_owned(),
        Err(_) => format!("signal {number}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const PID: u32 = 70;

    fn note(number: i32, code: i32, sender_pid: u32) -> SignalNote {
        SignalNote { number, code, address: 0, stack: 0, sender_pid, sender_uid: 5, sender_name: [0; 2] }
    }

    fn signal(number: i32) -> WorkerExit {
        WorkerExit::Signal { number, core_dumped: false }
    }

    #[test]
    fn every_end_has_a_cause_and_its_evidence() {
        let fault = |number| Some(note(number, 1, 0));
        let overflow = ["thread 'main' has overflowed its stack".to_owned()];
        let killed = |pid| Cause::Killed { by: Some(Sender { pid, uid: 5, name: None }) };
        let check = |exit: WorkerExit, change: &dyn Fn(&mut Facts<'_>), expected: Cause| {
            let mut facts = Facts { pid: Some(PID), ..Facts::of_nothing_but(&exit) };
            change(&mut facts);
            let (cause, evidence) = diagnose(&facts);
            assert_eq!(cause, expected, "{facts:?}");
            assert!(evidence.iter().all(|sentence| !sentence.is_empty()), "{facts:?}: {evidence:?}");
            assert!(!evidence.is_empty(), "{facts:?}");
        };
        check(signal(libc::SIGSEGV), &|f| f.signal = fault(libc::SIGSEGV), Cause::InvalidAccess);
        check(signal(libc::SIGSEGV), &|_| {}, Cause::InvalidAccess);
        check(
            signal(libc::SIGSEGV),
            &|f| f.signal = Some(SignalNote { address: 0x5000, stack: 0x5008, ..note(libc::SIGSEGV, 2, 0) }),
            Cause::StackOverflow,
        );
        check(signal(libc::SIGSEGV), &|f| f.signal = Some(note(libc::SIGSEGV, 0, 9)), killed(9));
        check(signal(libc::SIGSEGV), &|f| f.signal = Some(note(libc::SIGSEGV, -6, PID)), Cause::Signal);
        check(signal(libc::SIGBUS), &|f| f.signal = fault(libc::SIGBUS), Cause::BusError);
        check(signal(libc::SIGILL), &|f| f.signal = fault(libc::SIGILL), Cause::IllegalInstruction);
        check(signal(libc::SIGFPE), &|f| f.signal = fault(libc::SIGFPE), Cause::Arithmetic);
        check(signal(libc::SIGABRT), &|f| f.signal = Some(note(libc::SIGABRT, -6, PID)), Cause::Abort);
        check(signal(libc::SIGABRT), &|_| {}, Cause::Abort);
        check(signal(libc::SIGABRT), &|f| f.last_words = "oh no at x.rs:1:1", Cause::Panic);
        let overflow: &'static [String] = Box::leak(Box::new(overflow));
        check(signal(libc::SIGABRT), &|f| f.stderr = overflow, Cause::StackOverflow);
        check(signal(libc::SIGKILL), &|_| {}, Cause::Killed { by: None });
        let memory: &'static [String] = Box::leak(Box::new(["the group was short".to_owned()]));
        check(signal(libc::SIGKILL), &|f| f.memory = memory, Cause::OutOfMemory);
        check(signal(libc::SIGTERM), &|f| f.memory = memory, Cause::Killed { by: None });
        check(signal(libc::SIGTERM), &|f| f.signal = Some(note(libc::SIGTERM, 0, 0)), killed(0));
        check(signal(libc::SIGTERM), &|f| f.signal = Some(note(libc::SIGTERM, 0, 9)), killed(9));
        check(
            signal(libc::SIGTERM),
            &|f| f.signal = Some(note(libc::SIGHUP, 0, 9)),
            Cause::Killed { by: None },
        );
        let lost = |f: &mut Facts<'_>| f.farewell = Some(Farewell::SupervisorLost);
        check(signal(libc::SIGKILL), &lost, Cause::SupervisorLost);
        check(signal(64), &|_| {}, Cause::Killed { by: None });
        check(WorkerExit::Code(0), &|_| {}, Cause::Exit);
        check(WorkerExit::Code(0), &|f| f.is_in_task = false, Cause::Exit);
        check(WorkerExit::Code(3), &|_| {}, Cause::Exit);
        check(WorkerExit::Code(0), &|f| f.farewell = Some(Farewell::Retired), Cause::Unknown);
        check(WorkerExit::Code(71), &|f| f.farewell = Some(Farewell::GaveUp), Cause::GaveUp);
        check(WorkerExit::Code(71), &|f| f.n_begun = 0, Cause::GaveUp);
        check(WorkerExit::Code(71), &|_| {}, Cause::Exit);
        check(WorkerExit::Code(101), &|f| f.failed_start = Some("it ended"), Cause::DidNotStart);
        check(WorkerExit::NeverStarted, &|f| f.failed_start = Some("no such file"), Cause::DidNotStart);
        check(WorkerExit::Unknown, &|_| {}, Cause::Unknown);
        check(WorkerExit::Unknown, &|f| f.memory = memory, Cause::OutOfMemory);
        check(WorkerExit::Unknown, &|f| f.signal = fault(libc::SIGSEGV), Cause::InvalidAccess);
        check(WorkerExit::TimedOut(Duration::from_secs(1)), &|_| {}, Cause::BlockTimeout);
        check(WorkerExit::PastDeadline, &|_| {}, Cause::Deadline);
        check(WorkerExit::Cancelled(Duration::ZERO), &|_| {}, Cause::Cancelled);
        check(WorkerExit::MemoryLimit { limit_bytes: 1, found_bytes: Some(2) }, &|_| {}, Cause::MemoryLimit);
        check(WorkerExit::MemoryLimit { limit_bytes: 1, found_bytes: None }, &|_| {}, Cause::MemoryLimit);
    }
}
