//! The catalog: the one file that a server has for itself. It says that the server lives, what it allows, and who may change what.
//!
//! Which items there are is not written in it: the directory says so, and cannot be wrong. What the catalog adds is a lock, under which
//! names are given and taken, so that limits hold and nothing is published behind the back of a server that ends; the kernel drops
//! it with the process that holds it, and the next holder finds the directory whole, whatever step the last one had come to.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::error::{ServerError, is_not_found};
use super::naps::Naps;
use crate::error::{Error, ErrorKind, Result};
use crate::segment::{DType, PAGE_BYTES, write_header};
use crate::shared::{
    Fate, Gate, Kind, Name, Options, Plan, Published, Role, SharedInfo, items_of, remove_if, wait_for_name,
};
use crate::signals::wait_if_program_ends;
use crate::sys::clock::realtime_nanos;
use crate::sys::kill_point;
use crate::sys::primitive::{AtomicU64, Ordering};

/// How long one may wait for another process that gives or takes a name. It takes a moment, unless it is stopped.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// The catalog's own words on its page.
#[derive(Debug, Clone, Copy)]
enum Word {
    MaxBytes,
    MaxItems,
    AfterKill,
    GroupRead,
    Pid,
    Started,
    /// How many servers have had this catalog.
    Servers,
    /// Goes up with each creation, swap and removal. It starts at the time, so that the next catalog does not count from the same.
    Changes,
}

/// What becomes of the items of a server that was killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum AfterKill {
    /// The next server of that name takes them over; until then they stay.
    #[default]
    Recover,
    /// The next server of that name removes them, or [`reap`](super::reap) does.
    Remove,
}

/// What a server is to be like; it stays in the catalog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Terms {
    pub(super) max_bytes: u64,
    pub(super) max_items: u64,
    pub(super) after_kill: AfterKill,
    pub(super) group_read: bool,
}

/// What a server holds, and may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// Bytes of all files, headers and control pages among them.
    pub used_bytes: u64,
    /// The most that there may be; `u64::MAX` without a limit.
    pub max_bytes: u64,
    /// Number of items.
    pub n_items: u64,
    /// The most that there may be; `u64::MAX` without a limit.
    pub max_items: u64,
}

/// One process's handle of a catalog.
#[derive(Debug)]
pub(super) struct Catalog {
    published: Published,
    server: String,
    /// Where, and whose.
    options: Options,
    directory: PathBuf,
    /// Keeps the threads apart that share the file's lock.
    thread: Mutex<()>,
}

impl Catalog {
    /// Makes the catalog of a new server, which serves and holds the lock before others see it; `None` if there is one.
    pub(super) fn create(options: &Options, server: &str, terms: Terms) -> Result<Option<Self>> {
        let options = options.clone().keep(true).group_read(terms.group_read);
        let made =
            Published::create(&options, &server.parse()?, &plan(), |published| begin(published, terms));
        match made {
            Ok(published) => Ok(Some(Self::of(published, server, options))),
            Err(_) if exists(&options, server) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Makes a catalog in the place of this one, which this process holds and serves: the mode of a file is given once.
    pub(super) fn create_over(&self, terms: Terms) -> Result<Self> {
        let options = self.options.clone().keep(true).group_read(terms.group_read);
        let name = self.published.name();
        let begin = |published: &Published| begin(published, terms);
        let published = Published::create_over(&options, name, &plan(), begin, Some(&self.published))?;
        let made = Self::of(published, &self.server, options);
        made.published.give_back(Role::Catalog);
        Ok(made)
    }

    /// Finds the catalog of a server, living or killed; `None` if there is none.
    pub(super) fn attach(options: &Options, server: &str) -> Result<Option<Self>> {
        let name: Name = server.parse()?;
        match Published::attach(options, &name, &[Kind::Catalog]) {
            Ok(published) => Ok(Some(Self::of(published, server, options.clone()))),
            Err(error) if is_not_found(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn of(published: Published, server: &str, options: Options) -> Self {
        let directory = published.path().parent().unwrap_or(Path::new("/")).to_owned();
        Self { published, server: server.to_owned(), options, directory, thread: Mutex::new(()) }
    }

    fn word(&self, word: Word) -> &AtomicU64 {
        &self.published.page().own[word as usize]
    }

    fn load(&self, word: Word) -> u64 {
        self.word(word).load(Ordering::SeqCst)
    }

    /// The server's name.
    pub(super) fn server(&self) -> &str {
        &self.server
    }

    /// The directory of the server and its items.
    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(super) fn published(&self) -> &Published {
        &self.published
    }

    /// Becomes the server; `false` if another handle is.
    pub(super) fn try_serve(&self) -> Result<bool> {
        self.published.try_take(Role::Server)
    }

    /// Whether another handle is the server.
    pub(super) fn is_served(&self) -> bool {
        self.published.is_taken(Role::Server)
    }

    /// Whether it is the one that counts. One that was removed by hand does until another has the name.
    pub(super) fn is_current(&self) -> bool {
        self.published.is_current() && !self.published.is_supplanted()
    }

    pub(super) fn terms(&self) -> Terms {
        Terms {
            max_bytes: self.load(Word::MaxBytes),
            max_items: self.load(Word::MaxItems),
            after_kill: if self.load(Word::AfterKill) == 0 { AfterKill::Recover } else { AfterKill::Remove },
            group_read: self.load(Word::GroupRead) != 0,
        }
    }

    /// Has what the server before said hold again, but for the mode, which is the file's. For the server, which ends.
    pub(super) fn give_terms_back(&self, before: Terms) {
        write(&self.published, Terms { group_read: self.terms().group_read, ..before });
    }

    /// Process of the last server, in its own namespace.
    pub(super) fn pid(&self) -> u32 {
        u32::try_from(self.load(Word::Pid)).unwrap_or(0)
    }

    /// When the last server was started.
    pub(super) fn started(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_nanos(self.load(Word::Started))
    }

    /// Goes up with each creation, swap and removal, and with each new server.
    pub(super) fn changes(&self) -> u64 {
        self.load(Word::Changes)
    }

    /// Everything of two parts under the server's name that belongs to its user, what it does not keep among it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`] if not all can be looked at: what is not seen would not count.
    pub(super) fn items(&self) -> Result<Vec<SharedInfo>> {
        let mut items = items_of(&self.directory, &self.server)?;
        // Anybody may put files into the directory, under any name.
        items.retain(|info| info.owner == self.options.wanted_owner());
        Ok(items)
    }

    /// Those that the server keeps.
    fn served_items(&self) -> Result<Vec<SharedInfo>> {
        Ok(self.items()?.into_iter().filter(|info| info.served).collect())
    }

    /// Takes the names of all served items away, each if it may be done, which is asked while nobody else takes that name from it.
    fn remove_items(&self, may: &dyn Fn() -> bool) -> Result<()> {
        let mut failure = None;
        for info in self.served_items()? {
            kill_point!("server.item.remove");
            match remove_if(&info.path, may) {
                Ok(Fate::Stays) => return Err(self.no_server()),
                // Or by hand, meanwhile.
                Ok(Fate::Removed | Fate::Absent) => {}
                Err(error) => failure = failure.or(Some(error)),
            }
            kill_point!("server.item.removed");
        }
        failure.map_or(Ok(()), Err)
    }

    /// Takes the name away, and then those of the items, without the lock: whoever has that finds it out, and takes back what he
    /// publishes.
    pub(super) fn remove_without_lock(&self) -> Result<()> {
        self.published.remove_name()?;
        self.remove_items(&|| !self.published.is_supplanted())
    }

    /// What is used and allowed.
    pub(super) fn usage(&self) -> Result<Usage> {
        self.usage_without(None)
    }

    fn usage_without(&self, item: Option<&str>) -> Result<Usage> {
        let Terms { max_bytes, max_items, .. } = self.terms();
        let counts = |info: &SharedInfo| item != Some(info.name.as_str());
        let items: Vec<SharedInfo> = self.served_items()?.into_iter().filter(counts).collect();
        let used_bytes = items.iter().map(|info| info.len_bytes).sum();
        Ok(Usage { used_bytes, max_bytes, n_items: items.len() as u64, max_items })
    }

    /// The error that nobody serves.
    pub(super) fn no_server(&self) -> Error {
        // If a signal is ending the very program, nobody is to hear of it.
        wait_if_program_ends();
        let there = super::reap::names_in(&self.directory);
        ServerError::NoServer { name: self.server.clone(), there }.into()
    }

    /// Takes the lock under which names are given and taken.
    ///
    /// # Errors
    ///
    /// [`ServerError::NoServer`] if the catalog was removed, [`ServerError::Busy`] if another process does not give the lock back.
    pub(super) fn lock(&self) -> Result<Locked<'_>> {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        let mut naps = Naps::new(PATIENCE);
        while !self.published.try_take(Role::Catalog)? {
            if !self.is_current() {
                return Err(self.no_server());
            }
            if !naps.nap() {
                let name = self.server.clone();
                let doing = "publishes or removes something of server";
                return Err(ServerError::Busy { name, doing, seconds: PATIENCE.as_secs() }.into());
            }
        }
        let locked = Locked { catalog: self, _thread: thread };
        kill_point!("server.catalog.locked");
        if self.is_current() { Ok(locked) } else { Err(self.no_server()) }
    }

    /// Notes a change, and wakes those who wait for one.
    pub(super) fn note_change(&self) {
        self.word(Word::Changes).fetch_add(1, Ordering::SeqCst);
        kill_point!("server.catalog.noted");
        self.published.page().ring();
    }

    /// Sleeps until the number of changes is another than `seen`, or the catalog is no longer the server's; `None` after the timeout.
    pub(super) fn wait_changes(&self, seen: u64, timeout: Option<Duration>) -> Option<u64> {
        let start = Instant::now();
        let bell = self.published.page().bell();
        loop {
            let heard = bell.sequence();
            let changes = self.changes();
            if changes != seen || !self.is_current() {
                return Some(changes);
            }
            let left = timeout.map(|timeout| timeout.saturating_sub(start.elapsed()));
            if left.is_some_and(|left| left.is_zero()) {
                return None;
            }
            bell.wait(heard, left, !self.published.is_read_only());
        }
    }
}

/// The lock on the catalog, until dropped.
#[derive(Debug)]
pub(super) struct Locked<'c> {
    catalog: &'c Catalog,
    _thread: MutexGuard<'c, ()>,
}

impl Locked<'_> {
    pub(super) fn catalog(&self) -> &Catalog {
        self.catalog
    }

    /// Makes the server that has this catalog like this.
    pub(super) fn set_terms(&self, terms: Terms) {
        write(&self.catalog.published, terms);
        let servers = self.catalog.word(Word::Servers);
        servers.fetch_add(1, Ordering::SeqCst);
    }

    /// Takes all names away that the server keeps; those who use the items go on, and are told.
    ///
    /// # Errors
    ///
    /// [`ServerError::NoServer`] if another catalog has the name by now, and with it the items; the first error of an item, once all
    /// were tried.
    pub(super) fn remove_items(&self) -> Result<()> {
        self.catalog.remove_items(&|| self.catalog.is_current())
    }

    /// Takes over what is there: whoever was about to take a name from an item, for a catalog that had the name before, has done so or
    /// finds this one. Gives the items.
    pub(super) fn take_items(&self) -> Result<Vec<SharedInfo>> {
        let mut taken = Vec::new();
        for info in self.catalog.served_items()? {
            if wait_for_name(&info.path)? {
                taken.push(info);
            }
        }
        Ok(taken)
    }

    /// Takes the catalog's own name away, the last step of a server's end.
    pub(super) fn remove_catalog(&self) -> Result<()> {
        kill_point!("server.catalog.remove");
        self.catalog.published.remove_name()?;
        kill_point!("server.catalog.removed");
        Ok(())
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        self.catalog.published.give_back(Role::Catalog);
    }
}

/// Who lets one item in.
#[derive(Debug)]
pub(super) struct Admission {
    pub(super) catalog: std::sync::Arc<Catalog>,
    /// The item, as `server/item`.
    pub(super) name: String,
    /// Whether it takes the place of what has the name.
    pub(super) replaces: bool,
}

impl Admission {
    fn check(&self, len_bytes: u64) -> Result<()> {
        if !self.catalog.is_served() {
            return Err(self.catalog.no_server());
        }
        let usage = self.catalog.usage_without(self.replaces.then_some(self.name.as_str()))?;
        let limit = |what, used: u64, asked: u64, allowed: u64| match used.checked_add(asked) {
            Some(sum) if sum <= allowed => Ok(()),
            _ => Err(Error::from(ServerError::Limit {
                server: self.catalog.server.clone(),
                what,
                used,
                asked,
                allowed,
            })),
        };
        limit("items", usage.n_items, 1, usage.max_items)?;
        limit("bytes", usage.used_bytes, len_bytes, usage.max_bytes)
    }
}

impl Gate for Admission {
    fn foresee(&self, len_bytes: u64) -> Result<()> {
        self.check(len_bytes)
    }

    fn pass(&self, len_bytes: u64, publish: &mut dyn FnMut() -> Result<()>) -> Result<()> {
        let locked = self.catalog.lock()?;
        self.check(len_bytes)?;
        kill_point!("server.item.admitted");
        let published = publish();
        if published.is_ok() {
            kill_point!("server.item.published");
            self.catalog.note_change();
        }
        drop(locked);
        if self.catalog.is_current() {
            return published;
        }
        // The server ended without the lock, since it could not be had for so long: what came after must not stay. Whoever made the file
        // takes its name away when he is told.
        Err(self.catalog.no_server())
    }

    fn is_open(&self) -> bool {
        self.catalog.is_current()
    }
}

fn plan() -> Plan {
    Plan {
        kind: Kind::Catalog,
        header: write_header(DType::U64, &[0], PAGE_BYTES),
        data_len: 0,
        n_buffers: 0,
        n_columns: 0,
        n_table_words: 0,
    }
}

/// Makes a file the catalog of a server that has begun, before others see it.
fn begin(published: &Published, terms: Terms) -> Result<()> {
    // Nobody publishes before the server has looked at what is there.
    if !published.try_take(Role::Server)? || !published.try_take(Role::Catalog)? {
        return Err(Error::new(ErrorKind::Segment, "a new file is locked by another process"));
    }
    write(published, terms);
    let own = &published.page().own;
    own[Word::Servers as usize].store(1, Ordering::SeqCst);
    own[Word::Changes as usize].store(realtime_nanos(), Ordering::SeqCst);
    Ok(())
}

fn write(published: &Published, terms: Terms) {
    let set = |word: Word, value: u64| published.page().own[word as usize].store(value, Ordering::SeqCst);
    set(Word::MaxBytes, terms.max_bytes);
    set(Word::MaxItems, terms.max_items);
    set(Word::AfterKill, u64::from(terms.after_kill == AfterKill::Remove));
    set(Word::GroupRead, u64::from(terms.group_read));
    set(Word::Pid, u64::from(std::process::id()));
    set(Word::Started, realtime_nanos());
}

fn exists(options: &Options, server: &str) -> bool {
    options.path_of(server).is_ok_and(|path| path.symlink_metadata().is_ok())
}
