//! The thread of one worker slot: carries out what the [lifecycle](super::lifecycle) asks for.
//!
//! All that this thread waits for, the process's end, its hello, its stderr and the pool's shutdown, it waits
//! for in one poll.

use super::core::{Core, GivenUp, Slot};
use super::handshake::{self, Reception};
use super::lifecycle::{Action, Event, Lifecycle};
use super::postmortem::{self, Remains};
use super::stderr::Lines;
use super::{memory, oom, spawn, sweep};
use crate::control::{EXIT_CANNOT_SERVE, Hello, ToWorker, Welcome};
use crate::error::{Death, Error, ErrorKind, Result, WorkerExit};
use crate::job::board::Farewell;
use crate::sys::clock::monotonic_nanos;
use crate::sys::kill_point;
use crate::sys::oom::{KillCounter, kill_counters};
use crate::sys::process::{Ended, ProcessHandle, peak_resident_bytes, wait_readable};
use ipc_channel::ipc::IpcSender;
use nix::sys::signal::Signal;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

/// The process that a slot has at the moment.
struct Process {
    handle: Arc<ProcessHandle>,
    lines: Lines,
    /// Where the worker listens; `None` until it said hello.
    control: Option<IpcSender<ToWorker>>,
    /// The most that this process had resident when it started the worker, which inherits the mark.
    inherited_peak: Option<u64>,
    /// On the monotonic clock.
    started_nanos: u64,
    /// Where the kernel counts what it kills for want of memory; they cannot be found once the process has ended.
    kill_counters: Vec<KillCounter>,
    /// Keeps the child's descriptors; it is waited for through the handle.
    _child: std::process::Child,
}

struct Actor<'c> {
    core: &'c Arc<Core>,
    index: usize,
    slot: &'c Slot,
    process: Option<Process>,
    /// What went wrong at the last start.
    last_error: Option<Error>,
    /// How the process of the last start ended, if it did so by itself.
    last_exit: Option<WorkerExit>,
    /// The record of the end that the last start came to.
    last_death: Option<Arc<Death>>,
}

/// How a process came to be buried.
#[derive(Debug)]
enum End {
    /// The pool wants it to end: no death.
    Asked,
    /// It served, and ended.
    Serving,
    /// It did not come to serve, and this is why.
    FailedStart(String),
}

/// Runs a slot until the pool shuts down.
pub(super) fn run(core: &Arc<Core>, index: usize) {
    let mut actor = Actor {
        core,
        index,
        slot: &core.slots[index],
        process: None,
        last_error: None,
        last_exit: None,
        last_death: None,
    };
    let mut life = Lifecycle::new();
    let mut event = Event::Begin;
    loop {
        event = match life.step(event) {
            Action::Start => actor.start(),
            Action::Watch => actor.watch(),
            Action::Wait(delay) => actor.wait(delay),
            Action::End => actor.end(),
            Action::GiveUp => actor.give_up(),
            Action::Finish => return,
        };
    }
}

impl Actor<'_> {
    fn is_closing(&self) -> bool {
        self.core.is_closing.load(Ordering::SeqCst)
    }

    /// Starts a process and welcomes it.
    fn start(&mut self) -> Event {
        if self.is_closing() && self.process.is_none() {
            return Event::ShutDown;
        }
        self.last_death = None;
        match self.try_start() {
            Ok(event) => event,
            Err(error) => {
                let what = error.parts().0.lines().next().unwrap_or_default().to_owned();
                if self.process.as_ref().is_some_and(|process| process.handle.has_ended()) {
                    self.last_exit = self.bury(End::FailedStart(what)).map(|death| death.exit.clone());
                } else if self.process.is_some() {
                    self.kill_and_bury(End::FailedStart(what));
                } else if self.last_death.is_none() {
                    self.never_started(what);
                }
                let is_final = matches!(error.kind(), ErrorKind::BuildMismatch | ErrorKind::DuplicateTask);
                self.last_error = Some(match self.last_death.clone() {
                    Some(death) => error.with_death(death),
                    None => error,
                });
                match self.last_exit.take() {
                    _ if is_final => Event::Refused,
                    Some(WorkerExit::Signal { number: libc::SIGKILL | libc::SIGTERM, .. }) => Event::Killed,
                    _ => Event::Failed,
                }
            }
        }
    }

    fn try_start(&mut self) -> Result<Event> {
        let mut reception = Reception::open(&self.core.run, Arc::clone(&self.slot.wakeup))?;
        kill_point!("start.socket_open");
        if let Some(error) = reception.take_unnoted() {
            self.core.aside.tell(move || tracing::warn!(%error, "cannot note the socket of a worker"));
        }
        let started = self.start_process(&reception);
        let hello = match started {
            Ok(()) => self.await_hello(&mut reception),
            Err(error) => Err(error),
        };
        kill_point!("start.handshake_over");
        reception.close();
        kill_point!("start.reception_closed");
        let Some(hello) = hello? else { return Ok(Event::ShutDown) };
        let abilities = handshake::examine(&self.core.config, &hello)?;
        if !self.core.learn_abilities(abilities) {
            return Err(Error::new(
                ErrorKind::BuildMismatch,
                "the worker program is another one than when the pool was built, with other tasks",
            )
            .with_hint("its file changed while the pool runs: build a new pool"));
        }
        kill_point!("start.hello_examined");
        self.welcome(hello)?;
        Ok(Event::Ready)
    }

    fn start_process(&mut self, reception: &Reception) -> Result<()> {
        let started_nanos = monotonic_nanos();
        let mut child = spawn::spawn(&self.core.config, &self.core.run, reception.socket())?;
        kill_point!("start.spawned");
        let handle = ProcessHandle::open(child.id()).map_err(|error| {
            // Not waited for yet, so the identifier is still its.
            let _ = child.kill();
            let _ = child.wait();
            spawn::with_limits_hint(Error::io("cannot watch a worker's process", error))
        })?;
        let lines = Lines::new(child.stderr.take(), self.core.config.stderr, self.index);
        let handle = Arc::new(handle);
        self.slot.lock().process = Some(Arc::clone(&handle));
        let inherited_peak = peak_resident_bytes();
        let read = kill_counters(handle.pid());
        let n_pending = self.core.n_unburied_but(self.index);
        {
            let mut kills = self.core.kills.lock().unwrap_or_else(PoisonError::into_inner);
            read.iter().for_each(|(counter, now)| kills.note_read(counter, *now, n_pending));
        }
        let kill_counters = read.into_iter().map(|(counter, _)| counter).collect();
        self.process = Some(Process {
            handle,
            lines,
            control: None,
            inherited_peak,
            started_nanos,
            kill_counters,
            _child: child,
        });
        kill_point!("start.watched");
        Ok(())
    }

    /// Waits for the hello of the process; `None` if the pool shuts down first.
    fn await_hello(&mut self, reception: &mut Reception) -> Result<Option<Hello>> {
        let deadline = Instant::now() + self.core.config.start_deadline;
        loop {
            let remaining = deadline.saturating_duration_since(Instant::now());
            let has_ended = self.poll(Some(remaining));
            match reception.take() {
                Some(Ok(hello)) => return Ok(Some(hello)),
                Some(Err(what)) => {
                    return Err(self.start_error(&format!("its hello could not be read: {what}")));
                }
                None => {}
            }
            if self.is_closing() {
                return Ok(None);
            }
            if has_ended {
                let death = self.bury(End::FailedStart("it ended before it said hello".into()));
                let (exit, lines) = death.map_or((WorkerExit::Unknown, Vec::new()), |death| {
                    (death.exit.clone(), death.stderr.clone())
                });
                let error = self.start_error_with(&format!("it {exit} before it said hello"), &lines);
                self.last_exit = Some(exit);
                return Err(error);
            }
            if remaining.is_zero() {
                let limit = self.core.config.start_deadline;
                let what = format!("it did not say hello within {limit:?}");
                let error = self.start_error(&what);
                self.kill_and_bury(End::FailedStart(what));
                return Err(error.with_hint(
                    "does the worker's program call `ndpool::init()` first thing in `main`? \
                     A slow start can be given more time with `Builder::start_deadline`",
                ));
            }
        }
    }

    fn start_error(&mut self, what: &str) -> Error {
        let lines = self.process.as_mut().map(|process| process.lines.finish()).unwrap_or_default();
        self.start_error_with(what, &lines)
    }

    fn start_error_with(&self, what: &str, lines: &[String]) -> Error {
        let mut message = format!("worker {} could not be started: {what}", self.index);
        append_lines(&mut message, lines);
        Error::new(ErrorKind::Start, message).with_hint(
            "the worker's program must call `ndpool::init()` first thing in `main`; \
             what stands before that call runs in every worker",
        )
    }

    fn welcome(&mut self, hello: Hello) -> Result<()> {
        let config = &self.core.config;
        let cpu = config.cpus.as_ref().and_then(|cpus| cpus.get(self.index % cpus.len().max(1)).copied());
        let welcome = Welcome {
            slot: self.index,
            n_workers: config.n_workers,
            board: self.core.board_segment.locator(),
            staging: self.slot.staging.locator(),
            spill: self.slot.spill.locator(),
            idle_spin_nanos: config.idle_spin.as_nanos() as u64,
            max_tasks: config.max_tasks_per_worker,
            memory_limit: config.memory_limit,
            recycle_above: config.recycle_above,
            cpu,
            faults: config.faults.clone(),
        };
        self.core.board.reset_worker(self.index);
        kill_point!("welcome.cells_reset");
        // Counted first: whoever has a result of this worker's finds it counted.
        self.core.counters.workers_started.fetch_add(1, Ordering::Relaxed);
        if let Err(error) = hello.control.send(ToWorker::Welcome(Box::new(welcome))) {
            self.core.counters.workers_started.fetch_sub(1, Ordering::Relaxed);
            return Err(self.start_error(&format!("it could not be welcomed: {error}")));
        }
        kill_point!("welcome.sent");
        if let Some(process) = &mut self.process {
            process.control = Some(hello.control);
        }
        self.slot.lock().is_serving = true;
        kill_point!("welcome.serving");
        self.core.announce_readiness();
        kill_point!("welcome.announced");
        Ok(())
    }

    /// Waits for news of the process: takes what it printed, and tells whether it has ended.
    fn poll(&mut self, timeout: Option<Duration>) -> bool {
        let Some(process) = &mut self.process else { return false };
        let mut fds = vec![process.handle.as_poll_fd(), self.slot.wakeup.as_poll_fd()];
        fds.extend(process.lines.as_poll_fd());
        // An error could only be a lack of memory; the next round tries again.
        let ready = wait_readable(&fds, timeout).unwrap_or_default();
        if ready.get(1) == Some(&true) {
            self.slot.wakeup.clear();
        }
        if ready.get(2) == Some(&true) {
            process.lines.drain();
        }
        ready.first() == Some(&true)
    }

    /// Watches the process until it ends or the pool shuts down.
    fn watch(&mut self) -> Event {
        loop {
            // Looked at before every poll: the wake-up of a shutdown may have been cleared with that of the hello.
            if self.is_closing() {
                return Event::ShutDown;
            }
            let has_ended = self.poll(None);
            if self.is_closing() {
                return Event::ShutDown;
            }
            if has_ended {
                kill_point!("death.noticed");
                let Some(death) = self.bury(End::Serving) else { return Event::Ended };
                kill_point!("death.swept");
                if death.exit == WorkerExit::Code(EXIT_CANNOT_SERVE) && death.n_begun == 0 {
                    let mut message = format!("worker {} {} before its first block", self.index, death.exit);
                    append_lines(&mut message, &death.stderr);
                    self.last_error = Some(Error::new(ErrorKind::Start, message).with_death(death));
                    return Event::Failed;
                }
                return Event::Ended;
            }
        }
    }

    /// Waits before the next start.
    fn wait(&mut self, delay: Duration) -> Event {
        let until = Instant::now() + delay;
        loop {
            if self.is_closing() {
                return Event::ShutDown;
            }
            let remaining = until.saturating_duration_since(Instant::now());
            if remaining.is_zero() {
                return Event::DelayOver;
            }
            let _ = wait_readable(&[self.slot.wakeup.as_poll_fd()], Some(remaining));
            self.slot.wakeup.clear();
        }
    }

    /// Has the process end: by asking first, if it may still answer.
    fn end(&mut self) -> Event {
        let Some(process) = &mut self.process else { return Event::Ended };
        let asked = process.control.as_ref().is_some_and(|control| control.send(ToWorker::Shutdown).is_ok());
        kill_point!("end.asked");
        let until = Instant::now() + if asked { self.core.config.shutdown_grace } else { Duration::ZERO };
        loop {
            let remaining = until.saturating_duration_since(Instant::now());
            if self.poll(Some(remaining)) {
                self.bury(End::Asked);
                kill_point!("end.buried");
                return Event::Ended;
            }
            if remaining.is_zero() {
                self.kill_and_bury(End::Asked);
                return Event::Ended;
            }
        }
    }

    fn kill_and_bury(&mut self, end: End) {
        if let Some(process) = &self.process {
            // An error means that it has ended.
            let _ = process.handle.signal(Signal::SIGKILL);
            kill_point!("kill_and_bury.killed");
            while !process.handle.has_ended() {
                let _ = wait_readable(&[process.handle.as_poll_fd()], None);
            }
            self.bury(end);
        }
    }

    /// Waits for a process that has ended, and sweeps every job. Only then may the slot be filled again.
    ///
    /// The record of the end; `None` if there was no process.
    fn bury(&mut self, end: End) -> Option<Arc<Death>> {
        let mut process = self.process.take()?;
        let (ended, peak) = process.handle.bury();
        kill_point!("bury.waited");
        let stderr = process.lines.finish();
        let killed_for = {
            let mut worker = self.slot.lock();
            worker.process = None;
            worker.is_serving = false;
            worker.killed_for.take()
        };
        kill_point!("bury.slot_emptied");
        let exit = killed_for.unwrap_or(match ended {
            Ended::Code(code) => WorkerExit::Code(code),
            Ended::Signal { number, core_dumped } => WorkerExit::Signal { number, core_dumped },
            Ended::Unknown => WorkerExit::Unknown,
        });
        let exit = memory::attribute(&self.core.config, exit, &stderr);
        let memory = self.memory_evidence(&process, &exit);
        let is_death = match end {
            End::Asked => false,
            End::Serving => exit != WorkerExit::Code(0) || !self.has_retired(),
            End::FailedStart(_) => !self.is_closing(),
        };
        let remains = Remains {
            pid: Some(process.handle.pid()),
            exit,
            stderr,
            failed_start: if let End::FailedStart(what) = end { Some(what) } else { None },
            memory,
            peak_resident_bytes: peak
                .filter(|&bytes| process.inherited_peak.is_some_and(|mark| bytes > mark)),
        };
        let death = postmortem::examine(self.core, self.index, remains);
        if is_death {
            // Before the sweep: whoever is told of a block that was given up finds the record.
            self.core.keep_death(&death);
        }
        sweep::sweep(self.core, self.index, &death);
        if is_death {
            self.core.tell_death(&death);
        }
        self.last_death = Some(Arc::clone(&death));
        Some(death)
    }

    /// What says that the process was killed for want of memory.
    fn memory_evidence(&self, process: &Process, exit: &WorkerExit) -> Vec<String> {
        let n_pending = self.core.n_unburied_but(self.index);
        let mut kills = self.core.kills.lock().unwrap_or_else(PoisonError::into_inner);
        if !matches!(exit, WorkerExit::Signal { number: libc::SIGKILL, .. } | WorkerExit::Unknown) {
            kills.note(&process.kill_counters, n_pending);
            return Vec::new();
        }
        let in_log = || oom::line_in_log(process.handle.pid(), process.started_nanos);
        kills.evidence(&process.kill_counters, n_pending, in_log)
    }

    /// Whether the worker has ended because it was asked to, or had run its share of blocks.
    fn has_retired(&self) -> bool {
        let board = &self.core.board;
        let max = self.core.config.max_tasks_per_worker;
        let has_had_enough = max.is_some_and(|max| board.n_begun(self.index) >= max);
        board.farewell(self.index) == Some(Farewell::Retired)
            && (board.must_retire(self.index) || has_had_enough)
    }

    /// Records a start that did not come as far as a process.
    fn never_started(&mut self, what: String) {
        if self.is_closing() {
            return;
        }
        let remains = Remains {
            pid: None,
            exit: WorkerExit::NeverStarted,
            stderr: Vec::new(),
            failed_start: Some(what),
            memory: Vec::new(),
            peak_resident_bytes: None,
        };
        let death = postmortem::examine(self.core, self.index, remains);
        self.core.keep_death(&death);
        self.core.tell_death(&death);
        self.last_death = Some(death);
    }

    /// Leaves the slot empty, and says why, until a job makes another try worth while.
    fn give_up(&mut self) -> Event {
        let told = self.last_error.take().map(|error| {
            let told = error.to_string();
            self.slot.lock().given_up = Some(GivenUp { error, since: Instant::now() });
            self.core.n_given_up.fetch_add(1, Ordering::SeqCst);
            told
        });
        self.core.announce_readiness();
        if let Some(error) = self.core.is_broken() {
            self.core.cancel_all(&error);
            self.core.finish_all();
        }
        // Last: a listener may wait for what a caller holds until its job has ended.
        if let Some(error) = told {
            let worker = self.index;
            self.core
                .aside
                .tell(move || tracing::error!(worker, %error, "a worker cannot be started and is given up"));
        }
        while !self.is_closing() {
            if self.slot.lock().given_up.is_none() {
                return Event::Retry;
            }
            let _ = wait_readable(&[self.slot.wakeup.as_poll_fd()], None);
            self.slot.wakeup.clear();
        }
        Event::ShutDown
    }
}

/// Adds the last lines that a worker printed.
pub(super) fn append_lines(message: &mut String, lines: &[String]) {
    if !lines.is_empty() {
        message.push_str("\nits last lines on stderr:");
        for line in lines {
            message.push_str("\n  ");
            message.push_str(line);
        }
    }
}
