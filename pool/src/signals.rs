//! Signals sent to the program: a clean end, if the program asked for one.
//!
//! Opt-in, and one registry for the whole process: the first SIGINT, SIGTERM or SIGHUP ends everything that was registered, pools
//! and data servers, with its shared memory, and the program then dies of that very signal, so that its parent sees what happened.
//! A second one ends it at once; workers and the next server reap then. A signal that the program was started to ignore, as under
//! `nohup`, stays ignored.

use crate::error::{Error, ErrorKind, Result};
use crate::sys::signal;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::thread::{self, ThreadId};

/// What ends before its program does.
pub(crate) trait EndsWithProgram: Send + Sync {
    /// Ends it, and removes what it has in shared memory. Called once, on a thread where everything is allowed; others may be using it.
    fn end_with_program(self: Arc<Self>);
}

static REGISTERED: Mutex<Vec<Weak<dyn EndsWithProgram>>> = Mutex::new(Vec::new());
/// The thread that cleans up because a signal ends the program.
static ENDING: OnceLock<ThreadId> = OnceLock::new();
static INSTALLED: OnceLock<Result<(), String>> = OnceLock::new();

/// Has a signal end this, for as long as it is there.
pub(crate) fn end_at_signal<E: EndsWithProgram + 'static>(what: &Arc<E>) -> Result<()> {
    let installed = INSTALLED.get_or_init(|| {
        // Not `try_set_handler`, which takes a signal that is ignored for one that is handled.
        let ignored = signal::ignored_termination_signals().map_err(|error| error.to_string())?;
        let ignored = ignored.ok_or("there is a handler for one of them")?;
        ctrlc::set_handler(on_signal).map_err(|error| error.to_string())?;
        signal::note_termination_signals(&ignored).map_err(|error| error.to_string())
    });
    installed.as_ref().map_err(|error| {
        Error::new(ErrorKind::InvalidArgument, format!("signals cannot be handled: {error}")).with_hint(
            "the program handles signals itself: leave `handle_signals` out, and drop the pool or server in its handler",
        )
    })?;
    let what: Weak<E> = Arc::downgrade(what);
    let mut registered = REGISTERED.lock().unwrap_or_else(PoisonError::into_inner);
    registered.retain(|other| other.strong_count() > 0);
    registered.push(what);
    Ok(())
}

/// Never returns once a signal ends the program, except on the thread that cleans up: whoever uses what ends then must
/// neither see its jobs cancelled and go on to exit with a code of its own, nor end the process half cleaned up.
pub(crate) fn wait_if_program_ends() {
    if ENDING.get().is_some_and(|cleaner| *cleaner != thread::current().id()) {
        loop {
            thread::park();
        }
    }
}

/// Runs on the thread of `ctrlc`, where everything is allowed.
fn on_signal() {
    // Before anything that other threads could notice.
    let _ = ENDING.set(thread::current().id());
    let registered = std::mem::take(&mut *REGISTERED.lock().unwrap_or_else(PoisonError::into_inner));
    for what in registered.iter().filter_map(Weak::upgrade) {
        what.end_with_program();
    }
    signal::die_of_noted_signal();
}
