//! How much room there is: on a file system, in the control groups above us, and under the resource limits.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};
use nix::sys::statfs::{TMPFS_MAGIC, fstatfs};
use nix::sys::statvfs::{FsFlags, statvfs};

/// The room on a file system.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FileSystem {
    /// Bytes that this user can still allocate.
    pub(crate) free_bytes: u64,
    /// Whether it is mounted read-only.
    pub(crate) read_only: bool,
}

/// Asks the file system that holds `path`.
pub(crate) fn file_system(path: &Path) -> io::Result<FileSystem> {
    let stat = statvfs(path)?;
    // A tmpfs without a limit reports no blocks at all.
    let unlimited = stat.blocks() == 0;
    let free = stat.blocks_available().saturating_mul(stat.fragment_size());
    Ok(FileSystem {
        free_bytes: if unlimited { u64::MAX } else { free },
        read_only: stat.flags().contains(FsFlags::ST_RDONLY),
    })
}

/// Whether a file's bytes are memory: what has been reserved of it can be written without fail.
pub(crate) fn is_memory(file: &fs::File) -> bool {
    fstatfs(file).is_ok_and(|found| found.filesystem_type() == TMPFS_MAGIC)
}

/// The largest file that this process may write, if there is a limit. Beyond it the kernel sends SIGXFSZ.
pub(crate) fn file_size_limit() -> Option<u64> {
    let (soft, _) = getrlimit(Resource::RLIMIT_FSIZE).ok()?;
    (soft != RLIM_INFINITY).then_some(soft)
}

/// Bytes of memory and swap that the machine can still give, counting caches that the kernel can drop; `None` if it does not say.
///
/// Beyond it an allocation is not refused: the kernel kills processes until there is room.
pub(crate) fn machine_headroom() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let bytes = |key: &str| {
        let value = text.lines().find_map(|line| line.strip_prefix(key))?;
        value.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
    };
    Some(bytes("MemAvailable:")?.saturating_add(bytes("SwapFree:").unwrap_or(0)))
}

/// The control group that leaves the least room for memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Headroom {
    /// Bytes that can still be charged before the group's limit, counting page cache that the kernel can drop.
    pub(crate) bytes: u64,
    /// The group's directory.
    pub(crate) group: PathBuf,
}

/// The least memory headroom among this process's control group and all its ancestors; `None` without a limit.
///
/// Allocating beyond it is answered not with an error but with SIGKILL, so it is asked before space is reserved. Other processes
/// allocate at the same time: the answer is a guard against the plain mistake, not a guarantee.
pub(crate) fn cgroup_headroom() -> Option<Headroom> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    headroom_in(&groups, Path::new("/sys/fs/cgroup"))
}

/// As [`cgroup_headroom`], from the text of `/proc/self/cgroup` and the directory where the hierarchies are mounted.
fn headroom_in(groups: &str, mounted: &Path) -> Option<Headroom> {
    groups
        .lines()
        .filter_map(|line| Hierarchy::parse(line, mounted))
        .filter_map(|h| h.headroom())
        .min_by_key(|h| h.bytes)
}

/// One line of `/proc/self/cgroup` that controls memory.
pub(super) struct Hierarchy {
    root: PathBuf,
    group: PathBuf,
    files: &'static Files,
}

/// The names that version 1 and 2 give to the same things.
struct Files {
    /// Holds a line `oom_kill n`.
    kills: &'static str,
    limit: &'static str,
    usage: &'static str,
    droppable: &'static [&'static str],
}

const V1: Files = Files {
    kills: "memory.oom_control",
    limit: "memory.limit_in_bytes",
    usage: "memory.usage_in_bytes",
    droppable: &["total_inactive_file", "total_active_file"],
};
const V2: Files = Files {
    kills: "memory.events",
    limit: "memory.max",
    usage: "memory.current",
    droppable: &["inactive_file", "active_file"],
};

impl Hierarchy {
    /// Parses `id:controllers:path`.
    pub(super) fn parse(line: &str, mounted: &Path) -> Option<Self> {
        let mut fields = line.splitn(3, ':');
        let (_, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
        let (root, files) = if controllers.is_empty() {
            // A hybrid system mounts version 2 beside the controllers of version 1.
            let hybrid = mounted.join("unified");
            (if hybrid.is_dir() { hybrid } else { mounted.to_owned() }, &V2)
        } else if controllers.split(',').any(|controller| controller == "memory") {
            (mounted.join("memory"), &V1)
        } else {
            return None;
        };
        // Seen from another namespace the path may climb above the root; only what lies below it can be asked.
        let inside = path.split('/').filter(|part| !part.is_empty() && *part != "..");
        let group = inside.fold(root.clone(), |group, part| group.join(part));
        Some(Self { root, group, files })
    }

    /// The group, or the nearest one above it that can be seen, with the file in which the kernel counts its kills.
    pub(super) fn kills(&self) -> Option<(&Path, PathBuf)> {
        let mut groups = self.group.ancestors().take_while(|group| group.starts_with(&self.root));
        groups.find_map(|group| {
            let file = group.join(self.files.kills);
            file.is_file().then_some((group, file))
        })
    }

    /// The limit of a group of this hierarchy, if it has one.
    pub(super) fn limit_of(&self, group: &Path) -> Option<u64> {
        // Version 1 writes "no limit" as a number near the largest.
        number(&group.join(self.files.limit)).filter(|&limit| limit < i64::MAX as u64 / 2)
    }

    /// The least headroom from the group up to the root. Directories that are not there (a container sees its own group
    /// as the root, under a path that the host gave it) are passed over.
    fn headroom(&self) -> Option<Headroom> {
        self.group
            .ancestors()
            .take_while(|group| group.starts_with(&self.root))
            .filter_map(|group| Some(Headroom { bytes: self.headroom_of(group)?, group: group.to_owned() }))
            .min_by_key(|headroom| headroom.bytes)
    }

    fn headroom_of(&self, group: &Path) -> Option<u64> {
        let limit = self.limit_of(group)?;
        let usage = number(&group.join(self.files.usage))?;
        let stat = fs::read_to_string(group.join("memory.stat")).unwrap_or_default();
        let droppable: u64 = stat
            .lines()
            .filter_map(|line| line.split_once(' '))
            .filter(|(name, _)| self.files.droppable.contains(name))
            .filter_map(|(_, value)| value.trim().parse::<u64>().ok())
            .sum();
        Some(limit.saturating_sub(usage.saturating_sub(droppable)))
    }
}

/// The number in a file; `None` for "max" and for what cannot be read.
fn number(path: &Path) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::scratch_directory;

    fn group(root: &Path, path: &str, files: &[(&str, &str)]) {
        let group = root.join(path);
        fs::create_dir_all(&group).unwrap();
        for (name, text) in files {
            fs::write(group.join(name), text).unwrap();
        }
    }

    #[test]
    fn the_tightest_ancestor_counts() {
        let root = scratch_directory("cgroup-v2");
        group(&root, "", &[]);
        group(&root, "outer", &[("memory.max", "1000\n"), ("memory.current", "900\n")]);
        group(&root, "outer/inner", &[("memory.max", "max\n"), ("memory.current", "5\n")]);
        let found = headroom_in("0::/outer/inner\n", &root).unwrap();
        assert_eq!(found, Headroom { bytes: 100, group: root.join("outer") });
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn page_cache_counts_as_room() {
        let root = scratch_directory("cgroup-cache");
        let stat = "anon 1\ninactive_file 300\nactive_file 100\nshmem 50\n";
        group(&root, "g", &[("memory.max", "1000"), ("memory.current", "900"), ("memory.stat", stat)]);
        assert_eq!(headroom_in("0::/g", &root).unwrap().bytes, 500);
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn version_1_and_paths_of_another_namespace() {
        let root = scratch_directory("cgroup-v1");
        let limits = [("memory.limit_in_bytes", "4096"), ("memory.usage_in_bytes", "96")];
        group(&root, "memory", &limits);
        let text = "5:cpu,cpuacct:/x\n4:memory:/docker/0123\n";
        assert_eq!(headroom_in(text, &root).unwrap().bytes, 4000);
        assert_eq!(headroom_in("4:memory:/../../y", &root).unwrap().bytes, 4000);
        group(&root, "memory", &[("memory.limit_in_bytes", "9223372036854771712")]);
        assert_eq!(headroom_in(text, &root), None);
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn the_machine_says_what_it_has() {
        assert!(machine_headroom().is_some_and(|bytes| bytes > 0));
    }

    #[test]
    fn no_controller_and_nonsense_give_no_limit() {
        let root = scratch_directory("cgroup-none");
        assert_eq!(headroom_in("0::/", &root), None);
        assert_eq!(headroom_in("nonsense\n\n:::\n", &root), None);
        fs::remove_dir_all(root).unwrap();
    }
}
