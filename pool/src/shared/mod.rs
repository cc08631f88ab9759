//! Structures that outlive a job: shared by name between any processes, in or out of a pool.
//!
//! A pool's arrays belong to the pool, and go with it. What is here belongs to a name: one process creates it, others find it, and
//! come and go for hours; whoever dies, and at whatever instruction, harms none of the others. No process has to be there for another, and
//! nothing has to be started: `init` is for workers of a pool.
//!
//! | | for | who waits |
//! |---|---|---|
//! | [`SharedFrame`] | a table of typed columns, or a matrix, read as one version | nobody; a reader that copies may be told that it was too slow |
//! | [`DoubleBuffer`] | a stream of frames of which the latest counts | nobody; a reader may wait for the next frame |
//! | [`Mutex`] | an array that many write in place | for the lock, with a limit if wanted |
//! | [`Event`] | "stop", "go" | for the event, with a limit if wanted |
//!
//! A long-lived owner of many of them, with limits and clients that are told of changes, is a [`server`](crate::server).
//!
//! ```
//! use ndpool::shared::{Event, Schema, SharedFrame};
//! use std::time::Duration;
//!
//! // One process makes both, and writes.
//! let schema = Schema::new(1_000).column::<f64>("price").column::<u64>("volume");
//! let prices = SharedFrame::create("shared_example_prices", &schema)?;
//! let stop = Event::create("shared_example_stop")?;
//!
//! // Another one, here a thread, knows the names.
//! let reader = std::thread::spawn(move || {
//!     let prices = SharedFrame::attach("shared_example_prices", &schema)?;
//!     let stop = Event::attach("shared_example_stop")?;
//!     let mut means = Vec::new();
//!     while !stop.wait_timeout(Duration::from_millis(1)) {
//!         means.push(prices.read(|snapshot| Ok(snapshot.column::<f64>("price")?.mean().unwrap_or(0.0)))?);
//!     }
//!     Ok::<_, ndpool::Error>(means)
//! });
//! for price in 1..=5 {
//!     prices.write(|frame| Ok(frame.column_mut::<f64>("price")?.fill(price.into())))?;
//! }
//! stop.set();
//! let means = reader.join().unwrap()?;
//! assert!(means.is_sorted()); // versions were skipped, but never mixed
//! # Ok::<(), ndpool::Error>(())
//! ```
//!
//! # Names, and how long they last
//!
//! A name is `prices`, or `prices/close` for what a server keeps, and a file in `/dev/shm`, `ndpool.prices`. A structure lasts for as long as
//! some process uses it, whichever created it: the last one out removes the name. [`Options::keep`] keeps it until it is
//! [removed](remove). Processes are known to use it by a lock that the kernel drops when they die; what was left by the last of them, if it was
//! killed, goes with the next pool, with [`reap`], or with `ndpool reap`. [`list`] shows what there is.
//!
//! Everything belongs to its user alone, unless [`Options::group_read`] lets others read it; who has only that right gives
//! [`Options::read_only`] and [`Options::owner`].
//!
//! # Other languages
//!
//! Each file is a `.npy` file that NumPy maps, with a page of numbers at its end: which version is the last, and which buffer has it.
//! `docs/python.md` of the repository shows how to read them, without a package.
//!
//! # Limits
//!
//! - Whoever may write the files must keep to the protocol: other processes of the same user are trusted, with the bytes and with their
//!   lengths.
//! - Elements have fixed types and shapes have fixed lengths. What grows is replaced: by a server, or under another name.
//! - A process that is stopped is not dead: a lock that it holds is waited for, and a version that it pins stays.
//!
//! The protocol (bytes, names, lifetimes, versions, locks, and the races between them) is written down in README.md beside this
//! file.

// Each builds on those before it; blank lines keep rustfmt from sorting them.

/// The names under which structures are found.
mod name;

/// Where a structure lives, for how long, and who may read it.
mod options;

/// Waking that survives the death of those who wake and those who sleep.
mod bell;

/// The last page of a published file.
mod page;

/// What a process can be to a file, each a lock of the kernel's.
mod role;

/// A file under its name, while nobody else takes the name away.
mod named;

/// Which structures there are, and the end of those that nobody uses.
mod list;

/// The file behind a structure: how it comes into being, who uses it, and how it goes.
mod file;

/// Versions of data in several buffers: one writer, any number of readers, nobody waits for anybody.
mod versions;

/// The same, on a published file.
mod versioned;

/// Named, typed columns that are always seen as one whole version.
mod frame;

pub mod double_buffer;

/// The word of a lock that processes hold, and that outlives any of them.
mod lock;

/// How long a process waits, and how it sleeps meanwhile.
mod until;

/// Lock words on the page of a file.
mod stripes;

/// What whoever holds a lock has of the array.
mod guard;

/// An array under a lock.
mod mutex;

/// The word of an event.
mod signal;

/// What one process says once, and others wait for.
mod event;

#[cfg(test)]
mod tests;

pub use double_buffer::DoubleBuffer;
pub use event::Event;
pub use frame::{Column, ColumnTypes, FrameMut, Schema, SharedFrame, Snapshot};
pub use guard::{LockError, MutexGuard, Poisoned};
pub use list::{SharedInfo, list, list_in, reap, reap_in, remove, remove_with};
pub use mutex::Mutex;
pub use options::Options;
pub use page::Kind;

pub(crate) use file::{Plan, Published};
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use frame::FrameHeader;
pub(crate) use list::{is_none_of_ours, items_of, reap_waiting, remove_if, wait_for_name};
pub(crate) use name::Name;
pub(crate) use named::Fate;
pub(crate) use options::{Gate, Terms};
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use page::read_places;
pub(crate) use page::with_article;
pub(crate) use role::Role;
#[cfg(test)]
pub(crate) use tests::LOOKS_FAIL;
