//! The processes of one soak: known by a mark in the environment that they inherit, held by their pidfds.
//!
//! A number that was looked at once is opened and looked at again, so that nobody else's process is ever taken for one of
//! ours: whoever has the mark after the pidfd was opened is who the pidfd means, or has ended.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::pidfd::PidFd;

/// The variable that marks the processes of a soak.
pub const MARK: &str = "NDPOOL_STRESS";
/// How long a number is taken for a stranger's: they are given out again.
const MEMORY: Duration = Duration::from_secs(10);

/// One process of the soak.
#[derive(Debug)]
pub struct Member {
    fd: PidFd,
    /// Its parent when it was first seen: the supervisor, if it is a worker.
    pub parent: u32,
    /// When it is to be resumed, if it was stopped.
    pub stopped_until: Option<Instant>,
    /// When a crash signal is to be repeated: the first one only takes the handler away.
    repeat: Option<(Signal, Instant)>,
    /// Whether it was sent a signal that ends it.
    pub is_doomed: bool,
    /// Since when it has had no supervisor.
    pub orphaned: Option<Duration>,
    /// Whether it was said that it lives too long.
    pub is_reported: bool,
}

impl Member {
    /// Whether it has ended, if only as a zombie.
    pub fn has_ended(&self) -> bool {
        self.fd.has_ended()
    }
}

/// All processes of the soak but the director.
#[derive(Debug)]
pub struct Herd {
    mark: Vec<u8>,
    members: HashMap<u32, Member>,
    strangers: HashSet<u32>,
    strangers_since: Instant,
}

impl Herd {
    pub fn new(mark: &str) -> Self {
        Self {
            mark: format!("{MARK}={mark}").into_bytes(),
            members: HashMap::new(),
            strangers: HashSet::new(),
            strangers_since: Instant::now(),
        }
    }

    /// Looks who is there.
    pub fn look(&mut self) {
        self.members.retain(|_, member| !member.fd.has_ended());
        if self.strangers_since.elapsed() > MEMORY {
            self.strangers.clear();
            self.strangers_since = Instant::now();
        }
        let Ok(entries) = fs::read_dir("/proc") else { return };
        for entry in entries.flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
                continue;
            };
            if pid == std::process::id() || self.members.contains_key(&pid) || self.strangers.contains(&pid) {
                continue;
            }
            match self.is_marked(pid) {
                Some(true) => {}
                Some(false) => {
                    self.strangers.insert(pid);
                    continue;
                }
                None => continue,
            }
            let Ok(fd) = PidFd::open(pid) else { continue };
            if self.is_marked(pid) != Some(true) || fd.has_ended() {
                continue;
            }
            let Some(parent) = parent_of(pid) else { continue };
            self.members.insert(
                pid,
                Member {
                    fd,
                    parent,
                    stopped_until: None,
                    repeat: None,
                    is_doomed: false,
                    orphaned: None,
                    is_reported: false,
                },
            );
        }
    }

    /// Whether a process carries the mark; `None` if it cannot be told: a zombie, or one between two programs.
    fn is_marked(&self, pid: u32) -> Option<bool> {
        match fs::read(format!("/proc/{pid}/environ")) {
            Ok(environ) if environ.is_empty() => None,
            Ok(environ) => Some(environ.split(|&byte| byte == 0).any(|entry| entry == self.mark)),
            // Another user's.
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => Some(false),
            Err(_) => None,
        }
    }

    pub fn pids(&self) -> impl Iterator<Item = u32> {
        self.members.keys().copied()
    }

    pub fn get(&self, pid: u32) -> Option<&Member> {
        self.members.get(&pid)
    }

    pub fn members_mut(&mut self) -> impl Iterator<Item = (u32, &mut Member)> {
        self.members.iter_mut().map(|(&pid, member)| (pid, member))
    }

    /// The workers that a supervisor has, in the order of their numbers, so that chance alone decides among them.
    pub fn workers_of(&self, supervisor: u32) -> Vec<u32> {
        let mut workers: Vec<u32> = self
            .members
            .iter()
            .filter(|(_, member)| member.parent == supervisor && !member.is_doomed)
            .map(|(&pid, _)| pid)
            .collect();
        workers.sort_unstable();
        workers
    }

    /// Sends a signal that ends the process; whether it is the first that it gets.
    pub fn kill(&mut self, pid: u32, signal: Signal) -> bool {
        let Some(member) = self.members.get_mut(&pid) else { return false };
        if member.is_doomed || !member.fd.signal(signal) {
            return false;
        }
        member.is_doomed = true;
        if signal == Signal::SIGSEGV {
            member.repeat = Some((signal, Instant::now() + Duration::from_millis(2)));
        }
        true
    }

    /// Stops the process until then.
    pub fn stop(&mut self, pid: u32, until: Instant) -> bool {
        let Some(member) = self.members.get_mut(&pid) else { return false };
        if !member.fd.signal(Signal::SIGSTOP) {
            return false;
        }
        member.stopped_until = Some(until);
        true
    }

    /// Resumes whom it is time to resume, or everybody; how many.
    pub fn resume(&mut self, everybody: bool) -> u64 {
        let now = Instant::now();
        let mut n_resumed = 0;
        for member in self.members.values_mut() {
            if member.stopped_until.is_some_and(|until| everybody || now >= until) {
                member.stopped_until = None;
                n_resumed += u64::from(member.fd.signal(Signal::SIGCONT));
            }
            if let Some((signal, at)) = member.repeat
                && now >= at
            {
                member.repeat = Some((signal, now + Duration::from_millis(10)));
                member.fd.signal(signal);
            }
        }
        n_resumed
    }

    /// Ends everybody.
    pub fn kill_all(&mut self) {
        self.look();
        for member in self.members.values() {
            member.fd.signal(Signal::SIGKILL);
        }
    }
}

fn parent_of(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may hold anything, parentheses included.
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// What the kernel shows of a process and its threads, for somebody who wants to know why it hangs.
pub fn describe(pid: u32) -> String {
    let read = |path: String| fs::read_to_string(path).unwrap_or_default().trim_end().replace('\0', " ");
    let mut text = format!("process {pid}: {}\n", read(format!("/proc/{pid}/cmdline")));
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return text };
    for thread in threads.flatten() {
        let path = thread.path();
        let read = |name: &str| read(path.join(name).display().to_string());
        let state =
            read("stat").rsplit_once(')').map(|(_, rest)| rest.trim().chars().take(1).collect::<String>());
        text += &format!(
            "  {} `{}` {} in {}, call {}\n",
            thread.file_name().display(),
            read("comm"),
            state.unwrap_or_default(),
            read("wchan"),
            read("syscall"),
        );
        for line in read("stack").lines().take(6) {
            text += &format!("      {line}\n");
        }
    }
    text
}
