//! The server: it has a name, and with it everything that is published under it.

use std::fmt;
use std::ops::Deref;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::catalog::{AfterKill, Catalog, PATIENCE, Terms};
use super::client::DataClient;
use super::error::ServerError;
use super::naps::Naps;
use crate::error::{Error, ErrorKind, Result};
use crate::shared::{Name, Options, reap_waiting};
use crate::signals::{EndsWithProgram, end_at_signal};
use crate::sys::{fork, kill_point};

/// How a [`DataServer`] is to be.
///
/// # Example
///
/// ```
/// use ndpool::server::{AfterKill, DataServer};
///
/// let server = DataServer::builder("builder_example")
///     .max_bytes(1 << 30)
///     .max_items(1000)
///     .after_kill(AfterKill::Remove)
///     .start()?;
/// assert_eq!(server.usage()?.max_items, 1000);
/// # Ok::<(), ndpool::Error>(())
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct ServerBuilder {
    name: String,
    options: Options,
    terms: Terms,
    handles_signals: bool,
}

impl ServerBuilder {
    /// Has the files in this directory in place of `/dev/shm`; clients then connect with [`Options::directory`]. It should be on a `tmpfs`.
    pub fn directory(mut self, directory: impl AsRef<Path>) -> Self {
        self.options = self.options.directory(directory);
        self
    }

    /// The most that all files together may have, headers and control pages among them \[no limit\].
    ///
    /// Arrays have several buffers, so that writer and readers do not wait for each other: [`ItemInfo`](super::ItemInfo) tells the
    /// length of each file. What was removed or replaced and is still read by somebody does not count.
    pub fn max_bytes(mut self, max_bytes: u64) -> Self {
        self.terms.max_bytes = max_bytes;
        self
    }

    /// The most items that there may be \[no limit\].
    pub fn max_items(mut self, max_items: u64) -> Self {
        self.terms.max_items = max_items;
        self
    }

    /// Lets members of the files' group connect and read: mode 0640 \[0600: nobody but this user\].
    ///
    /// Items get the mode when they are published: what a server takes over from one before keeps that one's.
    pub fn group_read(mut self, group_read: bool) -> Self {
        self.terms.group_read = group_read;
        self
    }

    /// What becomes of the items if this server is killed \[[`AfterKill::Recover`]\]. It is kept in the catalog, so the next server and
    /// `ndpool reap` know.
    pub fn after_kill(mut self, after_kill: AfterKill) -> Self {
        self.terms.after_kill = after_kill;
        self
    }

    /// Ends the server cleanly when SIGINT, SIGTERM or SIGHUP ends the program: its items and its name are removed, and the program
    /// dies of that very signal. A second signal ends it at once. As [`Builder::handle_signals`](crate::Builder::handle_signals)
    /// of a pool, and together with it.
    pub fn handle_signals(mut self, handle: bool) -> Self {
        self.handles_signals = handle;
        self
    }

    /// Takes the name, with what a server before has left under it, and serves until dropped.
    ///
    /// # Errors
    ///
    /// The source is [`ServerError::Taken`] if a living server has the name, and [`ServerError::Busy`] if a process was stopped that gives or
    /// takes one of its names. [`ErrorKind::InvalidArgument`] if it cannot be one, or if
    /// signals cannot be handled; [`ErrorKind::Io`] and [`ErrorKind::OutOfSpace`] if the system refuses.
    pub fn start(self) -> Result<DataServer> {
        let Self { name, options, terms, handles_signals } = self;
        check_name(&name)?;
        let begun = Naps::new(PATIENCE).until(|| begin(&options, &name, terms))?;
        let Some(Begun { catalog, recovered, before }) = begun else {
            let doing = "gives and takes the name of server";
            return Err(ServerError::Busy { name, doing, seconds: PATIENCE.as_secs() }.into());
        };
        kill_point!("server.begun");
        // Files that were on their way when their makers were killed.
        let _ = reap_waiting(catalog.directory());
        let core = Arc::new(Core {
            catalog: Mutex::new(Some(catalog)),
            has_ended: AtomicBool::new(false),
            owner: fork::owner_pid(),
        });
        let connected = DataClient::connect_with(&options, &name).and_then(|client| {
            if handles_signals {
                end_at_signal(&core)?;
            }
            Ok(client)
        });
        match connected {
            Ok(client) => Ok(DataServer { core, client, recovered }),
            Err(error) => {
                // What was there before is the next one's, on the terms that held.
                if before.is_some() || !recovered.is_empty() {
                    core.abandon(before);
                }
                Err(error)
            }
        }
    }
}

/// A name has one part.
pub(super) fn check_name(name: &str) -> Result<()> {
    let parsed: Name = name.parse()?;
    if parsed.second().is_none() {
        return Ok(());
    }
    let message = format!("`{name}` cannot be the name of a server");
    Err(Error::new(ErrorKind::InvalidArgument, message).with_hint("`server/item` is the name of an item"))
}

/// A server that has the name.
struct Begun {
    catalog: Catalog,
    /// Items that were there.
    recovered: Vec<String>,
    /// The terms of the server before, if there was a catalog.
    before: Option<Terms>,
}

/// Takes the name as it is now; `None` if that has changed meanwhile.
fn begin(options: &Options, name: &str, terms: Terms) -> Result<Option<Begun>> {
    kill_point!("server.begin");
    let (catalog, is_new) = match Catalog::attach(options, name)? {
        Some(catalog) => (catalog, false),
        None => match Catalog::create(options, name, terms)? {
            Some(catalog) => (catalog, true),
            None => return Ok(None),
        },
    };
    match take_over(&catalog, terms, is_new) {
        Ok(Some(TakenOver { successor, recovered, before })) => {
            let before = (!is_new).then_some(before);
            Ok(Some(Begun { catalog: successor.unwrap_or(catalog), recovered, before }))
        }
        Ok(None) => Ok(None),
        Err(_) if !catalog.is_current() => Ok(None),
        Err(error) => {
            if is_new {
                let _ = catalog.published().remove_name();
            }
            Err(error)
        }
    }
}

/// What comes of a catalog whose server one becomes.
struct TakenOver {
    /// The catalog that has taken its place, if one had to.
    successor: Option<Catalog>,
    /// Items that the server before has left.
    recovered: Vec<String>,
    /// Its terms.
    before: Terms,
}

/// Becomes the server of this catalog; `None` if another one was faster.
fn take_over(catalog: &Catalog, terms: Terms, is_new: bool) -> Result<Option<TakenOver>> {
    let taken = || {
        // It may be ending at this very moment, and then the name is free.
        if !catalog.is_current() {
            return Ok(None);
        }
        Err(ServerError::Taken { name: catalog.server().to_owned(), pid: catalog.pid() }.into())
    };
    // A living server's clients are not disturbed.
    if catalog.is_served() {
        return taken();
    }
    // First the lock: who sees that a server lives publishes on its terms, and when it has removed what is to be removed.
    let locked = catalog.lock()?;
    if !catalog.try_serve()? {
        return taken();
    }
    kill_point!("server.taken_over");
    // A new catalog has the new terms: what lies there without one is treated as this server's would be.
    let before = catalog.terms();
    if before.after_kill == AfterKill::Remove {
        locked.remove_items()?;
    }
    let recovered = locked.take_items()?.iter().map(|info| item_name(&info.name)).collect();
    kill_point!("server.recovered");
    let successor = if before.group_read != terms.group_read {
        Some(catalog.create_over(terms)?)
    } else {
        if !is_new {
            locked.set_terms(terms);
            catalog.note_change();
        }
        None
    };
    Ok(Some(TakenOver { successor, recovered, before }))
}

/// The second part of a name.
pub(super) fn item_name(name: &str) -> String {
    name.split_once('/').map_or(name, |(_, item)| item).to_owned()
}

/// What ends once, by whoever is first.
struct Core {
    /// Held for as long as the server lives: the lock that says so is this handle's.
    catalog: Mutex<Option<Catalog>>,
    has_ended: AtomicBool,
    owner: u32,
}

impl Core {
    /// Lets go of the name, and leaves everything as it was, for the next server.
    fn abandon(&self, before: Option<Terms>) {
        if fork::is_forked(self.owner) || self.has_ended.swap(true, Ordering::SeqCst) {
            return;
        }
        let catalog = self.catalog.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let (Some(catalog), Some(before)) = (catalog, before) {
            catalog.give_terms_back(before);
        }
    }

    fn end(&self) -> Result<()> {
        if fork::is_forked(self.owner) {
            return Ok(());
        }
        let mut catalog = self.catalog.lock().unwrap_or_else(PoisonError::into_inner);
        if self.has_ended.swap(true, Ordering::SeqCst) {
            return Ok(());
        }
        let Some(catalog) = catalog.take() else { return Ok(()) };
        kill_point!("server.end.begin");
        let locked = match catalog.lock() {
            Ok(locked) => locked,
            // Another has the name, which was taken away by hand, and with it the items.
            Err(_) if !catalog.is_current() => return Ok(()),
            // A publisher that was stopped. It finds the catalog gone, and takes back what it publishes.
            Err(_) => return catalog.remove_without_lock(),
        };
        kill_point!("server.end.locked");
        match locked.remove_items() {
            Ok(()) => locked.remove_catalog(),
            // Somebody took the name away by hand, and another server has it now, and with it the items.
            Err(_) if !catalog.is_current() => Ok(()),
            Err(error) => Err(error),
        }
    }
}

impl EndsWithProgram for Core {
    fn end_with_program(self: Arc<Self>) {
        // Nobody is left to hear of an error; what stays is for the next server, or a reaper.
        let _ = self.end();
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        let _ = self.end();
    }
}

/// A server of published arrays, frames and double buffers.
///
/// It is the owner of what is published under its name, by whomever: its items stay for as long as it lives, and go with it. Every
/// method of a [`DataClient`] is one of the server too. There is no thread and no socket in it; the [module](super) says how that can be.
///
/// Dropped, it ends: its items and its name are removed. A program that ends without dropping it, by `exit` or by a signal that is not
/// [handled](ServerBuilder::handle_signals), leaves the items as one that is killed does.
///
/// # Example
///
/// ```
/// use ndpool::ndarray::{Ix1, array};
/// use ndpool::server::{DataClient, DataServer};
///
/// let server = DataServer::new("server_example")?;
/// server.put("x", &array![1, 2, 3])?;
///
/// let client = DataClient::connect("server_example")?;
/// let mut x = client.array::<i32, Ix1>("x")?;
/// drop(server);
/// // What a client is attached to it goes on reading; nobody new finds it.
/// assert_eq!(x.read()?.array, array![1, 2, 3]);
/// assert!(DataClient::connect("server_example").is_err());
/// # Ok::<(), ndpool::Error>(())
/// ```
pub struct DataServer {
    core: Arc<Core>,
    client: DataClient,
    recovered: Vec<String>,
}

impl DataServer {
    /// Starts a server without limits.
    ///
    /// # Errors
    ///
    /// As for [`ServerBuilder::start`].
    pub fn new(name: &str) -> Result<Self> {
        Self::builder(name).start()
    }

    /// A server to be, with the options that hold where none are given.
    pub fn builder(name: &str) -> ServerBuilder {
        let terms = Terms {
            max_bytes: u64::MAX,
            max_items: u64::MAX,
            after_kill: AfterKill::default(),
            group_read: false,
        };
        ServerBuilder { name: name.to_owned(), options: Options::new(), terms, handles_signals: false }
    }

    /// Names of the items that a server before had left, and that this one has taken over.
    pub fn recovered(&self) -> &[String] {
        &self.recovered
    }

    /// A client of this server, as any other process has one.
    pub fn client(&self) -> &DataClient {
        &self.client
    }

    /// Ends it as SIGKILL would: no step of the end is taken, and the kernel drops the locks.
    #[cfg(test)]
    pub(super) fn kill(self) {
        self.core.has_ended.store(true, Ordering::SeqCst);
    }

    /// Ends it as if somebody was stopped who holds the lock of the catalog.
    #[cfg(test)]
    pub(super) fn end_without_lock(self) {
        self.core.has_ended.store(true, Ordering::SeqCst);
        let catalog = self.core.catalog.lock().unwrap().take().unwrap();
        catalog.remove_without_lock().unwrap();
    }

    /// Ends the server as dropping it does, and says what went wrong.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`] if something cannot be removed.
    pub fn close(self) -> Result<()> {
        self.core.end()
    }
}

impl Deref for DataServer {
    type Target = DataClient;

    fn deref(&self) -> &DataClient {
        &self.client
    }
}

impl fmt::Debug for DataServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DataServer").field("name", &self.client.name()).finish_non_exhaustive()
    }
}
