//! From the command line of a worker to its first block.
//!
//! 1. Close what was inherited, ask to be resumed when the supervisor's thread ends, take the `NDPOOL_*`
//!    variables out of the environment: what a task starts is no worker.
//! 2. Watch the supervisor's process. From here on its end ends this process.
//! 3. Connect to the one-shot server, remove its socket, say hello.
//! 4. Wait for the welcome; map the board; serve.

use super::{serve, watch};
use crate::control::{
    ENV_DIRECTORIES, ENV_RUN, ENV_SOCKET, ENV_SUPERVISOR, EXIT_CANNOT_SERVE, Fingerprint, Hello, PROTOCOL,
    ToWorker, Welcome, known_tasks,
};
use crate::job::board::Farewell;
use crate::segment::RunId;
use crate::sys::{kill_point, process, signal};
use ipc_channel::ipc::{self, IpcReceiver, IpcSender};
use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

/// What runs the code that became a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Host {
    /// A program's own `main`.
    Program,
    /// The standard test harness, told to run one test on one thread.
    TestHarness,
}

/// What the supervisor put into the environment.
struct Environment {
    socket: String,
    supervisor: u32,
    run: RunId,
    directories: Vec<PathBuf>,
}

/// Serves as a worker and never returns.
pub(super) fn become_worker(host: Host) -> ! {
    #[cfg(feature = "kill-points")]
    kill_point::armed::this_is_a_worker(std::env::var(ENV_SUPERVISOR).ok().and_then(|pid| pid.parse().ok()));
    kill_point!("worker.begin");
    process::close_inherited_descriptors();
    // Without it a stopped worker notices the supervisor's end only when it is resumed.
    let _ = process::resume_when_parent_ends();
    process::set_process_name("ndpool worker");
    process::offer_to_die_first();
    // A file that may grow no further is an error to handle, not an end.
    signal::ignore_file_size_limit();
    let environment = match take_environment(host) {
        Ok(environment) => environment,
        Err(what) => give_up(&format!("started as a worker, but {what}; workers are started by a pool")),
    };
    kill_point!("worker.environment_taken");
    watch::watch_supervisor(environment.supervisor, environment.run, environment.directories);
    kill_point!("worker.watching");
    match shake_hands(&environment.socket) {
        Ok((welcome, control)) => {
            kill_point!("worker.welcomed");
            watch::watch_channel(control);
            kill_point!("worker.listening");
            serve::serve(&welcome)
        }
        Err(what) => give_up(&what),
    }
}

/// How long a worker that cannot go on waits for news that this is so because its supervisor is gone.
const PATIENCE_BEFORE_END: Duration = Duration::from_millis(500);

/// Tells the supervisor something. Not by `eprintln`, which panics if the supervisor is gone and its end of the pipe with it.
pub(super) fn say(what: &str) {
    let _ = writeln!(std::io::stderr(), "ndpool: {what}");
}

/// Says why there is no worker, where the supervisor reads it.
pub(super) fn give_up(what: &str) -> ! {
    serve::say_farewell(Farewell::GaveUp, what);
    say(what);
    watch::stay_if_orphaned(PATIENCE_BEFORE_END);
    std::process::exit(EXIT_CANNOT_SERVE);
}

fn take_environment(host: Host) -> Result<Environment, String> {
    // A program that starts threads before `init` keeps the variables; it is `argv[0]` that makes a worker.
    let is_alone = host == Host::TestHarness
        || std::fs::read_dir("/proc/self/task").is_ok_and(|threads| threads.count() == 1);
    let take = |name: &str| -> Result<OsString, String> {
        let value = std::env::var_os(name).ok_or_else(|| format!("{name} is not set"));
        if is_alone {
            #[expect(unsafe_code, reason = "what tasks start has no use for the variables")]
            // SAFETY: no other thread exists, or only that of the test harness, which waits for this test to end; so
            // none reads the environment meanwhile.
            unsafe {
                std::env::remove_var(name);
            }
        }
        value
    };
    let socket = take(ENV_SOCKET)?;
    let supervisor = take(ENV_SUPERVISOR)?;
    let run = take(ENV_RUN)?;
    let directories = take(ENV_DIRECTORIES)?;
    let number = supervisor.to_str().and_then(|text| text.parse().ok());
    Ok(Environment {
        socket: socket.into_string().map_err(|_| format!("{ENV_SOCKET} is not UTF-8"))?,
        supervisor: number.ok_or_else(|| format!("{ENV_SUPERVISOR} is no process identifier"))?,
        run: run
            .to_str()
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| format!("{ENV_RUN} is no run identifier"))?,
        directories: std::env::split_paths(&directories).collect(),
    })
}

fn shake_hands(socket: &str) -> Result<(Welcome, IpcReceiver<ToWorker>), String> {
    let server: IpcSender<Hello> = IpcSender::connect(socket.to_string())
        .map_err(|error| format!("cannot reach the supervisor at {socket}: {error}"))?;
    kill_point!("worker.connected");
    // Connected: nobody needs the name any more, and it must not stay if both processes die now.
    let _ = std::fs::remove_file(socket);
    if let Some(directory) = std::path::Path::new(socket).parent() {
        let _ = std::fs::remove_dir(directory);
    }
    kill_point!("worker.socket_removed");
    let (control, inbox) = ipc::channel().map_err(|error| format!("no control channel: {error}"))?;
    let fingerprint =
        Fingerprint::of_this_program().map_err(|error| format!("cannot look at /proc/self/exe: {error}"))?;
    let hello = Hello {
        protocol: PROTOCOL,
        version: env!("CARGO_PKG_VERSION").into(),
        pid: std::process::id(),
        fingerprint,
        tasks: known_tasks(),
        control,
    };
    server.send(hello).map_err(|error| format!("cannot say hello to the supervisor: {error}"))?;
    kill_point!("worker.hello_sent");
    match inbox.recv() {
        Ok(ToWorker::Welcome(welcome)) => Ok((*welcome, inbox)),
        Ok(ToWorker::Shutdown) => Err("the pool shut down before this worker served".into()),
        Err(error) => Err(format!("the supervisor did not welcome this worker: {error}")),
    }
}
