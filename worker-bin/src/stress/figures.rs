//! What a soak comes to: figures, what held, what was not exercised.

use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::time::Duration;

use nix::sys::signal::Signal;
use serde::Serialize;

use super::report::{Counts, Held, Report, Verdict};
use crate::output::Table;

/// Texts of each sort that are kept; more of the same help nobody.
const MAX_TEXTS: usize = 20;

/// Whom a signal was for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    Worker,
    /// A worker whose supervisor is dead, and which is about to clean up.
    Orphan,
    Supervisor,
}

/// Something that must be zero.
#[derive(Debug, Default, Serialize)]
pub struct Findings {
    pub n: u64,
    /// The first of them.
    pub texts: Vec<String>,
}

impl Findings {
    fn add(&mut self, text: String) {
        self.n += 1;
        if self.texts.len() < MAX_TEXTS {
            self.texts.push(text);
        }
    }
}

/// Jobs of one kind.
#[derive(Debug, Default, Clone, Copy, Serialize)]
pub struct Jobs {
    pub jobs: u64,
    pub blocks: u64,
    pub errors: u64,
}

#[derive(Debug, Default, Serialize)]
pub struct Figures {
    pub seed: u64,
    pub seconds: f64,
    pub interrupted: bool,
    pub supervisors_started: u64,
    pub pools: u64,
    pub workers_started: u64,
    pub workers_lost: u64,
    /// Signals that end a process, by their name and by whom they were for.
    pub kills: BTreeMap<String, BTreeMap<Target, u64>>,
    pub kills_total: u64,
    pub stops: u64,
    /// Supervisors that were killed with all their workers at once, and while their workers were stopped.
    pub killed_together: u64,
    pub killed_while_stopped: u64,
    pub fills: u64,
    pub jobs: BTreeMap<String, Jobs>,
    pub jobs_total: u64,
    pub blocks_total: u64,
    pub blocks_redone: u64,
    pub blocks_finished: u64,
    /// Typed errors that were right, by kind.
    pub errors: BTreeMap<String, u64>,
    /// Blocks that were given up because the storm hit them as often as the pool tries.
    pub blocks_given_up: u64,
    pub given_up_texts: Vec<String>,
    pub quiet_points: u64,
    /// Runs of dead supervisors that a reap removed.
    pub runs_reaped: u64,
    /// The longest that a worker outlived its supervisor.
    pub longest_orphan_seconds: f64,
    pub names_checked: u64,
    pub holdings_checked: u64,
    pub saved_files_checked: u64,
    pub wrong: Findings,
    pub hangs: Findings,
    pub leaks: Findings,
    /// Directories of sockets that nobody knew: their supervisors were killed between making and noting them.
    pub sockets_left: u64,
    pub not_exercised: Vec<String>,
    /// What was found, in the order of time.
    #[serde(skip)]
    pub findings: Vec<String>,
}

impl Figures {
    /// Takes in what a supervisor tells; `who` is for the texts of findings.
    pub fn take(&mut self, report: Report, who: &str) {
        match report {
            Report::Pulse | Report::Quiet => {}
            Report::Pool(_) => self.pools += 1,
            Report::Job { kind, blocks, verdict } => {
                let jobs = self.jobs.entry(kind.clone()).or_default();
                jobs.jobs += 1;
                jobs.blocks += blocks;
                self.jobs_total += 1;
                self.blocks_total += blocks;
                match verdict {
                    Verdict::Right => {}
                    Verdict::Error { kind: error, given_up, text } => {
                        jobs.errors += 1;
                        *self.errors.entry(error).or_default() += 1;
                        self.blocks_given_up += given_up;
                        if let Some(text) = text
                            && self.given_up_texts.len() < MAX_TEXTS
                        {
                            self.given_up_texts.push(format!("{who}, {kind}: {text}"));
                        }
                    }
                    Verdict::Wrong(what) => self.wrong(format!("{who}, {kind}: {what}")),
                }
            }
            Report::Counts(Counts { workers_started, workers_lost, blocks_redone, blocks_finished }) => {
                self.workers_started += workers_started;
                self.workers_lost += workers_lost;
                self.blocks_redone += blocks_redone;
                self.blocks_finished += blocks_finished;
            }
            Report::Leak(what) => self.leak(format!("{who}: {what}")),
            Report::Hang(what) => self.hang(format!("{who}: {what}")),
            Report::Held(Held::Names) => self.names_checked += 1,
            Report::Held(Held::Supervisor | Held::Worker) => self.holdings_checked += 1,
            Report::Held(Held::Saved) => self.saved_files_checked += 1,
        }
    }

    pub fn count_kill(&mut self, signal: Signal, target: Target) {
        *self.kills.entry(signal.as_str().into()).or_default().entry(target).or_default() += 1;
        self.kills_total += 1;
    }

    /// A result was wrong.
    pub fn wrong(&mut self, text: String) {
        self.findings.push(format!("wrong: {text}"));
        self.wrong.add(text);
    }

    /// Something made no progress.
    pub fn hang(&mut self, text: String) {
        self.findings.push(format!("hang: {text}"));
        self.hangs.add(text);
    }

    /// Something stayed that should have gone, or is gone that should be there.
    pub fn leak(&mut self, text: String) {
        self.findings.push(format!("leak: {text}"));
        self.leaks.add(text);
    }

    /// Whether everything held.
    pub fn is_clean(&self) -> bool {
        self.wrong.n + self.hangs.n + self.leaks.n == 0
    }

    /// One line for those who wait.
    pub fn progress(&self, elapsed: Duration) -> String {
        format!(
            "{:5.0} s: {} kills, {} jobs, {} blocks redone, {} wrong, {} hangs, {} leaks",
            elapsed.as_secs_f64(),
            self.kills_total,
            self.jobs_total,
            self.blocks_redone,
            self.wrong.n,
            self.hangs.n,
            self.leaks.n
        )
    }

    /// What the soak has shown, if it was clean.
    fn what_held(&self) -> Vec<String> {
        let mut held = vec![
            format!(
                "{} jobs had results that are right to the bit, or typed errors with the exact blocks",
                self.jobs_total
            ),
            "no job hung, and no process outlived the soak".into(),
            format!("no segment of a dead run was left at {} quiet points", self.quiet_points),
        ];
        if self.names_checked > 0 {
            held.push(format!(
                "{} times the file of a living array was looked for, and was there",
                self.names_checked
            ));
        }
        if self.holdings_checked > 0 {
            held.push(format!(
                "{} times descriptors, mappings and memory were back where they were",
                self.holdings_checked
            ));
        }
        if self.saved_files_checked > 0 {
            held.push(format!("{} files of killed supervisors were saved whole", self.saved_files_checked));
        }
        held
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.seconds;
        let early = if self.interrupted { ", interrupted" } else { "" };
        let mut table = Table::new();
        let mut row = |name: &str, value: String| table.row([name.to_owned(), value]);
        row("seed", self.seed.to_string());
        row("time", format!("{seconds:.1} s{early}"));
        row("supervisors", format!("{} started, {} pools built", self.supervisors_started, self.pools));
        row("workers", format!("{} started, {} lost", self.workers_started, self.workers_lost));
        row(
            "kills",
            format!("{} ({:.1} a second)", self.kills_total, self.kills_total as f64 / seconds.max(1e-9)),
        );
        for (signal, targets) in &self.kills {
            let targets: Vec<String> =
                targets.iter().map(|(target, n)| format!("{n} {}", name_of(*target))).collect();
            row(&format!("  {signal}"), targets.join(", "));
        }
        row(
            "",
            format!(
                "{} supervisors with all their workers at once, {} while workers were stopped",
                self.killed_together, self.killed_while_stopped
            ),
        );
        row("stops", self.stops.to_string());
        row("fills of /dev/shm", self.fills.to_string());
        row("jobs", format!("{} in {} blocks", self.jobs_total, self.blocks_total));
        for (kind, jobs) in &self.jobs {
            row(
                &format!("  {kind}"),
                format!("{} in {} blocks, {} with an error", jobs.jobs, jobs.blocks, jobs.errors),
            );
        }
        row(
            "blocks redone",
            format!("{}, and {} written back by the supervisor", self.blocks_redone, self.blocks_finished),
        );
        let errors: Vec<String> = self.errors.iter().map(|(kind, n)| format!("{n} {kind}")).collect();
        row("typed errors", if errors.is_empty() { "none".into() } else { errors.join(", ") });
        row("given up", format!("{} blocks that the storm hit too often", self.blocks_given_up));
        row(
            "reaped",
            format!(
                "{} dead runs; no worker outlived its supervisor by more than {:.2} s",
                self.runs_reaped, self.longest_orphan_seconds
            ),
        );
        row(
            "sockets left",
            format!("{}, made in the instant before a supervisor was killed", self.sockets_left),
        );
        row("wrong results", self.wrong.n.to_string());
        row("hangs", self.hangs.n.to_string());
        row("leaks", self.leaks.n.to_string());
        let mut text = table.to_string();
        for finding in &self.findings {
            let _ = write!(text, "\n{finding}\n");
        }
        if self.is_clean() {
            text += "\nWhat held:\n";
            for held in self.what_held() {
                let _ = writeln!(text, "- {held}");
            }
        }
        if !self.not_exercised.is_empty() {
            text += "\nNot exercised:\n";
            for what in &self.not_exercised {
                let _ = writeln!(text, "- {what}");
            }
        }
        f.write_str(&text)
    }
}

fn name_of(target: Target) -> &'static str {
    match target {
        Target::Worker => "workers",
        Target::Orphan => "workers without a supervisor",
        Target::Supervisor => "supervisors",
    }
}
