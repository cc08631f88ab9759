//! The file behind a structure: how it comes into being, who uses it, and how it goes.
//!
//! ```text
//!          create                       attach                         last one out, or a reaper
//!   O_TMPFILE ──▶ lock ATTACHED,   open ──▶ lock ATTACHED,      (let ATTACHED go ──▶ nobody has it?) ──▶ open ──▶
//!   shared ──▶ space, header,      shared ──▶ still named? ──▶  take NAME ──▶ still named? ──▶ take ATTACHED alone
//!   page ──▶ linkat                checks ──▶ map               ──▶ unlink
//! ```
//!
//! What a process may be to the file: `role.rs`. Who may take a name away: `named.rs`.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::name::{Name, waiting_file_name};
use super::named::{Fate, Named, Waiting, check_owner, leads_to, open, remove_if_dead, wait_a_moment};
use super::options::Options;
use super::page::{Kind, LAYOUT, MAGIC, Page, Places, read_places};
use super::role::{LAST_SEAT, Role};
use crate::error::{Error, ErrorKind, Result};
use crate::segment::{PAGE_BYTES, Room, SHARED_MEMORY, map_refused};
use crate::sys::cells::Placed;
use crate::sys::clock::realtime_nanos;
use crate::sys::lock::LockedFile;
use crate::sys::map::Mapping;
use crate::sys::primitive::{AtomicU64, Ordering};
use crate::sys::shm::{self, Unpublished};
use crate::sys::{host, kill_point};

/// What a new file is to be.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) kind: Kind,
    /// The `.npy` header, padded to a page.
    pub(crate) header: Vec<u8>,
    /// Bytes of data behind it.
    pub(crate) data_len: usize,
    /// Buffers for each column.
    pub(crate) n_buffers: usize,
    pub(crate) n_columns: usize,
    /// Words of tables between data and page.
    pub(crate) n_table_words: usize,
}

impl Plan {
    /// Where tables and page begin.
    fn offsets(&self) -> Option<(usize, usize)> {
        let tables = self.header.len().checked_add(self.data_len)?.checked_next_multiple_of(PAGE_BYTES)?;
        let page =
            tables.checked_add(self.n_table_words.checked_mul(8)?)?.checked_next_multiple_of(PAGE_BYTES)?;
        i64::try_from(page.checked_add(PAGE_BYTES)?).ok()?;
        Some((tables, page))
    }
}

/// A file that this process uses, mapped, found by a name.
#[derive(Debug)]
pub(crate) struct Published {
    file: LockedFile,
    mapping: Arc<Mapping>,
    page: Placed<Page>,
    tables: Placed<AtomicU64>,
    places: Places,
    name: Name,
    path: PathBuf,
    read_only: bool,
    seat: Mutex<Option<u16>>,
}

impl Published {
    /// Creates a file; it is visible once `fill` has made it what it is to be.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Segment`] if the name is taken by what is in use or kept, [`ErrorKind::OutOfSpace`], [`ErrorKind::Io`], or that of
    /// `fill`.
    pub(crate) fn create(
        options: &Options,
        name: &Name,
        plan: &Plan,
        fill: impl FnOnce(&Self) -> Result<()>,
    ) -> Result<Self> {
        if let Some(old) = options.terms.as_ref().and_then(|terms| terms.replaces.as_deref()) {
            return Self::create_over(options, name, plan, fill, Some(old));
        }
        let (published, unpublished) = Self::make(options, name, plan, fill)?;
        let mut unpublished = Some(unpublished);
        published.pass_gate(options, &mut || {
            while let Some(new) = unpublished.take() {
                kill_point!("shared.create.link");
                if !options.is_open() {
                    return Err(changed_hands(name));
                }
                match new.try_publish(published.file.file(), &published.path) {
                    Ok(()) => break,
                    Err((error, new)) if error.kind() == io::ErrorKind::AlreadyExists => {
                        // What nobody uses any more is as good as gone.
                        match remove_if_dead(&published.path, false) {
                            Ok(Fate::Removed | Fate::Absent) => unpublished = Some(new),
                            Ok(Fate::Stays) => return Err(taken(name, &published.path)),
                            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                                return Err(published.failed("replace", error));
                            }
                            Err(error) => {
                                return Err(
                                    refused(name, &published.path, &error.to_string()).with_source(error)
                                );
                            }
                        }
                    }
                    Err((error, _)) => return Err(published.room(&name).refused(error)),
                }
            }
            Ok(())
        })?;
        kill_point!("shared.create.linked");
        Ok(published)
    }

    /// Creates a file that takes the name over, from the old file, or without one from whoever has it now: whoever looks for the name finds
    /// that or the new file, whole.
    ///
    /// Those who use the old one go on, and find out with [`is_current`](Self::is_current).
    ///
    /// # Errors
    ///
    /// As for [`create`](Self::create), but for names that are taken by a file that is no structure only; [`ErrorKind::Busy`] if the old file
    /// has lost the name meanwhile.
    pub(crate) fn create_over(
        options: &Options,
        name: &Name,
        plan: &Plan,
        fill: impl FnOnce(&Self) -> Result<()>,
        old: Option<&Self>,
    ) -> Result<Self> {
        let (published, unpublished) = Self::make(options, name, plan, fill)?;
        let failed = |error| published.failed("publish", error);
        let random = host::random_u64().map_err(failed)?;
        let waiting = options.directory.join(waiting_file_name(random));
        let waiting = Waiting::publish(unpublished, published.file.file(), waiting).map_err(failed)?;
        kill_point!("shared.swap.waiting");
        let may = || options.is_open() && old.is_none_or(Self::has_name);
        published.pass_gate(options, &mut || match waiting
            .take_over(&published.path, &may)
            .map_err(failed)?
        {
            true => Ok(()),
            false => Err(changed_hands(name)),
        })?;
        kill_point!("shared.swap.done");
        Ok(published)
    }

    /// Gives the file its name when whoever decides about the name agrees.
    fn pass_gate(&self, options: &Options, publish: &mut dyn FnMut() -> Result<()>) -> Result<()> {
        let Some(terms) = &options.terms else { return publish() };
        let passed = terms.gate.pass(self.len_bytes() as u64, publish);
        if passed.is_err() && leads_to(&self.path, self.file.file()).unwrap_or(false) {
            // It has its name, and is not to have it. This file alone: the name may be somebody else's by now.
            let _ = self.remove_name();
        }
        passed
    }

    /// Makes a file without its name.
    fn make(
        options: &Options,
        name: &Name,
        plan: &Plan,
        fill: impl FnOnce(&Self) -> Result<()>,
    ) -> Result<(Self, Unpublished)> {
        let path = options.directory.join(name.file_name());
        let Some((tables_at, page_at)) = plan.offsets() else {
            let message =
                format!("`{name}` with {} bytes of data is larger than any file can be", plan.data_len);
            return Err(Error::new(ErrorKind::Shape, message));
        };
        let file_len = page_at + PAGE_BYTES;
        if let Some(terms) = &options.terms {
            terms.gate.foresee(file_len as u64)?;
        }
        let room = room(name, file_len, &options.directory);
        room.check(options.directory.starts_with(SHARED_MEMORY))?;
        let make = || {
            kill_point!("shared.create.begin");
            let (file, unpublished) = new_file(&options.directory)?;
            let mode = if options.group_read { 0o640 } else { shm::MODE };
            file.file().set_permissions(fs::Permissions::from_mode(mode))?;
            kill_point!("shared.create.made");
            shm::reserve(file.file(), 0, file_len as u64)?;
            file.file().write_all_at(&plan.header, 0)?;
            kill_point!("shared.create.reserved");
            Ok((file, unpublished, host::random_u64()?))
        };
        let (file, unpublished, nonce) = make().map_err(|error| room.refused(error))?;
        let data_at = plan.header.len();
        let places = Places { kind: plan.kind, nonce, data_at, tables_at, page_at };
        let published = Self::map(file, places, name, path, false)?;
        let page = published.page();
        let set = |word: &AtomicU64, value: u64| word.store(value, Ordering::Relaxed);
        set(&page.magic, MAGIC);
        set(&page.layout, LAYOUT);
        set(&page.nonce, nonce);
        set(&page.kind, plan.kind.code());
        page.set_flags(options.keep, options.group_read, options.terms.is_some());
        set(&page.created, realtime_nanos());
        set(&page.creator, u64::from(std::process::id()));
        set(&page.n_buffers, plan.n_buffers as u64);
        set(&page.n_columns, plan.n_columns as u64);
        set(&page.n_pins, plan.n_buffers.saturating_sub(2) as u64);
        set(&page.tables_offset, tables_at as u64);
        fill(&published)?;
        Ok((published, unpublished))
    }

    /// Finds a file by its name, and uses it from now on.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Segment`] if there is none, or it is another kind of thing, not this user's, or damaged; [`ErrorKind::Io`] if it may
    /// not be opened; [`ErrorKind::OutOfSpace`] if it cannot be mapped.
    pub(crate) fn attach(options: &Options, name: &Name, kinds: &[Kind]) -> Result<Self> {
        let path = options.directory.join(name.file_name());
        let start = Instant::now();
        loop {
            let file =
                open(&path, !options.read_only).map_err(|error| cannot_open(name, &path, options, error))?;
            let refuse = |problem: String| refused(name, &path, &problem);
            let metadata = file.metadata().map_err(|error| refuse(error.to_string()))?;
            check_owner(&metadata, options.owner).map_err(refuse)?;
            let file = LockedFile::new(file);
            let failed =
                |error: io::Error| Error::io(format_args!("cannot lock `{}`", path.display()), error);
            if !file.try_share(Role::Attached.byte()).map_err(failed)? {
                // Somebody is about to remove it, which takes a moment.
                wait_a_moment(start).map_err(failed)?;
                continue;
            }
            kill_point!("shared.attach.locked");
            // Removed before the lock was ours, or replaced: whatever has the name now is meant.
            if !leads_to(&path, file.file()).map_err(failed)? {
                wait_a_moment(start).map_err(failed)?;
                continue;
            }
            let places =
                read_places(file.file(), metadata.len()).map_err(|error| refuse(error.to_string()))?;
            if !kinds.contains(&places.kind) {
                let wanted: Vec<String> = kinds.iter().map(|kind| kind.name_with_article()).collect();
                let found = places.kind.name_with_article();
                return Err(refuse(format!("it is {found}, wanted {}", wanted.join(" or "))));
            }
            let published = Self::map(file, places, name, path, options.read_only)?;
            kill_point!("shared.attach.mapped");
            return Ok(published);
        }
    }

    fn map(file: LockedFile, places: Places, name: &Name, path: PathBuf, read_only: bool) -> Result<Self> {
        let len = places.page_at + PAGE_BYTES;
        let map = if read_only { Mapping::read_only } else { Mapping::read_write };
        let mapping = map(file.file(), len).map_err(|error| map_refused(&name.to_string(), len, error))?;
        let mapping = Arc::new(mapping);
        let (at, n_words) = (places.tables_at, places.n_table_words());
        let (page, tables) = if read_only {
            (Placed::to_load(&mapping, places.page_at, 1), Placed::to_load(&mapping, at, n_words))
        } else {
            (Placed::new(&mapping, places.page_at, 1), Placed::new(&mapping, at, n_words))
        };
        let (name, seat) = (name.clone(), Mutex::new(None));
        Ok(Self { file, mapping, page, tables, places, name, path, read_only, seat })
    }

    /// The control page. For loads only if this handle is [read-only](Self::is_read_only).
    pub(crate) fn page(&self) -> &Page {
        &self.page[0]
    }

    /// The tables before the page. For loads only if this handle is read-only.
    pub(crate) fn tables(&self) -> &[AtomicU64] {
        &self.tables
    }

    /// The whole file.
    #[inline]
    pub(crate) fn mapping(&self) -> &Arc<Mapping> {
        &self.mapping
    }

    /// Where the data begin in the file: behind the header.
    #[inline]
    pub(crate) fn data_offset(&self) -> usize {
        self.places.data_at
    }

    /// Bytes of header, data and what fills their last page.
    pub(crate) fn tables_offset(&self) -> usize {
        self.places.tables_at
    }

    /// The header's bytes.
    pub(crate) fn header(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.places.data_at];
        self.mapping.read_bytes(0, &mut bytes);
        bytes
    }

    pub(crate) fn kind(&self) -> Kind {
        self.places.kind
    }

    pub(crate) fn name(&self) -> &Name {
        &self.name
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// A random number that no other file has.
    #[cfg(test)]
    pub(crate) fn nonce(&self) -> u64 {
        self.places.nonce
    }

    /// Length of the file in bytes.
    pub(crate) fn len_bytes(&self) -> usize {
        self.mapping.len()
    }

    /// Whether this handle may only read.
    pub(crate) fn is_read_only(&self) -> bool {
        self.read_only
    }

    /// Whether the name still leads to this file: `false` once it was removed or replaced.
    pub(crate) fn is_current(&self) -> bool {
        // Without the hint nobody has begun to take the name away; `rm` leaves none, but leaves the structure usable, too.
        self.page().stale.load(Ordering::SeqCst) == 0
            || leads_to(&self.path, self.file.file()).unwrap_or(false)
    }

    /// Whether the name leads to this file at this moment, whatever is hinted.
    pub(crate) fn has_name(&self) -> bool {
        leads_to(&self.path, self.file.file()).unwrap_or(false)
    }

    /// Whether another file has the name, also if it came there by hand, which leaves no hint for [`is_current`](Self::is_current).
    pub(crate) fn is_supplanted(&self) -> bool {
        self.path.symlink_metadata().is_ok() && !leads_to(&self.path, self.file.file()).unwrap_or(true)
    }

    /// Takes a role, unless another handle has it. Threads that share this handle must keep each other out themselves.
    ///
    /// # Errors
    ///
    /// If this handle is read-only, or the system refuses.
    pub(crate) fn try_take(&self, role: Role) -> Result<bool> {
        self.file.try_take(role.byte()).map_err(|error| self.failed("lock", error))
    }

    /// Gives a role back.
    pub(crate) fn give_back(&self, role: Role) {
        if !self.file.is_forked() {
            self.file.give_back(role.byte());
        }
    }

    /// Whether another handle has a role.
    pub(crate) fn is_taken(&self, role: Role) -> bool {
        // Only a kernel without such locks refuses, and then nothing was created.
        self.file.is_taken(role.byte()).unwrap_or(true)
    }

    /// This handle's seat, taken when first asked for. `settle` runs when a seat is taken, before it is used: what a dead holder of the
    /// same number left is cleared there. It must not call this, nor [`settle_if_dead`](Self::settle_if_dead).
    ///
    /// # Errors
    ///
    /// If this handle is read-only, all seats are taken, or the system refuses.
    pub(crate) fn seat(&self, settle: impl FnOnce(u16)) -> Result<u16> {
        let mut seat = self.seat.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(seat) = *seat {
            return Ok(seat);
        }
        for number in 1..=LAST_SEAT {
            if self.try_take(Role::Seat(number))? {
                kill_point!("shared.seat.taken");
                settle(number);
                *seat = Some(number);
                return Ok(number);
            }
        }
        let message = format!("all {LAST_SEAT} seats of `{}` are taken", self.name);
        Err(Error::new(ErrorKind::Segment, message)
            .with_hint("drop handles that are not used, or share one between threads"))
    }

    /// Runs `settle` if the holder of a seat is dead. Nobody can take the seat meanwhile, so what has its number is the dead one's. Whether
    /// it ran.
    pub(crate) fn settle_if_dead(&self, seat: u16, settle: impl FnOnce()) -> bool {
        // The lock is this handle's, for whatever it was taken: a seat that another thread takes just now must not go with it.
        let own = self.seat.lock().unwrap_or_else(PoisonError::into_inner);
        let is_other = *own != Some(seat) && (1..=LAST_SEAT).contains(&seat);
        if !is_other || !matches!(self.try_take(Role::Seat(seat)), Ok(true)) {
            return false;
        }
        kill_point!("shared.seat.dead");
        settle();
        self.give_back(Role::Seat(seat));
        true
    }

    /// Takes the name away. Those who use the file go on.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`] if the system refuses. That the name is another's by now is no error.
    pub(crate) fn remove_name(&self) -> Result<()> {
        let failed = |error| self.failed("remove", error);
        match Named::hold(&self.path, Instant::now()).map_err(failed)? {
            // Held, it stays whose it is.
            Some(named) if leads_to(&self.path, self.file.file()).map_err(failed)? => {
                named.unlink().map_err(failed)
            }
            _ => Ok(()),
        }
    }

    fn room<'a>(&'a self, label: &'a &'a Name) -> Room<'a> {
        room(*label, self.mapping.len(), self.path.parent().unwrap_or(Path::new("/")))
    }

    fn failed(&self, doing: &str, error: io::Error) -> Error {
        let error = Error::io(format_args!("cannot {doing} `{}`", self.path.display()), error);
        if self.read_only {
            error.with_hint("this handle is read-only: attach without Options::read_only")
        } else {
            error
        }
    }
}

impl Drop for Published {
    fn drop(&mut self) {
        if self.file.is_forked() || self.page().is_kept() {
            return;
        }
        // First away, then a look for others: of several who leave at the same time, the last to let go finds nobody. Would they look
        // first, each could find another who is about to go.
        self.file.give_back(Role::Attached.byte());
        kill_point!("shared.drop.away");
        // Who has the lock now will look after himself, or is removing the file. And what has another file's name, or none, is not removed.
        if !self.is_taken(Role::Attached) && leads_to(&self.path, self.file.file()).unwrap_or(false) {
            let _ = remove_if_dead(&self.path, false);
        }
    }
}

/// A new file without a name, or with a temporary one, which this process is attached to.
fn new_file(directory: &Path) -> io::Result<(LockedFile, Unpublished)> {
    loop {
        let temporary = waiting_file_name(host::random_u64()?);
        let (file, unpublished) = make_file(directory, &temporary)?;
        let file = LockedFile::new(file);
        let is_ours = file.try_share(Role::Attached.byte())?;
        kill_point!("shared.create.locked");
        // Where the file system asks for a name, a reaper may have seen the file before it was locked.
        if is_ours && (!unpublished.has_name() || file.file().metadata()?.nlink() > 0) {
            return Ok((file, unpublished));
        }
    }
}

fn make_file(directory: &Path, temporary: &str) -> io::Result<(File, Unpublished)> {
    #[cfg(test)]
    if let Some(n) = super::tests::FOUND_BY_A_REAPER.get() {
        let made = shm::create_named(directory, temporary);
        (0..n.min(1)).for_each(|_| super::named::remove_waiting(&directory.join(temporary)));
        super::tests::FOUND_BY_A_REAPER.set(Some(n.saturating_sub(1)));
        return made;
    }
    shm::create(directory, temporary)
}

fn room<'a>(name: &'a dyn std::fmt::Display, need: usize, directory: &'a Path) -> Room<'a> {
    let other = "choose another directory with Options::directory";
    Room { name, need, directory: Some(directory), other_places: [other, other] }
}

fn taken(name: &Name, path: &Path) -> Error {
    let message = format!("there is a shared structure `{name}` already: `{}`", path.display());
    Error::new(ErrorKind::Segment, message).with_hint(
        "attach to it, choose another name, or remove it with `shared::remove` or `ndpool reap --kept` if nobody uses it",
    )
}

fn changed_hands(name: &Name) -> Error {
    let message = format!("`{name}` was given to another file, or taken away, by another process meanwhile");
    Error::new(ErrorKind::Busy, message).with_hint("try again")
}

fn refused(name: &Name, path: &Path, problem: &str) -> Error {
    let message = format!("`{}` is not the shared structure `{name}`: {problem}", path.display());
    Error::new(ErrorKind::Segment, message).with_hint(
        "`ndpool list` shows the structures that there are; for those of another user say whose with Options::owner",
    )
}

fn cannot_open(name: &Name, path: &Path, options: &Options, error: io::Error) -> Error {
    let message = format!("there is no shared structure `{name}` in {}", options.directory.display());
    let hint = match error.kind() {
        io::ErrorKind::NotFound => {
            let there: Vec<String> =
                super::list::names_in(&options.directory, name).into_iter().take(8).collect();
            if there.is_empty() {
                "it was never created, or went with the last process that used it; `Options::keep` keeps it"
                    .to_owned()
            } else {
                format!("there are {}", there.join(", "))
            }
        }
        io::ErrorKind::PermissionDenied if !options.read_only => {
            let message = format!("cannot open `{}` for writing: {error}", path.display());
            return Error::new(ErrorKind::Segment, message)
                .with_source(error)
                .with_hint("attach with Options::read_only if its group may read it");
        }
        _ => {
            let message = format!("cannot open `{}`: {error}", path.display());
            return Error::new(ErrorKind::Segment, message).with_source(error);
        }
    };
    Error::new(ErrorKind::Segment, message).with_hint(hint).with_source(error)
}
