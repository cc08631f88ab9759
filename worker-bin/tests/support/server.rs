//! A data server of the tool, and other runs of it that go on for a while.

#![allow(dead_code, reason = "every test program uses its part")]

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::ndpool;

/// A server's name that no other test has.
pub fn new_name() -> String {
    static N: AtomicU32 = AtomicU32::new(0);
    format!("cli-{}-{}", std::process::id(), N.fetch_add(1, Ordering::Relaxed))
}

/// Files in shared memory that a server's name has.
pub fn files_of(name: &str) -> Vec<PathBuf> {
    let is_its = |file: &str| {
        file.strip_prefix("ndpool.")
            .and_then(|file| file.strip_prefix(name))
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    let entries = fs::read_dir("/dev/shm").expect("there is shared memory");
    let paths = entries.map(|entry| entry.expect("it can be listed").path());
    paths.filter(|path| path.file_name().and_then(|name| name.to_str()).is_some_and(is_its)).collect()
}

/// The tool, running. Dropped, it is ended.
pub struct Running {
    child: Child,
    out: BufReader<ChildStdout>,
}

impl Running {
    pub fn start(args: &[&str]) -> Self {
        let mut command = ndpool();
        command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary starts");
        let out = BufReader::new(child.stdout.take().expect("it is piped"));
        Self { child, out }
    }

    /// A server that has published these files.
    pub fn serve(name: &str, args: &[&str]) -> Self {
        let mut server = Self::start(&[&["serve", "--name", name], args].concat());
        server.lines_to(&format!("serving {name}"));
        server
    }

    /// The next line that it prints.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        let n = self.out.read_line(&mut line).expect("it prints text");
        if n == 0 {
            let status = self.child.wait();
            panic!("it ended ({status:?}) and said: {}", self.stderr());
        }
        line.trim_end().to_owned()
    }

    /// Lines until, and with, this one.
    pub fn lines_to(&mut self, last: &str) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            lines.push(self.line());
            if lines.last().is_some_and(|line| line == last) {
                return lines;
            }
        }
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).expect("it lives");
    }

    /// Ends it, with all that a server has.
    pub fn end(&mut self) {
        self.signal(Signal::SIGTERM);
        self.wait();
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        self.child.wait().expect("it is our child")
    }

    /// The next line that it says on stderr, which then must not be read otherwise.
    pub fn error_line(&mut self) -> String {
        let mut line = Vec::new();
        let stderr = self.child.stderr.as_mut().expect("it is piped");
        loop {
            let mut byte = [0];
            let n = stderr.read(&mut byte).expect("it says something");
            if n == 0 || byte == *b"\n" {
                return String::from_utf8(line).expect("it says text");
            }
            line.extend(byte);
        }
    }

    /// What it said on stderr, once it has ended.
    pub fn stderr(&mut self) -> String {
        let mut text = String::new();
        self.child.stderr.as_mut().expect("it is piped").read_to_string(&mut text).expect("it says text");
        text
    }
}

/// A process that does not outlive its test, however that ends.
pub struct Ended(pub Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Killed, a server would leave what it has to the next one.
        if let Ok(None) = self.child.try_wait() {
            self.end();
        }
    }
}
