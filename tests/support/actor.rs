//! Processes that play a part: a test is run again in a process of its own, finds its role, and plays it.
//!
//! Actors speak in lines that begin with `@`, since the test harness prints too.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};

const ROLE: &str = "NDPOOL_TESTS_ROLE";
const MARK: char = '@';

/// The role for which this process was started, or none if it is the test itself.
pub fn role() -> Option<String> {
    std::env::var(ROLE).ok()
}

/// Tells the test something, in one line.
pub fn say(word: &str) {
    println!("\n{MARK}{word}");
    std::io::stdout().flush().expect("the test listens");
}

/// Waits until the test says something, or lets go of this process.
pub fn wait_to_be_told() -> String {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).expect("stdin of an actor is a pipe");
    line.trim_end().to_owned()
}

/// A process that plays a role of a test. Dropped, it is killed and waited for.
#[derive(Debug)]
pub struct Actor {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
}

impl Actor {
    /// Runs `test` of this test binary again, in a process of its own, for a role.
    pub fn start(test: &str, role: &str) -> Self {
        Self::spawn(Self::command(&[], test, role))
    }

    /// As [`Actor::start`], in a process group of its own.
    pub fn start_in_group(test: &str, role: &str) -> Self {
        use std::os::unix::process::CommandExt;
        let mut command = Self::command(&[], test, role);
        command.process_group(0);
        Self::spawn(command)
    }

    /// The command of [`Actor::start`], run by a wrapper: a program with its arguments, to which this binary and
    /// the arguments of the test are added.
    pub fn command(wrapper: &[&str], test: &str, role: &str) -> Command {
        let this = std::env::current_exe().expect("a test binary has a path");
        let mut command = match wrapper {
            [] => Command::new(this),
            [program, arguments @ ..] => {
                let mut command = Command::new(program);
                command.args(arguments).arg(this);
                command
            }
        };
        command
            .args(["--exact", test, "--nocapture", "--include-ignored", "--test-threads=1"])
            .env(ROLE, role);
        command
    }

    /// Starts a command that plays a role.
    pub fn spawn(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the test binary can be started");
        let stdin = child.stdin.take();
        let stdout = BufReader::new(child.stdout.take().expect("it is piped"));
        Self { child, stdin, stdout }
    }

    /// Process identifier.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The next line that the actor says.
    ///
    /// # Panics
    ///
    /// If it ends without a word.
    pub fn hear(&mut self) -> String {
        let mut all = String::new();
        loop {
            let mut line = String::new();
            let n = self.stdout.read_line(&mut line).expect("what actors print is text");
            if n == 0 {
                panic!("the actor ended ({:?}) and said nothing more after:\n{all}", self.child.wait());
            }
            if let Some(word) = line.strip_prefix(MARK) {
                return word.trim_end().to_owned();
            }
            all.push_str(&line);
        }
    }

    /// Says something to the actor.
    pub fn tell(&mut self, word: &str) {
        let stdin = self.stdin.as_mut().expect("stdin is open until the actor is let go");
        writeln!(stdin, "{word}").expect("the actor lives");
    }

    /// Ends the actor's input and waits for its end; what it printed since, and how it ended.
    pub fn let_go(mut self) -> (String, ExitStatus) {
        self.stdin = None;
        self.wait()
    }

    /// Waits for the actor's end; what it printed since, and how it ended.
    pub fn wait(mut self) -> (String, ExitStatus) {
        let mut text = String::new();
        self.stdout.read_to_string(&mut text).expect("what actors print is text");
        let status = self.child.wait().expect("it was not waited for before");
        (text, status)
    }

    /// Sends the actor a signal.
    pub fn signal(&self, signal: nix::sys::signal::Signal) {
        // Not waited for yet, so the identifier is its.
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(self.pid() as i32), signal).expect("it is there");
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
