//! Which signal is to end the program: noted by a handler that stands before another one, so that the program
//! can die of the same signal once it has cleaned up.

use nix::errno::Errno;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, raise, sigaction};
use std::io;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI32, Ordering};

const TERMINATION: [Signal; 3] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];

static NOTED: AtomicI32 = AtomicI32::new(0);
/// What handled the signals before; all three have the same handler.
static NEXT: OnceLock<extern "C" fn(libc::c_int)> = OnceLock::new();

/// What is to happen at a signal: `SIG_DFL`, `SIG_IGN`, or the address of a handler. Allowed in a handler.
///
/// # Errors
///
/// Those of `sigaction(2)`, which a signal with a name does not meet.
pub(super) fn disposition(signal: Signal) -> nix::Result<libc::sighandler_t> {
    let mut action = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: without a new action nothing is changed, and the old one is written to memory of its type.
    Errno::result(unsafe { libc::sigaction(signal as libc::c_int, ptr::null(), action.as_mut_ptr()) })?;
    // SAFETY: the call succeeded, so it wrote the action.
    Ok(unsafe { action.assume_init() }.sa_sigaction)
}

/// Those of SIGINT, SIGTERM and SIGHUP that this process was told to ignore, as `nohup` and shells that start
/// something in the background do; `None` if there is a handler for one of them.
pub(crate) fn ignored_termination_signals() -> io::Result<Option<Vec<Signal>>> {
    let mut ignored = Vec::new();
    for signal in TERMINATION {
        match disposition(signal)? {
            libc::SIG_DFL => {}
            libc::SIG_IGN => ignored.push(signal),
            _ => return Ok(None),
        }
    }
    Ok(Some(ignored))
}

/// Puts a handler before the ones that are installed for SIGINT, SIGTERM and SIGHUP, and has those ignored again that were.
pub(crate) fn note_termination_signals(ignored: &[Signal]) -> io::Result<()> {
    for signal in TERMINATION {
        if ignored.contains(&signal) {
            let ignore = SigAction::new(SigHandler::SigIgn, SaFlags::empty(), SigSet::empty());
            // SAFETY: ignoring a signal runs no code of ours.
            unsafe { sigaction(signal, &ignore) }?;
            continue;
        }
        let action = SigAction::new(SigHandler::Handler(note), SaFlags::SA_RESTART, SigSet::empty());
        // SAFETY: `note` does only what a handler may do: it stores an atomic, resets a handler, raises a signal,
        // or calls the handler that was there before.
        let before = unsafe { sigaction(signal, &action) }?;
        if let SigHandler::Handler(handler) = before.handler() {
            let _ = NEXT.set(handler);
        }
    }
    Ok(())
}

extern "C" fn note(number: libc::c_int) {
    if NOTED.swap(number, Ordering::SeqCst) != 0 {
        // The second one: at once.
        die_of(number);
    }
    if let Some(next) = NEXT.get() {
        next(number);
    }
}

/// Ends the process by the signal that was noted, or SIGTERM if none was.
pub(crate) fn die_of_noted_signal() -> ! {
    let number = NOTED.load(Ordering::SeqCst);
    die_of(if number == 0 { libc::SIGTERM } else { number });
    // The signal may be blocked in this thread.
    std::process::exit(128 + number);
}

/// Has a write beyond the limit on file sizes fail rather than end the process.
pub(crate) fn ignore_file_size_limit() {
    let ignore = SigAction::new(SigHandler::SigIgn, SaFlags::empty(), SigSet::empty());
    // SAFETY: ignoring a signal runs no code of ours.
    let _ = unsafe { sigaction(Signal::SIGXFSZ, &ignore) };
}

/// Sends this thread a signal that nothing handles; returns if that is no end.
pub(crate) fn die_of(number: libc::c_int) {
    let Ok(signal) = Signal::try_from(number) else { return };
    let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    // SAFETY: the default action runs no code of ours.
    let _ = unsafe { sigaction(signal, &default) };
    let mut blocked = SigSet::empty();
    blocked.add(signal);
    // Inside a handler its own signal is blocked.
    let _ = blocked.thread_unblock();
    let _ = raise(signal);
}
