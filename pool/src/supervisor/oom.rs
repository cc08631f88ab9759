//! Whether a worker was killed for want of memory: the kernel's counters, each kill held against one death only.

use crate::sys::oom::{KillCounter, kill_in_log};
use std::collections::HashMap;
use std::path::PathBuf;

/// Kills that the kernel has counted and the pool has accounted for, by counter.
#[derive(Debug, Default)]
pub(super) struct Kills {
    accounted: HashMap<PathBuf, u64>,
}

impl Kills {
    /// Notes what the counters say, so that earlier kills are not held against later deaths. Kills that may belong to the
    /// `n_pending` workers that have ended and were not looked at yet stay open.
    pub(super) fn note(&mut self, counters: &[KillCounter], n_pending: u64) {
        for counter in counters {
            if let Some(now) = counter.read() {
                self.note_read(counter, now, n_pending);
            }
        }
    }

    /// As [`note`](Self::note), of a counter that has just been read.
    pub(super) fn note_read(&mut self, counter: &KillCounter, now: u64, n_pending: u64) {
        let known = self.accounted.entry(counter.file.clone()).or_insert(now);
        *known = (*known).max(now.saturating_sub(n_pending)).min(now);
    }

    /// What says that a worker that died of `SIGKILL` was killed for want of memory, a sentence each; nothing if nothing does.
    pub(super) fn evidence(
        &mut self,
        counters: &[KillCounter],
        n_pending: u64,
        in_log: impl FnOnce() -> Option<String>,
    ) -> Vec<String> {
        let mut evidence = Vec::new();
        let mut n_on_machine = 0;
        for counter in counters {
            let Some(now) = counter.read() else { continue };
            let known = self.accounted.entry(counter.file.clone()).or_insert(now);
            let n_new = now.saturating_sub(*known);
            *known += u64::from(n_new > 0);
            match &counter.group {
                Some(group) if n_new > 0 => {
                    let limit =
                        counter.limit_bytes.map(|limit| format!(", with a limit of {} MiB,", limit >> 20));
                    evidence.push(format!(
                        "in its control group {}{} the kernel has just killed {} for want of memory",
                        group.display(),
                        limit.unwrap_or_default(),
                        processes(n_new),
                    ));
                }
                Some(_) => {}
                None => n_on_machine = n_new,
            }
        }
        self.note(counters, n_pending);
        if n_on_machine > 0 {
            // A group that says nothing is not the last word: the worker may have been moved to another since.
            if let Some(line) = in_log() {
                evidence.push(format!("the kernel's log says: {line}"));
            } else if counters.iter().all(|counter| counter.group.is_none()) {
                let n = processes(n_on_machine);
                evidence.push(format!("on this machine the kernel has just killed {n} for want of memory"));
            }
        }
        evidence
    }
}

fn processes(n: u64) -> String {
    if n == 1 { "a process".into() } else { format!("{n} processes") }
}

/// The line of the kernel's log about a process that was started at this time.
pub(super) fn line_in_log(pid: u32, started_nanos: u64) -> Option<String> {
    kill_in_log(pid, started_nanos / 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::scratch_directory;
    use std::fs;

    #[test]
    fn each_kill_is_held_against_one_death() {
        let root = scratch_directory("oom-kills");
        let counter = |name: &str, group: bool| KillCounter {
            file: root.join(name),
            group: group.then(|| root.join("g")),
            limit_bytes: Some(64 << 20),
        };
        let set = |name: &str, n: u64| fs::write(root.join(name), format!("oom_kill {n}\n")).unwrap();
        let both = [counter("group", true), counter("machine", false)];
        let mut kills = Kills::default();
        let mut look =
            |n_pending, line: Option<&str>| kills.evidence(&both, n_pending, || line.map(str::to_owned));
        set("group", 5);
        set("machine", 9);
        assert_eq!(look(0, None).len(), 0, "kills of before");
        set("group", 6);
        set("machine", 10);
        let evidence = look(0, None);
        assert_eq!(evidence.len(), 1);
        assert!(
            evidence[0].contains("/g, with a limit of 64 MiB, the kernel has just killed a process"),
            "{evidence:?}"
        );
        assert_eq!(look(0, Some("a line")).len(), 0, "the same kill again");
        // Two at once: the first look leaves the second's.
        set("group", 8);
        set("machine", 12);
        assert_eq!(look(1, Some("killed 1")).len(), 2);
        assert_eq!(look(0, Some("killed 2")).len(), 2);
        assert_eq!(look(0, None).len(), 0);
        // One of somebody else's is not held against a death to come.
        set("group", 9);
        set("machine", 13);
        kills.note(&both, 0);
        assert_eq!(kills.evidence(&both, 0, || None).len(), 0);
        // Elsewhere on the machine, and the group can be seen: only the log counts.
        set("machine", 14);
        assert_eq!(kills.evidence(&both, 0, || None).len(), 0);
        set("machine", 15);
        assert_eq!(kills.evidence(&both, 0, || Some("moved".into())), ["the kernel's log says: moved"]);
        set("machine", 16);
        assert_eq!(kills.evidence(&both[1..], 0, || None).len(), 1, "no group is seen");
        fs::remove_dir_all(root).unwrap();
    }
}
