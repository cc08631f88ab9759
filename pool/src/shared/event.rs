//! An event that processes set, clear and wait for.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use super::file::{Plan, Published};
use super::options::Options;
use super::page::Kind;
use super::signal::Signal;
use super::until::Until;
use crate::error::Result;
use crate::segment::{DType, Header, PAGE_BYTES, write_header};
use crate::sys::cells::Placed;
use crate::sys::kill_point;
use crate::sys::primitive::AtomicU32;

/// Something that has happened, or not: set, cleared and waited for by any processes.
///
/// To set it releases all that wait, even if it is cleared again at once; they see all that was written before it was set. A process that
/// sleeps in [`wait`](Self::wait) is woken by the kernel. No death matters to the others: one that dies while it sets has set it or has not,
/// and whoever waits finds out within some 50 ms at the latest.
///
/// The file is a `.npy` file of one `u32`, which is odd while the event is set, and then grows by two each time:
/// `numpy.load(path, mmap_mode="r")[0] & 1`.
///
/// Threads may share a handle. In a child made by `fork` it cannot be used.
///
/// # Example
///
/// ```
/// use ndpool::shared::Event;
/// use std::time::Duration;
///
/// let stop = Event::create("event_example_stop")?;
/// let worker = std::thread::spawn(|| {
///     let stop = Event::attach("event_example_stop")?; // in any process
///     let mut n_rounds = 0;
///     while !stop.wait_timeout(Duration::from_millis(1)) {
///         n_rounds += 1; // what there is to be done at intervals
///     }
///     Ok::<u64, ndpool::Error>(n_rounds)
/// });
/// stop.set();
/// worker.join().unwrap()?;
/// assert!(stop.is_set() && stop.clear() && !stop.is_set());
/// # Ok::<(), ndpool::Error>(())
/// ```
pub struct Event {
    file: Published,
    word: Placed<AtomicU32>,
}

impl Event {
    /// Creates an event that is not set.
    ///
    /// # Errors
    ///
    /// As for [`create_with`](Self::create_with).
    pub fn create(name: &str) -> Result<Self> {
        Self::create_with(&Options::new(), name)
    }

    /// Creates an event that is not set, with options.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) if it is no name, [`Segment`](crate::ErrorKind::Segment) if the name
    /// is taken, [`OutOfSpace`](crate::ErrorKind::OutOfSpace), [`Io`](crate::ErrorKind::Io).
    pub fn create_with(options: &Options, name: &str) -> Result<Self> {
        let plan = Plan {
            kind: Kind::Event,
            header: write_header(DType::U32, &[1], PAGE_BYTES),
            data_len: size_of::<u32>(),
            n_buffers: 1,
            n_columns: 1,
            n_table_words: 0,
        };
        Ok(Self::new(Published::create(options, &name.parse()?, &plan, |_| Ok(()))?))
    }

    /// Finds an event by its name.
    ///
    /// # Errors
    ///
    /// As for [`attach_with`](Self::attach_with).
    pub fn attach(name: &str) -> Result<Self> {
        Self::attach_with(&Options::new(), name)
    }

    /// Finds an event by its name, with options. One that is attached [for reading only](Options::read_only) can be waited for.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Segment`](crate::ErrorKind::Segment) if there is no such event, or it is another's, or something else;
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument), [`Io`](crate::ErrorKind::Io).
    pub fn attach_with(options: &Options, name: &str) -> Result<Self> {
        let file = Published::attach(options, &name.parse()?, &[Kind::Event])?;
        let header = Header::read(&mut &file.header()[..]).map_err(|error| error.at(file.path()))?;
        header.expect(DType::U32, Some(1)).map_err(|error| error.at(file.path()))?;
        Ok(Self::new(file))
    }

    fn new(file: Published) -> Self {
        let place = if file.is_read_only() { Placed::to_load } else { Placed::new };
        let word = place(file.mapping(), file.data_offset(), 1);
        Self { file, word }
    }

    fn signal(&self) -> Signal<'_> {
        Signal(&self.word[0])
    }

    /// Sets it, and lets all go that wait.
    ///
    /// # Panics
    ///
    /// If this handle is read-only.
    pub fn set(&self) {
        self.check_writable();
        kill_point!("shared.event.set");
        self.signal().raise();
        kill_point!("shared.event.raised");
        self.signal().wake();
        kill_point!("shared.event.woken");
    }

    /// Clears it; whether it was set.
    ///
    /// # Panics
    ///
    /// If this handle is read-only.
    pub fn clear(&self) -> bool {
        self.check_writable();
        kill_point!("shared.event.clear");
        let was_set = self.signal().clear();
        kill_point!("shared.event.cleared");
        was_set
    }

    /// Whether it is set.
    pub fn is_set(&self) -> bool {
        self.signal().is_set()
    }

    /// Waits until it is set, or was set and cleared since this call began.
    pub fn wait(&self) {
        self.signal().wait(&mut Until::limit(None));
    }

    /// As [`wait`](Self::wait), but no longer than that; `false` if it was not set meanwhile.
    pub fn wait_timeout(&self, limit: Duration) -> bool {
        self.signal().wait(&mut Until::limit(Some(limit)))
    }

    /// Whether the name still leads to this event: `false` once it was removed, or replaced by another.
    pub fn is_current(&self) -> bool {
        self.file.is_current()
    }

    /// Its file.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    fn check_writable(&self) {
        assert!(!self.file.is_read_only(), "this handle of the event `{}` is read-only", self.file.name());
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.file.name().to_string();
        f.debug_struct("Event").field("name", &name).field("is_set", &self.is_set()).finish()
    }
}
