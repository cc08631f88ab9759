//! The frame itself: making it, finding it, reading and writing it.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, MutexGuard, TryLockError};
use std::time::Duration;

use super::header::FrameHeader;
use super::inner::Inner;
use super::layout::Layout;
use super::schema::Schema;
use super::snapshot::Snapshot;
use super::write::FrameMut;
use crate::error::{Error, ErrorKind, Result};
use crate::segment::PAGE_BYTES;
use crate::shared::file::{Plan, Published};
use crate::shared::name::Name;
use crate::shared::options::Options;
use crate::shared::page::Kind;
use crate::shared::versioned::WriterRole;
use crate::shared::versions::{MAX_PINS, Versions};
use crate::sys::clock::realtime_nanos_of_tick;
use crate::sys::primitive::Ordering;

/// How many snapshots can be lent at a time, if nothing else is said.
const DEFAULT_LENT: usize = 2;

/// How often a closure reads before the reader is told that it is too slow.
const ATTEMPTS: usize = 3;

/// Named columns of one length, or a matrix, that one process writes and any number read: always as one whole version.
///
/// The writer changes what it likes of the next version and commits it, all at once. It never waits for readers. A reader holds on to a
/// version, in one of two ways: it is *lent* the shared memory, and the writer uses other buffers meanwhile; or it *copies*, and finds
/// out if the writer was faster. Whoever dies, and wherever, the last complete version stays for the others, and another
/// process may write on.
///
/// Each version that can be lent costs the memory of a record, which is all columns once, beside the two that it takes without:
/// [`create_lending`](Self::create_lending). A handle may be used by many threads, but not in a child made by `fork`.
///
/// The file is what NumPy can map: `docs/python.md` of the repository shows how Python reads a column, with the version before and
/// after.
///
/// # Example
///
/// ```
/// use ndpool::shared::{Options, Schema, SharedFrame};
///
/// let schema = Schema::new(1_000).column::<f64>("price").column::<u64>("volume");
/// # let options = Options::new().directory(std::env::temp_dir());
/// let frame = SharedFrame::create_with(&options, "frame_example", &schema)?;
///
/// // In any process, by any number of readers:
/// let reader = SharedFrame::attach_with(&options, "frame_example", &schema)?;
///
/// frame.write(|frame| {
///     frame.column_mut::<f64>("price")?.fill(20.0);
///     frame.column_mut::<u64>("volume")?[7] += 100;
///     Ok(())
/// })?;
/// let turnover = reader.read(|snapshot| {
///     let (price, volume) = (snapshot.column::<f64>("price")?, snapshot.column::<u64>("volume")?);
///     Ok(price.iter().zip(volume).map(|(price, &volume)| price * volume as f64).sum::<f64>())
/// })?;
/// assert_eq!(turnover, 2_000.0);
/// # Ok::<(), ndpool::Error>(())
/// ```
pub struct SharedFrame {
    inner: Arc<Inner>,
}

impl SharedFrame {
    /// Makes a frame of zeros, which is its version 1, in `/dev/shm`, for this user alone.
    ///
    /// # Errors
    ///
    /// As for [`create_with`](Self::create_with).
    pub fn create(name: &str, schema: &Schema) -> Result<Self> {
        Self::create_with(&Options::new(), name, schema)
    }

    /// Makes a frame of zeros, which is its version 1. Two snapshots can be lent at a time.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidArgument`] if the name or the schema is not usable; [`ErrorKind::Segment`] if the name is taken;
    /// [`ErrorKind::OutOfSpace`] if there is not so much memory; [`ErrorKind::Io`].
    pub fn create_with(options: &Options, name: &str, schema: &Schema) -> Result<Self> {
        Self::create_lending(options, name, schema, DEFAULT_LENT)
    }

    /// As [`create_with`](Self::create_with), with so many snapshots that can be lent at a time: 0 to 32. Further readers copy.
    ///
    /// # Errors
    ///
    /// As for [`create_with`](Self::create_with).
    pub fn create_lending(options: &Options, name: &str, schema: &Schema, n_lent: usize) -> Result<Self> {
        Self::make(options, name, schema, n_lent, |options, name, plan, start| {
            Published::create(options, name, plan, start)
        })
    }

    fn make(
        options: &Options,
        name: &str,
        schema: &Schema,
        n_lent: usize,
        publish: impl FnOnce(&Options, &Name, &Plan, fn(&Published) -> Result<()>) -> Result<Published>,
    ) -> Result<Self> {
        let name: Name = name.parse()?;
        let refused =
            |problem: String| Error::new(ErrorKind::InvalidArgument, format!("frame `{name}`: {problem}"));
        schema.check().map_err(refused)?;
        if n_lent > MAX_PINS {
            return Err(refused(format!("{n_lent} snapshots to be lent at a time; at most {MAX_PINS}")));
        }
        let n_buffers = n_lent + 2;
        let layout = Layout::new(schema, n_buffers).map_err(refused)?;
        let n_columns = layout.columns.len();
        let plan = Plan {
            kind: if schema.matrix_dtype().is_some() { Kind::Matrix } else { Kind::Frame },
            header: FrameHeader { schema: schema.clone(), n_buffers, data_offset: 0 }.to_bytes(PAGE_BYTES),
            data_len: n_buffers * layout.record_bytes,
            n_buffers,
            n_columns,
            n_table_words: Versions::n_table_words(n_columns, n_buffers).expect("few columns, few buffers"),
        };
        let published = publish(options, &name, &plan, start)?;
        Self::of(published, n_buffers, schema.clone(), layout)
    }

    /// Finds a frame in `/dev/shm` by its name.
    ///
    /// # Errors
    ///
    /// As for [`attach_with`](Self::attach_with).
    pub fn attach(name: &str, schema: &Schema) -> Result<Self> {
        Self::attach_with(&Options::new(), name, schema)
    }

    /// Finds a frame by its name; it must have this schema.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Segment`] if there is none, or what has the name is no frame, not the user's, or damaged; [`ErrorKind::Npy`] if it has
    /// another schema: the source is [`NpyError::Schema`](crate::NpyError::Schema), and says what was found and what was wanted.
    pub fn attach_with(options: &Options, name: &str, schema: &Schema) -> Result<Self> {
        let frame = Self::attach_any_with(options, name)?;
        frame.schema().expect(schema).map_err(|error| error.at(frame.path()))?;
        Ok(frame)
    }

    /// Finds a frame in `/dev/shm` by its name, whatever its schema.
    ///
    /// # Errors
    ///
    /// As for [`attach_with`](Self::attach_with).
    pub fn attach_any(name: &str) -> Result<Self> {
        Self::attach_any_with(&Options::new(), name)
    }

    /// Finds a frame by its name, whatever its schema.
    ///
    /// # Errors
    ///
    /// As for [`attach_with`](Self::attach_with).
    pub fn attach_any_with(options: &Options, name: &str) -> Result<Self> {
        Self::of_file(Published::attach(options, &name.parse()?, &[Kind::Frame, Kind::Matrix])?)
    }

    /// What was found and is a frame.
    pub(crate) fn of_file(published: Published) -> Result<Self> {
        let header = FrameHeader::read(&mut &published.header()[..]);
        let FrameHeader { schema, n_buffers, .. } = header.map_err(|error| error.at(published.path()))?;
        let layout = Layout::new(&schema, n_buffers).map_err(|problem| {
            let text = format!("`{}` is damaged: {problem}", published.path().display());
            Error::new(ErrorKind::Segment, text)
        })?;
        Self::of(published, n_buffers, schema, layout)
    }

    fn of(published: Published, n_buffers: usize, schema: Schema, layout: Layout) -> Result<Self> {
        Ok(Self { inner: Arc::new(Inner::new(published, n_buffers, schema, layout)?) })
    }

    /// The file, as far as others need it.
    pub(crate) fn published(&self) -> &Published {
        self.inner.versioned.published()
    }

    /// What it holds.
    pub fn schema(&self) -> &Schema {
        &self.inner.schema
    }

    /// Number of rows.
    pub fn n_rows(&self) -> usize {
        self.schema().n_rows()
    }

    /// Number of columns.
    pub fn n_cols(&self) -> usize {
        self.schema().n_cols()
    }

    /// The last complete version.
    pub fn version(&self) -> u64 {
        self.inner.versioned.version()
    }

    /// The file, which is what NumPy can map: one record, or matrix, for each buffer.
    pub fn path(&self) -> &Path {
        self.inner.versioned.published().path()
    }

    /// Whether the name still leads to this frame: `false` once it was removed or replaced. It can be used all the same.
    pub fn is_current(&self) -> bool {
        self.inner.versioned.published().is_current()
    }

    /// Whether this handle may only read, and only copies: [`Options::read_only`].
    pub fn is_read_only(&self) -> bool {
        self.inner.versioned.published().is_read_only()
    }

    /// Reads the newest version: the closure is given one of which nothing changes while it runs.
    ///
    /// It is lent the shared memory if it can be. If as many snapshots are lent as the frame has, or this handle is read-only, each column is
    /// copied when the closure asks for it. If the writer was faster, [`column`](Snapshot::column) returns an error, and the closure is
    /// run again, on the version that is the newest then; three times at most.
    ///
    /// # Errors
    ///
    /// That of the closure; [`ErrorKind::TooSlow`] if the writer was faster each time; [`ErrorKind::OutOfSpace`] if there is no memory for
    /// copies.
    pub fn read<R>(&self, mut f: impl FnMut(&Snapshot) -> Result<R>) -> Result<R> {
        if let Some(snapshot) = self.lent() {
            return f(&snapshot);
        }
        let mut attempt = 1;
        loop {
            let snapshot = Snapshot::lazy(&self.inner)?;
            let result = f(&snapshot);
            if !snapshot.was_lapped() {
                return result;
            }
            if attempt == ATTEMPTS {
                return Err(snapshot.too_slow());
            }
            attempt += 1;
        }
    }

    /// Holds the newest version: lent, if it can be, or copied as a whole, in one attempt.
    ///
    /// One that is lent costs nothing to make, but as long as it lives, others may have to copy. To keep one for long, make a
    /// [`try_copy`](Self::try_copy). One that is forgotten ([`mem::forget`](std::mem::forget)) lives until the process ends, and the
    /// frame with it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::TooSlow`] if the writer was faster than the copy; [`ErrorKind::OutOfSpace`] if there is no memory for it.
    pub fn try_snapshot(&self) -> Result<Snapshot> {
        self.lent().map_or_else(|| self.try_copy(), Ok)
    }

    /// Copies the newest version as a whole, in one attempt.
    ///
    /// The memory of the last copy that was dropped is used again, since pages that are there already take a third of the time.
    ///
    /// # Errors
    ///
    /// As for [`try_snapshot`](Self::try_snapshot).
    pub fn try_copy(&self) -> Result<Snapshot> {
        Snapshot::copied(&self.inner)
    }

    fn lent(&self) -> Option<Snapshot> {
        self.inner.versioned.hold_for_long().map(|held| Snapshot::pinned(&self.inner, held))
    }

    /// Waits for a version above `seen`; the newest, or `None` if there is none in time.
    pub fn wait_newer(&self, seen: u64, timeout: Duration) -> Option<u64> {
        self.inner.versioned.wait_newer(seen, timeout)
    }

    /// Writes the next version: once the closure has returned, all that it wrote is there, at once. Never waits for readers.
    ///
    /// If the closure returns an error or panics, or the process dies, the last version stays. The handle that has written is the writer
    /// until it is dropped (whatever snapshots of it live on), its process ends, or it says [`stop_writing`](Self::stop_writing); no
    /// other handle can write until then.
    ///
    /// # Errors
    ///
    /// That of the closure; [`ErrorKind::Busy`] if another handle is the writer, or another thread is in `write` now;
    /// [`ErrorKind::Io`] if this handle is read-only.
    pub fn write<R>(&self, f: impl FnOnce(&mut FrameMut<'_>) -> Result<R>) -> Result<R> {
        let mut writer = self.writer()?;
        let role = match &mut *writer {
            Some(role) => role,
            none => none.insert(self.inner.versioned.take_writer()?),
        };
        let mut frame = FrameMut::new(&self.inner, role.begin());
        let result = f(&mut frame)?;
        frame.commit();
        Ok(result)
    }

    /// Lets another handle write.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Busy`] if another thread is in [`write`](Self::write) now.
    pub fn stop_writing(&self) -> Result<()> {
        *self.writer()? = None;
        Ok(())
    }

    fn writer(&self) -> Result<MutexGuard<'_, Option<WriterRole>>> {
        match self.inner.writer.try_lock() {
            Ok(writer) => Ok(writer),
            // What a panic left half done was discarded while it unwound.
            Err(TryLockError::Poisoned(error)) => Ok(error.into_inner()),
            Err(TryLockError::WouldBlock) => {
                let text = format!("`{}` is being written by this very handle", self.path().display());
                Err(Error::new(ErrorKind::Busy, text)
                    .with_hint("write from one thread, and not from within the closure of another write"))
            }
        }
    }
}

/// Makes the zeros of a new file version 1.
fn start(published: &Published) -> Result<()> {
    let page = published.page();
    let n_buffers = page.n_buffers.load(Ordering::Relaxed) as usize;
    let n_words = Versions::n_table_words(page.n_columns.load(Ordering::Relaxed) as usize, n_buffers);
    let tables = &published.tables()[..n_words.expect("as planned")];
    Versions::new(&page.version, &page.writing, &[], tables, n_buffers).start();
    page.committed.store(realtime_nanos_of_tick(), Ordering::Relaxed);
    Ok(())
}

impl Drop for SharedFrame {
    /// Snapshots and record batches may live on, and the file with them; but they do not write.
    fn drop(&mut self) {
        // Nobody else writes by this handle now. In a forked child somebody may seem to.
        let _ = self.stop_writing();
    }
}

impl fmt::Debug for SharedFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedFrame")
            .field("path", &self.path())
            .field("schema", &self.schema().to_string())
            .field("version", &self.version())
            .finish_non_exhaustive()
    }
}
