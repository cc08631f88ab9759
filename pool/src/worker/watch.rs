//! Noticing that the supervisor is gone, and leaving nothing behind then.
//!
//! Two things tell: the supervisor's pidfd becomes readable, which is certain, and the control channel ends,
//! which may also mean that the supervisor let go of this worker alone. After the first, this process waits for
//! the run's lease, reaps the run and ends; the kernel may take a moment to release the lease of a process with
//! much memory. After the second it tries for two seconds, and ends whether or not it got the lease.
//!
//! The last act is to kill the own process group, so that what tasks started goes too.

use super::serve;
use crate::control::ToWorker;
use crate::job::board::Farewell;
use crate::segment::{self, RunId};
use crate::sys::kill_point;
use crate::sys::process::{self, ProcessHandle};
use ipc_channel::IpcError;
use ipc_channel::ipc::IpcReceiver;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

/// How long a worker waits for the lease of a supervisor that has certainly ended.
const PATIENCE_AFTER_END: Duration = Duration::from_secs(30);
/// How long a worker tries for the lease if only its channel ended.
const PATIENCE_AFTER_SILENCE: Duration = Duration::from_secs(2);

struct Run {
    id: RunId,
    directories: Vec<PathBuf>,
}

static RUN: OnceLock<Run> = OnceLock::new();
static SUPERVISOR: OnceLock<ProcessHandle> = OnceLock::new();

/// For a thread that is about to end this process: returns if the supervisor lives. If it has ended, or does so within
/// `patience`, this process is left to the thread that watches, which reaps first; what has failed here may have failed
/// because the supervisor is gone.
pub(super) fn stay_if_orphaned(patience: Duration) {
    let Some(supervisor) = SUPERVISOR.get() else { return };
    if process::wait_readable(&[supervisor.as_poll_fd()], Some(patience)).is_ok_and(|ready| ready[0]) {
        loop {
            std::thread::park();
        }
    }
}

/// Starts the thread that waits for the supervisor's end.
pub(super) fn watch_supervisor(supervisor: u32, id: RunId, directories: Vec<PathBuf>) {
    let _ = RUN.set(Run { id, directories });
    let handle = match ProcessHandle::open(supervisor) {
        // Asked after the handle was made: if it is still the parent, the handle is its.
        Ok(handle) if std::os::unix::process::parent_id() == supervisor => handle,
        Ok(_) => reap_and_end("its parent is not the supervisor any more", PATIENCE_AFTER_END),
        Err(error) => {
            reap_and_end(&format!("the supervisor's process cannot be watched: {error}"), PATIENCE_AFTER_END)
        }
    };
    let handle = SUPERVISOR.get_or_init(|| handle);
    spawn("watch", move || {
        loop {
            match process::wait_readable(&[handle.as_poll_fd()], None) {
                Ok(ready) if ready[0] => {
                    reap_and_end("the supervisor's process has ended", PATIENCE_AFTER_END)
                }
                Ok(_) => {}
                // Without a way to watch, a worker could outlive its supervisor.
                Err(error) => {
                    let why = format!("the supervisor's process cannot be watched any more: {error}");
                    reap_and_end(&why, PATIENCE_AFTER_SILENCE)
                }
            }
        }
    });
}

/// Starts the thread that listens to the supervisor.
pub(super) fn watch_channel(control: IpcReceiver<ToWorker>) {
    spawn("control", move || {
        loop {
            match control.recv() {
                Ok(ToWorker::Shutdown) => serve::end_when_idle(),
                // A second welcome means nothing.
                Ok(ToWorker::Welcome(_)) => {}
                // A worker that was stopped and resumed may find its call interrupted.
                Err(IpcError::Io(error)) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    let why = format!("the control channel ended: {error}");
                    super::bootstrap::say(&why);
                    reap_and_end(&why, PATIENCE_AFTER_SILENCE)
                }
            }
        }
    });
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) {
    let thread = std::thread::Builder::new().name(format!("ndpool {name}")).stack_size(128 << 10).spawn(body);
    if let Err(error) = thread {
        super::bootstrap::give_up(&format!("cannot start a thread: {error}"));
    }
}

fn reap_and_end(why: &str, patience: Duration) -> ! {
    kill_point!("watch.noticed");
    // For a supervisor that lives after all.
    serve::say_farewell(Farewell::SupervisorLost, why);
    // Tasks may have used up what this process was given; cleaning up wants a little of it.
    process::lift_soft_limits();
    if let Some(run) = RUN.get() {
        // What cannot be removed here, the next pool or `ndpool reap` removes.
        let _ = segment::reap_run_when_free(run.id, &run.directories, patience);
    }
    kill_point!("watch.reaped");
    process::kill_own_group()
}
