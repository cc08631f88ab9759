//! One pool's segments: their places, their numbers and the lease that says they are alive.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::backing::Backing;
use super::layout::Kind;
use super::manifest::{Contents, Manifest};
use super::names::RunId;
use super::recycle::Shelf;
use super::storage::{Data, Plan, Storage};
use crate::error::{Error, ErrorKind, Result};
use crate::sys::primitive::{AtomicU64, AtomicUsize, Ordering};
use crate::sys::{exit, fork, host, kill_point, space};

/// Where named shared memory lies.
pub(crate) const SHARED_MEMORY: &str = "/dev/shm";

/// The owner of segments, alive for as long as anyone holds it: the pool, and every array.
///
/// Dropping the last handle unlinks what is left and then the manifests; in a child made by `fork` it does nothing.
#[derive(Debug)]
pub(crate) struct Run {
    id: RunId,
    owner: u32,
    backing: Backing,
    shared_memory: PathBuf,
    next_number: AtomicU64,
    /// Bytes of segments that have an owner.
    live_bytes: AtomicUsize,
    shelf: Mutex<Shelf>,
    /// Home first. Dropped from the back, so that home, which names the others, goes last.
    manifests: Mutex<Vec<Manifest>>,
    /// Set under the lock of `manifests`, once nothing is to be made any more.
    has_ended: std::sync::atomic::AtomicBool,
}

impl Run {
    /// Starts a run: publishes its manifests.
    ///
    /// # Errors
    ///
    /// If the backing cannot be used at all: [`ErrorKind::Io`], [`ErrorKind::InvalidArgument`].
    pub(crate) fn create(backing: Backing) -> Result<Arc<Self>> {
        Self::create_at(backing, Path::new(SHARED_MEMORY))
    }

    /// As [`create`](Self::create), with another directory for `/dev/shm`.
    pub(crate) fn create_at(backing: Backing, shared_memory: &Path) -> Result<Arc<Self>> {
        let id =
            RunId::new(host::random_u64().map_err(|error| Error::io("cannot get random numbers", error))?);
        let backing = match backing {
            Backing::File(directory) => Backing::File(usable_directory(&directory)?),
            Backing::Memfd if !host::descriptors_are_reachable() => {
                let message = "workers cannot reach this process's memory files through /proc";
                return Err(Error::new(ErrorKind::InvalidArgument, message)
                    .with_hint("use Backing::Named: /proc is not mounted, or this process is not dumpable"));
            }
            backing => backing,
        };
        let mut contents = Contents::of_this_process();
        if let Backing::File(directory) = &backing {
            contents.directories.push(directory.clone());
        }
        let mut manifests = Vec::with_capacity(2);
        let home = match Manifest::create(id, shared_memory, contents.clone()) {
            Err(error) if backing == Backing::Named => {
                let message = format_args!("cannot keep segments in {}", shared_memory.display());
                return Err(
                    no_place(message, error).with_hint("let the pool use Backing::Memfd or Backing::File")
                );
            }
            // Without shared memory the run still wants a place where its sockets are noted.
            Err(_) => Manifest::create(id, &std::env::temp_dir(), contents.clone()).ok(),
            Ok(home) => Some(home),
        };
        manifests.extend(home);
        if let Backing::File(directory) = &backing {
            let there = manifests.iter().any(|manifest| manifest.directory() == directory);
            if !there {
                let manifest = Manifest::create(id, directory, contents).map_err(|error| {
                    no_place(format_args!("cannot write to `{}`", directory.display()), error)
                })?;
                manifests.push(manifest);
            }
        }
        let run = Arc::new(Self {
            id,
            owner: fork::owner_pid(),
            backing,
            shared_memory: shared_memory.to_owned(),
            next_number: AtomicU64::new(1),
            live_bytes: AtomicUsize::new(0),
            shelf: Mutex::default(),
            manifests: Mutex::new(manifests),
            has_ended: false.into(),
        });
        exit::at_exit(remove_forgotten);
        let mut alive = ALIVE.lock().unwrap_or_else(PoisonError::into_inner);
        alive.retain(|run| run.strong_count() > 0);
        alive.push(Arc::downgrade(&run));
        kill_point!("run.create.done");
        Ok(run)
    }

    /// The run's identity, part of its segments' names.
    pub(crate) fn id(&self) -> RunId {
        self.id
    }

    /// The directories with a manifest of this run: where a worker that survives its supervisor has to reap, in this order.
    pub(crate) fn dirs(&self) -> Vec<PathBuf> {
        self.manifests().iter().rev().map(|manifest| manifest.directory().to_owned()).collect()
    }

    /// Whether this process started the run, rather than being forked from the one that did.
    pub(crate) fn owned_by_this_process(&self) -> bool {
        !fork::is_forked(self.owner)
    }

    /// Makes a socket, and notes it as one that is to be removed when the run dies. Without any place for a manifest, or
    /// any room in it, it is only made; the error that says so comes with it.
    ///
    /// One step for whoever ends the run meanwhile: either there is no socket yet, and none will be, or it is noted.
    ///
    /// # Errors
    ///
    /// That of `make`; or that the run has ended, because the process is about to.
    pub(crate) fn make_socket<T>(
        &self,
        make: impl FnOnce() -> Result<T>,
        path_of: impl FnOnce(&T) -> &Path,
    ) -> Result<(T, Option<io::Error>)> {
        let mut manifests = self.open_manifests()?;
        let socket = make()?;
        let noted = manifests.first_mut().map(|home| home.record_socket(path_of(&socket)));
        drop(manifests);
        match noted {
            None | Some(Ok(())) => Ok((socket, None)),
            // The worker removes the socket, unless it dies with this process.
            Some(Err(error)) if is_full(&error) => Ok((socket, Some(error))),
            Some(Err(error)) => Err(Error::io("cannot write to the manifest", error)),
        }
    }

    /// Unlinks everything of the run, though segments may be in use: the process is about to end.
    pub(crate) fn remove_all(&self) {
        if !self.owned_by_this_process() {
            return;
        }
        kill_point!("run.remove_all.begin");
        let manifests = {
            let mut manifests = self.manifests();
            // Other threads go on until the process is gone: they must make no more sockets, and give no file a name.
            self.has_ended.store(true, Ordering::Relaxed);
            std::mem::take(&mut *manifests)
        };
        // Home last: it names the others. What cannot be removed here, the workers or the next pool reap.
        for manifest in manifests.into_iter().rev() {
            let _ = super::reap::unlink_segments(manifest.directory(), self.id);
            kill_point!("run.remove_all.unlinked");
            manifest.sockets().iter().for_each(|socket| super::reap::remove_socket(socket));
            manifest.remove();
        }
        kill_point!("run.remove_all.done");
    }

    /// Gives the memory that waits to be used again back to the system.
    pub(crate) fn trim(&self) {
        let files = self.shelf().clear();
        drop(files);
    }

    /// A file for a segment with `data_len` bytes, and whether it was used before.
    ///
    /// One that was not has the data, if they are given.
    pub(super) fn obtain(
        &self,
        kind: Kind,
        data_len: usize,
        header: &[u8],
        data: Option<Data<'_>>,
    ) -> Result<(Storage, bool)> {
        let file_len = kind.file_len(data_len).ok_or_else(|| {
            Error::new(
                ErrorKind::Shape,
                format!("a segment of {data_len} bytes is larger than any file can be"),
            )
        })?;
        let number = self.next_number.fetch_add(1, Ordering::Relaxed);
        let plan = Plan { run: self.id, number, kind, file_len, header, data };
        let recycled = self.shelf().take(kind, file_len);
        let (storage, was_used) = match recycled.and_then(|storage| self.renewed(storage, plan)) {
            Some(storage) => (storage, true),
            None => (self.create_file(plan)?, false),
        };
        self.live_bytes.fetch_add(storage.file_len(), Ordering::Relaxed);
        Ok((storage, was_used))
    }

    fn renewed(&self, mut storage: Storage, plan: Plan<'_>) -> Option<Storage> {
        let _manifests = self.open_manifests().ok()?;
        // A file that cannot be renamed (its name vanished) is given up for a new one.
        storage.renew(plan).ok()?;
        Some(storage)
    }

    /// Takes a file back, to be used again or dropped. `charged` is its length when it was handed out.
    pub(super) fn give_back(&self, mut storage: Storage, charged: usize, reusable: bool) {
        if !self.owned_by_this_process() {
            return;
        }
        let live = self.live_bytes.fetch_sub(charged, Ordering::Relaxed) - charged;
        // Workers may have made it longer; one that was cut is not used again.
        let is_whole = storage.refresh_len().is_ok();
        // Scratch is shared with workers for as long as they live: one that was paused may still look at its words.
        if reusable && is_whole && storage.kind == Kind::Npy {
            storage.forget_short_mapping();
            let over = self.shelf().put(storage, live);
            drop(over);
        }
    }

    fn create_file(&self, plan: Plan<'_>) -> Result<Storage> {
        match self.create_file_once(plan) {
            Err(error) if error.kind() == ErrorKind::OutOfSpace => {
                self.trim();
                self.create_file_once(plan)
            }
            result => result,
        }
    }

    fn create_file_once(&self, plan: Plan<'_>) -> Result<Storage> {
        match &self.backing {
            Backing::Named => self.create_named(plan, &self.shared_memory, true),
            Backing::File(directory) => self.create_named(plan, directory, false),
            Backing::Memfd => Storage::memfd(plan),
            Backing::Auto => match self.create_named(plan, &self.shared_memory, true) {
                Err(error) if host::descriptors_are_reachable() => {
                    tracing::debug!(%error, "using anonymous memory instead");
                    Storage::memfd(plan)
                }
                result => result,
            },
        }
    }

    fn create_named(&self, plan: Plan<'_>, directory: &Path, in_memory: bool) -> Result<Storage> {
        let gate = || {
            let mut manifests = self.open_manifests()?;
            let Some(manifest) = manifests.iter_mut().find(|manifest| manifest.directory() == directory)
            else {
                let message = format!("{} cannot be written to", directory.display());
                return Err(Error::new(ErrorKind::Io, message)
                    .with_hint("let the pool use Backing::Memfd or Backing::File"));
            };
            manifest.ensure_visible().map_err(|error| {
                Error::io(format_args!("cannot publish the manifest in {}", directory.display()), error)
            })?;
            Ok(manifests)
        };
        // Whoever has no manifest there need not make a file first.
        drop(gate()?);
        Storage::named(plan, directory, in_memory, gate)
    }

    /// The manifests, for whoever is to give a file a name: while they are locked, nobody ends the run.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Shutdown`] if the run has ended, because the process is about to.
    fn open_manifests(&self) -> Result<MutexGuard<'_, Vec<Manifest>>> {
        let manifests = self.manifests();
        if self.has_ended.load(Ordering::Relaxed) {
            return Err(Error::new(ErrorKind::Shutdown, "the program is ending"));
        }
        Ok(manifests)
    }

    fn manifests(&self) -> MutexGuard<'_, Vec<Manifest>> {
        self.manifests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The runs of this process.
static ALIVE: Mutex<Vec<Weak<Run>>> = Mutex::new(Vec::new());

/// Removes what an array or a job handle that was forgotten, or a call of `exit`, would leave behind.
fn remove_forgotten() {
    let Ok(mut alive) = ALIVE.try_lock() else { return };
    let runs: Vec<_> = alive.drain(..).filter_map(|run| run.upgrade()).collect();
    for run in &runs {
        run.remove_all();
    }
    // Other threads may still use the memory until the process is gone.
    std::mem::forget(runs);
}

impl Drop for Run {
    fn drop(&mut self) {
        if !self.owned_by_this_process() {
            return;
        }
        kill_point!("run.drop.begin");
        self.trim();
        kill_point!("run.drop.trimmed");
        let manifests = std::mem::take(&mut *self.manifests());
        for manifest in manifests.into_iter().rev() {
            manifest.remove();
        }
        kill_point!("run.drop.done");
    }
}

/// The directory by its real name, which stays right when the working directory changes.
fn usable_directory(directory: &Path) -> Result<PathBuf> {
    let wrong = |problem: String| {
        Error::new(ErrorKind::InvalidArgument, format!("Backing::File(`{}`): {problem}", directory.display()))
            .with_hint("give an existing directory that this user can write to")
    };
    let real = directory.canonicalize().map_err(|error| wrong(error.to_string()))?;
    if !real.is_dir() {
        return Err(wrong("not a directory".to_owned()));
    }
    let file_system = space::file_system(&real).map_err(|error| wrong(error.to_string()))?;
    if file_system.read_only {
        return Err(wrong("the file system is read-only".to_owned()));
    }
    Ok(real)
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// A place for segments that cannot be written.
fn no_place(message: impl std::fmt::Display, error: io::Error) -> Error {
    if is_full(&error) {
        return Error::new(ErrorKind::OutOfSpace, format!("{message}: {error}")).with_source(error);
    }
    Error::io(message, error)
}
