//! Running a thread instruction by instruction (`PTRACE_SINGLESTEP`), between marks that it sets itself.
//!
//! A mark is a signal that means nothing to whoever is not traced. What setting it costs is part of every count, and always the same.

use ndpool_tests::Actor;
use nix::errno::Errno;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, raise};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

const BEGIN: Signal = Signal::SIGWINCH;
const END: Signal = Signal::SIGURG;
const FORGET: Signal = Signal::SIGCHLD;

/// In the counted thread: a stretch begins. One that has begun and not ended does not count.
#[inline(never)]
pub(crate) fn begin() {
    raise(BEGIN).expect("a thread may signal itself");
}

/// In the counted thread: a stretch ends, if one has begun.
#[inline(never)]
pub(crate) fn end() {
    raise(END).expect("a thread may signal itself");
}

/// In the counted thread: a stretch that has begun does not count, and what follows runs at full speed.
#[inline(never)]
pub(crate) fn forget() {
    raise(FORGET).expect("a thread may signal itself");
}

/// Tells an actor to go on once its thread is traced, and gives the instructions of its next `n` stretches. What lies between
/// them runs at full speed, and afterwards the thread runs free.
///
/// # Errors
///
/// Why it cannot be traced, or that it ended before.
pub(crate) fn count(actor: &mut Actor, thread: i32, n: usize) -> Result<Vec<u64>, String> {
    let thread = Pid::from_raw(thread);
    let mut step = || {
        ptrace::seize(thread, Options::empty())?;
        ptrace::interrupt(thread)?;
        waitpid(thread, Some(WaitPidFlag::__WALL))?;
        actor.tell("traced");
        let counts = (0..n).map(|_| stretch(thread)).collect::<nix::Result<_>>()?;
        ptrace::detach(thread, None)?;
        Ok(counts)
    };
    step().map_err(|errno: Errno| format!("cannot step through thread {thread}: {errno}"))
}

/// Lets the thread, which stands still, run to the end of its next stretch; the instructions of that.
fn stretch(thread: Pid) -> nix::Result<u64> {
    let mut n = None;
    let mut signal = None;
    loop {
        if n.is_some() {
            ptrace::step(thread, signal.take())?;
        } else {
            ptrace::cont(thread, signal.take())?;
        }
        match waitpid(thread, Some(WaitPidFlag::__WALL))? {
            WaitStatus::Stopped(_, BEGIN) => n = Some(0),
            WaitStatus::Stopped(_, FORGET) => n = None,
            WaitStatus::Stopped(_, END) => {
                if let Some(n) = n {
                    return Ok(n);
                }
            }
            WaitStatus::Stopped(_, Signal::SIGTRAP) => n = n.map(|n| n + 1),
            WaitStatus::Stopped(_, other) => signal = Some(other),
            WaitStatus::Exited(..) | WaitStatus::Signaled(..) => return Err(Errno::ESRCH),
            _ => {}
        }
    }
}
