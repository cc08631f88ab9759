//! Data in versions, in a published file: the [protocol](super::versions) with bytes, handles and locks around it.
//!
//! | | who | what he gets |
//! |---|---|---|
//! | [`copy_at`](Versioned::copy_at), [`copy_latest`](Versioned::copy_latest) | anybody | bytes of his own, checked |
//! | [`hold`](Versioned::hold) | who may write the page, if a pin is free | a version that stays: its bytes may be lent |
//! | [`WriterRole::begin`] | the one writer | buffers that nobody reads, until he commits |

use std::mem::MaybeUninit;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::file::Published;
use super::role::Role;
use super::versions::{Draft, MAX_BUFFERS, Pin, Stores, TOO_MANY_VERSIONS, Target, Versions};
use crate::error::{Error, ErrorKind, Result};
use crate::sys::clock::{monotonic_nanos, realtime_nanos_of_tick};
use crate::sys::map::Mapping;
use crate::sys::primitive::{AtomicU32, AtomicU64, Ordering};
use crate::sys::{fork, kill_point};

/// How often a reader that was lapped copies again before it takes a pin.
const N_TRIES_BEFORE_PIN: usize = 3;
/// How often it copies in all, if there is no pin.
const N_TRIES: usize = 64;
/// How long it takes at least from one look for the pins of the dead to the next: each asks the kernel.
const LOOK_FOR_DEAD_EVERY: Duration = Duration::from_millis(1);
/// Up to this many bytes, nobody copies past the cache: not `Mapping::write_from`, and no `memcpy` of a C library either, which glibc
/// cannot even be told to do below 16 KiB.
const ORDINARY_UP_TO_BYTES: usize = 4096;

/// Where one column's first buffer lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Column {
    /// Bytes from the first of the data.
    pub(crate) offset: usize,
    /// Bytes of one buffer.
    pub(crate) len: usize,
}

/// A published file whose data have versions.
#[derive(Debug)]
pub(crate) struct Versioned {
    published: Published,
    n_buffers: usize,
    /// Bytes from a buffer to the next one of the same column.
    stride: usize,
    columns: Box<[Column]>,
    /// This handle's seat, once it has one.
    seat: OnceLock<u16>,
    /// Whether this handle has given its writer's role to somebody.
    has_writer: AtomicU32,
    /// When this handle last looked for pins of the dead.
    looked: AtomicU64,
    /// To tell a forked child, which has neither memory nor locks.
    forks: u32,
}

impl Versioned {
    /// The versions of a file whose columns lie as `columns` says, their buffers `stride` bytes apart.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Segment`] if that does not fit the file.
    pub(crate) fn new(
        published: Published,
        n_buffers: usize,
        stride: usize,
        columns: Box<[Column]>,
    ) -> Result<Self> {
        let page = published.page();
        let says = [&page.n_buffers, &page.n_columns, &page.n_pins]
            .map(|word| word.load(Ordering::Relaxed) as usize);
        let end = (published.tables_offset()).saturating_sub(published.data_offset());
        let is_inside = |column: &Column| {
            let last = n_buffers.checked_sub(1).and_then(|n| n.checked_mul(stride));
            let reach = last.and_then(|last| last.checked_add(column.offset)?.checked_add(column.len));
            reach.is_some_and(|reach| reach <= end)
        };
        let n_words = Versions::n_table_words(columns.len(), n_buffers);
        let fits = (2..=MAX_BUFFERS).contains(&n_buffers)
            && says == [n_buffers, columns.len(), n_buffers - 2]
            && n_words.is_some_and(|n| n <= published.tables().len())
            && columns.iter().all(is_inside);
        if !fits {
            let [says_buffers, says_columns, says_pins] = says;
            let message = format!(
                "`{}` is damaged: its page says {says_buffers} buffers, {says_columns} columns and {says_pins} pins, its header \
                 {n_buffers} buffers and {} columns, and its data have {end} bytes",
                published.path().display(),
                columns.len()
            );
            return Err(Error::new(ErrorKind::Segment, message).with_hint("remove it and create it anew"));
        }
        let version = page.version.load(Ordering::Relaxed);
        if version >= TOO_MANY_VERSIONS {
            let message =
                format!("`{}` is damaged: its page says version {version}", published.path().display());
            return Err(Error::new(ErrorKind::Segment, message).with_hint("remove it and create it anew"));
        }
        let (seat, has_writer, looked) = (OnceLock::new(), AtomicU32::new(0), AtomicU64::new(0));
        let forks = fork::generation();
        Ok(Self { published, n_buffers, stride, columns, seat, has_writer, looked, forks })
    }

    /// The file.
    pub(crate) fn published(&self) -> &Published {
        &self.published
    }

    /// Number of buffers of each column.
    pub(crate) fn n_buffers(&self) -> usize {
        self.n_buffers
    }

    /// The protocol on this file's words. For loads only if the handle is read-only.
    pub(crate) fn versions(&self) -> Versions<'_> {
        let page = self.published.page();
        let n_words = self.columns.len() * (self.n_buffers + 1);
        Versions::new(
            &page.version,
            &page.writing,
            &page.pins[..self.n_buffers - 2],
            &self.published.tables()[..n_words],
            self.n_buffers,
        )
    }

    /// The last complete version; 0 if there is none.
    pub(crate) fn version(&self) -> u64 {
        self.versions().version()
    }

    /// Where a column's buffer lies in the file.
    pub(crate) fn offset(&self, column: usize, buffer: usize) -> usize {
        self.published.data_offset() + self.columns[column].offset + buffer * self.stride
    }

    /// Whether this process is a forked child of the one that has the handle. Asked with each read, so it costs no system call.
    fn is_forked(&self) -> bool {
        self.forks != fork::generation()
    }

    /// That a forked child, which has not the memory, must not touch it.
    pub(crate) fn refuse_in_forked_child(&self) -> Result<()> {
        if self.is_forked() {
            let message = format!("`{}` was attached before this process was forked", self.published.name());
            return Err(Error::new(ErrorKind::Segment, message).with_hint("attach anew in the child"));
        }
        Ok(())
    }

    fn mapping(&self) -> &Mapping {
        self.published.mapping()
    }

    /// Copies a column at a version, which need not be held. `false` if the writer was faster: then the bytes are anything.
    ///
    /// # Panics
    ///
    /// If `target` has not the length of the column.
    #[must_use]
    pub(crate) fn copy_at(&self, column: usize, version: u64, target: &mut [MaybeUninit<u8>]) -> bool {
        assert_eq!(target.len(), self.columns[column].len, "bytes of column {column}");
        let versions = self.versions();
        let Some(found) = versions.find(column, version) else { return false };
        kill_point!("shared.copy.found");
        self.mapping().read_to(self.offset(column, found.buffer), target);
        versions.is_intact(column, found)
    }

    /// Copies the only column at the last version, and returns which that is; 0 if there is none yet, and then nothing was copied.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::TooSlow`] if the writer was faster again and again, and no pin was free.
    ///
    /// # Panics
    ///
    /// As [`copy_at`](Self::copy_at) does.
    pub(crate) fn copy_latest(&self, target: &mut [MaybeUninit<u8>]) -> Result<u64> {
        self.refuse_in_forked_child()?;
        let first = self.version();
        let mut version = first;
        for n_tried in 1..=N_TRIES {
            if version == 0 || self.copy_at(0, version, target) {
                return Ok(version);
            }
            if n_tried > N_TRIES_BEFORE_PIN
                && let Some(held) = self.hold()
            {
                held.copy(0, target);
                return Ok(held.version());
            }
            version = self.version();
        }
        Err(self.too_slow(N_TRIES, version.saturating_sub(first)))
    }

    /// The error of a reader that was lapped.
    pub(crate) fn too_slow(&self, n_tried: usize, n_missed: u64) -> Error {
        let message = format!(
            "`{}` was overwritten {n_tried} times while it was copied, and {n_missed} versions went by",
            self.published.name()
        );
        Error::new(ErrorKind::TooSlow, message).with_hint(if self.published.is_read_only() {
            "create it with more buffers, or attach without Options::read_only: such a handle can hold what it reads"
        } else {
            "create it with more buffers: each but two can be held by one reader"
        })
    }

    /// Holds the last version, if this handle may write the page and a pin is free.
    pub(crate) fn hold(&self) -> Option<Held<&Self>> {
        Held::new(self)
    }

    /// As [`hold`](Self::hold), for values that outlive a borrow.
    pub(crate) fn hold_for_long(self: &Arc<Self>) -> Option<Held<Arc<Self>>> {
        Held::new(Arc::clone(self))
    }

    fn pin(&self) -> Option<Pin> {
        if self.is_forked() {
            return None;
        }
        let versions = self.versions();
        let seat = match self.seat.get() {
            Some(&seat) => seat,
            None if self.published.is_read_only() => return None,
            // None left is no error: it is the same as no pin.
            None => {
                let seat = self.published.seat(|seat| versions.clear_pins(seat)).ok()?;
                *self.seat.get_or_init(|| seat)
            }
        };
        versions.pin(seat).or_else(|| self.clear_pins_of_the_dead(versions).then(|| versions.pin(seat))?)
    }

    /// Lets go of what dead readers hold; whether there was any.
    #[cold]
    fn clear_pins_of_the_dead(&self, versions: Versions<'_>) -> bool {
        let now = monotonic_nanos();
        let looked = self.looked.load(Ordering::Relaxed);
        if looked != 0 && Duration::from_nanos(now.saturating_sub(looked)) < LOOK_FOR_DEAD_EVERY {
            return false;
        }
        self.looked.store(now, Ordering::Relaxed);
        let mut is_any = false;
        for seat in versions.pinned_seats() {
            is_any |= self.published.settle_if_dead(seat, || versions.clear_pins(seat));
        }
        is_any
    }

    /// Waits until there is a version after `seen`, for as long as `timeout`; the last one, or `None` if that is not later.
    pub(crate) fn wait_newer(&self, seen: u64, timeout: Duration) -> Option<u64> {
        let newer = || Some(self.version()).filter(|&version| version > seen);
        if let Some(version) = newer() {
            return Some(version);
        }
        let bell = self.published.page().bell();
        let start = monotonic_nanos();
        loop {
            // Before the look: a ring after it ends the sleep.
            let sequence = bell.sequence();
            if let Some(version) = newer() {
                return Some(version);
            }
            let passed = Duration::from_nanos(monotonic_nanos().saturating_sub(start));
            let left = timeout.checked_sub(passed).filter(|left| !left.is_zero())?;
            bell.wait(sequence, Some(left), !self.published.is_read_only());
        }
    }

    /// Takes the writer's role.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Busy`] if somebody else has it and lives; [`ErrorKind::Io`] if this handle is read-only.
    pub(crate) fn take_writer(self: &Arc<Self>) -> Result<WriterRole> {
        let busy = || {
            let message = format!("`{}` has a writer that lives", self.published.name());
            Error::new(ErrorKind::Busy, message)
                .with_hint("there is one writer at a time; drop that one, or end its process")
        };
        // The lock belongs to the handle, which threads share.
        let is_first = self.has_writer.compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed).is_ok();
        if !is_first {
            return Err(busy());
        }
        match self.published.try_take(Role::Writer) {
            Ok(true) => {
                kill_point!("shared.writer.taken");
                Ok(WriterRole { versioned: Arc::clone(self) })
            }
            other => {
                self.has_writer.store(0, Ordering::Release);
                Err(other.err().unwrap_or_else(busy))
            }
        }
    }

    /// Whether somebody who lives is its writer.
    pub(crate) fn is_written(&self) -> bool {
        self.has_writer.load(Ordering::Relaxed) != 0 || self.published.is_taken(Role::Writer)
    }
}

/// A version that is held: its bytes do not change until this is dropped.
#[derive(Debug)]
pub(crate) struct Held<V: Deref<Target = Versioned>> {
    versioned: V,
    /// `None` once it was given back.
    pin: Option<Pin>,
    version: u64,
}

impl<V: Deref<Target = Versioned>> Held<V> {
    fn new(versioned: V) -> Option<Self> {
        let pin = versioned.pin()?;
        kill_point!("shared.hold.pinned");
        Some(Self { version: pin.version(), pin: Some(pin), versioned })
    }

    /// Which version; 0 if there is none yet.
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    /// Where a column's bytes lie in the file, which nobody writes while this lives. `None` if no version up to this one has
    /// any.
    pub(crate) fn offset(&self, column: usize) -> Option<usize> {
        let found = self.versioned.versions().find(column, self.version)?;
        Some(self.versioned.offset(column, found.buffer))
    }

    /// Copies a column; `false` if no version up to this one has any.
    pub(crate) fn copy(&self, column: usize, target: &mut [MaybeUninit<u8>]) -> bool {
        assert_eq!(target.len(), self.versioned.columns[column].len, "bytes of column {column}");
        self.offset(column).map(|offset| self.versioned.mapping().read_to(offset, target)).is_some()
    }
}

impl<V: Deref<Target = Versioned>> Drop for Held<V> {
    fn drop(&mut self) {
        if let Some(pin) = self.pin.take()
            && !self.versioned.is_forked()
        {
            kill_point!("shared.hold.drop");
            self.versioned.versions().unpin(pin);
        }
    }
}

/// The right to write, which one handle has at a time; given back when dropped, or by the kernel.
#[derive(Debug)]
pub(crate) struct WriterRole {
    versioned: Arc<Versioned>,
}

impl WriterRole {
    /// Begins the next version. What a dead writer left half done is discarded first.
    ///
    /// # Panics
    ///
    /// In a forked child, to which the role does not go over.
    pub(crate) fn begin(&mut self) -> Writing<'_> {
        assert!(!self.versioned.is_forked(), "a writer cannot be used in a forked child");
        let draft = self.versioned.versions().begin();
        Writing { versioned: &self.versioned, draft: Some(draft) }
    }
}

impl Drop for WriterRole {
    fn drop(&mut self) {
        self.versioned.published.give_back(Role::Writer);
        // After the lock: the next writer of this handle would have it taken from him.
        self.versioned.has_writer.store(0, Ordering::Release);
    }
}

/// A version that is being written; dropped without a [commit](Self::commit), it never was.
#[must_use]
pub(crate) struct Writing<'a> {
    versioned: &'a Versioned,
    draft: Option<Draft<'a>>,
}

impl Writing<'_> {
    fn draft(&self) -> &Draft<'_> {
        self.draft.as_ref().expect("it is there until the commit")
    }

    /// Its number.
    pub(crate) fn version(&self) -> u64 {
        self.draft().version()
    }

    /// The buffer to write a column to, chosen when first asked for. What it holds then is what some earlier version left.
    pub(crate) fn column(&mut self, column: usize) -> Target {
        self.draft().column(column, Stores::Any)
    }

    /// As [`column`](Self::column), with the data of the last version in it when it is first asked for; they stay what they were if
    /// there are none.
    pub(crate) fn column_with_last(&mut self, column: usize) -> Target {
        let target = self.draft().column(column, Stores::Any);
        if let (true, Some(last)) = (target.is_first, target.last) {
            let (from, to) = (self.versioned.offset(column, last), self.offset(column, target));
            self.versioned.mapping().copy_within(from, to, self.versioned.columns[column].len);
        }
        target
    }

    /// Where the chosen buffer lies in the file.
    pub(crate) fn offset(&self, column: usize, target: Target) -> usize {
        self.versioned.offset(column, target.buffer)
    }

    /// The first byte of the chosen buffer: mapped, and read by nobody who keeps what he read, until this is committed or dropped.
    pub(crate) fn first_byte(&mut self, column: usize, target: Target) -> *mut u8 {
        self.versioned.mapping().as_mut_ptr().wrapping_add(self.offset(column, target))
    }

    /// Writes a column, which was not asked for before; many bytes past the cache.
    pub(crate) fn fill(&mut self, column: usize, bytes: &[u8]) {
        assert_eq!(bytes.len(), self.versioned.columns[column].len, "bytes of column {column}");
        let stores = if bytes.len() <= ORDINARY_UP_TO_BYTES { Stores::Ordinary } else { Stores::Any };
        let target = self.draft().column(column, stores);
        debug_assert!(target.is_first, "column {column} was chosen for other stores");
        self.versioned.mapping().write_from(self.offset(column, target), bytes);
    }

    /// Makes it the last complete version, for everybody at once, and wakes who waits. Returns its number.
    pub(crate) fn commit(mut self) -> u64 {
        let page = self.versioned.published.page();
        page.committed.store(realtime_nanos_of_tick(), Ordering::Relaxed);
        let version = self.draft.take().expect("there is one until now").commit();
        kill_point!("shared.commit.end");
        page.ring();
        kill_point!("shared.commit.rung");
        version
    }
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        if self.draft.is_some() && !self.versioned.is_forked() {
            self.versioned.versions().discard();
        }
    }
}
