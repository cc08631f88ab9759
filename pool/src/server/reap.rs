//! Which servers there are, and the end of those that were killed.

use std::io;
use std::path::Path;
use std::time::SystemTime;

use super::catalog::{AfterKill, Catalog, Usage};
use super::error::{is_no_server, is_of_another};
use crate::error::Result;
use crate::segment::SHARED_MEMORY;
use crate::shared::{Kind, Name, Options, SharedInfo, list_in as list_shared, reap_waiting, remove_if};
use crate::sys::{host, kill_point};

/// A server as seen from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerInfo {
    /// Its name.
    pub name: String,
    /// Whether it lives.
    pub alive: bool,
    /// Number of its process, or of the last one that had the name, in that one's PID namespace.
    pub pid: u32,
    /// When it was started.
    pub started: SystemTime,
    /// What becomes of its items if it is killed, or now that it was.
    pub after_kill: AfterKill,
    /// What it holds, and may hold.
    pub usage: Usage,
    /// What is published under its name.
    pub items: Vec<SharedInfo>,
}

/// Lists the servers in `/dev/shm` whose user this is, living and killed, by name.
///
/// # Errors
///
/// [`ErrorKind::Io`](crate::ErrorKind::Io) if the directory cannot be read, or a file in it cannot be looked at for another reason than
/// that this user may not. A directory that is not there is empty.
pub fn list() -> Result<Vec<ServerInfo>> {
    list_in(Path::new(SHARED_MEMORY))
}

/// As [`list`], in another directory.
///
/// # Errors
///
/// As for [`list`].
pub fn list_in(directory: &Path) -> Result<Vec<ServerInfo>> {
    let options = Options::new().directory(directory);
    let mut servers = Vec::new();
    for name in own_names(directory)? {
        if let Some(catalog) = attach(&options, &name)? {
            servers.push(describe(&catalog)?);
        }
    }
    Ok(servers)
}

/// Removes what killed servers in `/dev/shm` have left, if they are to be removed ([`AfterKill::Remove`]); with `recoverable` also what
/// the next server of the name would take over. Returns what it removed; with `dry_run` what it would remove.
///
/// Living servers are never touched, and those who are attached to something go on with it.
///
/// # Errors
///
/// As for [`list`], or if a file cannot be removed; the source is [`ServerError::Busy`](super::ServerError::Busy) if a process was stopped
/// that is about to publish something: the others are removed all the same.
///
/// # Example
///
/// ```
/// use ndpool::server::{self, DataServer};
///
/// let server = DataServer::new("reap_example")?;
/// assert!(server::reap(true, true)?.iter().all(|dead| dead.name != "reap_example"));
/// # Ok::<(), ndpool::Error>(())
/// ```
pub fn reap(recoverable: bool, dry_run: bool) -> Result<Vec<ServerInfo>> {
    reap_in(Path::new(SHARED_MEMORY), recoverable, dry_run)
}

/// As [`reap`], in another directory.
///
/// # Errors
///
/// As for [`reap`].
pub fn reap_in(directory: &Path, recoverable: bool, dry_run: bool) -> Result<Vec<ServerInfo>> {
    let options = Options::new().directory(directory);
    let (mut reaped, mut failure) = (Vec::new(), None);
    for name in own_names(directory)? {
        match reap_one(&options, &name, recoverable, dry_run) {
            Ok(info) => reaped.extend(info),
            // Another one was faster.
            Err(error) if is_no_server(&error) => {}
            // Somebody was stopped, perhaps; the others can go.
            Err(error) => failure = failure.or(Some(error)),
        }
    }
    if !dry_run {
        let rests = [reap_waiting(directory), reap_orphans(directory)];
        failure = rests.into_iter().fold(failure, |failure, rest| failure.or(rest.err()));
    }
    failure.map_or(Ok(reaped), Err)
}

/// Removes what a server has left, if it was killed and is to be removed.
fn reap_one(options: &Options, name: &str, recoverable: bool, dry_run: bool) -> Result<Option<ServerInfo>> {
    let Some(catalog) = attach(options, name)? else { return Ok(None) };
    let may_go = || !catalog.is_served() && (recoverable || catalog.terms().after_kill == AfterKill::Remove);
    if !may_go() {
        return Ok(None);
    }
    if dry_run {
        return describe(&catalog).map(Some);
    }
    // Under the lock nobody begins to serve.
    let locked = catalog.lock()?;
    if !may_go() {
        return Ok(None);
    }
    kill_point!("server.reap.begin");
    let info = describe(&catalog)?;
    locked.remove_items()?;
    kill_point!("server.reap.items");
    locked.remove_catalog()?;
    Ok(Some(info))
}

/// The catalog of a server; `None` if it ends at this moment, or is damaged.
fn attach(options: &Options, name: &str) -> Result<Option<Catalog>> {
    match Catalog::attach(options, name) {
        Err(error) if is_of_another(&error) => Ok(None),
        result => result,
    }
}

/// Removes items that were published on the terms of a server whose catalog is gone: that happens only if somebody took the catalog
/// away by hand.
fn reap_orphans(directory: &Path) -> Result<()> {
    let mut failure = None;
    for info in list_shared(directory)?.into_iter().filter(|info| info.served && is_own(info)) {
        let Some((server, _)) = info.name.split_once('/') else { continue };
        let catalog = directory.join(server.parse::<Name>()?.file_name());
        // Asked with the item's name held. Whoever begins to serve makes the catalog first, and waits for the names of what he takes over
        // then: so he finds this done, or this finds the catalog.
        failure = failure.or(remove_if(&info.path, &|| is_absent(&catalog)).err());
    }
    failure.map_or(Ok(()), Err)
}

/// Whether nothing has a name; not whether that cannot be told.
fn is_absent(path: &Path) -> bool {
    path.symlink_metadata().is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}

fn describe(catalog: &Catalog) -> Result<ServerInfo> {
    Ok(ServerInfo {
        name: catalog.server().to_owned(),
        alive: catalog.is_served(),
        pid: catalog.pid(),
        started: catalog.started(),
        after_kill: catalog.terms().after_kill,
        usage: catalog.usage()?,
        items: catalog.items()?,
    })
}

fn is_own(info: &SharedInfo) -> bool {
    info.owner == host::effective_uid()
}

/// Names of the servers of this user, in order.
fn own_names(directory: &Path) -> Result<Vec<String>> {
    let found = list_shared(directory)?;
    Ok(found
        .into_iter()
        .filter(|info| info.kind == Kind::Catalog && is_own(info))
        .map(|info| info.name)
        .collect())
}

/// Names of all servers whose catalog may be read, for messages.
pub(super) fn names_in(directory: &Path) -> Vec<String> {
    let found = list_shared(directory).unwrap_or_default();
    found.into_iter().filter(|info| info.kind == Kind::Catalog).map(|info| info.name).collect()
}
