//! Where the kernel says that it has killed for want of memory: in the counters of control groups and of the machine, and in
//! its log. A process that is killed like that is told nothing, and its parent only the signal.

use super::space::Hierarchy;
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// A file in which the kernel counts the processes that it has killed for want of memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KillCounter {
    pub(crate) file: PathBuf,
    /// The control group whose processes are counted; `None` for those of the machine.
    pub(crate) group: Option<PathBuf>,
    /// The group's limit in bytes, if it has one.
    pub(crate) limit_bytes: Option<u64>,
}

impl KillCounter {
    /// Kills so far; `None` if the kernel does not say.
    pub(crate) fn read(&self) -> Option<u64> {
        let text = fs::read_to_string(&self.file).ok()?;
        text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
    }
}

/// The counters of a process's control groups and of the machine, with what they say.
///
/// The process must not have ended: of one that has, version 1 of control groups says that it is in none.
pub(crate) fn kill_counters(pid: u32) -> Vec<(KillCounter, u64)> {
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    counters_in(&groups, Path::new("/sys/fs/cgroup"), Path::new("/proc/vmstat"))
}

/// As [`kill_counters`], from the text of `/proc/<pid>/cgroup` and the places where the counters are.
fn counters_in(groups: &str, mounted: &Path, machine: &Path) -> Vec<(KillCounter, u64)> {
    let hierarchies = groups.lines().filter_map(|line| Hierarchy::parse(line, mounted));
    let mut counters: Vec<_> = hierarchies
        .filter_map(|hierarchy| {
            let (group, file) = hierarchy.kills()?;
            let limit_bytes = hierarchy.limit_of(group);
            Some(KillCounter { file, group: Some(group.to_owned()), limit_bytes })
        })
        .collect();
    counters.push(KillCounter { file: machine.to_owned(), group: None, limit_bytes: None });
    // An old kernel counts nothing in them. Reading takes the kernel tens of microseconds.
    counters.into_iter().filter_map(|counter| counter.read().map(|now| (counter, now))).collect()
}

/// The line of the kernel's log that says that this process was killed for want of memory; `None` if there is none, or if this
/// process may not read the log.
///
/// Lines of before `since_micros` on the monotonic clock speak of another process with the same number. So do all of
/// them in a PID namespace, where the log's numbers are those of the outermost one: then the line is not found.
pub(crate) fn kill_in_log(pid: u32, since_micros: u64) -> Option<String> {
    /// Of the log's clock against the monotonic one.
    const SLACK_MICROS: u64 = 1_000_000;
    /// More than the log holds.
    const MAX_RECORDS: usize = 1 << 17;
    let mut log = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open("/dev/kmsg").ok()?;
    let mut record = [0; 8192];
    let mut found = None;
    for _ in 0..MAX_RECORDS {
        match log.read(&mut record) {
            Ok(0) => break,
            Ok(n) => {
                let text = String::from_utf8_lossy(&record[..n]);
                if let Some((at, line)) = parse_record(&text)
                    && at.saturating_add(SLACK_MICROS) >= since_micros
                    && names_victim(line, pid)
                {
                    found = Some(line.to_owned());
                }
            }
            // Records that were overwritten meanwhile, or a signal: the next one.
            Err(error) if error.raw_os_error() == Some(libc::EPIPE) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    found
}

/// Time and text of a record: `priority,sequence,microseconds,flags;text`, then lines of details.
fn parse_record(record: &str) -> Option<(u64, &str)> {
    let (head, text) = record.split_once(';')?;
    Some((head.split(',').nth(2)?.parse().ok()?, text.lines().next()?))
}

/// Whether a line of the log says that this process was killed for want of memory.
fn names_victim(line: &str, pid: u32) -> bool {
    let killed = line.contains("ut of memory") && line.contains(&format!("Killed process {pid} ("));
    let chosen = line.starts_with("oom-kill:") && line.split(',').any(|field| field == format!("pid={pid}"));
    killed || chosen
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::scratch_directory;

    #[test]
    fn counters_of_both_versions_are_found_and_read() {
        let root = scratch_directory("oom-counters");
        for (group, file, text) in [
            ("memory/a", "memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n"),
            ("memory/a", "memory.limit_in_bytes", "4096\n"),
            ("unified/b", "memory.events", "low 0\noom 2\noom_kill 5\noom_group_kill 1\n"),
            ("unified/b", "memory.max", "max\n"),
        ] {
            fs::create_dir_all(root.join(group)).unwrap();
            fs::write(root.join(group).join(file), text).unwrap();
        }
        let machine = root.join("vmstat");
        fs::write(&machine, "pgfault 1\noom_kill 7\n").unwrap();
        let found = counters_in("4:memory:/a/below\n2:cpu:/x\n0::/b\n", &root, &machine);
        let read: Vec<_> = found.iter().map(|(counter, now)| (*now, counter.limit_bytes)).collect();
        assert_eq!(read, [(3, Some(4096)), (5, None), (7, None)]);
        assert_eq!(found[0].0.group, Some(root.join("memory/a")));
        // An old kernel counts nothing.
        fs::write(&machine, "pgfault 1\n").unwrap();
        assert_eq!(counters_in("0::/c\nnonsense\n", &root, &machine), []);
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn the_log_is_understood() {
        let record = "3,1234,5000000,-;Memory cgroup out of memory: Killed process 42 (exe) total-vm:1kB\n SUBSYSTEM=x\n";
        let (at, line) = parse_record(record).unwrap();
        assert_eq!(at, 5_000_000);
        assert!(names_victim(line, 42) && !names_victim(line, 4));
        assert!(names_victim("Out of memory: Killed process 42 (x) total", 42));
        assert!(names_victim("oom-kill:constraint=CONSTRAINT_MEMCG,task=exe,pid=42,uid=0", 42));
        assert!(!names_victim("oom-kill:constraint=CONSTRAINT_MEMCG,task=exe,pid=421,uid=0", 42));
        assert!(!names_victim("something else about Killed process 42 (x)", 42));
        assert_eq!(parse_record("no record"), None);
        // Whether or not this process may read it, it has not been killed.
        assert_eq!(kill_in_log(std::process::id(), 0), None);
    }
}
