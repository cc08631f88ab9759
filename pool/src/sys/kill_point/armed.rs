//! What happens at a kill point of a program that was built to be killed.
//!
//! A point is armed through the environment, which workers inherit, and which is read once, when a process passes its first
//! point:
//!
//! ```text
//! NDPOOL_KILL=<point>:<hit>:<who>:<file>[;…]      <hit> is a number from 1, or `every`
//! NDPOOL_KILL_TRACE=<file>                        each point that is passed adds a line: point, role, process
//! ```
//!
//! *Who* may also be `until=<point>`: nobody dies, and whoever is at that hit waits until somebody passes the other point, or
//! `<file>.go` is there, or somebody dies: so a rare order of events is had at will.
//!
//! *Who* is to die: `worker`, `supervisor` or `both`. In a worker that is the worker itself, its supervisor, or the supervisor and
//! then itself; in a supervisor it is one of its workers, the supervisor itself, or all workers and then itself. Whoever is not
//! killed goes on.
//!
//! `self`, for processes that are no pool's, is whoever is at that hit.
//!
//! Hits are counted over all processes, in the length of the file: each hit appends a byte, and the kernel tells whoever
//! appended it where its byte lies. So exactly one process finds itself to be the n-th, and the workers that replace the dead
//! pass the same point unharmed. A hit with nobody to kill, such as a worker's before there is one, does not count; it is
//! noted in `<file>.idle`.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::{Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::sys::process::{ProcessHandle, wait_readable};

/// A place at which a test may have a process killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KillPoint {
    /// Its name, which no other point has.
    pub name: &'static str,
    /// The file in which it stands.
    pub file: &'static str,
    /// The line.
    pub line: u32,
}

inventory::collect!(KillPoint);

/// All kill points of this program, sorted by name.
pub fn list() -> Vec<KillPoint> {
    let mut points: Vec<_> = inventory::iter::<KillPoint>.into_iter().copied().collect();
    points.sort_by_key(|point| (point.name, point.file, point.line));
    points
}

/// The kill point in the middle of a task; for tests, which call it there.
pub fn during_task() {
    crate::sys::kill_point!("task.during");
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Who {
    Worker,
    Supervisor,
    Both,
    /// Whoever passes the point.
    This,
    /// Nobody; to wait for this point.
    NobodyUntil(String),
}

/// One point that is armed.
#[derive(Debug)]
struct Arming {
    point: String,
    /// Number of the hit that kills; every one if there is none.
    hit: Option<u64>,
    who: Who,
    /// Counts the hits.
    file: PathBuf,
}

/// How long a process waits for another at a point, at most.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// What the environment asks for.
#[derive(Debug, Default)]
struct Orders {
    armings: Vec<Arming>,
    trace: Option<OsString>,
}

static ORDERS: OnceLock<Orders> = OnceLock::new();

/// The supervisor of this process, if it is a worker; none if that was gone already.
static SUPERVISOR: OnceLock<Option<ProcessHandle>> = OnceLock::new();

/// Says that this process is a worker of the process with this identifier.
pub(crate) fn this_is_a_worker(supervisor: Option<u32>) {
    let parent = |pid: &u32| std::os::unix::process::parent_id() == *pid;
    let handle = supervisor.and_then(|pid| ProcessHandle::open(pid).ok());
    let _ = SUPERVISOR.set(handle.filter(|handle| parent(&handle.pid())));
}

/// Passes a point.
pub(crate) fn reach(point: &'static str) {
    #[cfg(test)]
    super::hook::reach(point);
    let orders = ORDERS.get_or_init(Orders::from_environment);
    if let Some(trace) = &orders.trace {
        let role = if SUPERVISOR.get().is_some() { "worker" } else { "supervisor" };
        append(trace.as_ref(), format!("{point} {role} {}\n", std::process::id()).as_bytes());
    }
    orders.armings.iter().filter(|arming| arming.point == point).for_each(Arming::hit);
    // Last: who has waited for this may kill this process.
    let waits_for_this = |arming: &&Arming| matches!(&arming.who, Who::NobodyUntil(other) if other == point);
    for arming in orders.armings.iter().filter(waits_for_this) {
        append(&arming.file.with_extension("go"), b".");
    }
}

impl Orders {
    fn from_environment() -> Self {
        let armings = std::env::var("NDPOOL_KILL").unwrap_or_default();
        let armings = armings.split(';').filter(|text| !text.is_empty());
        let armings = armings.map(|text| {
            Arming::parse(text)
                .unwrap_or_else(|| panic!("NDPOOL_KILL: `{text}` is not <point>:<hit>:<who>:<file>"))
        });
        Self { armings: armings.collect(), trace: std::env::var_os("NDPOOL_KILL_TRACE") }
    }
}

impl Arming {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(4, ':');
        let point = parts.next()?.to_owned();
        let hit = match parts.next()? {
            "every" => None,
            number => Some(number.parse().ok()?),
        };
        let who = match parts.next()? {
            "worker" => Who::Worker,
            "supervisor" => Who::Supervisor,
            "both" => Who::Both,
            "self" => Who::This,
            other => Who::NobodyUntil(other.strip_prefix("until=")?.to_owned()),
        };
        Some(Self { point, hit, who, file: parts.next()?.into() })
    }

    fn hit(&self) {
        if matches!(self.who, Who::NobodyUntil(_)) {
            let is_meant = self.hit.is_none_or(|hit| hit == append(&self.file, b"."));
            if is_meant {
                self.wait();
            }
            return;
        }
        let (victims, is_own_death) = victims(&self.who);
        if victims.is_empty() && !is_own_death {
            append(&self.file.with_extension("idle"), b".");
            return;
        }
        let number = append(&self.file, b".");
        if self.hit.is_some_and(|hit| hit != number) {
            return;
        }
        for victim in victims {
            // An error means that it has ended.
            let _ = victim.signal(Signal::SIGKILL);
            if SUPERVISOR.get().is_none() {
                // A worker that dies now is dead when its supervisor goes on.
                while !victim.has_ended() {
                    let _ = wait_readable(&[victim.as_poll_fd()], None);
                }
            }
        }
        if is_own_death {
            let _ = kill(Pid::this(), Signal::SIGKILL);
        }
    }
}

impl Arming {
    /// Waits for somebody to pass the other point, as long as nobody dies of whom that can be expected.
    fn wait(&self) {
        let is_worker = SUPERVISOR.get().is_some();
        let others = if is_worker { victims(&Who::Supervisor).0 } else { living_workers() };
        if is_worker && others.is_empty() {
            return;
        }
        let go = self.file.with_extension("go");
        let is_over = || go.exists() || others.iter().any(ProcessHandle::has_ended);
        let start = Instant::now();
        while !is_over() && start.elapsed() < LONGEST_WAIT {
            std::thread::yield_now();
        }
    }
}

/// Whom this process has to kill, and whether itself after that.
fn victims(who: &Who) -> (Vec<ProcessHandle>, bool) {
    if *who == Who::This {
        return (Vec::new(), true);
    }
    match SUPERVISOR.get() {
        None => {
            let mut workers = if *who == Who::Supervisor { Vec::new() } else { living_workers() };
            if *who == Who::Worker {
                workers.truncate(1);
            }
            (workers, *who != Who::Worker)
        }
        Some(supervisor) => {
            let supervisor = supervisor.as_ref().filter(|_| *who != Who::Worker);
            // Opened anew: the victims are the caller's to keep.
            let living = supervisor.filter(|handle| !handle.has_ended());
            let handle = living.and_then(|handle| ProcessHandle::open(handle.pid()).ok());
            (handle.into_iter().collect(), *who != Who::Supervisor)
        }
    }
}

/// The workers of this process, the one that was started first in front.
fn living_workers() -> Vec<ProcessHandle> {
    let own = std::process::id();
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let mut pids: Vec<u32> = entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|pid| is_worker_of(*pid, own))
        .collect();
    pids.sort_unstable();
    // If it ended in between, its number may be another's by now.
    let handles = pids.into_iter().filter_map(|pid| ProcessHandle::open(pid).ok());
    handles.filter(|handle| is_worker_of(handle.pid(), own)).collect()
}

/// Whether a process is a living worker and a child of this one.
fn is_worker_of(pid: u32, parent: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // Behind the name, which may hold anything: state and parent.
    let mut fields = stat.rsplit(')').next().unwrap_or_default().split_ascii_whitespace();
    let is_living = fields.next().is_some_and(|state| state != "Z" && state != "X");
    is_living
        && fields.next().is_some_and(|ppid| ppid.parse() == Ok(parent))
        // Between `fork` and `exec` a child has its parent's arguments.
        && fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.starts_with(b"ndpool-worker\0"))
}

/// Appends to a file, all at once; how long it is up to the end of what was appended. An error ends the process: a test that
/// cannot count proves nothing.
fn append(path: &Path, bytes: &[u8]) -> u64 {
    let file = OpenOptions::new().append(true).create(true).open(path);
    let appended = file.and_then(|mut file| {
        file.write_all(bytes)?;
        file.stream_position()
    });
    appended.unwrap_or_else(|error| {
        eprintln!("ndpool: cannot write to {}: {error}", path.display());
        std::process::abort()
    })
}
