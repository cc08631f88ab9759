//! Hello and welcome: how a fresh process becomes a worker of the pool, or is refused with a reason.
//!
//! Accepting a connection has no time limit of its own, and the message after it may never come, so both happen
//! on a thread that may be left behind. If the process ends first, or the time is over, a dummy connection ends
//! that thread.

use super::core::{Config, Program};
use super::spawn::with_limits_hint;
use crate::control::{Fingerprint, Hello, KnownTask, PROTOCOL};
use crate::error::{Error, ErrorKind, Result};
use crate::segment::Run;
use crate::sys::kill_point;
use crate::sys::process::Wakeup;
use ipc_channel::ipc::{IpcOneShotServer, IpcReceiver};
use nix::unistd::{AccessFlags, access};
use std::os::fd::AsRawFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, mpsc};

/// A server that one worker may say hello to.
pub(super) struct Reception {
    socket: String,
    /// Why the run's manifest has no note of the socket, if it has none for want of room.
    unnoted: Option<std::io::Error>,
    arrivals: mpsc::Receiver<Result<(Hello, IpcReceiver<Hello>), String>>,
    has_arrived: bool,
}

impl Reception {
    /// Opens a server, whose socket goes with the run; `arrived` wakes the caller when there is a hello to take.
    pub(super) fn open(run: &Run, arrived: Arc<Wakeup>) -> Result<Self> {
        check_temporary_directory(&std::env::temp_dir())?;
        let open = || {
            IpcOneShotServer::<Hello>::new().map_err(|error| {
                Error::io("cannot open a socket for a worker to connect to", error)
                    .with_hint(
                        "the directory for temporary files (TMPDIR, or /tmp) must be writable, and descriptors be left (`ulimit -n`)",
                    )
            })
        };
        let ((server, socket), unnoted) = run.make_socket(open, |(_, socket)| Path::new(socket))?;
        let (sender, arrivals) = mpsc::channel();
        let thread =
            std::thread::Builder::new().name("ndpool hello".into()).stack_size(128 << 10).spawn(move || {
                // `ipc-channel` panics over a message that names a channel which did not come with it.
                let accepted = catch_unwind(AssertUnwindSafe(|| server.accept()));
                let arrival = match accepted {
                    Ok(Ok((channel, hello))) => Ok((hello, channel)),
                    Ok(Err(error)) => Err(error.to_string()),
                    Err(_) => Err("it is not the message of a worker".into()),
                };
                kill_point!("start.hello_received");
                // The receiver is gone if the worker was given up.
                let _ = sender.send(arrival);
                arrived.wake();
            });
        if let Err(error) = thread {
            remove_socket(&socket);
            return Err(with_limits_hint(Error::io("cannot start a thread for a worker's hello", error)));
        }
        Ok(Self { socket, unnoted, arrivals, has_arrived: false })
    }

    pub(super) fn socket(&self) -> &str {
        &self.socket
    }

    /// Takes what kept the socket from being noted.
    pub(super) fn take_unnoted(&mut self) -> Option<std::io::Error> {
        self.unnoted.take()
    }

    /// The hello, if it has come.
    pub(super) fn take(&mut self) -> Option<Result<Hello, String>> {
        let arrival = self.arrivals.try_recv().ok()?;
        self.has_arrived = true;
        // The worker sends nothing else this way.
        Some(arrival.map(|(hello, _channel)| hello))
    }

    /// Ends the accepting thread, if it still waits, and removes the socket.
    pub(super) fn close(self) {
        if !self.has_arrived && self.arrivals.try_recv().is_err() {
            // A socket that is gone was removed by the worker: it has connected then, and its end of the connection is closed or
            // about to be.
            let _ = connect_and_close(&self.socket);
        }
        remove_socket(&self.socket);
    }
}

/// Connects to a socket and says nothing. Not by `ipc-channel`, which keeps the descriptor of a connection that fails.
fn connect_and_close(socket: &str) -> nix::Result<()> {
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket as make_socket};
    let address = UnixAddr::new(socket)?;
    // Neither inherited nor waited for: a queue that is full has enough for the thread to end.
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let descriptor = make_socket(AddressFamily::Unix, SockType::SeqPacket, flags, None)?;
    connect(descriptor.as_raw_fd(), &address)
}

/// Looks whether `ipc-channel` can put a socket there. It would panic at a path that is no text, cut off one that is too long, and
/// lose a descriptor in a directory that it cannot write to.
fn check_temporary_directory(directory: &Path) -> Result<()> {
    /// What the kernel takes, but for the zero at the end, less what `ipc-channel` adds: `/.tmpAbCdEf/socket`.
    const LONGEST: usize = 107 - 18;
    let what = match directory.to_str() {
        None => "its path is not UTF-8".to_owned(),
        Some(path) if path.len() > LONGEST => {
            format!("its path has {} bytes, and a socket there can have {LONGEST}", path.len())
        }
        Some(_) => match access(directory, AccessFlags::W_OK | AccessFlags::X_OK) {
            Ok(()) => return Ok(()),
            Err(error) => error.to_string(),
        },
    };
    let message = format!(
        "workers cannot connect to a socket in the directory for temporary files `{}`: {what}",
        directory.display()
    );
    Err(Error::new(ErrorKind::Start, message).with_hint("set TMPDIR to another directory, such as /tmp"))
}

fn remove_socket(socket: &str) {
    let path = Path::new(socket);
    let _ = std::fs::remove_file(path);
    if let Some(directory) = path.parent() {
        let _ = std::fs::remove_dir(directory);
    }
}

/// What a welcomed worker can do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Abilities {
    /// It runs this very program: everything.
    Everything,
    /// It runs another program: the tasks that it registers.
    Tasks(Vec<KnownTask>),
}

/// Checks that a process can be a worker of this pool.
///
/// # Errors
///
/// What does not fit, found and wanted.
pub(super) fn examine(config: &Config, hello: &Hello) -> Result<Abilities> {
    let refused = |what: String| Error::new(ErrorKind::BuildMismatch, what);
    if hello.protocol != PROTOCOL || hello.version != env!("CARGO_PKG_VERSION") {
        return Err(refused(format!(
            "the worker has ndpool {} (protocol {}), this program has ndpool {} (protocol {PROTOCOL})",
            hello.version,
            hello.protocol,
            env!("CARGO_PKG_VERSION"),
        ))
        .with_hint("build the worker program with the same version of ndpool"));
    }
    let own =
        Fingerprint::of_this_program().map_err(|error| Error::io("cannot look at /proc/self/exe", error))?;
    if hello.fingerprint == own {
        return Ok(Abilities::Everything);
    }
    match &config.program {
        Program::This => Err(refused("the worker runs another build of this program".into())
            .with_hint("the program's file changed while it runs: start the program again")),
        Program::Other(path) => {
            if let Some(twice) = hello.tasks.windows(2).find(|pair| pair[0].name == pair[1].name) {
                return Err(duplicate_task(
                    &twice[0].name,
                    &format!("the worker program {}", path.display()),
                ));
            }
            Ok(Abilities::Tasks(hello.tasks.clone()))
        }
    }
}

/// The error for two tasks of one name.
pub(crate) fn duplicate_task(name: &str, program: &str) -> Error {
    Error::new(ErrorKind::DuplicateTask, format!("{program} has two tasks with the name {name}"))
        .with_hint("give one of them another name: #[ndpool::task(name = \"…\")]")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::process::wait_readable;
    use ipc_channel::ipc::IpcSender;

    #[test]
    fn a_hello_that_names_a_channel_which_did_not_come_is_refused() {
        let run = Run::create(crate::segment::Backing::Memfd).unwrap();
        let arrived = Arc::new(Wakeup::new().unwrap());
        let mut reception = Reception::open(&run, Arc::clone(&arrived)).unwrap();
        let fingerprint = Fingerprint::of_this_program().unwrap();
        // The bytes of a hello, with a channel's number but without the channel.
        type Forged = (u32, String, u32, Fingerprint, Vec<KnownTask>, usize);
        let forged: Forged = (PROTOCOL, "1.0.0".into(), 1, fingerprint, Vec::new(), 3);
        IpcSender::<Forged>::connect(reception.socket().into()).unwrap().send(forged).unwrap();
        wait_readable(&[arrived.as_poll_fd()], None).unwrap();
        assert!(reception.take().unwrap().unwrap_err().contains("not the message of a worker"));
        reception.close();
    }
}
