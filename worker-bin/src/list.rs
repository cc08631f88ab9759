//! `ndpool ls` and `ndpool reap`: the pools of this machine, and the end of the dead ones.

use std::time::SystemTime;

use indicatif::{DecimalBytes, HumanDuration};
use ndpool::{RunInfo, SegmentInfo};
use serde::Serialize;

use crate::args::{LsArgs, ReapArgs};
use crate::failure::Failure;
use crate::output::{Table, print, print_json};

#[derive(Serialize)]
struct PoolReport {
    run: String,
    directory: String,
    alive: bool,
    pid: Option<u32>,
    program: Option<String>,
    started: Option<f64>,
    age_seconds: Option<f64>,
    bytes: u64,
    segments: Vec<SegmentReport>,
}

#[derive(Serialize)]
struct SegmentReport {
    name: String,
    bytes: u64,
    age_seconds: Option<f64>,
}

#[derive(Serialize)]
struct Listed {
    pools: Vec<PoolReport>,
}

#[derive(Serialize)]
struct Reaped {
    dry_run: bool,
    removed: Vec<PoolReport>,
}

pub fn ls(args: &LsArgs) -> Result<(), Failure> {
    let runs = ndpool::list()?;
    let now = SystemTime::now();
    if args.json {
        return print_json(&Listed { pools: reports(&runs, now) });
    }
    if runs.is_empty() {
        return print("no pools\n");
    }
    print(&listing(&runs, now))
}

pub fn reap(args: &ReapArgs) -> Result<(), Failure> {
    let removed = ndpool::reap(args.dry_run)?;
    let now = SystemTime::now();
    if args.json {
        return print_json(&Reaped { dry_run: args.dry_run, removed: reports(&removed, now) });
    }
    if removed.is_empty() {
        return print("nothing to remove\n");
    }
    let n_segments: usize = removed.iter().map(|run| run.segments.len()).sum();
    let n_bytes: u64 = removed.iter().map(RunInfo::len_bytes).sum();
    let verb = if args.dry_run { "would remove" } else { "removed" };
    let pools = plural(removed.len(), "dead pool");
    let segments = plural(n_segments, "segment");
    print(&format!("{}{verb} {pools}: {segments}, {}\n", listing(&removed, now), DecimalBytes(n_bytes)))
}

fn plural(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

fn reports(runs: &[RunInfo], now: SystemTime) -> Vec<PoolReport> {
    let segment_report = |segment: &SegmentInfo| SegmentReport {
        name: segment.name.clone(),
        bytes: segment.len_bytes,
        age_seconds: segment.created.and_then(|created| seconds_since(created, now)),
    };
    let report = |run: &RunInfo| PoolReport {
        run: run.run.to_string(),
        directory: run.directory.display().to_string(),
        alive: run.alive,
        pid: run.pid,
        program: run.program.as_ref().map(|program| program.display().to_string()),
        started: run.started.and_then(|started| seconds_since(SystemTime::UNIX_EPOCH, started)),
        age_seconds: run.started.and_then(|started| seconds_since(started, now)),
        bytes: run.len_bytes(),
        segments: run.segments.iter().map(segment_report).collect(),
    };
    runs.iter().map(report).collect()
}

/// `None` if the later time is the earlier one: clocks are set back now and then.
fn seconds_since(earlier: SystemTime, later: SystemTime) -> Option<f64> {
    later.duration_since(earlier).ok().map(|time| time.as_secs_f64())
}

/// A row for each pool, with its segments below it.
fn listing(runs: &[RunInfo], now: SystemTime) -> String {
    let mut table = Table::new();
    table.row(["POOL", "STATE", "PID", "AGE", "SIZE", "PROGRAM"].map(String::from));
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".into());
    let age = |since: Option<SystemTime>| {
        or_dash(
            since.and_then(|since| now.duration_since(since).ok()).map(|age| HumanDuration(age).to_string()),
        )
    };
    for run in runs {
        let state = if run.alive { "alive" } else { "dead" };
        table.row([
            run.run.to_string(),
            state.into(),
            or_dash(run.pid.map(|pid| pid.to_string())),
            age(run.started),
            DecimalBytes(run.len_bytes()).to_string(),
            or_dash(run.program.as_ref().map(|program| program.display().to_string())),
        ]);
        for segment in &run.segments {
            table.row([
                format!("  {}", run.directory.join(&segment.name).display()),
                String::new(),
                String::new(),
                age(segment.created),
                DecimalBytes(segment.len_bytes).to_string(),
                String::new(),
            ]);
        }
    }
    table.to_string()
}
