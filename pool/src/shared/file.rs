//! The file behind a structure: how it comes into being, who uses it, and how it goes.
//!
//! ```text
//!            create                       attach                        last one out, or a reaper
//!   O_TMPFILE ──▶ space, header,    open ──▶ lock ATTACHED,     take ATTACHED alone ──▶ take NAME ──▶ same
//!   page ──▶ lock ATTACHED ──▶      shared ──▶ still named? ──▶ inode under the name? ──▶ unlink
//!   linkat                          checks ──▶ map
//! ```
//!
//! Four things that a process may be are locks on bytes of the file, far beyond its end, which the kernel drops when the process ends,
//! however it ends: *attached* (shared by all who use it), *name* (may take the name from this file, or give it to another), *writer*,
//! *server*. A fifth are seats, a byte each: numbers for handles, to be written into words of shared memory, and known to be dead
//! when their lock is free.
//!
//! Nobody is ever in the way of a name but the holder of that file's own lock. So there is no lock over a directory that a stopped
//! process could keep all others out with, and no lock file.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::name::{Name, waiting_file_name};
use super::options::Options;
use super::page::{Kind, LAYOUT, MAGIC, Page};
use crate::error::{Error, ErrorKind, Result};
use crate::segment::{PAGE_BYTES, Room, SHARED_MEMORY, map_refused};
use crate::sys::cells::Placed;
use crate::sys::lock::LockedFile;
use crate::sys::map::Mapping;
use crate::sys::primitive::{AtomicU64, Ordering};
use crate::sys::shm::{self, Unpublished};
use crate::sys::{host, kill_point};

/// Highest number of a seat; 0 is nobody's.
pub(crate) const LAST_SEAT: u16 = 4095;

/// How long somebody else may take for a few steps under a lock, unless it is stopped.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a process can be to a file, each a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Uses it; shared.
    Attached,
    /// Takes its name away, or gives it to another file.
    Name,
    /// Writes versions.
    Writer,
    /// Serves.
    Server,
    /// Changes what a server has.
    Catalog,
    /// Has this number.
    Seat(u16),
}

impl Role {
    /// The byte that is locked.
    pub(super) fn byte(self) -> u64 {
        const BASE: u64 = 1 << 40;
        match self {
            Self::Attached => BASE,
            Self::Name => BASE + 1,
            Self::Writer => BASE + 2,
            Self::Server => BASE + 3,
            Self::Catalog => BASE + 4,
            Self::Seat(number) => BASE + 4096 + u64::from(number),
        }
    }
}

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
    kind: Kind,
    nonce: u64,
    data_offset: usize,
    name: Name,
    path: PathBuf,
    read_only: bool,
    seat: Mutex<Option<u16>>,
}

impl std::fmt::Debug for Page {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Page").field("version", &self.version).finish_non_exhaustive()
    }
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
        if options.terms.as_ref().is_some_and(|terms| terms.replaces) {
            return Self::create_over(options, name, plan, fill);
        }
        let (published, unpublished) = Self::make(options, name, plan, fill)?;
        let mut unpublished = Some(unpublished);
        published.pass_gate(options, &mut || {
            while let Some(new) = unpublished.take() {
                kill_point!("shared.create.link");
                match new.try_publish(published.file.file(), &published.path) {
                    Ok(()) => break,
                    Err((error, new)) if error.kind() == io::ErrorKind::AlreadyExists => {
                        // What nobody uses any more is as good as gone.
                        if remove_if_dead(&published.path, false)
                            .map_err(|error| published.failed("replace", error))?
                        {
                            unpublished = Some(new);
                            continue;
                        }
                        return Err(taken(name, &published.path));
                    }
                    Err((error, _)) => return Err(published.room(&name).refused(error)),
                }
            }
            Ok(())
        })?;
        kill_point!("shared.create.linked");
        Ok(published)
    }

    /// Creates a file that takes the name over, whoever has it now: whoever looks for the name finds the old file or the new one, whole.
    ///
    /// Those who use the old one go on, and find out with [`is_current`](Self::is_current).
    ///
    /// # Errors
    ///
    /// As for [`create`](Self::create), but for names that are taken by a file that is no structure only.
    pub(crate) fn create_over(
        options: &Options,
        name: &Name,
        plan: &Plan,
        fill: impl FnOnce(&Self) -> Result<()>,
    ) -> Result<Self> {
        let (published, unpublished) = Self::make(options, name, plan, fill)?;
        let failed = |error| published.failed("publish", error);
        let random = host::random_u64().map_err(failed)?;
        let waiting = options.directory.join(waiting_file_name(random));
        let waiting = Waiting::publish(unpublished, published.file.file(), waiting).map_err(failed)?;
        kill_point!("shared.swap.waiting");
        published.pass_gate(options, &mut || {
            let start = Instant::now();
            loop {
                match Named::hold(&published.path, start).map_err(failed)? {
                    Some(old) => {
                        old.page().stale.store(1, Ordering::SeqCst);
                        kill_point!("shared.swap.told");
                        fs::rename(&waiting.0, &published.path).map_err(failed)?;
                        kill_point!("shared.swap.renamed");
                        old.page().ring();
                        return Ok(());
                    }
                    None => match shm::rename_new(&waiting.0, &published.path) {
                        Ok(()) => return Ok(()),
                        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                        Err(error) => return Err(failed(error)),
                    },
                }
            }
        })?;
        kill_point!("shared.swap.done");
        Ok(published)
    }

    /// Gives the file its name when whoever decides about the name agrees.
    fn pass_gate(&self, options: &Options, publish: &mut dyn FnMut() -> Result<()>) -> Result<()> {
        match &options.terms {
            Some(terms) => terms.gate.pass(self.len_bytes() as u64, publish),
            None => publish(),
        }
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
            let random = host::random_u64()?;
            let (file, unpublished) = shm::create(&options.directory, &waiting_file_name(random))?;
            let file = LockedFile::new(file);
            // Before it has a name, unless the file system asks for one; then a reaper may have been faster.
            if !file.try_share(Role::Attached.byte())? {
                return Err(io::Error::from(io::ErrorKind::WouldBlock));
            }
            let mode = if options.group_read { 0o640 } else { shm::MODE };
            file.file().set_permissions(fs::Permissions::from_mode(mode))?;
            kill_point!("shared.create.made");
            shm::reserve(file.file(), 0, file_len as u64)?;
            file.file().write_all_at(&plan.header, 0)?;
            kill_point!("shared.create.reserved");
            Ok((file, unpublished, host::random_u64()?))
        };
        let (file, unpublished, nonce) = make().map_err(|error| room.refused(error))?;
        let published = Self::map(
            file,
            file_len,
            tables_at,
            plan.n_table_words,
            plan.header.len(),
            name,
            path,
            false,
            plan.kind,
            nonce,
        )?;
        let page = published.page();
        let set = |word: &AtomicU64, value: u64| word.store(value, Ordering::Relaxed);
        set(&page.magic, MAGIC);
        set(&page.layout, LAYOUT);
        set(&page.nonce, nonce);
        set(&page.kind, plan.kind.code());
        page.set_flags(options.keep, options.group_read, options.terms.is_some());
        set(&page.created, nanos_now());
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
            if file.file().metadata().map_err(failed)?.nlink() == 0 {
                continue;
            }
            let (kind, nonce, tables_at, n_table_words, data_offset) =
                check(file.file(), metadata.len()).map_err(refuse)?;
            if !kinds.contains(&kind) {
                let wanted: Vec<&str> = kinds.iter().map(|kind| kind.name()).collect();
                return Err(refuse(format!("it is a {}, wanted a {}", kind.name(), wanted.join(" or a "))));
            }
            let len = usize::try_from(metadata.len()).map_err(|error| refuse(error.to_string()))?;
            return Self::map(
                file,
                len,
                tables_at,
                n_table_words,
                data_offset,
                name,
                path,
                options.read_only,
                kind,
                nonce,
            );
        }
    }

    #[expect(clippy::too_many_arguments, reason = "each is a field")]
    fn map(
        file: LockedFile,
        len: usize,
        tables_at: usize,
        n_table_words: usize,
        data_offset: usize,
        name: &Name,
        path: PathBuf,
        read_only: bool,
        kind: Kind,
        nonce: u64,
    ) -> Result<Self> {
        let map = if read_only { Mapping::read_only } else { Mapping::read_write };
        let mapping = map(file.file(), len).map_err(|error| map_refused(&name.to_string(), len, error))?;
        let mapping = Arc::new(mapping);
        let page_at = len - PAGE_BYTES;
        let (page, tables) = if read_only {
            (Placed::to_load(&mapping, page_at, 1), Placed::to_load(&mapping, tables_at, n_table_words))
        } else {
            (Placed::new(&mapping, page_at, 1), Placed::new(&mapping, tables_at, n_table_words))
        };
        let (name, seat) = (name.clone(), Mutex::new(None));
        Ok(Self { file, mapping, page, tables, kind, nonce, data_offset, name, path, read_only, seat })
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
    pub(crate) fn mapping(&self) -> &Arc<Mapping> {
        &self.mapping
    }

    /// Where the data begin in the file: behind the header.
    pub(crate) fn data_offset(&self) -> usize {
        self.data_offset
    }

    /// Bytes of header, data and what fills their last page.
    pub(crate) fn tables_offset(&self) -> usize {
        self.page().tables_offset.load(Ordering::Relaxed) as usize
    }

    /// The header's bytes.
    pub(crate) fn header(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.data_offset];
        self.mapping.read_bytes(0, &mut bytes);
        bytes
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    pub(crate) fn name(&self) -> &Name {
        &self.name
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// A random number that no other file has.
    pub(crate) fn nonce(&self) -> u64 {
        self.nonce
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
            || self.file.file().metadata().is_ok_and(|metadata| metadata.nlink() > 0)
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
    /// same number left is cleared there.
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

    /// Whether the holder of a seat lives: this handle, or another.
    pub(crate) fn is_seat_alive(&self, seat: u16) -> bool {
        let own = *self.seat.lock().unwrap_or_else(PoisonError::into_inner);
        own == Some(seat) || self.is_taken(Role::Seat(seat))
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

    /// Whether this process is a forked child of the one that has this handle: nothing is mapped here.
    pub(crate) fn is_forked(&self) -> bool {
        self.file.is_forked()
    }

    /// Takes the name away. Those who use the file go on.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`] if the system refuses. That the name is another's by now is no error.
    pub(crate) fn remove_name(&self) -> Result<()> {
        let failed = |error| self.failed("remove", error);
        match Named::hold(&self.path, Instant::now()).map_err(failed)? {
            Some(named) if named.nonce() == self.nonce => named.unlink().map_err(failed),
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
        // Nobody else is looked for under a lock that others could take for use: this handle's own is made exclusive, or not.
        if !self.read_only {
            if self.file.try_take(Role::Attached.byte()).unwrap_or(false) {
                kill_point!("shared.drop.alone");
                let _ = self.remove_name();
            }
        } else {
            // Must not be in its own way.
            self.file.give_back(Role::Attached.byte());
            let _ = remove_if_dead(&self.path, false);
        }
    }
}

/// A file under its name, whose name nobody else takes away meanwhile.
pub(super) struct Named {
    file: LockedFile,
    page: Placed<Page>,
    path: PathBuf,
}

impl Named {
    /// Opens what has the name, and holds the name; `None` if nothing has it.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::TimedOut`] if somebody else holds it for too long, and others if it is no structure of this user's.
    pub(super) fn hold(path: &Path, start: Instant) -> io::Result<Option<Self>> {
        loop {
            let file = match open(path, true) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(error),
            };
            let metadata = file.metadata()?;
            check_owner(&metadata, None).map_err(foreign)?;
            check(&file, metadata.len()).map_err(foreign)?;
            let file = LockedFile::new(file);
            if !file.try_take(Role::Name.byte())? {
                wait_a_moment(start)?;
                continue;
            }
            // The name was this file's when it was opened, and now only the holder of its lock can change that.
            if file.file().metadata()?.nlink() == 0 {
                continue;
            }
            let len = usize::try_from(metadata.len()).map_err(|_| io::ErrorKind::InvalidData)?;
            let mapping = Arc::new(Mapping::read_write(file.file(), len)?);
            let page = Placed::new(&mapping, len - PAGE_BYTES, 1);
            return Ok(Some(Self { file, page, path: path.to_owned() }));
        }
    }

    pub(super) fn page(&self) -> &Page {
        &self.page[0]
    }

    fn nonce(&self) -> u64 {
        self.page().nonce.load(Ordering::Relaxed)
    }

    /// Whether nobody uses it, and nobody begins to as long as this is held.
    pub(super) fn is_dead(&self) -> io::Result<bool> {
        self.file.try_take(Role::Attached.byte())
    }

    /// Takes the name away, and tells those who use the file.
    pub(super) fn unlink(self) -> io::Result<()> {
        self.page().stale.store(1, Ordering::SeqCst);
        kill_point!("shared.remove.told");
        fs::remove_file(&self.path)?;
        kill_point!("shared.remove.unlinked");
        self.page().ring();
        Ok(())
    }
}

/// The name of a file that is to take another's place; goes with it, unless that was done.
struct Waiting(PathBuf);

impl Waiting {
    fn publish(unpublished: Unpublished, file: &File, path: PathBuf) -> io::Result<Self> {
        unpublished.publish(file, &path)?;
        Ok(Self(path))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Removes a file that nobody uses; one that is to be kept only if `kept` says so. Whether it is gone.
pub(super) fn remove_if_dead(path: &Path, kept: bool) -> io::Result<bool> {
    let Some(named) = Named::hold(path, Instant::now())? else { return Ok(true) };
    if (!kept && named.page().is_kept()) || !named.is_dead()? {
        return Ok(false);
    }
    kill_point!("shared.reap.dead");
    named.unlink()?;
    Ok(true)
}

/// Opens a file, and nothing but a plain file, under its own name.
pub(super) fn open(path: &Path, write: bool) -> io::Result<File> {
    let flags = libc::O_NOFOLLOW | libc::O_CLOEXEC | libc::O_NONBLOCK;
    OpenOptions::new().read(true).write(write).custom_flags(flags).open(path)
}

/// Whether a file is what its name says: of the right user, and written by nobody else.
pub(super) fn check_owner(metadata: &fs::Metadata, owner: Option<u32>) -> Result<(), String> {
    if !metadata.is_file() {
        return Err("it is not a plain file".to_owned());
    }
    let owner = owner.unwrap_or_else(host::effective_uid);
    if metadata.uid() != owner {
        return Err(format!("it belongs to user {}, wanted {owner}", metadata.uid()));
    }
    if metadata.mode() & 0o022 != 0 {
        return Err(format!("its mode is {:o}, and others may write it", metadata.mode() & 0o7777));
    }
    Ok(())
}

/// Looks at page and header; gives kind, nonce, place and number of the table's words, and where the data begin.
pub(super) fn check(file: &File, len: u64) -> Result<(Kind, u64, usize, usize, usize), String> {
    const WORDS: usize = 14;
    const BYTES: u64 = PAGE_BYTES as u64;
    if len < 2 * BYTES || !len.is_multiple_of(BYTES) {
        return Err(format!("{len} bytes are no structure"));
    }
    let page_at = len - BYTES;
    let mut bytes = [0; WORDS * 8];
    file.read_exact_at(&mut bytes, page_at).map_err(|error| error.to_string())?;
    let (words, _) = bytes.as_chunks::<8>();
    let word = |i: usize| u64::from_ne_bytes(words[i]);
    if word(0) != MAGIC {
        return Err("it has no control page".to_owned());
    }
    if word(1) != LAYOUT {
        return Err(format!("its layout is version {}, and this program knows version {LAYOUT}", word(1)));
    }
    let kind = Kind::from_code(word(3)).ok_or_else(|| format!("kind {} is not known", word(3)))?;
    let tables_at = word(13);
    if !tables_at.is_multiple_of(BYTES) || tables_at < BYTES || tables_at > page_at {
        return Err(format!("tables at byte {tables_at} of {len}"));
    }
    let mut prefix = [0; 12];
    file.read_exact_at(&mut prefix, 0).map_err(|error| error.to_string())?;
    let data_offset =
        header_len(&prefix).filter(|&end| end as u64 <= tables_at && end.is_multiple_of(PAGE_BYTES));
    let data_offset = data_offset.ok_or("it has no header, or a damaged one")?;
    let place = |at: u64| usize::try_from(at).map_err(|error| error.to_string());
    Ok((kind, word(2), place(tables_at)?, place((page_at - tables_at) / 8)?, data_offset))
}

/// Where the data of a `.npy` file begin, by its first bytes.
fn header_len(prefix: &[u8; 12]) -> Option<usize> {
    let rest = prefix.strip_prefix(b"\x93NUMPY")?;
    match rest[0] {
        1 => Some(10 + usize::from(u16::from_le_bytes([rest[2], rest[3]]))),
        2 | 3 => {
            12_usize.checked_add(u32::from_le_bytes([rest[2], rest[3], rest[4], rest[5]]).try_into().ok()?)
        }
        _ => None,
    }
}

pub(crate) fn nanos_now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)
}

fn wait_a_moment(start: Instant) -> io::Result<()> {
    const PAUSE: Duration = Duration::from_micros(200);
    if start.elapsed() > PATIENCE {
        let message = "another process has been about to remove or replace it for seconds; is it stopped?";
        return Err(io::Error::new(io::ErrorKind::TimedOut, message));
    }
    thread::sleep(PAUSE);
    Ok(())
}

fn foreign(problem: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, problem)
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
