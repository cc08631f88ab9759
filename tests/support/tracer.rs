//! Counting system calls: a test traces (`ptrace`) the threads of an actor and of its workers.
//!
//! The kernel stops a traced thread where it enters a call, so that nothing is missed and nothing depends on time. The actor says where
//! counting begins and ends by calls that do nothing ([`mark`]); what lies between two of them is a [`Stretch`].

use crate::actor::Actor;
use crate::container::skip;
use nix::errno::Errno;
use nix::libc;
use nix::sys::ptrace::{self, Options};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, getsid};
use std::collections::BTreeMap;
use std::fmt;

/// What a mark asks the kernel for: the session of a process that cannot be.
const MARK: i32 = -0x4e44;

/// In an actor: the end of one stretch, and the beginning of the next.
pub fn mark() {
    let asked = getsid(Some(Pid::from_raw(MARK)));
    assert_eq!(asked, Err(Errno::ESRCH), "no process has this identifier");
}

/// A system call that a thread entered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SystemCall {
    /// Process of the thread.
    pub process: u32,
    /// The thread.
    pub thread: i32,
    /// Its number: one of `libc::SYS_*`.
    pub number: i64,
    /// Its arguments, as far as it has any.
    pub args: [u64; 6],
}

impl SystemCall {
    /// Whether it asks for the time, which costs a call only on machines whose clock cannot be read without.
    fn is_clock(&self) -> bool {
        self.number == libc::SYS_clock_gettime
    }

    /// Whether it wakes who sleeps on a futex that processes share; those of a process's own locks are not among them.
    pub fn wakes_other_processes(&self) -> bool {
        self.number == libc::SYS_futex && self.args[1] == libc::FUTEX_WAKE as u64
    }

    /// Whether it carries bytes from one process to another, or could.
    pub fn carries_bytes(&self) -> bool {
        const CARRIERS: &[i64] = &[
            libc::SYS_read,
            libc::SYS_readv,
            libc::SYS_recvfrom,
            libc::SYS_recvmsg,
            libc::SYS_recvmmsg,
            libc::SYS_write,
            libc::SYS_writev,
            libc::SYS_sendto,
            libc::SYS_sendmsg,
            libc::SYS_sendmmsg,
            libc::SYS_splice,
            libc::SYS_process_vm_readv,
            libc::SYS_process_vm_writev,
        ];
        CARRIERS.contains(&self.number)
    }
}

/// What happened between two marks, in the order in which it was seen.
#[derive(Clone)]
pub struct Stretch {
    caller: i32,
    calls: Vec<SystemCall>,
}

impl Stretch {
    /// Calls of all threads that were traced.
    pub fn all(&self) -> &[SystemCall] {
        &self.calls
    }

    /// Calls of the thread that marks.
    pub fn of_caller(&self) -> Vec<SystemCall> {
        self.calls.iter().filter(|call| call.thread == self.caller).copied().collect()
    }

    /// Calls of every thread but the one that marks.
    pub fn of_others(&self) -> Vec<SystemCall> {
        self.calls.iter().filter(|call| call.thread != self.caller).copied().collect()
    }
}

/// How often which call was made, by its number.
impl fmt::Debug for Stretch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = |calls: Vec<SystemCall>| {
            let mut counts = BTreeMap::new();
            calls.iter().for_each(|call| *counts.entry(call.number).or_insert(0_usize) += 1);
            counts
        };
        let (caller, others) = (counts(self.of_caller()), counts(self.of_others()));
        f.debug_struct("Stretch").field("caller", &caller).field("others", &others).finish()
    }
}

/// Traces an actor and its workers, tells it to go on, and gives the stretches between its next `n + 1` marks. Afterwards all
/// run free again. `None` where tracing is not permitted, once the reason was printed.
///
/// # Panics
///
/// If one of the processes ends meanwhile.
pub fn trace(actor: &mut Actor, workers: &[u32], n: usize) -> Option<Vec<Stretch>> {
    let actor_pid = actor.pid();
    std::thread::scope(|scope| {
        // What a thread traces runs free when the thread ends.
        let tracer = scope.spawn(move || {
            let mut tracer = Tracer { threads: BTreeMap::new() };
            for &pid in [actor_pid].iter().chain(workers) {
                if let Err(errno) = tracer.seize(pid) {
                    skip(&format!("process {pid} may not be traced: {errno}"));
                    return None;
                }
            }
            actor.tell("traced");
            tracer.run_to_mark();
            Some((0..n).map(|_| tracer.run_to_mark()).collect())
        });
        tracer.join().unwrap_or_else(|payload| std::panic::resume_unwind(payload))
    })
}

struct Tracer {
    threads: BTreeMap<i32, Thread>,
}

/// A thread that is traced.
#[derive(Debug, Clone, Copy)]
struct Thread {
    process: u32,
    /// Whether it slept in a call when it was seized, which interrupted the call: it will enter it once more, as if nothing had been.
    slept: bool,
}

impl Tracer {
    /// Traces all threads of a process, and those that they start.
    fn seize(&mut self, pid: u32) -> nix::Result<()> {
        let n_before = self.threads.len();
        for entry in std::fs::read_dir(format!("/proc/{pid}/task")).map_err(|_| Errno::ESRCH)? {
            let name = entry.ok().and_then(|entry| entry.file_name().into_string().ok());
            let Some(thread) = name.and_then(|name| name.parse().ok()) else { continue };
            if self.threads.contains_key(&thread) {
                continue;
            }
            let slept = sleeps(pid, thread);
            let options = Options::PTRACE_O_TRACESYSGOOD | Options::PTRACE_O_TRACECLONE;
            self.threads.insert(thread, Thread { process: pid, slept });
            let thread = Pid::from_raw(thread);
            ptrace::seize(thread, options)?;
            // It stops, and from here on goes from call to call.
            ptrace::interrupt(thread)?;
            waitpid(thread, Some(WaitPidFlag::__WALL))?;
            ptrace::syscall(thread, None)?;
        }
        // A thread may have started another while these were listed.
        if self.threads.len() > n_before { self.seize(pid) } else { Ok(()) }
    }

    /// Lets all run until the next mark.
    fn run_to_mark(&mut self) -> Stretch {
        let mut calls = Vec::new();
        loop {
            // Of this thread's own: the test harness may have children too.
            let flags = WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD;
            let status = waitpid(None, Some(flags)).expect("something is traced");
            let (thread, signal) = match status {
                WaitStatus::PtraceSyscall(thread) => {
                    if let Some(call) = self.entered(thread) {
                        if call.number == libc::SYS_getsid && call.args[0] as i32 == MARK {
                            // From here on it is in the next stretch.
                            ptrace::syscall(thread, None).expect("it is stopped");
                            return Stretch { caller: thread.as_raw(), calls };
                        }
                        if !call.is_clock() {
                            calls.push(call);
                        }
                    }
                    (thread, None)
                }
                WaitStatus::PtraceEvent(thread, ..) => (thread, None),
                WaitStatus::Stopped(thread, signal) => (thread, Some(signal)),
                WaitStatus::Exited(thread, _) | WaitStatus::Signaled(thread, ..) => {
                    let ended = self.threads.remove(&thread.as_raw());
                    let was_first = ended.is_some_and(|ended| ended.process == thread.as_raw() as u32);
                    assert!(!was_first, "a process has ended: {status:?}");
                    continue;
                }
                _ => continue,
            };
            match ptrace::syscall(thread, signal) {
                // A thread that is gone tells so by itself.
                Ok(()) | Err(Errno::ESRCH) => {}
                Err(errno) => panic!("thread {thread} cannot be resumed: {errno}"),
            }
        }
    }

    /// The call that a thread is about to make, if it stands before one, and for the first time.
    fn entered(&mut self, thread: Pid) -> Option<SystemCall> {
        let info = ptrace::syscall_info(thread).ok()?;
        if info.op != libc::PTRACE_SYSCALL_INFO_ENTRY {
            return None;
        }
        // SAFETY: the kernel has filled in this variant, as `op` says.
        let entry = unsafe { info.u.entry };
        let raw = thread.as_raw();
        let known = self.threads.entry(raw);
        let known = known.or_insert_with(|| Thread { process: process_of(raw), slept: false });
        let call =
            SystemCall { process: known.process, thread: raw, number: entry.nr as i64, args: entry.args };
        (!std::mem::take(&mut known.slept)).then_some(call)
    }
}

/// Whether a thread sleeps, which it does in a call.
fn sleeps(process: u32, thread: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{process}/task/{thread}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('S'))
}

/// The process of a thread that was started while it was traced.
fn process_of(thread: i32) -> u32 {
    let status = std::fs::read_to_string(format!("/proc/{thread}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("Tgid:"));
    line.and_then(|pid| pid.trim().parse().ok()).expect("a thread that is stopped has a process")
}
