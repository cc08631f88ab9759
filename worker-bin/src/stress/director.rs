//! Who runs the soak: starts supervisors and starts them again, lets the killer strike, calls for quiet now and then and looks
//! whether anything was left.

use std::collections::BTreeSet;
use std::fs;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use ndpool::RunInfo;

use super::chance::Chance;
use super::crew::{Orders, Supervisor, was_killed};
use super::figures::Figures;
use super::herd::{Herd, describe};
use super::killer::Killer;
use super::report::Report;
use super::shm::{self, Pressure};
use crate::args::StressArgs;

/// Between two looks at everything.
const TICK: Duration = Duration::from_millis(4);
/// Between two quiet points.
const STORM: Duration = Duration::from_secs(10);
/// How long a supervisor may say nothing, and how long it may take to become quiet or to end, on the director's clock.
const PATIENCE: Duration = Duration::from_secs(90);
/// How long workers may outlive their supervisor. They take a moment.
const ORPHAN_PATIENCE: Duration = Duration::from_secs(35);
const PROGRESS: Duration = Duration::from_secs(5);
/// Between two calls of the reaper.
const REAP: Duration = Duration::from_millis(700);

/// A clock that adds up ticks: time in which this process was stopped does not count.
struct Clock {
    last: Instant,
    now: Duration,
}

impl Clock {
    fn tick(&mut self) -> Duration {
        self.now += self.last.elapsed().min(Duration::from_millis(100));
        self.last = Instant::now();
        self.now
    }
}

pub struct Director<'a> {
    args: &'a StressArgs,
    is_interrupted: Arc<AtomicBool>,
    directory: PathBuf,
    mark: String,
    has_pressure: bool,
    supervisors: Vec<Supervisor>,
    /// How often each was started.
    starts: Vec<u64>,
    /// Every process that was a supervisor, and every run that was told.
    pids: BTreeSet<u32>,
    runs: BTreeSet<String>,
    sender: Sender<(u32, Report)>,
    reports: Receiver<(u32, Report)>,
    herd: Herd,
    killer: Killer,
    pressure: Pressure,
    clock: Clock,
    figures: Figures,
    /// Findings that were told on stderr.
    n_told: usize,
}

impl<'a> Director<'a> {
    pub fn new(
        args: &'a StressArgs,
        seed: u64,
        directory: PathBuf,
        has_pressure: bool,
        is_interrupted: Arc<AtomicBool>,
    ) -> Self {
        let (sender, reports) = mpsc::channel();
        let mark = format!("{}.{seed}.{:?}", std::process::id(), directory.file_name().unwrap_or_default());
        let figures = Figures { seed, ..Figures::default() };
        Self {
            args,
            is_interrupted,
            directory,
            herd: Herd::new(&mark),
            mark,
            has_pressure,
            supervisors: Vec::new(),
            starts: vec![0; args.supervisors.get()],
            pids: BTreeSet::new(),
            runs: BTreeSet::new(),
            sender,
            reports,
            killer: Killer::new(Chance::new(seed, &[2])),
            pressure: Pressure::new(Chance::new(seed, &[3])),
            clock: Clock { last: Instant::now(), now: Duration::ZERO },
            figures,
            n_told: 0,
        }
    }

    /// Runs the soak to its end. Nothing of it is left then, or it is a finding.
    pub fn run(mut self) -> std::io::Result<Figures> {
        let start = Instant::now();
        let limit = Duration::from_secs(self.args.seconds);
        let is_talking = self.args.verbose || std::io::stderr().is_terminal();
        let (mut next_quiet, mut next_progress, mut next_reap) = (STORM, PROGRESS, REAP);
        for index in 0..self.starts.len() {
            self.start(index as u64)?;
        }
        while start.elapsed() < limit && !self.is_interrupted.load(Ordering::Relaxed) {
            self.turn();
            self.restart()?;
            let pids = self.living();
            self.killer.step(&mut self.herd, &pids, &mut self.figures);
            // More than one if this process had to wait for a core.
            self.killer.step(&mut self.herd, &pids, &mut self.figures);
            if self.has_pressure {
                self.pressure.step();
            }
            let now = start.elapsed();
            if now >= next_reap {
                next_reap = now + REAP;
                self.reap();
            }
            if now >= next_progress && is_talking {
                next_progress = now + PROGRESS;
                eprintln!("{}", self.figures.progress(now));
            }
            if now >= next_quiet {
                self.be_quiet()?;
                next_quiet = start.elapsed() + STORM;
            }
        }
        self.figures.interrupted = self.is_interrupted.load(Ordering::Relaxed);
        self.figures.seconds = start.elapsed().as_secs_f64();
        self.end();
        self.figures.fills = self.pressure.n_fills;
        Ok(std::mem::take(&mut self.figures))
    }

    /// Starts a supervisor, on this thread: it goes with the thread that started it.
    fn start(&mut self, index: u64) -> std::io::Result<()> {
        let start = self.starts[index as usize];
        self.starts[index as usize] += 1;
        let orders = Orders {
            seed: self.figures.seed,
            mark: &self.mark,
            directory: &self.directory,
            has_pressure: self.has_pressure,
            reports: &self.sender,
        };
        let mut supervisor = Supervisor::start(&orders, index, start, self.clock.now)?;
        if self.args.fault && self.figures.wrong.n == 0 {
            supervisor.tell("fault");
        }
        self.pids.insert(supervisor.pid());
        self.figures.supervisors_started += 1;
        self.supervisors.push(supervisor);
        Ok(())
    }

    /// Supervisors in the order of their numbers.
    fn living(&self) -> Vec<u32> {
        let mut living: Vec<&Supervisor> =
            self.supervisors.iter().filter(|supervisor| !supervisor.has_ended).collect();
        living.sort_unstable_by_key(|supervisor| supervisor.index);
        living.iter().map(|supervisor| supervisor.pid()).collect()
    }

    /// Waits a moment and takes in what has happened.
    fn turn(&mut self) {
        match self.reports.recv_timeout(TICK) {
            Ok(report) => {
                self.take(report);
                while let Ok(report) = self.reports.try_recv() {
                    self.take(report);
                }
            }
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
        }
        let now = self.clock.tick();
        self.herd.resume(false);
        self.see_ends(now);
        self.see_orphans(now);
        self.see_silence(now);
        // At once: hours may pass before the summary.
        for text in &self.figures.findings[self.n_told..] {
            let _ = writeln!(std::io::stderr(), "{text}");
        }
        self.n_told = self.figures.findings.len();
    }

    fn take(&mut self, (pid, report): (u32, Report)) {
        let now = self.clock.now;
        if let Report::Pool(run) = &report {
            self.runs.insert(run.clone());
        }
        let is_hang = matches!(report, Report::Hang(_));
        let mut who = format!("process {pid}");
        if let Some(supervisor) = self.supervisors.iter_mut().find(|known| known.pid() == pid) {
            supervisor.heard = now;
            supervisor.is_quiet |= matches!(report, Report::Quiet);
            who = format!(
                "supervisor {}, start {}",
                supervisor.index,
                self.starts[supervisor.index as usize] - 1
            );
        }
        match report {
            Report::Hang(what) => {
                let state = self.state_of(pid);
                self.figures.take(Report::Hang(format!("{what}\n{state}")), &who);
            }
            report => self.figures.take(report, &who),
        }
        if is_hang {
            self.end_by_force(pid);
        }
    }

    /// What a supervisor and its workers are doing.
    fn state_of(&mut self, pid: u32) -> String {
        self.herd.look();
        let mut workers: Vec<u32> =
            self.herd.pids().filter(|&other| self.herd.get(other).is_some_and(|m| m.parent == pid)).collect();
        workers.sort_unstable();
        [pid].into_iter().chain(workers).map(describe).collect()
    }

    fn end_by_force(&mut self, pid: u32) {
        if let Some(supervisor) = self.supervisors.iter_mut().find(|known| known.pid() == pid) {
            supervisor.end_by_force();
        }
    }

    /// Notices supervisors that have ended, and how.
    fn see_ends(&mut self, now: Duration) {
        for supervisor in &mut self.supervisors {
            let Some(status) = supervisor.take_end() else { continue };
            let pid = supervisor.pid();
            if !was_killed(status) && !status.success() {
                self.figures.wrong(format!("supervisor {} ended by itself: {status}", supervisor.index));
            }
            for (_, member) in self.herd.members_mut().filter(|(_, member)| member.parent == pid) {
                member.orphaned.get_or_insert(now);
            }
        }
    }

    /// Looks for workers that outlive their supervisor for too long.
    fn see_orphans(&mut self, now: Duration) {
        let living = self.living();
        let director = std::process::id();
        let mut late = Vec::new();
        for (pid, member) in self.herd.members_mut() {
            let is_orphan = member.parent != director && !living.contains(&member.parent);
            if !is_orphan {
                continue;
            }
            let since = *member.orphaned.get_or_insert(now);
            if member.has_ended() {
                continue;
            }
            let age = now - since;
            let seconds = age.as_secs_f64();
            self.figures.longest_orphan_seconds = self.figures.longest_orphan_seconds.max(seconds);
            if age > ORPHAN_PATIENCE && !member.is_reported {
                member.is_reported = true;
                late.push(pid);
            }
        }
        for pid in late {
            let state = describe(pid);
            self.figures.leak(format!("a worker outlived its supervisor by {ORPHAN_PATIENCE:?}\n{state}"));
        }
    }

    /// Looks for supervisors that say nothing although nobody has stopped them.
    fn see_silence(&mut self, now: Duration) {
        let mut silent = Vec::new();
        for supervisor in self.supervisors.iter_mut().filter(|supervisor| !supervisor.has_ended) {
            let pid = supervisor.pid();
            let is_stopped = self.herd.get(pid).is_some_and(|member| member.stopped_until.is_some());
            if is_stopped || supervisor.is_quiet {
                supervisor.heard = now;
            } else if now - supervisor.heard > PATIENCE {
                supervisor.heard = now;
                silent.push((pid, supervisor.index));
            }
        }
        for (pid, index) in silent {
            let state = self.state_of(pid);
            self.figures.hang(format!("supervisor {index} says nothing for {PATIENCE:?}\n{state}"));
            self.end_by_force(pid);
        }
    }

    fn restart(&mut self) -> std::io::Result<()> {
        let ended: Vec<u64> =
            self.supervisors.iter().filter(|known| known.has_ended).map(|known| known.index).collect();
        self.supervisors.retain(|known| !known.has_ended);
        ended.into_iter().try_for_each(|index| self.start(index))
    }

    /// Removes what dead runs left, as any new pool does all the time.
    fn reap(&mut self) {
        match ndpool::reap_in(&self.places(), false) {
            Ok(reaped) => {
                let is_ours = |info: &&RunInfo| self.is_ours(info);
                self.figures.runs_reaped += reaped.iter().filter(is_ours).count() as u64;
            }
            Err(error) => self.figures.leak(format!("a reap failed: {error}")),
        }
    }

    /// Where runs of the soak have manifests; without shared memory they go to the directory for temporary files.
    fn places(&self) -> [PathBuf; 2] {
        [shm::DIRECTORY.into(), self.directory.join("tmp")]
    }

    fn is_ours(&self, info: &RunInfo) -> bool {
        self.has_pressure
            || self.runs.contains(&info.run.to_string())
            || info.pid.is_some_and(|pid| self.pids.contains(&pid))
    }

    /// Takes turns until something holds, for as long as patience lasts; whether it does.
    fn wait_until(&mut self, patience: Duration, holds: impl Fn(&mut Self) -> bool) -> bool {
        let start = self.clock.now;
        while !holds(self) {
            if self.clock.now - start > patience {
                return false;
            }
            self.turn();
        }
        true
    }

    /// Ends the storm for a moment and looks whether anything is left.
    fn be_quiet(&mut self) -> std::io::Result<()> {
        self.calm_down();
        self.supervisors.iter_mut().for_each(|supervisor| supervisor.tell("quiet"));
        let is_quiet =
            |this: &mut Self| this.supervisors.iter().all(|known| known.is_quiet || known.has_ended);
        if !self.wait_until(PATIENCE, is_quiet) {
            self.report_those_who_do_not("become quiet", |known| !known.is_quiet);
        }
        self.expect_nothing_left();
        self.figures.quiet_points += 1;
        for supervisor in &mut self.supervisors {
            supervisor.is_quiet = false;
            supervisor.tell("go");
        }
        self.restart()
    }

    fn calm_down(&mut self) {
        self.pressure.release();
        self.herd.look();
        self.herd.resume(true);
    }

    fn report_those_who_do_not(&mut self, what: &str, which: impl Fn(&Supervisor) -> bool) {
        let late: Vec<u32> = self
            .supervisors
            .iter()
            .filter(|known| !known.has_ended && which(known))
            .map(|known| known.pid())
            .collect();
        for pid in late {
            let state = self.state_of(pid);
            self.figures.hang(format!("a supervisor does not {what} within {PATIENCE:?}\n{state}"));
            self.end_by_force(pid);
        }
    }

    /// No worker may live while all supervisors are quiet or dead, and no run of a dead supervisor may be there after a reap.
    ///
    /// Both take a moment: a worker that was being started when its supervisor was killed cannot be told from a stranger's until
    /// it runs its program, and holds the lease until then.
    fn expect_nothing_left(&mut self) {
        let is_alone = |this: &mut Self| {
            this.herd.look();
            this.herd.resume(true);
            this.strays().is_empty() && {
                this.reap();
                this.runs_left().is_ok_and(|runs| runs.is_empty())
            }
        };
        if self.wait_until(ORPHAN_PATIENCE, is_alone) {
            return;
        }
        let states: String = self.strays().into_iter().map(describe).collect();
        if !states.is_empty() {
            self.figures.leak(format!("processes live on without a pool:\n{states}"));
        }
        match self.runs_left() {
            Ok(runs) => runs.into_iter().for_each(|run| self.figures.leak(run)),
            Err(error) => self.figures.leak(format!("runs cannot be listed: {error}")),
        }
    }

    /// Processes that are no living supervisors.
    fn strays(&self) -> Vec<u32> {
        let living = self.living();
        self.herd.pids().filter(|pid| !living.contains(pid)).collect()
    }

    /// Runs that no living supervisor has. A forgotten handle keeps its run for as long as the process lives, and no longer.
    fn runs_left(&self) -> ndpool::Result<Vec<String>> {
        let living = self.living();
        let is_held = |run: &RunInfo| run.alive && run.pid.is_some_and(|pid| living.contains(&pid));
        let runs =
            ndpool::list_in(&self.places())?.into_iter().filter(|run| self.is_ours(run) && !is_held(run));
        let describe = |run: RunInfo| {
            let what = if run.alive { "is locked though that process is dead" } else { "is dead" };
            let names: Vec<&str> = run.segments.iter().map(|segment| segment.name.as_str()).collect();
            format!("run {} of process {:?} {what}, and has {names:?}", run.run, run.pid)
        };
        Ok(runs.map(describe).collect())
    }

    /// Ends all supervisors, looks whether anything is left, and removes it.
    fn end(&mut self) {
        self.calm_down();
        self.supervisors.iter_mut().for_each(Supervisor::let_go);
        if !self.wait_until(PATIENCE, |this| this.supervisors.iter().all(|known| known.has_ended)) {
            self.report_those_who_do_not("end", |_| true);
            self.wait_until(PATIENCE, |this| this.supervisors.iter().all(|known| known.has_ended));
        }
        self.expect_nothing_left();
        // Those who read from supervisors end with the last process that could write.
        while let Ok(report) = self.reports.try_recv() {
            self.take(report);
        }
        if self.has_pressure {
            match shm::used_bytes() {
                Ok(0) => {}
                Ok(bytes) => {
                    let names: Vec<_> = fs::read_dir(shm::DIRECTORY)
                        .map(|entries| entries.flatten().map(|entry| entry.file_name()).collect())
                        .unwrap_or_default();
                    self.figures.leak(format!("{bytes} bytes of shared memory are taken by {names:?}"));
                }
                Err(error) => self.figures.leak(format!("shared memory cannot be looked at: {error}")),
            }
        }
        let left = |name: &str| -> Vec<_> {
            let entries = fs::read_dir(self.directory.join(name)).into_iter().flatten().flatten();
            entries.map(|entry| entry.file_name()).collect()
        };
        let segments = left("segments");
        // Between the making of a socket and the note of it lies an instant that no order of steps takes away; what is left is an
        // empty socket in the directory for temporary files.
        let (sockets, others): (Vec<_>, Vec<_>) =
            left("tmp").into_iter().partition(|name| name.to_string_lossy().starts_with(".tmp"));
        self.figures.sockets_left = sockets.len() as u64;
        if !others.is_empty() {
            self.figures.leak(format!("left in the directory for temporary files: {others:?}"));
        }
        if !segments.is_empty() {
            self.figures.leak(format!("left in the directory of segments: {segments:?}"));
        }
        self.herd.kill_all();
    }
}

impl Drop for Director<'_> {
    fn drop(&mut self) {
        // After an error: nobody may be left.
        self.herd.kill_all();
    }
}
