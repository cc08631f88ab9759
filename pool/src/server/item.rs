//! What a client is attached to, and what becomes of its name.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::time::{Duration, Instant};

use super::client::DataClient;
use crate::error::Result;
use crate::shared::{Options, Published};
use crate::sys::primitive::Ordering;

/// What an item's name means now, as seen from a handle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum State {
    /// What the handle is attached to.
    Current,
    /// Something else, of another shape or type, or made anew: [`Item::refresh`] attaches to it.
    Replaced,
    /// Nothing.
    Removed,
}

/// What ended an [`Item::wait`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Change {
    /// There is this version.
    Newer(u64),
    /// The name means something else.
    Replaced,
    /// The name means nothing any more.
    Removed,
    /// Nothing happened in that time.
    TimedOut,
}

/// A structure that a client can be attached to. Sealed.
pub trait Structure: Sized + sealed::Structure {}

pub(super) mod sealed {
    use super::*;

    pub trait Structure {
        /// Attaches to what has the name, if it is that kind of thing.
        fn attach(options: &Options, name: &str) -> Result<Self>
        where
            Self: Sized;

        /// The file behind it.
        fn file(&self) -> Behind<'_>;
    }

    /// The file behind a structure.
    pub struct Behind<'s>(pub(crate) &'s Published);
}

/// An item of a server, attached: the structure itself, and what became of its name.
///
/// The structure stays usable whatever becomes of the name and of the server.
///
/// # Example
///
/// ```
/// use ndpool::ndarray::{Ix1, array};
/// use ndpool::server::{Change, DataServer, State};
/// use std::time::Duration;
///
/// let server = DataServer::new("item_example")?;
/// server.put("x", &array![1.0, 2.0])?;
/// let mut x = server.array::<f64, Ix1>("x")?;
/// assert_eq!(x.wait(1, Some(Duration::from_millis(1))), Change::TimedOut);
///
/// server.put("x", &array![3.0, 4.0])?;
/// assert_eq!(x.wait(1, None), Change::Newer(2));
///
/// server.put("x", &array![5.0, 6.0, 7.0])?;
/// assert_eq!(x.wait(2, None), Change::Replaced);
/// x.refresh()?;
/// assert_eq!(x.read()?.array, array![5.0, 6.0, 7.0]);
///
/// server.remove("x")?;
/// assert_eq!(x.state(), State::Removed);
/// assert!(x.refresh().is_err());
/// # Ok::<(), ndpool::Error>(())
/// ```
pub struct Item<S> {
    structure: S,
    client: DataClient,
    name: String,
}

impl<S: Structure> Item<S> {
    pub(super) fn new(structure: S, client: DataClient, name: &str) -> Self {
        Self { structure, client, name: name.to_owned() }
    }

    /// The item's name, without the server's.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The last version that was written, 0 if there is none yet. What replaces an item begins with 1 again.
    pub fn version(&self) -> u64 {
        self.structure.file().0.page().version.load(Ordering::Acquire)
    }

    /// What the name means now. If it means what this is attached to, that costs no system call.
    pub fn state(&self) -> State {
        if self.structure.file().0.is_current() {
            State::Current
        } else if self.client.has(&self.name) {
            State::Replaced
        } else {
            State::Removed
        }
    }

    /// Attaches to what has the name now, if that is something else.
    ///
    /// # Errors
    ///
    /// The source is [`ServerError::NoItem`] or [`ServerError::NoServer`] if nothing has it; the error that says so if it is of another
    /// type than asked for. This stays attached to what it was then.
    ///
    /// [`ServerError::NoItem`]: super::ServerError::NoItem
    /// [`ServerError::NoServer`]: super::ServerError::NoServer
    pub fn refresh(&mut self) -> Result<()> {
        if !self.structure.file().0.is_current() {
            self.structure = self.client.structure(&self.name)?;
        }
        Ok(())
    }

    /// Sleeps until there is another version than `seen`, the name means something else, or time is over; without a timeout for as long as
    /// it takes. Who waits is woken: this is no polling, but for one look every 50 ms, for a writer that died before it could ring.
    pub fn wait(&self, seen: u64, timeout: Option<Duration>) -> Change {
        let start = Instant::now();
        let published = self.structure.file().0;
        let bell = published.page().bell();
        loop {
            let heard = bell.sequence();
            let version = self.version();
            if version != seen {
                return Change::Newer(version);
            }
            match self.state() {
                State::Current => {}
                State::Replaced => return Change::Replaced,
                State::Removed => return Change::Removed,
            }
            let left = timeout.map(|timeout| timeout.saturating_sub(start.elapsed()));
            if left.is_some_and(|left| left.is_zero()) {
                return Change::TimedOut;
            }
            bell.wait(heard, left, !published.is_read_only());
        }
    }

    /// The structure alone, to be used without the client.
    pub fn into_inner(self) -> S {
        self.structure
    }
}

impl<S> Deref for Item<S> {
    type Target = S;

    fn deref(&self) -> &S {
        &self.structure
    }
}

impl<S> DerefMut for Item<S> {
    fn deref_mut(&mut self) -> &mut S {
        &mut self.structure
    }
}

impl<S: fmt::Debug> fmt::Debug for Item<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Item").field("name", &self.name).field("structure", &self.structure).finish()
    }
}
