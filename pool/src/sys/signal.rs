//! Which signal is to end the program: noted by a handler that stands before another one, so that the program
//! can die of the same signal once it has cleaned up.

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, raise, sigaction};
use std::io;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI32, Ordering};

const TERMINATION: [Signal; 3] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];

static NOTED: AtomicI32 = AtomicI32::new(0);
/// What handled the signals before; all three have the same handler.
static NEXT: OnceLock<extern "C" fn(libc::c_int)> = OnceLock::new();

/// Puts a handler before the ones that are installed for SIGINT, SIGTERM and SIGHUP.
pub(crate) fn note_termination_signals() -> io::Result<()> {
    for signal in TERMINATION {
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

fn die_of(number: libc::c_int) {
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
