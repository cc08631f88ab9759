//! The client: finds a server's items, and publishes, swaps and removes them by itself.

use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use super::catalog::{Catalog, Locked, Usage};
use super::data_server::{check_name, item_name};
use super::error::{ServerError, is_no_server, is_not_found, is_of_another};
use super::item::{Item, Structure};
use crate::error::{Error, ErrorKind, Result};
use crate::segment::DType;
use crate::shared::{Fate, Kind, Name, Options, Published, Schema, SharedFrame, SharedInfo, remove_if};
use crate::signals::wait_if_program_ends;
use crate::sys::primitive::Ordering;
use crate::sys::{host, kill_point};

/// An item of a server as seen from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ItemInfo {
    /// Its name, without the server's.
    pub name: String,
    /// Where it is, what it is, how long its file, and whose.
    pub file: SharedInfo,
    /// Type of the elements; `None` for what has several, or none.
    pub dtype: Option<DType>,
    /// Lengths of the axes of an array; rows and columns of a frame.
    pub shape: Vec<usize>,
    /// The columns of a frame.
    pub schema: Option<Schema>,
    /// When the last version was written, by the kernel's tick before it: 10 ms early at most. `None` if there is none.
    pub changed: Option<SystemTime>,
}

/// A connection to a server: by name, from any process.
///
/// It is a few file descriptors, cheap to clone, and may be shared between threads. It outlives its server: see the
/// [module](super).
///
/// # Example
///
/// ```
/// use ndpool::ndarray::array;
/// use ndpool::server::{DataClient, DataServer};
///
/// let server = DataServer::new("client_example")?;
/// let client = DataClient::connect("client_example")?;
/// client.put("x", &array![[1_u8, 2], [3, 4]])?;
///
/// let info = client.info("x")?;
/// assert_eq!((info.dtype, info.shape), (Some(ndpool::DType::U8), vec![2, 2]));
/// assert_eq!(client.items()?.len(), 1);
/// client.remove("x")?;
/// # Ok::<(), ndpool::Error>(())
/// ```
#[derive(Clone)]
pub struct DataClient {
    inner: Arc<Inner>,
}

struct Inner {
    name: String,
    options: Options,
    /// The catalog, as it was found last.
    catalog: Mutex<Arc<Catalog>>,
}

impl DataClient {
    /// Connects to the server of this name, living, or killed and not removed yet.
    ///
    /// # Errors
    ///
    /// The source is [`ServerError::NoServer`], with the names that there are, or [`ServerError::NotYours`].
    pub fn connect(name: &str) -> Result<Self> {
        Self::connect_with(&Options::new(), name)
    }

    /// As [`connect`](Self::connect), in another directory, for reading only, or to another user's server.
    ///
    /// # Errors
    ///
    /// As for [`connect`](Self::connect).
    pub fn connect_with(options: &Options, name: &str) -> Result<Self> {
        check_name(name)?;
        let catalog = attach_catalog(options, name)?;
        let inner =
            Inner { name: name.to_owned(), options: options.clone(), catalog: Mutex::new(Arc::new(catalog)) };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Waits until there is a server of this name, and connects to it.
    ///
    /// # Errors
    ///
    /// As for [`connect`](Self::connect), once `timeout` has passed; at once if it cannot be a name.
    pub fn connect_when_there(options: &Options, name: &str, timeout: Duration) -> Result<Self> {
        // A server that is not there has no bell.
        const PAUSE: Duration = Duration::from_millis(10);
        check_name(name)?;
        let start = Instant::now();
        loop {
            match Self::connect_with(options, name) {
                Ok(client) if client.is_alive() => return Ok(client),
                Ok(client) if start.elapsed() > timeout => return Err(client.known().no_server()),
                Err(error) if start.elapsed() > timeout => return Err(error),
                _ => thread::sleep(PAUSE),
            }
        }
    }

    /// The server's name.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// Whether a server has the name now.
    pub fn is_alive(&self) -> bool {
        self.catalog().is_ok_and(|catalog| catalog.is_served())
    }

    /// What the server holds, and may hold.
    ///
    /// # Errors
    ///
    /// The source is [`ServerError::NoServer`] if it has ended; [`ErrorKind::Io`](crate::ErrorKind::Io) if the directory cannot be
    /// read, or not all items can be looked at, for want of descriptors for instance.
    pub fn usage(&self) -> Result<Usage> {
        self.catalog()?.usage()
    }

    /// What there is, by name.
    ///
    /// # Errors
    ///
    /// As for [`usage`](Self::usage).
    pub fn items(&self) -> Result<Vec<ItemInfo>> {
        let mut items = Vec::new();
        for info in self.catalog()?.items()? {
            match self.describe(info) {
                Ok(item) => items.push(item),
                // Removed since the directory was read, or damaged.
                Err(error) if is_of_another(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(items)
    }

    /// What there is under a name.
    ///
    /// # Errors
    ///
    /// The source is [`ServerError::NoItem`], with the names that there are, [`ServerError::NoServer`] or [`ServerError::NotYours`].
    pub fn info(&self, item: &str) -> Result<ItemInfo> {
        let name = Name::item(self.name(), item)?.to_string();
        let catalog = self.catalog()?;
        match catalog.items()?.into_iter().find(|info| info.name == name) {
            Some(info) => self.describe(info),
            None => Err(self.explain(item, None)),
        }
    }

    fn describe(&self, file: SharedInfo) -> Result<ItemInfo> {
        let options = self.inner.options.clone().read_only(true);
        let published = Published::attach(&options, &file.name.parse()?, Kind::ALL)?;
        let page = published.page();
        let committed = page.committed.load(Ordering::Relaxed);
        let changed = (committed != 0).then(|| SystemTime::UNIX_EPOCH + Duration::from_nanos(committed));
        let (dtype, mut shape) = super::array::type_of(&published);
        let schema = match file.kind {
            Kind::Frame | Kind::Matrix => Some(SharedFrame::of_file(published)?.schema().clone()),
            _ => None,
        };
        if let Some(schema) = &schema {
            shape = vec![schema.n_rows(), schema.n_cols()];
        }
        Ok(ItemInfo { name: item_name(&file.name), file, dtype, shape, schema, changed })
    }

    /// Takes an item's name away. Those who use it go on with it, and are told.
    ///
    /// # Errors
    ///
    /// The source is [`ServerError::NoItem`] if nothing has the name; [`ErrorKind::Busy`] if the server has ended as this was about to
    /// remove the item, and what has the name now is the next one's; else as for [`put`](Self::put).
    pub fn remove(&self, item: &str) -> Result<()> {
        let name = Name::item(self.name(), item)?.to_string();
        self.with_server(|catalog| {
            kill_point!("server.remove.begin");
            let locked = catalog.lock()?;
            Ok(self.remove_locked(&locked, item, &name))
        })?
    }

    fn remove_locked(&self, locked: &Locked<'_>, item: &str, name: &str) -> Result<()> {
        let catalog = locked.catalog();
        if !self.has(item) {
            return Err(self.explain(item, None));
        }
        kill_point!("server.remove.found");
        let path = self.inner.options.path_of(name)?;
        match remove_if(&path, &|| catalog.is_current()) {
            Ok(Fate::Removed) => catalog.note_change(),
            Ok(Fate::Absent) => return Err(self.explain(item, None)),
            // What has the name is not what was to be removed.
            Ok(Fate::Stays) => {
                let message = format!("server `{}` has ended meanwhile, and what it had", self.name());
                return Err(Error::new(ErrorKind::Busy, message).with_hint("look what there is now"));
            }
            Err(error) => return Err(self.explain(item, Some(error))),
        }
        Ok(())
    }

    /// Counts what was created, swapped and removed, and servers that began. Only its changes mean something.
    ///
    /// # Errors
    ///
    /// The source is [`ServerError::NoServer`] if the server has ended.
    pub fn changes(&self) -> Result<u64> {
        Ok(self.catalog()?.changes())
    }

    /// Sleeps until [`changes`](Self::changes) is another than `seen`, and returns it; `None` after the timeout.
    ///
    /// New versions of an array are no change of what there is: [`Item::wait`] is for them.
    ///
    /// # Errors
    ///
    /// The source is [`ServerError::NoServer`] if the server ends meanwhile, or has ended. One that was killed has not: this goes on to wait
    /// for the next of that name, or until a reaper removes what is left. Who wants to know gives a timeout, and asks
    /// [`is_alive`](Self::is_alive).
    pub fn wait_changes(&self, seen: u64, timeout: Option<Duration>) -> Result<Option<u64>> {
        let start = Instant::now();
        loop {
            let catalog = self.catalog()?;
            let left = timeout.map(|timeout| timeout.saturating_sub(start.elapsed()));
            match catalog.wait_changes(seen, left) {
                None => return Ok(None),
                Some(changes) if catalog.is_current() && changes != seen => return Ok(Some(changes)),
                // The name is another catalog's by now, or nobody's.
                Some(_) => {}
            }
        }
    }

    /// Attaches to an item.
    pub(super) fn attach<S: Structure>(&self, item: &str) -> Result<Item<S>> {
        Ok(Item::new(self.structure(item)?, self.clone(), item))
    }

    pub(super) fn structure<S: Structure>(&self, item: &str) -> Result<S> {
        let name = Name::item(self.name(), item)?.to_string();
        self.catalog()?;
        S::attach(&self.inner.options, &name).map_err(|error| self.explain(item, Some(error)))
    }

    /// Whether something has an item's name.
    pub(super) fn has(&self, item: &str) -> bool {
        let path =
            Name::item(self.name(), item).and_then(|name| self.inner.options.path_of(&name.to_string()));
        path.is_ok_and(|path| path.symlink_metadata().is_ok())
    }

    pub(super) fn options(&self) -> &Options {
        &self.inner.options
    }

    /// The catalog as it was found last.
    fn known(&self) -> Arc<Catalog> {
        Arc::clone(&self.inner.catalog.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The catalog that has the name now; that of a killed server if there is no other.
    pub(super) fn catalog(&self) -> Result<Arc<Catalog>> {
        let known = self.known();
        if known.is_current() && known.is_served() {
            return Ok(known);
        }
        let found = match attach_catalog(&self.inner.options, self.name()) {
            Ok(found) => found,
            Err(error) => {
                // If a signal is ending the very program, nobody is to hear of it.
                wait_if_program_ends();
                return Err(error);
            }
        };
        if known.is_current() {
            return Ok(known);
        }
        let found = Arc::new(found);
        *self.inner.catalog.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&found);
        Ok(found)
    }

    /// The catalog, for a client that may change what there is.
    pub(super) fn writable(&self) -> Result<Arc<Catalog>> {
        let catalog = self.catalog()?;
        if catalog.published().is_read_only() {
            return Err(Rights::of(&self.inner.options, self.name())?.refuse(self.name(), "write"));
        }
        Ok(catalog)
    }

    /// Does what needs a server. If the catalog has lost its name meanwhile, and another server has that, once more with the other's.
    ///
    /// # Errors
    ///
    /// What the attempt gives, or that this client may not write.
    pub(super) fn with_server<R>(&self, mut attempt: impl FnMut(&Arc<Catalog>) -> Result<R>) -> Result<R> {
        loop {
            let catalog = self.writable()?;
            match attempt(&catalog) {
                Err(error) if is_no_server(&error) && self.is_another_s(&catalog) => {}
                other => return other,
            }
        }
    }

    /// Whether the name is another living server's than that of this catalog.
    fn is_another_s(&self, catalog: &Catalog) -> bool {
        !catalog.is_current() && self.catalog().is_ok_and(|now| now.is_served())
    }

    /// Why an item cannot be had.
    pub(super) fn explain(&self, item: &str, error: Option<Error>) -> Error {
        let name = format!("{}/{item}", self.name());
        let catalog = match self.catalog() {
            Ok(catalog) => catalog,
            Err(no_server) => return no_server,
        };
        if !self.has(item) || error.as_ref().is_some_and(is_not_found) {
            let infos = catalog.items().unwrap_or_default();
            let there = infos.iter().map(|info| item_name(&info.name)).collect();
            let (server, item) = (self.name().to_owned(), item.to_owned());
            return ServerError::NoItem { server, item, there }.into();
        }
        match error {
            Some(error) => explain_rights(&self.inner.options, &name, error),
            None => catalog.no_server(),
        }
    }
}

fn attach_catalog(options: &Options, name: &str) -> Result<Catalog> {
    match Catalog::attach(options, name) {
        Ok(Some(catalog)) => Ok(catalog),
        Ok(None) => {
            let there = super::reap::names_in(options.directory_path());
            Err(ServerError::NoServer { name: name.to_owned(), there }.into())
        }
        Err(error) => Err(explain_rights(options, name, error)),
    }
}

/// Says whose a file is, if that is why it could not be opened.
fn explain_rights(options: &Options, name: &str, error: Error) -> Error {
    let source = std::error::Error::source(&error).and_then(|source| source.downcast_ref::<io::Error>());
    let is_denied = source.is_some_and(|source| source.kind() == io::ErrorKind::PermissionDenied);
    let Ok(rights) = Rights::of(options, name) else { return error };
    if !is_denied && rights.owner == options.wanted_owner() {
        return error;
    }
    let doing = if options.is_read_only() || rights.mode & 0o040 == 0 { "read" } else { "write" };
    rights.refuse(name, doing)
}

/// Whose a file is, and who may do what with it.
struct Rights {
    owner: u32,
    mode: u32,
}

impl Rights {
    fn of(options: &Options, name: &str) -> Result<Self> {
        let path = options.path_of(name)?;
        let metadata =
            fs::symlink_metadata(&path).map_err(|error| Error::of_file("look at", &path, error))?;
        Ok(Self { owner: metadata.uid(), mode: metadata.mode() & 0o777 })
    }

    fn refuse(self, name: &str, doing: &'static str) -> Error {
        let (user, Self { owner, mode }) = (host::effective_uid(), self);
        ServerError::NotYours { name: name.to_owned(), doing, user, owner, mode }.into()
    }
}

impl fmt::Debug for DataClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DataClient").field("name", &self.name()).finish_non_exhaustive()
    }
}
