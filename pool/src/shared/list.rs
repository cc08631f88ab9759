//! Which structures there are, and the end of those that nobody uses.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime};

use super::name::{Name, is_waiting_file_name};
use super::named::{Fate, Named, open, remove_if_dead, remove_waiting};
use super::options::Options;
use super::page::{Glance, Kind, glance};
use super::role::Role;
use crate::error::{Error, ErrorKind, Result};
use crate::segment::SHARED_MEMORY;
use crate::sys::host;
use crate::sys::lock::LockedFile;

/// A shared structure as seen from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SharedInfo {
    /// The name under which it is attached.
    pub name: String,
    /// Its file.
    pub path: PathBuf,
    /// What it is.
    pub kind: Kind,
    /// Length of the file in bytes, with header and control page.
    pub len_bytes: u64,
    /// The last version that was written; 0 for what has no versions.
    pub version: u64,
    /// Whether a process uses it.
    pub attached: bool,
    /// Whether it stays when no process uses it.
    pub kept: bool,
    /// When it was created.
    pub created: SystemTime,
    /// Number of the process that created it, in that one's PID namespace. It may long be another's.
    pub creator: u32,
    /// The user that it belongs to.
    pub owner: u32,
    /// Whether members of its group may read it.
    pub group_read: bool,
    /// Whether it was published under a [server](crate::server), and is its server's to keep.
    pub served: bool,
}

impl SharedInfo {
    /// Whether its server, if there is one, decides about it: nobody needs to be attached to what a living server has.
    fn is_served(&self) -> bool {
        self.served || self.kind == Kind::Catalog
    }
}

/// Lists the shared structures in `/dev/shm` that this user may read, by name.
///
/// # Errors
///
/// [`ErrorKind::Io`](crate::ErrorKind::Io) if the directory cannot be read, or a file in it cannot be looked at for another reason than
/// that this user may not: if there are no descriptors left, for instance. A directory that is not there is empty.
///
/// # Example
///
/// ```
/// use ndpool::shared::{self, Event};
///
/// let stop = Event::create("list_example")?;
/// let found = shared::list()?.into_iter().find(|info| info.name == "list_example").unwrap();
/// assert!(found.attached && !found.kept);
/// # Ok::<(), ndpool::Error>(())
/// ```
pub fn list() -> Result<Vec<SharedInfo>> {
    list_in(Path::new(SHARED_MEMORY))
}

/// As [`list`], in another directory.
///
/// # Errors
///
/// As for [`list`].
pub fn list_in(directory: &Path) -> Result<Vec<SharedInfo>> {
    look_at_all(directory, |_| true)
}

/// What has a name that is meant, by name.
fn look_at_all(directory: &Path, is_meant: impl Fn(&Name) -> bool) -> Result<Vec<SharedInfo>> {
    let mut found = Vec::new();
    for path in files_in(directory)? {
        if let Some(name) = path.file_name().and_then(Name::of_file).filter(&is_meant) {
            found.extend(look(&path, &name)?);
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// Takes a name away, whoever uses the structure: they go on with it, and are told; nobody new finds it.
///
/// # Errors
///
/// [`ErrorKind::Segment`](crate::ErrorKind::Segment) if nothing has the name; [`ErrorKind::Io`](crate::ErrorKind::Io) if what has it is no
/// structure of this user's, if it stays held by a stopped process for five seconds, or if the system refuses.
pub fn remove(name: &str) -> Result<()> {
    remove_with(&Options::new(), name)
}

/// As [`remove`], where the options say.
///
/// # Errors
///
/// As for [`remove`].
pub fn remove_with(options: &Options, name: &str) -> Result<()> {
    let name: Name = name.parse()?;
    let path = options.directory.join(name.file_name());
    let failed = |error| Error::io(format_args!("cannot remove `{}`", path.display()), error);
    match Named::hold(&path, Instant::now()).map_err(failed)? {
        Some(named) => named.unlink().map_err(failed),
        None => {
            let message = format!("there is no shared structure `{name}` in {}", options.directory.display());
            Err(Error::new(ErrorKind::Segment, message).with_hint("`ndpool list` shows those that there are"))
        }
    }
}

/// Takes a name away if that may be done, which is asked while nobody else takes it from who has it now.
///
/// # Errors
///
/// As for [`remove`], but that nothing has the name is none.
pub(crate) fn remove_if(path: &Path, may: &dyn Fn() -> bool) -> Result<Fate> {
    let failed = |error| Error::io(format_args!("cannot remove `{}`", path.display()), error);
    match Named::hold(path, Instant::now()).map_err(failed)? {
        None => Ok(Fate::Absent),
        Some(_) if !may() => Ok(Fate::Stays),
        Some(named) => named.unlink().map(|()| Fate::Removed).map_err(failed),
    }
}

/// Waits until whoever is about to take a name away, or to give it to another file, has done so or let it be. Who comes later finds what
/// the caller has done before. Whether something of this user's has the name then.
///
/// # Errors
///
/// As for [`remove`], but that nothing has the name is none.
pub(crate) fn wait_for_name(path: &Path) -> Result<bool> {
    match Named::hold(path, Instant::now()) {
        Ok(named) => Ok(named.is_some()),
        Err(error) if is_none_of_ours(&error) => Ok(false),
        Err(error) => Err(Error::io(format_args!("cannot take over `{}`", path.display()), error)),
    }
}

/// Removes the structures of this user in `/dev/shm` that no process uses and that are not to be kept; with `kept` those too, but not what a
/// [server](crate::server) has, living or dead: [`server::reap`](crate::server::reap) removes that. Returns
/// what it removed; with `dry_run` what it would remove.
///
/// # Errors
///
/// As for [`list`], or if a file cannot be removed.
pub fn reap(kept: bool, dry_run: bool) -> Result<Vec<SharedInfo>> {
    reap_in(Path::new(SHARED_MEMORY), kept, dry_run)
}

/// As [`reap`], in another directory.
///
/// # Errors
///
/// As for [`reap`].
pub fn reap_in(directory: &Path, kept: bool, dry_run: bool) -> Result<Vec<SharedInfo>> {
    let mut reaped = Vec::new();
    let mut failure = None;
    for path in files_in(directory)? {
        let Some(file_name) = path.file_name() else { continue };
        if is_waiting_file_name(file_name) {
            if !dry_run {
                remove_waiting(&path);
            }
            continue;
        }
        let Some(name) = Name::of_file(file_name) else { continue };
        let info = look(&path, &name).unwrap_or_else(|error| {
            failure = Some(error);
            None
        });
        let is_dead = |info: &SharedInfo| {
            !info.attached && (kept || !info.kept) && !info.is_served() && info.owner == host::effective_uid()
        };
        let Some(info) = info.filter(is_dead) else { continue };
        if dry_run {
            reaped.push(info);
            continue;
        }
        match remove_if_dead(&path, kept) {
            Ok(Fate::Removed) => reaped.push(info),
            // Somebody has begun to use it, or was faster.
            Ok(Fate::Stays | Fate::Absent) => {}
            Err(error) => {
                failure = Some(Error::io(format_args!("cannot remove `{}`", path.display()), error));
            }
        }
    }
    failure.map_or(Ok(reaped), Err)
}

/// What has names of two parts, of which this is the first.
pub(crate) fn items_of(directory: &Path, server: &str) -> Result<Vec<SharedInfo>> {
    look_at_all(directory, |name| name.first() == server && name.second().is_some())
}

/// Removes the files that were to take another's place and whose makers are dead.
pub(crate) fn reap_waiting(directory: &Path) -> Result<()> {
    let is_waiting = |path: &&PathBuf| path.file_name().is_some_and(is_waiting_file_name);
    files_in(directory)?.iter().filter(is_waiting).for_each(|path| remove_waiting(path));
    Ok(())
}

/// Names in a directory, of the same server if the name is of one, for messages.
pub(super) fn names_in(directory: &Path, like: &Name) -> Vec<String> {
    let infos = list_in(directory).unwrap_or_default();
    let is_like = |name: &Name| like.second().is_none() || name.first() == like.first();
    infos
        .into_iter()
        .filter(|info| info.name.parse().is_ok_and(|name| is_like(&name)))
        .map(|info| info.name)
        .collect()
}

fn files_in(directory: &Path) -> Result<Vec<PathBuf>> {
    let failed = |error| Error::io(format_args!("cannot list `{}`", directory.display()), error);
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>().map_err(failed)?;
    paths.sort();
    Ok(paths)
}

/// Looks at one file without changing anything; `None` if it is none of ours, or gone.
///
/// # Errors
///
/// [`ErrorKind::Io`] if it may be one of ours, and cannot be looked at: what is not seen must not be taken for what is not there.
fn look(path: &Path, name: &Name) -> Result<Option<SharedInfo>> {
    match try_look(path, name) {
        Ok(info) => Ok(Some(info)),
        Err(error) if is_none_of_ours(&error) || is_a_stranger_s_doing(path, &error) => Ok(None),
        Err(error) => Err(Error::of_file("look at", path, error)),
    }
}

/// Whether a file that cannot be opened or read is gone, or nothing that this user has to do with.
pub(crate) fn is_none_of_ours(error: &io::Error) -> bool {
    let is_no_file = || {
        let errno = error.raw_os_error();
        // A link, a socket, a device without a driver.
        errno.is_some_and(|errno| [libc::ELOOP, libc::ENXIO, libc::ENODEV].contains(&errno))
    };
    use io::ErrorKind::{InvalidData, IsADirectory, NotFound, PermissionDenied, StaleNetworkFileHandle};
    let kind = error.kind();
    matches!(kind, NotFound | StaleNetworkFileHandle | PermissionDenied | InvalidData | IsADirectory)
        || is_no_file()
}

/// Whether an error can be another user's work, who has put the file there: he may have it refuse to be opened. That this program has no
/// descriptors or memory left is not.
fn is_a_stranger_s_doing(path: &Path, error: &io::Error) -> bool {
    let is_short =
        error.raw_os_error().is_some_and(|errno| [libc::EMFILE, libc::ENFILE, libc::ENOMEM].contains(&errno));
    let is_own = |metadata: fs::Metadata| metadata.uid() == host::effective_uid();
    !is_short && !path.symlink_metadata().is_ok_and(is_own)
}

fn try_look(path: &Path, name: &Name) -> io::Result<SharedInfo> {
    let file = open_to_look(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let Glance { kind, version, kept, served, created, creator } = glance(&file, metadata.len())?;
    Ok(SharedInfo {
        name: name.to_string(),
        path: path.to_owned(),
        kind,
        len_bytes: metadata.len(),
        version,
        attached: LockedFile::new(file).is_taken(Role::Attached.byte())?,
        kept,
        created,
        creator,
        owner: metadata.uid(),
        group_read: metadata.mode() & 0o040 != 0,
        served,
    })
}

fn open_to_look(path: &Path) -> io::Result<File> {
    #[cfg(test)]
    if let Some(errno) = super::tests::LOOKS_FAIL.get() {
        return Err(io::Error::from_raw_os_error(errno));
    }
    open(path, false)
}
