//! What unit tests share: directories of their own, and processes that can be killed.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};

/// Tells a test, run again in a process of its own, what it is there for.
const ROLE: &str = "NDPOOL_TEST_ROLE";

/// A fresh directory for files of one test; the test removes it.
pub(crate) fn scratch_directory(name: &str) -> PathBuf {
    let random = crate::sys::host::random_u64().unwrap();
    let directory = std::env::temp_dir().join(format!("ndpool-test.{name}.{random:016x}"));
    std::fs::create_dir(&directory).unwrap();
    directory
}

/// The role for which this process was started by [`actor`], with its argument.
pub(crate) fn role() -> Option<(String, PathBuf)> {
    let role = std::env::var(ROLE).ok()?;
    let (role, argument) = role.split_once('|')?;
    Some((role.to_owned(), argument.into()))
}

/// The command that runs one test of this program again, in a process of its own, for a role. `wrapper` is a program and
/// arguments to run it under, or empty.
pub(crate) fn actor(wrapper: &[&str], test: &str, role: &str, argument: &std::path::Path) -> Command {
    let this = std::env::current_exe().unwrap();
    let mut command = match wrapper {
        [] => Command::new(this),
        [program, arguments @ ..] => {
            let mut command = Command::new(program);
            command.args(arguments).arg(this);
            command
        }
    };
    command.args(["--exact", test, "--nocapture", "--test-threads=1"]);
    command.env(ROLE, format!("{role}|{}", argument.display()));
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command
}

/// Waits until an actor says that it is [`ready`]; `false` if it ends before.
pub(crate) fn wait_until_ready(child: &mut Child) -> bool {
    let stdout = BufReader::new(child.stdout.as_mut().unwrap());
    stdout.lines().any(|line| line.unwrap().ends_with("READY"))
}

/// Says that an actor is where the test wants it, and waits there to be killed, or for the test to close its input.
pub(crate) fn ready() {
    println!("READY");
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
}

/// Says why a test ends early, unless the environment says that it must not.
pub(crate) fn skip(reason: &str) {
    const REQUIRED: &str = "NDPOOL_TEST_REQUIRE_NAMESPACES";
    assert!(std::env::var_os(REQUIRED).is_none(), "{REQUIRED} is set, and {reason}");
    println!("not tested: {reason}");
}

/// Runs an actor to its end.
pub(crate) fn run(mut command: Command) -> (ExitStatus, String) {
    let output = command.stderr(Stdio::piped()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    (output.status, text.into_owned())
}

/// A wrapper for [`actor`]: a private mount namespace in which `/dev/shm` has 64 MB. Needs privileges; says why if there are none.
pub(crate) const SMALL_SHARED_MEMORY: &[&str] = &[
    "unshare",
    "--mount",
    "sh",
    "-c",
    "mount -t tmpfs -o size=64m none /dev/shm || { echo cannot mount; exit 77; }; exec \"$0\" \"$@\"",
];

/// Whether this is a process in which nothing but this test runs. If not, it is run in one, and was seen to pass.
pub(crate) fn runs_alone(test: &str) -> bool {
    if role().is_some() {
        return true;
    }
    let (status, output) = run(actor(&[], test, "alone", std::path::Path::new("/")));
    assert!(status.success() && output.contains("1 passed"), "{output}");
    false
}
