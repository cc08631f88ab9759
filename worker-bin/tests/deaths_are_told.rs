//! Goal: whoever runs the tool is told of every worker that died, how and probably why, without harm to the result.
//!
//! Method: a worker of a running `ndpool reduce` is sent a signal by this test; what the tool prints is looked at.

mod support;

use ndpool::ndarray::Array1;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use std::process::Stdio;
use support::{Files, ndpool, stderr, stdout};

/// A worker that serves the tool with this process identifier.
fn worker_of(tool: u32) -> Option<i32> {
    let threads = std::fs::read_dir(format!("/proc/{tool}/task")).ok()?;
    let children =
        threads.filter_map(|thread| std::fs::read_to_string(thread.ok()?.path().join("children")).ok());
    let children: Vec<i32> = children
        .flat_map(|text| text.split(' ').filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
        .collect();
    children.into_iter().find(|pid| {
        std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim_end() == "ndpool 0")
    })
}

#[test]
fn a_worker_that_was_killed_is_in_the_summary() {
    let files = Files::new();
    let x = files.npy("x.npy", &Array1::<f64>::ones(1 << 20));
    let args = ["reduce", &x, "--op", "sum", "--workers", "2", "--repeat", "60", "--json"];
    let tool = ndpool().args(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let worker = loop {
        if let Some(pid) = worker_of(tool.id()) {
            break pid;
        }
        std::thread::yield_now();
    };
    kill(Pid::from_raw(worker), Signal::SIGTERM).unwrap();
    let output = tool.wait_with_output().unwrap();
    let told = stderr(&output);
    assert_eq!(output.status.code(), Some(0), "{told}");
    assert!(told.contains(&format!("worker 0 (process {worker}) was killed by SIGTERM at ")), "{told}");
    assert!(told.contains("probable cause: killed by process "), "{told}");
    let found: Value = serde_json::from_str(stdout(&output)).unwrap();
    assert_eq!((&found["value"], &found["workers_lost"]), (&json!((1 << 20) as f64), &json!(1)));
    let death = &found["deaths"][0];
    assert_eq!((&death["worker"], &death["pid"]), (&json!(0), &json!(worker)), "{death}");
    assert_eq!(death["exit"]["Signal"]["number"], json!(15));
    assert_eq!(death["cause"]["Killed"]["by"]["pid"], json!(std::process::id()), "{death}");
}
