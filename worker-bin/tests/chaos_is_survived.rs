//! Goal: `ndpool stress` holds on this machine for a few seconds, notices what is wrong, and ends when it is told to.
//!
//! Method: the real binary with a fixed seed. Its figures are read as JSON; a hidden switch makes it expect something wrong; SIGINT
//! ends a soak that would last for an hour. Its processes are known by a mark that they inherit, and none may be left.

mod support;

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use support::{ndpool, stderr, stdout};

/// Processes that were started with this variable.
fn processes_with(variable: &str) -> Vec<String> {
    let entries = std::fs::read_dir("/proc").expect("/proc is there").flatten();
    let has = |entry: &std::fs::DirEntry| {
        std::fs::read(entry.path().join("environ"))
            .is_ok_and(|bytes| bytes.split(|&byte| byte == 0).any(|known| known == variable.as_bytes()))
    };
    entries.filter(has).map(|entry| entry.file_name().display().to_string()).collect()
}

fn number(figures: &Value, path: &str) -> u64 {
    let number = figures.pointer(path).and_then(Value::as_u64);
    number.unwrap_or_else(|| panic!("no number {path} in {figures}"))
}

#[test]
fn a_few_seconds_of_kills_break_nothing() {
    let output = ndpool()
        .args(["stress", "--seed", "11", "--seconds", "6", "--json"])
        .env("NDPOOL_TEST_SOAK", "a")
        .output()
        .expect("the binary starts");
    assert_eq!(output.status.code(), Some(0), "{}\n{}", stdout(&output), stderr(&output));
    let figures: Value = serde_json::from_slice(&output.stdout).expect("stdout is JSON");
    for path in ["/wrong/n", "/hangs/n", "/leaks/n"] {
        assert_eq!(number(&figures, path), 0, "{path} in {figures}");
    }
    for path in ["/kills_total", "/jobs_total", "/blocks_total", "/pools"] {
        assert!(number(&figures, path) > 0, "{path} in {figures}");
    }
    assert_eq!(number(&figures, "/seed"), 11);
    assert_eq!(processes_with("NDPOOL_TEST_SOAK=a"), [""; 0]);
}

#[test]
fn something_wrong_is_noticed_and_named() {
    let output = ndpool()
        .args(["stress", "--seed", "12", "--seconds", "8", "--supervisors", "1", "--no-fill", "--fault"])
        .output()
        .expect("the binary starts");
    assert_eq!(output.status.code(), Some(1), "{}\n{}", stdout(&output), stderr(&output));
    assert!(stdout(&output).contains("in-place update: a job of"), "{}", stdout(&output));
    assert!(stderr(&output).contains(" wrong results, 0 hangs, 0 leaks"), "{}", stderr(&output));
    assert!(stderr(&output).contains("--seed 12"), "{}", stderr(&output));
}

#[test]
fn what_is_shared_by_name_survives_the_death_of_anybody() {
    let output = ndpool()
        .args(["stress", "--shared", "--seed", "14", "--seconds", "20", "--json"])
        .output()
        .expect("the binary starts");
    assert_eq!(output.status.code(), Some(0), "{}\n{}", stdout(&output), stderr(&output));
    let figures: Value = serde_json::from_slice(&output.stdout).expect("stdout is JSON");
    for path in ["/wrong/n", "/hangs/n", "/leaks/n"] {
        assert_eq!(number(&figures, path), 0, "{path} in {figures}");
    }
    let done =
        ["arrays read", "frames read", "buffers lent", "buffers copied", "swapped", "items taken over"];
    for path in done.map(|what| format!("/counts/{what}")).iter().map(String::as_str).chain(["/quiet_points"])
    {
        assert!(number(&figures, path) > 0, "{path} in {figures}");
    }
    for path in ["/kills/SIGKILL of a client", "/kills/SIGKILL of a server", "/kills/SIGTERM of a server"] {
        assert!(number(&figures, path) > 0, "{path} in {figures}");
    }
}

#[test]
fn a_mixture_of_what_is_shared_by_name_is_noticed_and_named() {
    let output = ndpool()
        .args(["stress", "--shared", "--seed", "15", "--seconds", "8", "--no-fill", "--fault"])
        .output()
        .expect("the binary starts");
    assert_eq!(output.status.code(), Some(1), "{}\n{}", stdout(&output), stderr(&output));
    assert!(stdout(&output).contains("a mixture in x"), "{}", stdout(&output));
    assert!(stderr(&output).contains("--shared --seed 15"), "{}", stderr(&output));
}

#[test]
fn an_interrupt_ends_it_with_the_summary_and_leaves_nothing() {
    let mut child = ndpool()
        .args(["stress", "--seed", "13", "--seconds", "3600", "--verbose"])
        .env("NDPOOL_TEST_SOAK", "b")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    // It has something to tell: it is under way.
    let mut lines = BufReader::new(child.stderr.take().expect("it is piped")).lines();
    let first = lines.next().expect("a line of progress").expect("which is text");
    assert!(first.contains(" kills, "), "{first}");
    kill(Pid::from_raw(child.id() as i32), Signal::SIGINT).expect("it was not waited for");
    let rest: Vec<String> = lines.map_while(Result::ok).collect();
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(0), "{}\n{rest:?}", stdout(&output));
    assert!(stdout(&output).contains("interrupted"), "{}", stdout(&output));
    assert_eq!(processes_with("NDPOOL_TEST_SOAK=b"), [""; 0]);
}
