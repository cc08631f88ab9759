//! What workers print: forwarded line by line, and the last lines kept.

use super::memory;
use super::spawn::Stderr;
use std::collections::VecDeque;
use std::io::{ErrorKind, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::process::ChildStderr;

/// Lines of a worker that are kept.
const KEPT_LINES: usize = 20;
/// Bytes of one line that are kept; a program may print without ever ending a line.
const MAX_LINE_BYTES: usize = 4096;

/// Reads at a time: a program that prints without end must not keep the slot's thread from seeing anything else. More than a pipe
/// holds, so that nothing of a program that has ended is missed.
const MAX_READS: usize = 512;

/// The stderr of one worker's process.
#[derive(Debug)]
pub(super) struct Lines {
    pipe: Option<ChildStderr>,
    handling: Stderr,
    slot: usize,
    partial: Vec<u8>,
    kept: VecDeque<String>,
    /// A line that says why the process ends, kept however long the backtrace behind it is.
    refusal: Option<String>,
}

impl Lines {
    pub(super) fn new(pipe: Option<ChildStderr>, handling: Stderr, slot: usize) -> Self {
        if let Some(pipe) = &pipe {
            use nix::fcntl::{FcntlArg, OFlag, fcntl};
            // Read only when there is something, so that a grandchild that holds the pipe holds up nobody.
            let _ = fcntl(pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK));
        }
        Self { pipe, handling, slot, partial: Vec::new(), kept: VecDeque::new(), refusal: None }
    }

    /// The descriptor to poll, as long as something may come.
    pub(super) fn as_poll_fd(&self) -> Option<BorrowedFd<'_>> {
        self.pipe.as_ref().map(AsFd::as_fd)
    }

    /// Takes what is there now, or a good part of it.
    pub(super) fn drain(&mut self) {
        let mut buffer = [0; 4096];
        for _ in 0..MAX_READS {
            let Some(pipe) = &mut self.pipe else { break };
            match pipe.read(&mut buffer) {
                Ok(0) => self.pipe = None,
                Ok(n) => self.take(&buffer[..n]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => self.pipe = None,
            }
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if byte == b'\n' || self.partial.len() >= MAX_LINE_BYTES {
                self.end_line();
            }
            if byte != b'\n' {
                self.partial.push(byte);
            }
        }
    }

    fn end_line(&mut self) {
        let line = String::from_utf8_lossy(&self.partial).into_owned();
        self.partial.clear();
        if self.handling == Stderr::Forward {
            // One write a line, so that lines of several workers do not mix; a closed stderr is the user's wish. Past the lock of
            // `std`: a caller may hold that while its job runs, and the line may stand between a death and its sweep.
            let line = format!("[worker {}] {line}\n", self.slot);
            let mut rest = line.as_bytes();
            while !rest.is_empty() {
                match nix::unistd::write(std::io::stderr(), rest) {
                    Ok(n) if n > 0 => rest = &rest[n..],
                    Err(nix::errno::Errno::EINTR) => {}
                    Ok(_) | Err(_) => break,
                }
            }
        }
        if self.kept.len() == KEPT_LINES {
            self.refusal =
                self.kept.pop_front().filter(|line| memory::is_refusal(line)).or(self.refusal.take());
        }
        self.kept.push_back(line);
    }

    /// The last lines, after everything that has been printed was taken.
    pub(super) fn finish(&mut self) -> Vec<String> {
        self.drain();
        if !self.partial.is_empty() {
            self.end_line();
        }
        self.refusal.iter().chain(&self.kept).cloned().collect()
    }
}
