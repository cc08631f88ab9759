//! Running a thread instruction by instruction (`PTRACE_SINGLESTEP`), between marks that it sets itself.
//!
//! A mark is a signal that means nothing to whoever is not traced. What setting it costs is part of every count, and always the same.

use ndpool_tests::Actor;
use nix::errno::Errno;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, raise};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

const MARK: Signal = Signal::SIGWINCH;

/// In the counted thread: the end of one stretch, and the beginning of the next.
#[inline(never)]
pub(crate) fn mark() {
    raise(MARK).expect("a thread may signal itself");
}

/// Which of the stretches between marks are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Counted {
    /// Each.
    All,
    /// The first, the third and so on. The others run at full speed.
    EverySecond,
}

/// Tells an actor to go on once its thread is traced, and gives the instructions of `n` stretches of that thread. Afterwards it
/// runs free.
///
/// # Errors
///
/// Why it cannot be traced.
pub(crate) fn count(actor: &mut Actor, thread: i32, counted: Counted, n: usize) -> Result<Vec<u64>, String> {
    let thread = Pid::from_raw(thread);
    let mut step = || {
        ptrace::seize(thread, Options::empty())?;
        ptrace::interrupt(thread)?;
        waitpid(thread, Some(WaitPidFlag::__WALL))?;
        actor.tell("traced");
        run_to_mark(thread, false)?;
        let mut counts = Vec::with_capacity(n);
        while counts.len() < n {
            counts.push(run_to_mark(thread, true)?);
            if counted == Counted::EverySecond {
                run_to_mark(thread, false)?;
            }
        }
        ptrace::detach(thread, None)?;
        Ok(counts)
    };
    step().map_err(|errno: Errno| format!("cannot step through thread {thread}: {errno}"))
}

/// Lets the thread, which stands still, run to its next mark; its instructions, if it is stepped through.
fn run_to_mark(thread: Pid, is_stepped: bool) -> nix::Result<u64> {
    let resume = |signal: Option<Signal>| {
        if is_stepped { ptrace::step(thread, signal) } else { ptrace::cont(thread, signal) }
    };
    let mut n = 0;
    resume(None)?;
    loop {
        match waitpid(thread, Some(WaitPidFlag::__WALL))? {
            WaitStatus::Stopped(_, MARK) => return Ok(n),
            WaitStatus::Stopped(_, Signal::SIGTRAP) => {
                n += 1;
                resume(None)?;
            }
            WaitStatus::Stopped(_, signal) => resume(Some(signal))?,
            WaitStatus::Exited(..) | WaitStatus::Signaled(..) => return Err(Errno::ESRCH),
            _ => resume(None)?,
        }
    }
}
