//! Signals sent to the program: a clean end, if the program asked for one.
//!
//! Opt-in, and one registry for the whole process: the first SIGINT, SIGTERM or SIGHUP shuts every pool down and
//! unlinks its segments, and the program then dies of that very signal, so that its parent sees what happened. A
//! second one ends it at once; the workers reap then. A signal that the program was started to ignore, as under
//! `nohup`, stays ignored.

use super::core::Core;
use crate::error::{Error, ErrorKind, Result};
use crate::sys::{kill_point, signal};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::thread::{self, ThreadId};

static POOLS: Mutex<Vec<Weak<Core>>> = Mutex::new(Vec::new());
/// The thread that cleans up because a signal ends the program.
static ENDING: OnceLock<ThreadId> = OnceLock::new();
static INSTALLED: OnceLock<Result<(), String>> = OnceLock::new();

/// Has a signal shut this pool down.
pub(crate) fn watch_signals(core: &Arc<Core>) -> Result<()> {
    let installed = INSTALLED.get_or_init(|| {
        // Not `try_set_handler`, which takes a signal that is ignored for one that is handled.
        let ignored = signal::ignored_termination_signals().map_err(|error| error.to_string())?;
        let ignored = ignored.ok_or("there is a handler for one of them")?;
        ctrlc::set_handler(on_signal).map_err(|error| error.to_string())?;
        signal::note_termination_signals(&ignored).map_err(|error| error.to_string())
    });
    installed.as_ref().map_err(|error| {
        Error::new(ErrorKind::InvalidArgument, format!("signals cannot be handled: {error}"))
            .with_hint("the program handles signals itself: leave `handle_signals` out, and drop the pool in its handler")
    })?;
    let mut pools = POOLS.lock().unwrap_or_else(PoisonError::into_inner);
    pools.retain(|pool| pool.strong_count() > 0);
    pools.push(Arc::downgrade(core));
    Ok(())
}

/// Never returns once a signal ends the program, except on the thread that cleans up: whoever uses a pool then must
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
    let pools = std::mem::take(&mut *POOLS.lock().unwrap_or_else(PoisonError::into_inner));
    for core in pools.iter().filter_map(Weak::upgrade) {
        kill_point!("signal.noted");
        core.shut_down();
        kill_point!("signal.shut_down");
        core.run.remove_all();
        kill_point!("signal.removed");
    }
    signal::die_of_noted_signal();
}
