//! The versions of a published file: pinned, copied, written.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::error::{Error, ErrorKind, Result};
use crate::shared::file::{Published, Role, nanos_now};
use crate::shared::versions::{self, Draft, Versions};
use crate::sys::map::Mapping;
use crate::sys::primitive::{AtomicU64, Ordering};

/// A published file with versions.
#[derive(Debug)]
pub(super) struct Versioned {
    published: Published,
    n_buffers: usize,
    n_pins: usize,
    n_table_words: usize,
    writer: Mutex<()>,
}

impl Versioned {
    pub(super) fn new(published: Published, n_buffers: usize, n_columns: usize) -> Result<Self> {
        let page = published.page();
        let words = [&page.n_buffers, &page.n_columns, &page.n_pins].map(|word| word.load(Ordering::Relaxed));
        let n_pins = n_buffers.saturating_sub(2);
        let n_table_words = Versions::n_table_words(n_columns, n_buffers);
        let fits = (2..=versions::MAX_BUFFERS).contains(&n_buffers)
            && words == [n_buffers as u64, n_columns as u64, n_pins as u64];
        match n_table_words.filter(|&n| fits && n <= published.tables().len()) {
            Some(n_table_words) => {
                Ok(Self { published, n_buffers, n_pins, n_table_words, writer: Mutex::new(()) })
            }
            None => {
                let text =
                    format!("`{}` is damaged: header and control page differ", published.path().display());
                Err(Error::new(ErrorKind::Segment, text))
            }
        }
    }

    pub(super) fn published(&self) -> &Published {
        &self.published
    }

    pub(super) fn mapping(&self) -> &Mapping {
        self.published.mapping()
    }

    pub(super) fn versions(&self) -> Versions<'_> {
        let page = self.published.page();
        let tables: &[AtomicU64] = &self.published.tables()[..self.n_table_words];
        Versions::new(&page.version, &page.writing, &page.pins[..self.n_pins], tables, self.n_buffers)
    }

    pub(super) fn version(&self) -> u64 {
        self.versions().version()
    }

    /// Holds the newest version, if this handle may and a pin is free.
    pub(super) fn pin(self: &Arc<Self>) -> Option<Pin> {
        if self.published.is_read_only() || self.n_pins == 0 {
            return None;
        }
        let seat = self.published.seat(|seat| self.versions().clear_pins(seat)).ok()?;
        let pin = self.versions().pin(seat).or_else(|| {
            let dead: Vec<u16> =
                self.versions().pinned_seats().filter(|&seat| !self.published.is_seat_alive(seat)).collect();
            for seat in dead {
                if self.published.try_take(Role::Seat(seat)).unwrap_or(false) {
                    self.versions().clear_pins(seat);
                    self.published.give_back(Role::Seat(seat));
                }
            }
            self.versions().pin(seat)
        })?;
        Some(Pin { versioned: Arc::clone(self), pin: Some(pin) })
    }

    /// Begins the next version.
    pub(super) fn write(&self) -> Result<Write<'_>> {
        let guard = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.published.try_take(Role::Writer)? {
            let text = format!("another process is writing `{}`", self.published.name());
            return Err(Error::new(ErrorKind::Segment, text));
        }
        Ok(Write { versioned: self, draft: Some(self.versions().begin()), _guard: guard })
    }

    /// The newest version, as soon as it is above `seen`; `None` if it is not in time.
    pub(super) fn wait_newer(&self, seen: u64, timeout: Duration) -> Option<u64> {
        let end = Instant::now().checked_add(timeout);
        let bell = self.published.page().bell();
        loop {
            let sequence = bell.sequence();
            let version = self.version();
            if version > seen {
                return Some(version);
            }
            let left = end.map(|end| end.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                return None;
            }
            bell.wait(sequence, left, !self.published.is_read_only());
        }
    }
}

/// A version that is held.
#[derive(Debug)]
pub(super) struct Pin {
    versioned: Arc<Versioned>,
    pin: Option<versions::Pin>,
}

impl Pin {
    pub(super) fn version(&self) -> u64 {
        self.pin.as_ref().expect("held").version()
    }

    /// The buffer with the data of a column.
    pub(super) fn buffer(&self, column: usize) -> Option<usize> {
        self.versioned.versions().find(column, self.version()).map(|found| found.buffer)
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        if let Some(pin) = self.pin.take() {
            self.versioned.versions().unpin(pin);
        }
    }
}

/// A version that is being written; discarded unless it is committed.
pub(super) struct Write<'a> {
    versioned: &'a Versioned,
    draft: Option<Draft<'a>>,
    _guard: MutexGuard<'a, ()>,
}

impl Write<'_> {
    pub(super) fn version(&self) -> u64 {
        self.draft.as_ref().expect("not committed").version()
    }

    pub(super) fn column(&self, column: usize) -> versions::Target {
        self.draft.as_ref().expect("not committed").column(column)
    }

    pub(super) fn commit(mut self) -> u64 {
        let page = self.versioned.published.page();
        page.committed.store(nanos_now(), Ordering::Relaxed);
        let version = self.draft.take().expect("not committed").commit();
        page.ring();
        version
    }
}

impl Drop for Write<'_> {
    fn drop(&mut self) {
        if self.draft.take().is_some() {
            self.versioned.versions().discard();
        }
        self.versioned.published.give_back(Role::Writer);
    }
}
