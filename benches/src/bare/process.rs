//! Processes that play a role.

use super::FLAG;
use crate::row::Skipped;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// A part that this program can play in another process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Role {
    pub(crate) name: &'static str,
    /// Plays it with these arguments.
    pub(crate) play: fn(&[String]) -> Result<(), Skipped>,
}

/// A process that plays a role, connected by two pipes. It is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Bare {
    child: Child,
    /// Taken when the process is to end by itself.
    requests: Option<ChildStdin>,
    answers: ChildStdout,
}

impl Bare {
    /// Starts a process and does not wait for anything.
    pub(crate) fn start(role: Role, args: &[String]) -> Result<Self, Skipped> {
        let mut child = Command::new("/proc/self/exe")
            .arg(FLAG)
            .arg(role.name)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let requests = child.stdin.take().expect("stdin is piped");
        let answers = child.stdout.take().expect("stdout is piped");
        Ok(Self { child, requests: Some(requests), answers })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends one byte.
    pub(crate) fn ask(&mut self) -> Result<(), Skipped> {
        let requests = self.requests.as_mut().expect("the process was not told to end");
        Ok(requests.write_all(&[1])?)
    }

    /// Waits for one byte.
    pub(crate) fn wait_for_answer(&mut self) -> Result<(), Skipped> {
        Ok(self.answers.read_exact(&mut [0])?)
    }

    /// Waits for a number.
    pub(crate) fn wait_for_number(&mut self) -> Result<u64, Skipped> {
        let mut bytes = [0; 8];
        self.answers.read_exact(&mut bytes)?;
        Ok(u64::from_ne_bytes(bytes))
    }
}

impl Bare {
    /// Closes the pipe to the process and waits for its end, so that it can tidy up.
    #[cfg(feature = "iceoryx2")]
    pub(crate) fn finish(mut self) -> Result<(), Skipped> {
        self.requests = None;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The other end of [`Bare`]'s pipes, unbuffered.
#[derive(Debug)]
pub(crate) struct Parent {
    requests: File,
    answers: File,
}

impl Parent {
    /// This process's stdin and stdout, which nothing else of a role uses.
    pub(crate) fn new() -> Result<Self, Skipped> {
        let copy = |fd: i32| -> Result<File, Skipped> {
            // SAFETY: the call takes a number and makes a new descriptor, or fails.
            let copy = unsafe { libc::dup(fd) };
            if copy < 0 {
                return Err(std::io::Error::last_os_error().into());
            }
            // SAFETY: `dup` has just made it, so nobody else owns it.
            Ok(File::from(unsafe { OwnedFd::from_raw_fd(copy) }))
        };
        Ok(Self {
            requests: copy(std::io::stdin().as_raw_fd())?,
            answers: copy(std::io::stdout().as_raw_fd())?,
        })
    }

    /// Waits for a byte; false once the other end is gone.
    pub(crate) fn is_asked(&mut self) -> Result<bool, Skipped> {
        Ok(self.requests.read(&mut [0])? == 1)
    }

    /// Sends a byte.
    pub(crate) fn answer(&mut self) -> Result<(), Skipped> {
        Ok(self.answers.write_all(&[1])?)
    }

    /// Sends a number.
    pub(crate) fn answer_number(&mut self, n: u64) -> Result<(), Skipped> {
        Ok(self.answers.write_all(&n.to_ne_bytes())?)
    }
}

/// Has the kernel kill this process when the one that started it ends: a role that spins sees no closed pipe.
pub(crate) fn die_with_parent() {
    // SAFETY: the call takes numbers only, and changes what happens to this process at the parent's end.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
}
