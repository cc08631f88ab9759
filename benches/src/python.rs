//! Python programs that do their work when told to, so that it can be measured in turns with ours.
//!
//! The program stands in `benches/python`; its side of the protocol is `peer.py`. Every line that it prints is one JSON
//! object.
//!
//! ```text
//! here                             there
//!   ◄──────── {"ready": true}        warm: workers started, data in place
//!   ◄── {"skipped": "why"}           or: it cannot be done here
//!   "run" ──────────────────►        the work once, timed there
//!   ◄── {"seconds": s, "result": r}
//!   … and so on
//!   end of file ────────────►        the program ends its workers, then itself
//!   ◄──────────── end of file        nobody is left who could print
//! ```
//!
//! Its temporary files go to a directory that is removed with the [`Python`], whatever becomes of the program.

use crate::row::Skipped;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde::Deserialize;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;
use tempfile::TempDir;

const PROGRAMS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/python");
/// What `benches/python/setup.sh` makes.
const PYTHON: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/benches-python/bin/python");
/// What takes longer than this will not end at all.
const ANSWER_LIMIT: Duration = Duration::from_secs(120);
/// How long a program that was told to end may take for that.
const END_LIMIT: Duration = Duration::from_secs(30);
/// Prints those of its arguments that are not modules.
const MISSING: &str = "import sys; from importlib.util import find_spec; \
     print(*[name for name in sys.argv[1:] if find_spec(name) is None])";

/// A running Python program.
pub(crate) struct Python {
    child: Child,
    /// `None` once the program was told to end.
    requests: Option<ChildStdin>,
    answers: Receiver<String>,
    _temporary: TempDir,
}

/// What a program prints.
#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Ready {
        #[serde(rename = "ready")]
        _ready: bool,
    },
    Skipped {
        skipped: String,
    },
    Done {
        seconds: f64,
        result: serde_json::Value,
    },
}

impl Python {
    /// Starts a program of `benches/python` and waits until it is warm.
    ///
    /// # Errors
    ///
    /// There is no Python, or none with these modules; the program cannot be used here; it ended, or did not get ready.
    pub(crate) fn start<A: AsRef<OsStr>>(
        program: &str,
        modules: &[&str],
        args: &[A],
    ) -> Result<Self, Skipped> {
        let temporary = tempfile::tempdir()?;
        let mut child = Command::new(interpreter_with(modules)?)
            .arg(Path::new(PROGRAMS).join(program))
            .args(args)
            .env("TMPDIR", temporary.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()?;
        let requests = child.stdin.take();
        let lines = BufReader::new(child.stdout.take().expect("stdout is piped")).lines();
        let (sender, answers) = channel();
        // Ends when nobody has the program's stdout any more.
        thread::spawn(move || lines.map_while(Result::ok).all(|line| sender.send(line).is_ok()));
        let mut python = Self { child, requests, answers, _temporary: temporary };
        match python.line()? {
            Line::Ready { .. } => Ok(python),
            Line::Skipped { skipped } => Err(Skipped(skipped)),
            Line::Done { .. } => Err(Skipped(format!("{program} answered before it was asked"))),
        }
    }

    /// Has the program do its work once: how long it took there, and what came out.
    ///
    /// # Errors
    ///
    /// The program ended, or did not answer in time, or something else than such a result.
    pub(crate) fn run<R: for<'a> Deserialize<'a>>(&mut self) -> Result<(Duration, R), Skipped> {
        let requests = self.requests.as_mut().expect("the program was not told to end");
        writeln!(requests, "run")?;
        let Line::Done { seconds, result } = self.line()? else {
            return Err(Skipped("the Python program did not answer with a result".into()));
        };
        let result = serde_json::from_value(result).map_err(|error| Skipped(error.to_string()))?;
        Ok((Duration::from_secs_f64(seconds), result))
    }

    fn line(&mut self) -> Result<Line, Skipped> {
        let line = self.answers.recv_timeout(ANSWER_LIMIT).map_err(|error| match error {
            RecvTimeoutError::Timeout => Skipped(format!("no answer from Python in {ANSWER_LIMIT:?}")),
            RecvTimeoutError::Disconnected => Skipped("the Python program ended; see above for why".into()),
        })?;
        serde_json::from_str(&line).map_err(|_| Skipped(format!("Python answered {line:?}")))
    }

    /// Whether nobody has the program's stdout any more, after at most [`END_LIMIT`].
    fn has_ended(&self) -> bool {
        loop {
            match self.answers.recv_timeout(END_LIMIT) {
                Ok(_) => {}
                Err(RecvTimeoutError::Disconnected) => return true,
                Err(RecvTimeoutError::Timeout) => return false,
            }
        }
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        self.requests = None;
        if !self.has_ended() {
            eprintln!("a Python program did not end when told to, and is killed");
            let group = Pid::from_raw(self.child.id().cast_signed());
            // The group's leader was not waited for, so the number is still its own.
            let _ = killpg(group, Signal::SIGKILL);
        }
        let _ = self.child.wait();
    }
}

/// The comparisons' own Python or, if it was not set up, the one of the system.
fn interpreter_with(modules: &[&str]) -> Result<&'static str, Skipped> {
    let (python, is_own) = if Path::new(PYTHON).exists() { (PYTHON, true) } else { ("python3", false) };
    let found = Command::new(python).args(["-c", MISSING]).args(modules).output();
    let option = if modules.iter().all(|name| *name == "numpy") { "" } else { " --peers" };
    let why = match found {
        Ok(found) if found.status.success() => {
            let missing = String::from_utf8_lossy(&found.stdout).trim().to_owned();
            if missing.is_empty() {
                return Ok(python);
            }
            format!(
                "{} has no {missing}",
                if is_own { "target/benches-python" } else { "the system's Python" }
            )
        }
        Ok(found) => format!("{python} does not work: {}", String::from_utf8_lossy(&found.stderr).trim()),
        Err(error) => format!("{python} cannot be started: {error}"),
    };
    Err(Skipped(format!("{why}; run benches/python/setup.sh{option}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::PathBuf;

    /// Starts a program with this text, which finds `peer.py`.
    fn start(directory: &TempDir, text: &str) -> Result<Python, Skipped> {
        let path = directory.path().join("program.py");
        fs::write(&path, format!("import sys; sys.path.append({PROGRAMS:?}); import peer\n{text}")).unwrap();
        Python::start(path.to_str().unwrap(), &[], &[] as &[&OsStr])
    }

    fn why(result: Result<Python, Skipped>) -> String {
        result.err().expect("the program should not be ready").0
    }

    #[test]
    fn a_module_that_is_missing_is_named_with_what_installs_it() {
        let no_args: &[&OsStr] = &[];
        let why = why(Python::start("map_joblib.py", &["json", "no_such_module"], no_args));
        assert!(why.contains("has no no_such_module; run benches/python/setup.sh --peers"), "{why}");
    }

    #[test]
    fn each_request_is_answered_and_nothing_stays() {
        let directory = tempfile::tempdir().unwrap();
        let program = "import tempfile; made = tempfile.mkdtemp()\npeer.serve(lambda: (0.25, [made]))";
        let mut python = start(&directory, program).unwrap_or_else(|why| panic!("{}", why.0));
        let mut made = PathBuf::new();
        for _ in 0..3 {
            let (took, [path]) = python.run::<[PathBuf; 1]>().unwrap_or_else(|why| panic!("{}", why.0));
            assert_eq!(took, Duration::from_millis(250));
            assert!(path.is_dir());
            made = path;
        }
        let process = PathBuf::from(format!("/proc/{}", python.child.id()));
        assert!(process.exists());
        drop(python);
        assert!(!process.exists() && !made.exists());
    }

    #[test]
    fn a_program_says_why_it_cannot_be_used_here() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(why(start(&directory, "peer.say(skipped='no such luck')")), "no such luck");
    }

    #[test]
    fn a_program_that_ends_is_not_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        assert!(why(start(&directory, "sys.exit(3)")).contains("ended"));

        let mut python = start(&directory, "peer.serve(sys.exit)").unwrap_or_else(|why| panic!("{}", why.0));
        assert!(python.run::<f64>().unwrap_err().0.contains("ended"));
    }

    #[test]
    fn an_answer_of_another_kind_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let program = "print('{}'); sys.stdin.read()";
        assert!(why(start(&directory, program)).contains("{}"));

        let mut python =
            start(&directory, "peer.serve(lambda: (1.0, 'text'))").unwrap_or_else(|why| panic!("{}", why.0));
        assert!(python.run::<f64>().is_err());
    }
}
