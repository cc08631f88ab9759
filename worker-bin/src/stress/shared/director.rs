//! Who runs the soak: starts the server and its clients, kills and stops them, starts them again, and looks now and then whether
//! anything is left when all have ended.

use std::fs;
use std::io::{self, BufRead, BufReader, IsTerminal};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use ndpool::ndarray::Ix1;
use ndpool::shared::{self, Event, Mutex};
use ndpool::{Result, server};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::super::chance::Chance;
use super::super::herd::describe;
use super::super::shm;
use super::tally::{Figures, Tally};
use super::{N_CLIENTS, N_LOCKED};
use crate::args::StressArgs;

const TICK: Duration = Duration::from_millis(4);
/// Time between two strokes, on average.
const MEAN_PAUSE: Duration = Duration::from_millis(40);
/// Between two quiet points.
const STORM: Duration = Duration::from_secs(8);
/// How long an actor that nobody has stopped may say nothing, and how long it may take to end.
const PATIENCE: Duration = Duration::from_secs(60);
const PROGRESS: Duration = Duration::from_secs(5);
/// Between two calls of the reapers.
const REAP: Duration = Duration::from_millis(900);

/// One process. It is not waited for before it is dropped, so that its number is its own.
struct Actor {
    index: u64,
    child: Child,
    heard: Instant,
    stopped_until: Option<Instant>,
    /// The signal that ends it, once one was sent.
    doom: Option<Signal>,
}

impl Actor {
    fn name(&self) -> String {
        if self.index == 0 { "server".into() } else { format!("client {}", self.index) }
    }

    fn signal(&self, signal: Signal) {
        let _ = kill(Pid::from_raw(self.child.id().cast_signed()), signal);
    }

    fn resume(&mut self) {
        if self.stopped_until.take().is_some() {
            self.signal(Signal::SIGCONT);
            self.heard = Instant::now();
        }
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What happens to processes.
#[derive(Debug, Clone, Copy)]
enum Stroke {
    Client,
    Server,
    /// As an operator ends it.
    TerminateServer,
    StopClient,
    StopServer,
    /// All of them at once.
    Everybody,
}

/// Strokes by how often they fall.
const STROKES: [(u64, Stroke); 6] = [
    (60, Stroke::Client),
    (9, Stroke::Server),
    (4, Stroke::TerminateServer),
    (12, Stroke::StopClient),
    (3, Stroke::StopServer),
    (2, Stroke::Everybody),
];

/// Whoever runs the soak.
pub struct Director<'a> {
    args: &'a StressArgs,
    is_interrupted: Arc<AtomicBool>,
    name: String,
    /// Whether nobody else sees this shared memory.
    has_own_memory: bool,
    actors: Vec<Actor>,
    n_starts: u64,
    /// When there may be another server.
    next_server: Instant,
    sender: Sender<(u64, Tally)>,
    tallies: Receiver<(u64, Tally)>,
    stop: Event,
    _mutex: Mutex<u64, Ix1>,
    chance: Chance,
    figures: Figures,
}

impl<'a> Director<'a> {
    pub fn new(args: &'a StressArgs, seed: u64, has_own_memory: bool) -> Result<Self> {
        let is_interrupted = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&is_interrupted);
        // Without a handler Ctrl-C ends it at once, and its processes with it.
        let _ = ctrlc::set_handler(move || flag.store(true, Ordering::Relaxed));
        let name = format!("soak-{}", std::process::id());
        let (sender, tallies) = mpsc::channel();
        Ok(Self {
            args,
            is_interrupted,
            has_own_memory,
            actors: Vec::new(),
            n_starts: 0,
            next_server: Instant::now(),
            sender,
            tallies,
            stop: Event::create(&format!("{name}-stop"))?,
            _mutex: Mutex::create(&format!("{name}-lock"), N_LOCKED)?,
            name,
            chance: Chance::new(seed, &[12]),
            figures: Figures { seed, ..Figures::default() },
        })
    }

    /// Runs the soak to its end.
    pub fn run(mut self) -> io::Result<Figures> {
        let start = Instant::now();
        let limit = Duration::from_secs(self.args.seconds);
        let is_talking = self.args.verbose || io::stderr().is_terminal();
        let (mut next_stroke, mut next_quiet) = (start, start + STORM);
        let (mut next_progress, mut next_reap) = (start + PROGRESS, start + REAP);
        self.start_missing()?;
        while start.elapsed() < limit && !self.is_interrupted.load(Ordering::Relaxed) {
            self.turn();
            self.see_ends();
            self.start_missing()?;
            let now = Instant::now();
            if now >= next_stroke {
                next_stroke = now + self.chance.pause(MEAN_PAUSE);
                self.strike();
            }
            if now >= next_reap {
                next_reap = now + REAP;
                self.reap(false);
            }
            if is_talking && now >= next_progress {
                next_progress = now + PROGRESS;
                let n_done: u64 = self.figures.counts.values().sum();
                eprintln!(
                    "{:6.0} s  {} kills, {n_done} done",
                    start.elapsed().as_secs_f64(),
                    self.figures.n_kills()
                );
            }
            if now >= next_quiet {
                self.be_quiet();
                next_quiet = Instant::now() + STORM;
            }
        }
        self.figures.interrupted = self.is_interrupted.load(Ordering::Relaxed);
        self.figures.seconds = start.elapsed().as_secs_f64();
        self.be_quiet();
        let Self { stop, _mutex: mutex, has_own_memory, mut figures, .. } = self;
        drop((stop, mutex));
        if has_own_memory && let Ok(bytes @ 1..) = shm::used_bytes() {
            let names: Vec<_> =
                fs::read_dir(shm::DIRECTORY)?.flatten().map(|entry| entry.file_name()).collect();
            figures.leaks.add(format!("{bytes} bytes of shared memory are taken by {names:?}"));
        }
        Ok(figures)
    }

    /// Starts those who are not there; a server that was killed only after a while, so that clients and reapers find it dead.
    fn start_missing(&mut self) -> io::Result<()> {
        for index in 0..=N_CLIENTS {
            let is_due = index != 0 || Instant::now() >= self.next_server;
            if is_due && self.actors.iter().all(|actor| actor.index != index) {
                self.start(index)?;
            }
        }
        Ok(())
    }

    /// Starts a process, which goes with this thread.
    fn start(&mut self, index: u64) -> io::Result<()> {
        self.n_starts += 1;
        let mut command = Command::new("/proc/self/exe");
        command
            .arg("stress-shared")
            .args(["--name", &self.name])
            .args(["--seed", &self.figures.seed.to_string()])
            .args(["--index", &index.to_string()])
            .args(["--start", &self.n_starts.to_string()])
            .args((self.args.fault && self.figures.wrong.n == 0).then_some("--fault"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            // Ctrl-C is for the director.
            .process_group(0);
        let mut child = command.spawn()?;
        let (stdout, sender) = (child.stdout.take(), self.sender.clone());
        std::thread::spawn(move || {
            let lines = stdout.into_iter().flat_map(|stdout| BufReader::new(stdout).lines());
            // The last line of one that was killed may be cut short.
            for tally in lines.map_while(io::Result::ok).filter_map(|line| serde_json::from_str(&line).ok()) {
                if sender.send((index, tally)).is_err() {
                    return;
                }
            }
        });
        self.figures.started += 1;
        self.actors.push(Actor { index, child, heard: Instant::now(), stopped_until: None, doom: None });
        Ok(())
    }

    /// Waits a moment, takes in what was told, resumes whom it is time to resume, and looks for those who say nothing.
    fn turn(&mut self) {
        match self.tallies.recv_timeout(TICK) {
            Ok(first) => {
                let others: Vec<_> = self.tallies.try_iter().collect();
                for (index, tally) in [first].into_iter().chain(others) {
                    let who = if index == 0 { "server".to_owned() } else { format!("client {index}") };
                    self.figures.take(tally, &who);
                    let actor = self.actors.iter_mut().find(|actor| actor.index == index);
                    actor.into_iter().for_each(|actor| actor.heard = Instant::now());
                }
            }
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
        }
        let now = Instant::now();
        for actor in &mut self.actors {
            if actor.stopped_until.is_some_and(|until| now >= until) {
                actor.resume();
            }
            if actor.stopped_until.is_none() && actor.doom.is_none() && actor.heard + PATIENCE < now {
                let state = describe(actor.child.id());
                self.figures.hangs.add(format!("{} says nothing for {PATIENCE:?}\n{state}", actor.name()));
                actor.signal(Signal::SIGKILL);
                actor.doom = Some(Signal::SIGKILL);
            }
        }
    }

    /// Looks who has ended, and how.
    fn see_ends(&mut self) {
        let pause = if self.chance.one_in(2) { 0 } else { self.chance.within(0..1500) };
        let (figures, next_server) = (&mut self.figures, &mut self.next_server);
        self.actors.retain_mut(|actor| {
            let Ok(Some(status)) = actor.child.try_wait() else { return true };
            let was_meant = match (actor.doom, status.signal()) {
                // A second signal may be faster than the first.
                (Some(_), Some(signal)) => signal == libc::SIGKILL || signal == libc::SIGTERM,
                _ => status.success(),
            };
            if actor.index == 0 {
                *next_server = Instant::now() + Duration::from_millis(pause);
            }
            if !was_meant {
                figures.wrong.add(format!("{} ended by itself: {status}", actor.name()));
            }
            false
        });
    }

    fn strike(&mut self) {
        let stroke = self.chance.weighted(&STROKES);
        let client = self.chance.within(1..N_CLIENTS + 1);
        let until = Instant::now() + self.chance.millis(5..600);
        match stroke {
            Stroke::Client => self.end(client, Signal::SIGKILL),
            Stroke::Server => self.end(0, Signal::SIGKILL),
            Stroke::TerminateServer => self.end(0, Signal::SIGTERM),
            Stroke::StopClient => self.stop_for_a_while(client, until),
            Stroke::StopServer => self.stop_for_a_while(0, until),
            Stroke::Everybody => {
                // Stopped first, so that none sees another's end. Who is ending already must come to its end: nobody resumes it.
                let living = self.actors.iter().filter(|actor| actor.doom.is_none());
                living.for_each(|actor| actor.signal(Signal::SIGSTOP));
                (0..=N_CLIENTS).for_each(|index| self.end(index, Signal::SIGKILL));
            }
        }
    }

    fn end(&mut self, index: u64, signal: Signal) {
        let found = self.actors.iter_mut().find(|actor| actor.index == index && actor.doom.is_none());
        let Some(actor) = found else { return };
        actor.signal(signal);
        actor.resume();
        actor.doom = Some(signal);
        let target = if index == 0 { "server" } else { "client" };
        *self.figures.kills.entry(format!("{} of a {target}", signal.as_str())).or_default() += 1;
    }

    fn stop_for_a_while(&mut self, index: u64, until: Instant) {
        let found = self.actors.iter_mut().find(|actor| actor.index == index && actor.doom.is_none());
        let Some(actor) = found else { return };
        actor.signal(Signal::SIGSTOP);
        actor.stopped_until = Some(until);
        self.figures.stops += 1;
    }

    /// Removes what the dead left, as `ndpool reap` does; what a server could take over only if asked to.
    fn reap(&mut self, recoverable: bool) {
        // Who is stopped with a lock is waited for, and nobody else would resume it meanwhile.
        self.actors.iter_mut().for_each(Actor::resume);
        let is_own = |name: &str| name == self.name || name.starts_with(&format!("{}/", self.name));
        match server::reap(recoverable && self.has_own_memory, false) {
            Ok(reaped) => {
                let n_own = reaped.iter().filter(|server| is_own(&server.name)).count();
                self.figures.reaped += n_own as u64;
            }
            Err(error) => self.figures.leaks.add(format!("servers cannot be reaped: {error}")),
        }
        if let Err(error) = shared::reap(false, false) {
            self.figures.leaks.add(format!("structures cannot be reaped: {error}"));
        }
    }

    /// Lets all end, and looks whether anything is left.
    fn be_quiet(&mut self) {
        self.actors.iter_mut().for_each(Actor::resume);
        self.stop.set();
        let start = Instant::now();
        while !self.actors.is_empty() {
            self.turn();
            self.see_ends();
            self.actors.iter_mut().for_each(Actor::resume);
            if start.elapsed() > PATIENCE {
                for actor in std::mem::take(&mut self.actors) {
                    let state = describe(actor.child.id());
                    self.figures
                        .hangs
                        .add(format!("{} does not end within {PATIENCE:?}\n{state}", actor.name()));
                }
            }
        }
        // If the last one was killed, another takes over what it left, and takes it away with it.
        self.end_last_server();
        self.reap(false);
        match self.left() {
            Ok(left) if left.is_empty() => self.figures.quiet_points += 1,
            Ok(left) => self.figures.leaks.add(format!("left when all had ended: {left:?}")),
            Err(error) => self.figures.leaks.add(format!("shared memory cannot be listed: {error}")),
        }
        self.stop.clear();
    }

    /// Has a server take over what one that was killed left, and end.
    fn end_last_server(&mut self) {
        let dead = server::list().unwrap_or_default().into_iter().find(|server| server.name == self.name);
        if dead.is_some_and(|server| !server.alive)
            && let Err(error) = server::DataServer::new(&self.name).and_then(server::DataServer::close)
        {
            self.figures.wrong.add(format!("no server can take over: {error}"));
        }
    }

    /// Files of the soak that there are, but for the director's own two.
    fn left(&self) -> io::Result<Vec<String>> {
        let prefix = format!("ndpool.{}", self.name);
        let own = [format!("{prefix}-stop"), format!("{prefix}-lock")];
        let entries = fs::read_dir(shm::DIRECTORY)?.flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        let is_left =
            |name: &String| name.starts_with(&prefix) || (self.has_own_memory && name.starts_with("ndpool."));
        Ok(names.filter(|name| is_left(name) && !own.contains(name)).collect())
    }
}
