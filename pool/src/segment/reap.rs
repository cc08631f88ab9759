//! The end of what dead runs left behind.
//!
//! A run is dead when nobody holds the lock of its manifest, or when it has none. Whoever gets the lock is the reaper:
//!
//! 1. lock the manifest, without waiting;
//! 2. reap the other directories that it names, each under the lock of its own manifest;
//! 3. unlink the run's segments here, and the sockets that it noted;
//! 4. unlink the manifest, and close it.
//!
//! Killed between any two steps, it leaves a manifest without a lock, and the next reaper starts over. Only plain files of this
//! user whose names are a run's to the letter are ever removed.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use super::manifest::{Contents, open_own, path_in};
use super::names::{Name, Role, RunId};
use super::run::SHARED_MEMORY;
use crate::error::{Error, Result};
use crate::sys::lock::{Lease, is_locked};
use crate::sys::{host, kill_point};

/// What one run keeps, or left behind, in one directory.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RunInfo {
    /// The run.
    pub run: RunId,
    /// The directory.
    pub directory: PathBuf,
    /// Whether the process that started it lives.
    pub alive: bool,
    /// Number of that process, in its own PID namespace; `None` if the manifest does not say.
    pub pid: Option<u32>,
    /// Its program.
    pub program: Option<PathBuf>,
    /// When it started.
    pub started: Option<SystemTime>,
    /// Its segments in this directory, by number.
    pub segments: Vec<SegmentInfo>,
}

impl RunInfo {
    /// Bytes of all segments.
    pub fn len_bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.len_bytes).sum()
    }
}

/// One segment as seen from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SegmentInfo {
    /// Its file name.
    pub name: String,
    /// Its length in bytes, with header and control page.
    pub len_bytes: u64,
    /// When it was created, where the file system knows.
    pub created: Option<SystemTime>,
}

/// Lists the runs of this user that have files in the usual places, the living and the dead.
///
/// # Errors
///
/// If a directory cannot be read; one that is not there is empty.
///
/// # Example
///
/// ```
/// for run in ndpool::list()? {
///     let state = if run.alive { "alive" } else { "dead" };
///     println!("{} ({state}): {} segments, {} bytes", run.run, run.segments.len(), run.len_bytes());
/// }
/// # Ok::<(), ndpool::Error>(())
/// ```
pub fn list() -> Result<Vec<RunInfo>> {
    list_in(&usual_directories())
}

/// As [`list`], in these directories and those that the manifests there name.
///
/// # Errors
///
/// As for [`list`].
pub fn list_in(directories: &[PathBuf]) -> Result<Vec<RunInfo>> {
    survey(directories, look)
}

/// Removes what dead runs of this user left in the usual places, and returns what it removed; with `dry_run`, what it would
/// remove. Living runs are never touched.
///
/// # Errors
///
/// As for [`list`], or if a file cannot be removed.
pub fn reap(dry_run: bool) -> Result<Vec<RunInfo>> {
    reap_in(&usual_directories(), dry_run)
}

/// As [`reap`], in these directories and those that the manifests there name.
///
/// # Errors
///
/// As for [`reap`].
pub fn reap_in(directories: &[PathBuf], dry_run: bool) -> Result<Vec<RunInfo>> {
    survey(directories, |directory, run| {
        let info = look(directory, run)?.filter(|info| !info.alive);
        match info {
            Some(info) if dry_run => Ok(Some(info)),
            // Someone may have been faster, or the run was just about to end by itself.
            Some(info) => Ok((reap_run(directory, run)? == Outcome::Reaped).then_some(info)),
            None => Ok(None),
        }
    })
}

/// Reaps one run as soon as its lock is free, for a worker whose supervisor has vanished: the kernel may still be busy taking a
/// large process down. Returns whether all is reaped; `false` after `patience`.
pub(crate) fn reap_run_when_free(
    run: RunId,
    directories: &[PathBuf],
    patience: Duration,
) -> io::Result<bool> {
    const PAUSE: Duration = Duration::from_millis(2);
    let start = Instant::now();
    loop {
        let mut all = true;
        for directory in directories {
            all &= reap_run(directory, run)? == Outcome::Reaped;
        }
        if all || start.elapsed() >= patience {
            return Ok(all);
        }
        thread::sleep(PAUSE);
    }
}

fn usual_directories() -> Vec<PathBuf> {
    let mut directories = vec![PathBuf::from(SHARED_MEMORY)];
    // Where manifests go when there is no shared memory.
    let temporary = std::env::temp_dir();
    if !directories.contains(&temporary) {
        directories.push(temporary);
    }
    directories
}

/// Visits every run of every directory, also of those that are only named by manifests on the way, and these first: a manifest that
/// names others goes last. A failure does not keep it from the rest.
fn survey(
    directories: &[PathBuf],
    visit: impl Fn(&Path, RunId) -> io::Result<Option<RunInfo>>,
) -> Result<Vec<RunInfo>> {
    let mut failure = None;
    let mut queue = directories.to_vec();
    let mut found = Vec::new();
    let mut next = 0;
    while let Some(directory) = queue.get(next).cloned() {
        match Files::of_directory(&directory, None) {
            Ok(files) => {
                for run in files.runs() {
                    let others = named_directories(&directory, run);
                    for other in others {
                        if !queue.contains(&other) {
                            queue.push(other);
                        }
                    }
                    found.push((directory.clone(), run));
                }
            }
            // What a manifest names may be out of reach.
            Err(_) if next >= directories.len() => {}
            Err(error) => failure = Some((directory, error)),
        }
        next += 1;
    }
    let mut infos = Vec::new();
    for (directory, run) in found.into_iter().rev() {
        match visit(&directory, run) {
            Ok(info) => infos.extend(info),
            Err(error) => failure = Some((directory, error)),
        }
    }
    infos.reverse();
    match failure {
        None => Ok(infos),
        Some((directory, error)) => {
            Err(Error::io(format_args!("cannot look after runs in `{}`", directory.display()), error))
        }
    }
}

fn named_directories(directory: &Path, run: RunId) -> Vec<PathBuf> {
    let manifest = open_own(&path_in(directory, run), false);
    manifest.and_then(|file| Contents::read(&file)).map(|contents| contents.directories).unwrap_or_default()
}

/// Looks at one run without changing anything; `None` if it is gone by now.
fn look(directory: &Path, run: RunId) -> io::Result<Option<RunInfo>> {
    let (alive, contents) = match open_own(&path_in(directory, run), false) {
        Ok(file) => {
            let contents = Contents::read(&file)?;
            (is_locked(file)?, contents)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => (false, Contents::default()),
        // Another user's, or none of ours: not our business.
        Err(error) if is_foreign(&error) => return Ok(None),
        Err(error) => return Err(error),
    };
    // After the manifest: whatever is there without one, was there without one.
    let files = Files::of_directory(directory, Some(run))?;
    if files.0.is_empty() {
        return Ok(None);
    }
    let segment = |(name, file): (&Name, &Seen)| match name.role {
        Role::Segment(_) | Role::New(_) => {
            Some(SegmentInfo { name: name.to_string(), len_bytes: file.len_bytes, created: file.created })
        }
        Role::Manifest => None,
    };
    let info = RunInfo {
        run,
        directory: directory.to_owned(),
        alive,
        pid: contents.pid,
        program: contents.program,
        started: contents.started,
        segments: files.0.iter().filter_map(segment).collect(),
    };
    Ok(Some(info))
}

#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Reaped,
    Alive,
}

/// Reaps one run in one directory, unless someone holds its lock.
fn reap_run(directory: &Path, run: RunId) -> io::Result<Outcome> {
    let manifest_path = path_in(directory, run);
    // Before the manifest is looked for: whatever is there without one now, was there without one. What is listed later may belong
    // to a run that has published its manifest in between.
    let listed = Files::of_directory(directory, Some(run))?;
    let file = match open_own(&manifest_path, true) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            unlink_listed(directory, listed)?;
            return Ok(Outcome::Reaped);
        }
        Err(error) => return Err(error),
    };
    kill_point!("reap.opened");
    let Some(lease) = Lease::try_exclusive(file)? else { return Ok(Outcome::Alive) };
    kill_point!("reap.locked");
    let contents = Contents::read(lease.file())?;
    let mut outcome = Outcome::Reaped;
    for other in contents.directories.iter().filter(|other| *other != directory) {
        // A directory that is gone, or lies on a file system that is not mounted now, holds nothing that we could remove.
        if other.is_dir() && path_in(other, run).exists() && reap_run_flat(other, run)? == Outcome::Alive {
            outcome = Outcome::Alive;
        }
    }
    kill_point!("reap.others_reaped");
    unlink_segments(directory, run)?;
    kill_point!("reap.segments_unlinked");
    contents.sockets.iter().for_each(|socket| remove_socket(socket));
    kill_point!("reap.sockets_removed");
    if outcome == Outcome::Reaped {
        unlink(&manifest_path)?;
        kill_point!("reap.manifest_unlinked");
    }
    drop(lease);
    kill_point!("reap.closed");
    Ok(outcome)
}

/// As [`reap_run`], without following its manifest to other directories.
fn reap_run_flat(directory: &Path, run: RunId) -> io::Result<Outcome> {
    let path = path_in(directory, run);
    let lease = match open_own(&path, true) {
        Ok(file) => Lease::try_exclusive(file)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Outcome::Reaped),
        Err(error) => return Err(error),
    };
    let Some(_lease) = lease else { return Ok(Outcome::Alive) };
    kill_point!("reap.other.locked");
    unlink_segments(directory, run)?;
    kill_point!("reap.other.segments_unlinked");
    unlink(&path)?;
    kill_point!("reap.other.manifest_unlinked");
    Ok(Outcome::Reaped)
}

/// Unlinks all segments of a run that is dead, or that ends.
pub(super) fn unlink_segments(directory: &Path, run: RunId) -> io::Result<()> {
    unlink_listed(directory, Files::of_directory(directory, Some(run))?)
}

fn unlink_listed(directory: &Path, listed: Files) -> io::Result<()> {
    for name in listed.0.into_keys() {
        let path = directory.join(name.to_string());
        match name.role {
            Role::Segment(_) => {
                kill_point!("unlink_segments.before");
                unlink(&path)?;
                kill_point!("unlink_segments.after");
            }
            Role::New(_) => {
                // A manifest that is being created without `O_TMPFILE` bears this name, and is locked next.
                let lease = open_own(&path, true).and_then(Lease::try_exclusive);
                if let Ok(Some(_lease)) = lease {
                    unlink(&path)?;
                }
            }
            Role::Manifest => {}
        }
    }
    Ok(())
}

/// Removes the socket of a handshake, and its directory if that was made for it alone.
pub(super) fn remove_socket(path: &Path) {
    let is_socket =
        |found: fs::Metadata| found.file_type().is_socket() && found.uid() == host::effective_uid();
    if path.symlink_metadata().is_ok_and(is_socket) {
        let _ = fs::remove_file(path);
    }
    // `ipc-channel` puts each socket into a fresh directory with such a name. One that is not empty stays.
    let made_for_it =
        |parent: &&Path| parent.file_name().is_some_and(|name| name.to_string_lossy().starts_with(".tmp"));
    if let Some(parent) = path.parent().filter(made_for_it) {
        let _ = fs::remove_dir(parent);
    }
}

fn unlink(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn is_foreign(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::PermissionDenied || error.raw_os_error() == Some(libc::ELOOP)
}

/// This user's files of runs in a directory, in the order of their names: segments before manifests.
#[derive(Debug)]
struct Files(BTreeMap<Name, Seen>);

#[derive(Debug)]
struct Seen {
    len_bytes: u64,
    created: Option<SystemTime>,
}

impl Files {
    /// Of all runs, or of one. A directory that is not there is empty.
    fn of_directory(directory: &Path, run: Option<RunId>) -> io::Result<Self> {
        let mut files = BTreeMap::new();
        let entries = match fs::read_dir(directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self(files)),
            Err(error) => return Err(error),
        };
        for entry in entries {
            let entry = entry?;
            let Some(name) = Name::parse(&entry.file_name()) else { continue };
            if run.is_some_and(|run| run != name.run) {
                continue;
            }
            // Not followed if it is a symbolic link. Gone by now is as good as never seen.
            let Ok(metadata) = entry.metadata() else { continue };
            if metadata.is_file() && metadata.uid() == host::effective_uid() {
                let created = metadata.created().or_else(|_| metadata.modified()).ok();
                files.insert(name, Seen { len_bytes: metadata.len(), created });
            }
        }
        Ok(Self(files))
    }

    fn runs(&self) -> Vec<RunId> {
        let mut runs: Vec<RunId> = self.0.keys().map(|name| name.run).collect();
        runs.dedup();
        runs
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::scratch_directory;

    #[test]
    fn a_segment_that_came_after_the_listing_is_left_alone() {
        let directory = scratch_directory("late-segment");
        let run = RunId::new(9);
        let [early, late] = [1, 2].map(|n| directory.join(Name::new(run, Role::Segment(n)).to_string()));
        fs::write(&early, "").unwrap();
        let listed = Files::of_directory(&directory, Some(run)).unwrap();
        // Its run has published a manifest after the listing, or it could not be there.
        fs::write(&late, "").unwrap();
        unlink_listed(&directory, listed).unwrap();
        assert!(!early.exists() && late.exists());
        fs::remove_dir_all(directory).unwrap();
    }
}
