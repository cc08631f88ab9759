//! Starting a worker's process: exec, never fork, and nothing between that would make it dear.

use super::core::{Config, Program};
use crate::control::{ENV_DIRECTORIES, ENV_RUN, ENV_SOCKET, ENV_SUPERVISOR, WORKER_ARG0};
use crate::error::{Error, ErrorKind, Result};
use crate::segment::Run;
use crate::worker::test_path;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

/// What becomes of what workers print to stderr. Its last lines are kept for error messages in any case but
/// [`Stderr::Inherit`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Stderr {
    /// Each line goes to the program's stderr with the worker's number before it.
    #[default]
    Forward,
    /// Only kept for error messages.
    Keep,
    /// Workers write to the program's stderr directly.
    Inherit,
}

/// Libraries that would otherwise start one thread per core in every worker.
const THREAD_COUNTS: [&str; 7] = [
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "RAYON_NUM_THREADS",
];

/// Starts a worker's process that will connect to `socket`.
pub(super) fn spawn(config: &Config, run: &Run, socket: &str) -> Result<Child> {
    let mut command = match &config.program {
        // The running program even if its file was replaced or deleted.
        Program::This => Command::new("/proc/self/exe"),
        Program::Other(path) => Command::new(path),
    };
    command.arg0(WORKER_ARG0).stdin(Stdio::null());
    if let (Program::This, Some(test)) = (&config.program, test_path()) {
        command.args(["--exact", test, "--nocapture", "--include-ignored", "--test-threads=1"]);
        // The test harness announces the test; the test's own output comes through the supervisor.
        command.stdout(Stdio::null());
    }
    command.stderr(if config.stderr == Stderr::Inherit { Stdio::inherit() } else { Stdio::piped() });
    for name in THREAD_COUNTS {
        command.env(name, config.threads_per_worker.to_string());
    }
    command.envs(config.environment.iter().map(|(name, value)| (name, value)));
    let directories = std::env::join_paths(run.dirs()).map_err(|error| {
        Error::new(
            ErrorKind::InvalidArgument,
            format!("a directory of segments cannot be passed on: {error}"),
        )
    })?;
    command
        .env(ENV_SOCKET, socket)
        .env(ENV_SUPERVISOR, std::process::id().to_string())
        .env(ENV_RUN, run.id().to_string())
        .env(ENV_DIRECTORIES, directories)
        // A group of its own: signals from a terminal do not reach it, and what a task starts can be killed.
        .process_group(0);
    command.spawn().map_err(|error| {
        let program = match &config.program {
            Program::This => "this program".to_string(),
            Program::Other(path) => path.display().to_string(),
        };
        let message = format!("cannot start {program} as a worker: {error}");
        with_limits_hint(Error::new(ErrorKind::Start, message).with_source(error))
    })
}

/// Adds what to look at if the system refused a thread, a process or a descriptor because a limit is reached.
pub(super) fn with_limits_hint(error: Error) -> Error {
    let source = std::error::Error::source(&error).and_then(|source| source.downcast_ref::<std::io::Error>());
    match source.and_then(std::io::Error::raw_os_error) {
        Some(libc::EAGAIN | libc::ENOMEM | libc::EMFILE | libc::ENFILE) => error.with_hint(
            "a limit is reached: look at those on processes and threads (`ulimit -u`, pids.max), on memory and on open files \
             (`ulimit -n`)",
        ),
        _ => error,
    }
}
