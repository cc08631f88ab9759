//! Published arrays, frames and double buffers by name, and the server that owns them.
//!
//! A [`DataServer`] is a name, limits and a promise: as long as it lives, what was published under it stays, whoever published
//! it; when it ends, all of it goes. It has no socket and gets no messages. What is published lies in files of shared memory,
//! `/dev/shm/ndpool.<server>.<item>`, and the directory is the list of them; whoever may write the server's *catalog*,
//! `/dev/shm/ndpool.<server>`, publishes, swaps and removes by himself, under the catalog's lock and its limits. So nobody waits
//! for a busy server, and the death of any process harms no other. The steps, and what is found after a death between any two of them,
//! stand in `pool/src/server/README.md`.
//!
//! ```ignore
//! use ndpool::ndarray::{Array2, Ix2, array};
//! use ndpool::server::{DataClient, DataServer, State};
//! # let name = format!("prices-{}", std::process::id());
//! # let name = name.as_str();
//!
//! // In one process: a server. Dropped, it takes what it has with it.
//! let server = DataServer::builder(name).max_bytes(64 << 20).max_items(100).start()?;
//! server.put("close", &array![[1.0, 2.0], [3.0, 4.0]])?;
//!
//! // In any other process of the same user: a client.
//! let client = DataClient::connect(name)?;
//! let mut close = client.array::<f64, Ix2>("close")?;
//! let (version, sum) = close.read_with(|version, view| (version, view.sum()))?;
//! assert_eq!((version, sum), (1, 10.0));
//!
//! // Anybody who may write: the same shape and type is the next version in place, another one is swapped in at once.
//! client.put("close", &array![[5.0, 6.0], [7.0, 8.0]])?;
//! assert_eq!(close.read_with(|version, view| (version, view[[0, 0]]))?, (2, 5.0));
//! client.put("close", &Array2::<f64>::zeros((10, 10)))?;
//! assert_eq!(close.state(), State::Replaced);
//! close.refresh()?;
//! assert_eq!(close.read_with(|_, view| view.dim())?, (10, 10));
//!
//! let error = client.array::<f32, Ix2>("close").unwrap_err();
//! assert!(error.to_string().contains("float64"), "{error}");
//! let error = client.array::<f64, Ix2>("open").unwrap_err();
//! assert!(error.to_string().contains("there is `close`"), "{error}");
//! # Ok::<(), ndpool::Error>(())
//! ```
//!
//! # What can be published
//!
//! | | |
//! |---|---|
//! | array | [`put`](DataClient::put): a [`DoubleBuffer`](crate::shared::DoubleBuffer) of any type and rank, its element type known to the file |
//! | double buffer | [`create_double_buffer`](DataClient::create_double_buffer): the same, with a writer that stays |
//! | frame | [`create_frame`](DataClient::create_frame): a [`SharedFrame`](crate::shared::SharedFrame) |
//!
//! A program that knows the element type at compile time asks for [`array::<T, D>`](DataClient::array); one that does not, such as
//! the tool, for [`any_array`](DataClient::any_array), whose values are [`AnyValue`](crate::ops::dynamic::AnyValue)s.
//!
//! # What a client is told
//!
//! An [`Item`] goes on reading what it is attached to, whatever becomes of the name. [`Item::state`] says whether that is what the
//! name means: [`Current`](State::Current), [`Replaced`](State::Replaced) or [`Removed`](State::Removed); [`Item::wait`] sleeps until
//! there is a newer version or one of these; [`Item::refresh`] attaches anew. [`DataClient::wait_changes`] sleeps until anything was
//! created, replaced or removed. A client survives the end of its server: its items stay readable, calls that need the server are the
//! error [`ServerError::NoServer`], and go on by themselves once another server has the name.
//!
//! # After a death
//!
//! A client or a writer that dies at any instruction leaves the last complete version. When the server is killed, what it had
//! stays readable, and the next server of that name takes it over or removes it, as the catalog says
//! ([`AfterKill`]); `ndpool reap` and [`reap`] remove what is to be removed. SIGTERM and SIGINT end it cleanly, if asked
//! ([`handle_signals`](ServerBuilder::handle_signals)).
//!
//! # The interface
//!
//! ```ignore
//! impl DataServer {
//!     fn builder(name: &str) -> ServerBuilder;      // directory, max_bytes, max_items, group_read, after_kill, handle_signals, start
//!     fn recovered(&self) -> &[String];             // items that the server before had left, by name
//!     fn client(&self) -> &DataClient;              // and Deref to it: everything a client can
//!     fn close(self) -> Result<()>;                 // as dropping it does, and says what failed
//! }
//! impl DataClient {
//!     fn connect(name: &str) -> Result<DataClient>; // an error that lists the servers there are
//!     fn connect_in(directory: &Path, name: &str) -> Result<DataClient>;
//!     fn name(&self) -> &str;
//!     fn is_alive(&self) -> bool;                   // whether a server has the name now
//!     fn usage(&self) -> Result<Usage>;             // bytes and items, used and allowed
//!     fn items(&self) -> Result<Vec<ItemInfo>>;     // name, kind, dtype, shape, version, bytes, created, changed, …
//!     fn info(&self, item: &str) -> Result<ItemInfo>;
//!
//!     fn put<A: Publish>(&self, item: &str, array: &A) -> Result<Put>;     // Put { version, how: Created | Updated | Swapped }
//!     fn create<A: Publish>(&self, item: &str, array: &A) -> Result<Put>;  // an error if it exists
//!     fn update<A: Publish>(&self, item: &str, array: &A) -> Result<Put>;  // an error if it does not
//!     fn create_double_buffer::<T, D>(&self, item, shape) -> Result<Item<DoubleBuffer<T, D>>>;
//!     fn create_frame(&self, item, schema, n_rows) -> Result<Item<SharedFrame>>;
//!     fn remove(&self, item: &str) -> Result<()>;
//!
//!     fn array::<T, D>(&self, item: &str) -> Result<Item<Reader<T, D>>>;   // also for double buffers: they are the same
//!     fn any_array(&self, item: &str) -> Result<Item<AnyReader>>;          // .dtype() .shape() .read() -> (version, AnyValue)
//!     fn frame(&self, item: &str) -> Result<Item<SharedFrame>>;
//!
//!     fn changes(&self) -> Result<u64>;             // counts creations, swaps and removals
//!     fn wait_changes(&self, seen: u64, timeout: Option<Duration>) -> Result<Option<u64>>; // None: timeout
//! }
//! impl<S> Item<S> { fn state(&self) -> State; fn version(&self) -> u64; fn refresh(&mut self) -> Result<()>;
//!     fn wait(&self, seen: u64, timeout: Option<Duration>) -> Result<Change>; } // Newer(version), Replaced, Removed, TimedOut
//! impl<S> Deref for Item<S> { type Target = S; }
//! impl Publish for ArrayBase<…> (any rank, Element) and AnyValue             // AnyValue::load_npy(path) for files
//! fn reap(dry_run: bool) -> Result<Vec<ServerInfo>>; fn list() -> Result<Vec<ServerInfo>>; // servers: name, alive, after_kill, usage, items
//! ```

mod array;
mod catalog;
mod client;
mod data_server;
mod error;
mod item;
mod reap;

pub use catalog::{AfterKill, Usage};
pub use client::{DataClient, ItemInfo};
pub use data_server::{DataServer, ServerBuilder};
pub use error::ServerError;
pub use item::{Change, Item, State, Structure};
pub use reap::{ServerInfo, list, list_in, reap, reap_in};

#[cfg(test)]
mod tests;
