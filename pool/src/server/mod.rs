//! Published arrays, frames and double buffers by name, and the server that owns them.
//!
//! A [`DataServer`] is a name, limits and a promise: as long as it lives, what was published under it stays, whoever published
//! it; when it ends, all of it goes. It has no socket and gets no messages. What is published lies in files of shared memory,
//! `/dev/shm/ndpool.<server>.<item>`, and the directory is the list of them; whoever may write the server's *catalog*,
//! `/dev/shm/ndpool.<server>`, publishes, swaps and removes by himself, under the catalog's lock and its limits. So nobody waits
//! for a busy server, and the death of any process harms no other. The steps, and what is found after a death between any two of them,
//! stand in `pool/src/server/README.md`.
//!
//! ```
//! use ndpool::ndarray::{Array2, Ix2, array};
//! use ndpool::server::{DataClient, DataServer, How, State};
//!
//! // In one process: a server. Dropped, it takes what it has with it.
//! let server = DataServer::builder("prices").max_bytes(64 << 20).max_items(100).start()?;
//! server.put("close", &array![[1.0, 2.0], [3.0, 4.0]])?;
//!
//! // In any other process of the same user: a client.
//! let client = DataClient::connect("prices")?;
//! let mut close = client.array::<f64, Ix2>("close")?;
//! assert_eq!(close.read_with(|array| array.sum())?, 10.0);
//!
//! // Whoever may write: an array of the same type and shape is the next version, in place; another one is swapped in at once.
//! let put = client.put("close", &array![[5.0, 6.0], [7.0, 8.0]])?;
//! assert_eq!((put.version, put.how), (2, How::Updated));
//! let frame = close.read()?;
//! assert_eq!((frame.number, frame.array[[0, 0]]), (2, 5.0));
//! client.put("close", &Array2::<f64>::zeros((10, 10)))?;
//! assert_eq!(close.state(), State::Replaced);
//! close.refresh()?;
//! assert_eq!(close.read_with(|array| array.dim())?, (10, 10));
//!
//! let error = client.array::<f32, Ix2>("close").unwrap_err();
//! assert!(error.to_string().contains("has elements of type float64, wanted float32"), "{error}");
//! let error = client.array::<f64, Ix2>("open").unwrap_err();
//! assert!(error.to_string().contains("no item `open`\n(hint: there is `close`)"), "{error}");
//! # Ok::<(), ndpool::Error>(())
//! ```
//!
//! # What can be published
//!
//! | | |
//! |---|---|
//! | array | [`put`](DataClient::put): a [`DoubleBuffer`](crate::shared::DoubleBuffer) of any type and rank, its element type known to the file |
//! | double buffer | [`create_double_buffer`](DataClient::create_double_buffer): the same, with a writer that stays |
//! | frame | [`create_frame`](DataClient::create_frame): a [`SharedFrame`](crate::shared::SharedFrame) of named columns |
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
//! | file | concept |
//! |---|---|
//! | `error` | what can go wrong |
//! | `catalog` | the file that says a server lives, and the lock under which names are given |
//! | `data_server` | the server |
//! | `client` | the client |
//! | `item` | what a client is attached to |
//! | `array` | arrays among the items |
//! | `any_frame` | columns whose types are known at run time only |
//! | `publish` | publishing them |
//! | `naps` | waiting for what has no bell |
//! | `frame` | frames among the items |
//! | `reap` | the end of what killed servers left |
//! | [`analytics`] | what is published, in figures, and as metrics |

pub mod analytics;
mod any_frame;
mod array;
mod catalog;
mod client;
mod data_server;
mod error;
mod frame;
mod item;
mod naps;
mod publish;
mod reap;

pub use analytics::Analytics;
pub use array::AnyReader;
pub use catalog::{AfterKill, Usage};
pub use client::{DataClient, ItemInfo};
pub use data_server::{DataServer, ServerBuilder};
pub use error::ServerError;
pub use item::{Change, Item, State, Structure};
pub use publish::{How, Publish, Put};
pub use reap::{ServerInfo, list, list_in, reap, reap_in};

#[cfg(test)]
mod stops;
#[cfg(test)]
mod tests;
