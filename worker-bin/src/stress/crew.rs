//! A supervisor as the director has it: a process with two pipes.

use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::Sender;
use std::time::Duration;

use super::herd::MARK;
use super::report::Report;

/// What is the same for all supervisors of a soak.
#[derive(Debug)]
pub struct Orders<'o> {
    pub seed: u64,
    pub mark: &'o str,
    pub directory: &'o Path,
    pub has_pressure: bool,
    /// Where reports go, with the process that they are from.
    pub reports: &'o Sender<(u32, Report)>,
}

/// One supervisor process.
#[derive(Debug)]
pub struct Supervisor {
    pub index: u64,
    child: Child,
    /// When it last said something, or was resumed.
    pub heard: Duration,
    pub is_quiet: bool,
    pub has_ended: bool,
}

impl Supervisor {
    /// Starts it for the `start`th time. It goes with the thread that calls this.
    pub fn start(orders: &Orders<'_>, index: u64, start: u64, now: Duration) -> io::Result<Self> {
        fs::create_dir_all(orders.directory.join(index.to_string()))?;
        let mut command = Command::new("/proc/self/exe");
        command
            .arg("stress-supervisor")
            .args(["--seed", &orders.seed.to_string()])
            .args(["--index", &index.to_string()])
            .args(["--start", &start.to_string()])
            .args(["--director", &std::process::id().to_string()])
            .arg("--directory")
            .arg(orders.directory)
            .args(orders.has_pressure.then_some("--pressure"))
            .env(MARK, orders.mark)
            // What is left in there after the end is looked at.
            .env("TMPDIR", orders.directory.join("tmp"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // Ctrl-C is for the director.
            .process_group(0);
        let mut child = command.spawn()?;
        let (pid, stdout, reports) = (child.id(), child.stdout.take(), orders.reports.clone());
        std::thread::spawn(move || {
            let lines = stdout.into_iter().flat_map(|stdout| BufReader::new(stdout).lines());
            // The last line of one that was killed may be cut short.
            for report in lines.map_while(Result::ok).filter_map(|line| serde_json::from_str(&line).ok()) {
                if reports.send((pid, report)).is_err() {
                    return;
                }
            }
        });
        Ok(Self { index, child, heard: now, is_quiet: false, has_ended: false })
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn tell(&mut self, order: &str) {
        if let Some(stdin) = &mut self.child.stdin {
            // One that is dead by now is noticed elsewhere.
            let _ = writeln!(stdin, "{order}");
        }
    }

    /// Orders it to end.
    pub fn let_go(&mut self) {
        self.is_quiet = false;
        drop(self.child.stdin.take());
    }

    /// Looks whether it has ended, once.
    pub fn take_end(&mut self) -> Option<ExitStatus> {
        if self.has_ended {
            return None;
        }
        let status = self.child.try_wait().ok().flatten();
        self.has_ended = status.is_some();
        status
    }

    pub fn end_by_force(&mut self) {
        let _ = self.child.kill();
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        if !self.has_ended {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Whether a supervisor ended by a signal that the killer sends.
pub fn was_killed(status: ExitStatus) -> bool {
    status.signal().is_some_and(|signal| [libc::SIGKILL, libc::SIGTERM, libc::SIGSEGV].contains(&signal))
}
