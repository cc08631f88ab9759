//! `ndpool ls` and `ndpool reap`: the pools of this machine and what is published on it, and the end of what is dead.

use std::time::SystemTime;

use indicatif::{DecimalBytes, HumanDuration};
use ndpool::shared::{self, SharedInfo};
use ndpool::{RunInfo, SegmentInfo, server};
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

/// A structure that is published under a name.
#[derive(Serialize)]
struct PublishedReport {
    name: String,
    kind: &'static str,
    path: String,
    bytes: u64,
    version: u64,
    attached: bool,
    kept: bool,
    age_seconds: Option<f64>,
    pid: u32,
    user: u32,
    group_read: bool,
}

#[derive(Serialize)]
struct Listed {
    pools: Vec<PoolReport>,
    published: Vec<PublishedReport>,
}

#[derive(Serialize)]
struct Reaped {
    dry_run: bool,
    removed: Vec<PoolReport>,
    removed_published: Vec<PublishedReport>,
}

pub fn ls(args: &LsArgs) -> Result<(), Failure> {
    let (runs, published) = (ndpool::list()?, shared::list()?);
    let now = SystemTime::now();
    if args.json {
        let (pools, published) = (reports(&runs, now), published_reports(&published, now));
        return print_json(&Listed { pools, published });
    }
    if runs.is_empty() && published.is_empty() {
        return print("no pools, and nothing published\n");
    }
    print(&listings(&runs, &published, now))
}

pub fn reap(args: &ReapArgs) -> Result<(), Failure> {
    let runs = ndpool::reap(args.dry_run)?;
    // What killed servers had, by their own terms, with their catalogs; then what belongs to none.
    let mut published = shared::list()?;
    let servers = server::reap(args.kept, args.dry_run)?;
    published.retain(|info| servers.iter().any(|server| server.name == info.name));
    published.extend(servers.into_iter().flat_map(|server| server.items));
    for info in shared::reap(args.kept, args.dry_run)? {
        // A dry run finds the same twice.
        if published.iter().all(|other| other.path != info.path) {
            published.push(info);
        }
    }
    published.sort_by(|one, other| one.name.cmp(&other.name));
    let now = SystemTime::now();
    if args.json {
        return print_json(&Reaped {
            dry_run: args.dry_run,
            removed: reports(&runs, now),
            removed_published: published_reports(&published, now),
        });
    }
    if runs.is_empty() && published.is_empty() {
        return print("nothing to remove\n");
    }
    let n_segments: usize = runs.iter().map(|run| run.segments.len()).sum();
    let n_bytes: u64 = runs.iter().map(RunInfo::len_bytes).sum::<u64>()
        + published.iter().map(|info| info.len_bytes).sum::<u64>();
    let verb = if args.dry_run { "would remove" } else { "removed" };
    let pools = plural(runs.len(), "dead pool");
    let segments = plural(n_segments, "segment");
    let structures = plural(published.len(), "published structure");
    let what = match (runs.is_empty(), published.is_empty()) {
        (false, true) => format!("{pools}: {segments}"),
        (true, _) => structures,
        (false, false) => format!("{pools}: {segments}; {structures}"),
    };
    print(&format!("{}{verb} {what}, {}\n", listings(&runs, &published, now), DecimalBytes(n_bytes)))
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

fn published_reports(published: &[SharedInfo], now: SystemTime) -> Vec<PublishedReport> {
    let report = |info: &SharedInfo| PublishedReport {
        name: info.name.clone(),
        kind: info.kind.name(),
        path: info.path.display().to_string(),
        bytes: info.len_bytes,
        version: info.version,
        attached: info.attached,
        kept: info.kept,
        age_seconds: seconds_since(info.created, now),
        pid: info.creator,
        user: info.owner,
        group_read: info.group_read,
    };
    published.iter().map(report).collect()
}

/// Pools, if there are any, and what is published, if there is something.
fn listings(runs: &[RunInfo], published: &[SharedInfo], now: SystemTime) -> String {
    let pools = if runs.is_empty() { String::new() } else { listing(runs, now) };
    let between = if runs.is_empty() || published.is_empty() { "" } else { "\n" };
    let published = if published.is_empty() { String::new() } else { published_listing(published, now) };
    format!("{pools}{between}{published}")
}

/// A row for each structure.
fn published_listing(published: &[SharedInfo], now: SystemTime) -> String {
    let mut table = Table::new();
    table.row(["PUBLISHED", "STATE", "KIND", "VERSION", "AGE", "SIZE", "FILE"].map(String::from));
    for info in published {
        let state = match (info.attached, info.kept) {
            (true, _) => "in use",
            (false, true) => "kept",
            (false, false) => "dead",
        };
        let age = now.duration_since(info.created).map(|age| HumanDuration(age).to_string());
        table.row([
            info.name.clone(),
            state.into(),
            info.kind.name().into(),
            info.version.to_string(),
            age.unwrap_or_else(|_| "-".into()),
            DecimalBytes(info.len_bytes).to_string(),
            info.path.display().to_string(),
        ]);
    }
    table.to_string()
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
