//! Versions of data in several buffers: one writer, any number of readers, nobody waits for anybody.
//!
//! Data come in columns, and each column in `K` buffers. Every buffer has a *stamp*: the number of the version whose data it holds. The
//! data of a column at version `v` are in the buffer with the greatest stamp that is not above `v`; so one store, of the number of the last
//! complete version, publishes all columns at once, and a column that a version does not touch keeps its buffer.
//!
//! ```text
//!               begin              column, each           bytes              commit
//!   resting ──▶ writing = t  ──▶   floor, stamp = t  ──▶  written      ──▶   version = t ──▶ writing = 0
//!      ▲                                │                    │
//!      └────────────────────────────────┴────────────────────┘
//!         discard: stamps above `version` become TORN, writing = 0
//!         (an error or a panic; or a death, then by the next writer)
//! ```
//!
//! A reader holds on to a version in one of two ways.
//!
//! - It *pins* the version: it says in one of `P = K − 2` words which it reads. The writer chooses no buffer that is current at a
//!   pinned version, nor at the last one. That leaves one at least, so it need not wait. What is pinned does not change, and may be
//!   lent as a reference.
//! - It *copies*, and then looks whether the buffer was still the right one: [`is_intact`](Versions::is_intact). It writes nothing, so it
//!   needs no right to write and no pin; but the writer may lap it.
//!
//! Each word has one writer at a time: `version`, `writing` and the tables the holder of the writer's lock; a pin whoever put
//! its seat there. `README.md` has the races. This file depends on `sys::primitive` alone, so that the model checker can take it as it is.

use crate::sys::kill_point;
use crate::sys::primitive::{AtomicU64, Ordering, fence};

/// Most pins there can be.
pub(crate) const MAX_PINS: usize = 32;
/// Most buffers that a column can have.
pub(crate) const MAX_BUFFERS: usize = MAX_PINS + 2;

/// The stamp of a buffer that holds parts of a version which was never completed.
const TORN: u64 = u64::MAX;
/// The bits of a pin that say which version; those above say whose. At ten million versions a second they last for 14 years.
const VERSION_BITS: u32 = 52;
/// No file of ours comes to so many versions: a page that says so is damaged.
pub(crate) const TOO_MANY_VERSIONS: u64 = 1 << (VERSION_BITS - 1);
/// Highest number of a seat that fits into a pin.
const LAST_SEAT: u16 = (1 << (u64::BITS - VERSION_BITS)) - 1;

/// The words of the protocol, wherever they lie.
#[derive(Clone, Copy)]
pub(crate) struct Versions<'a> {
    version: &'a AtomicU64,
    writing: &'a AtomicU64,
    pins: &'a [AtomicU64],
    tables: &'a [AtomicU64],
    n_buffers: usize,
}

/// A buffer that held the data of a column at some version when it was looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Found {
    /// Which of the column's buffers.
    pub(crate) buffer: usize,
    /// The version in which the data were written.
    pub(crate) stamp: u64,
}

/// A version that is held. To be given back with [`Versions::unpin`], or it stays until the seat's holder is known to be dead.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(crate) struct Pin {
    word: usize,
    version: u64,
}

impl Pin {
    /// The version that is held.
    pub(crate) fn version(&self) -> u64 {
        self.version
    }
}

impl<'a> Versions<'a> {
    /// Words that the tables of `n_columns` columns take.
    pub(crate) fn n_table_words(n_columns: usize, n_buffers: usize) -> Option<usize> {
        n_columns.checked_mul(n_buffers.checked_add(1)?)
    }

    /// The protocol over its words: a row of `n_buffers` stamps and a floor for each column in `tables`.
    ///
    /// There are two buffers more than pins at least, and the tables are whole rows.
    pub(crate) fn new(
        version: &'a AtomicU64,
        writing: &'a AtomicU64,
        pins: &'a [AtomicU64],
        tables: &'a [AtomicU64],
        n_buffers: usize,
    ) -> Self {
        // Whoever knows of a file from elsewhere has looked at it before.
        debug_assert!((2..=MAX_BUFFERS).contains(&n_buffers), "{n_buffers} buffers");
        debug_assert!(pins.len() + 2 <= n_buffers, "{} pins of {n_buffers} buffers", pins.len());
        debug_assert!(tables.len().is_multiple_of(n_buffers + 1), "tables of {} words", tables.len());
        Self { version, writing, pins, tables, n_buffers }
    }

    /// Number of columns.
    pub(crate) fn n_columns(&self) -> usize {
        self.tables.len() / (self.n_buffers + 1)
    }

    /// Stamps and floor of a column.
    fn row(&self, column: usize) -> (&'a [AtomicU64], &'a AtomicU64) {
        let words = self.n_buffers + 1;
        let (floor, stamps) =
            self.tables[column * words..][..words].split_last().expect("a row is not empty");
        (stamps, floor)
    }

    /// The last complete version; 0 if there is none yet.
    pub(crate) fn version(&self) -> u64 {
        // Acquire: pairs with `commit`, so that stamps and bytes of this version and those before are seen.
        self.version.load(Ordering::Acquire)
    }

    /// Makes what the first buffers of all columns hold version 1. Only before anybody else knows of these words.
    pub(crate) fn start(&self) {
        for column in 0..self.n_columns() {
            self.row(column).0[0].store(1, Ordering::Relaxed);
        }
        self.version.store(1, Ordering::SeqCst);
    }

    /// The buffer with the data of a column at a version. `None` if there never were any, or are no longer.
    ///
    /// For a version that is [pinned](Self::pin) the answer is right, and stays so. Otherwise it may be wrong already: nothing
    /// is known until the data were copied and [`is_intact`](Self::is_intact) says so.
    pub(crate) fn find(&self, column: usize, version: u64) -> Option<Found> {
        let mut found = Found { buffer: 0, stamp: 0 };
        for (buffer, stamp) in self.row(column).0.iter().enumerate() {
            // Whoever knows `version` sees at least the stamps of its commit. Later ones, if they are seen, acquire in `is_intact`.
            let stamp = stamp.load(Ordering::Relaxed);
            if stamp > found.stamp && stamp <= version {
                found = Found { buffer, stamp };
            }
        }
        (found.stamp != 0).then_some(found)
    }

    /// Whether `found` held the data of its version from the time it was looked for until now, and whatever was read of them
    /// meanwhile is theirs. If not, the writer was faster.
    pub(crate) fn is_intact(&self, column: usize, found: Found) -> bool {
        // Acquire: the bytes that were read come before it. If one of them was a later writer's, then the fence of `Draft::column`, which
        // came before that byte, pairs with this one, and the stamp that came before the fence is seen. Also, if `find` saw such a stamp
        // on a buffer that it wanted and so took an older one, then the floor that came before the stamp is seen.
        fence(Ordering::Acquire);
        let (stamps, floor) = self.row(column);
        stamps[found.buffer].load(Ordering::Relaxed) == found.stamp
            && floor.load(Ordering::Relaxed) <= found.stamp
    }

    /// Holds the last complete version, if a pin is free. `seat` is the caller's, and not 0.
    pub(crate) fn pin(&self, seat: u16) -> Option<Pin> {
        debug_assert!((1..=LAST_SEAT).contains(&seat), "seat {seat}");
        // Handles begin at different words, so as not to fight for one.
        let (before, from) = self.pins.split_at(usize::from(seat) % self.pins.len().max(1));
        let words = from.iter().zip(before.len()..).chain(before.iter().zip(0..));
        for (pin, word) in words {
            if pin.load(Ordering::Relaxed) != 0 {
                continue;
            }
            let mut version = self.version.load(Ordering::Acquire);
            // All four accesses are sequentially consistent, this one, the load below, `commit`, and the look at the pins in `Draft::column`:
            // either the next version is seen here, or this pin by the writer of the version after the next, which would be the first
            // to use a buffer of this one. And acquire: whoever had the word before has read all that it wanted.
            if pin.compare_exchange(0, pinned(seat, version), Ordering::SeqCst, Ordering::Relaxed).is_err() {
                continue;
            }
            kill_point!("shared.pin.taken");
            loop {
                let now = self.version.load(Ordering::SeqCst);
                if now == version {
                    return Some(Pin { word, version });
                }
                version = now;
                pin.store(pinned(seat, version), Ordering::SeqCst);
                kill_point!("shared.pin.moved");
            }
        }
        None
    }

    /// Lets go of a version.
    pub(crate) fn unpin(&self, pin: Pin) {
        // Release: what was read comes before the writer that finds the buffer free, which acquires in `Draft::column`.
        self.pins[pin.word].store(0, Ordering::Release);
    }

    /// Whose pins there are, without 0; a seat may come twice.
    pub(crate) fn pinned_seats(&self) -> impl Iterator<Item = u16> + use<'a> {
        let seats = self.pins.iter().map(|pin| (pin.load(Ordering::Relaxed) >> VERSION_BITS) as u16);
        seats.filter(|&seat| seat != 0)
    }

    /// Lets go of all that a dead holder of a seat has pinned.
    ///
    /// Only while the caller holds the lock of that seat. To have seen that it was free is not enough: its next holder may have pinned the
    /// same version in the same word by then.
    pub(crate) fn clear_pins(&self, seat: u16) {
        for pin in self.pins {
            let now = pin.load(Ordering::Relaxed);
            if (now >> VERSION_BITS) as u16 == seat {
                pin.store(0, Ordering::Release);
                kill_point!("shared.pin.cleared");
            }
        }
    }

    /// Begins the next version. Only for the holder of the writer's lock, who must have it all the time until the draft's end.
    ///
    /// What a dead writer has left half done is discarded first.
    ///
    /// # Panics
    ///
    /// If there are no numbers left.
    pub(crate) fn begin(&self) -> Draft<'a> {
        if self.writing.load(Ordering::Relaxed) != 0 {
            self.discard();
        }
        // Acquire, for a writer that comes after another.
        let last = self.version.load(Ordering::Acquire);
        let version = last + 1;
        assert!(version < 1 << VERSION_BITS, "version {version} does not fit a pin");
        self.writing.store(version, Ordering::Relaxed);
        kill_point!("shared.write.begun");
        Draft { versions: *self, version }
    }

    /// Discards the version that is being written, if there is one. Only for the holder of the writer's lock.
    pub(crate) fn discard(&self) {
        let last = self.version.load(Ordering::Acquire);
        for column in 0..self.n_columns() {
            for stamp in self.row(column).0 {
                let now = stamp.load(Ordering::Relaxed);
                if now > last && now != TORN {
                    // Release: the floor, which was stored before the stamp, is seen by whoever sees this.
                    stamp.store(TORN, Ordering::Release);
                    kill_point!("shared.discard.torn");
                }
            }
        }
        // Release: not before the stamps. The number will be used again, and must not be on a buffer then.
        self.writing.store(0, Ordering::Release);
        kill_point!("shared.discard.done");
    }
}

fn pinned(seat: u16, version: u64) -> u64 {
    u64::from(seat) << VERSION_BITS | version
}

/// A version that is being written. What becomes of it must be said with [`commit`](Self::commit) or [`discard`](Versions::discard).
#[must_use]
pub(crate) struct Draft<'a> {
    versions: Versions<'a>,
    version: u64,
}

/// How the bytes of a buffer will be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stores {
    /// By ordinary stores, which do not overtake those before a fence that releases.
    Ordinary,
    /// By any means, also by stores past the cache.
    Any,
}

/// Where to write a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Target {
    /// The buffer to be written.
    pub(crate) buffer: usize,
    /// The buffer with the data of the last version; `None` if there never were any.
    pub(crate) last: Option<usize>,
    /// Whether this is the first time that the draft is asked for this column. What the buffer holds then is old.
    pub(crate) is_first: bool,
}

impl Draft<'_> {
    /// Its number.
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    /// Chooses the buffer for a column, or tells which was chosen. When it returns, bytes of the buffer may be written, by such stores as
    /// the caller has named when it was chosen.
    pub(crate) fn column(&self, column: usize, stores: Stores) -> Target {
        let (stamps, floor) = self.versions.row(column);
        let before = self.version - 1;
        let last = self.versions.find(column, before).map(|found| found.buffer);
        // A bit for each buffer that must not be used: that of the last version, and those of versions that are pinned.
        let mut kept = last.map_or(0_u64, |last| 1 << last);
        for pin in self.versions.pins {
            // SeqCst: pairs with `pin`. Acquire: pairs with `unpin`. Looked at for each column, and not kept in the draft: that
            // would be a table to fill and to move, for one column as for many.
            let version = pin.load(Ordering::SeqCst) & ((1 << VERSION_BITS) - 1);
            if version != 0
                && version != before
                && let Some(found) = self.versions.find(column, version)
            {
                kept |= 1 << found.buffer;
            }
        }
        let mut chosen: Option<Found> = None;
        for (buffer, stamp) in stamps.iter().enumerate() {
            let stamp = stamp.load(Ordering::Relaxed);
            if stamp == self.version {
                return Target { buffer, last, is_first: false };
            }
            // What is torn or was never written goes first, then the oldest: readers that copy have the longest time.
            let stamp = if stamp == TORN { 0 } else { stamp };
            if kept >> buffer & 1 == 0 && chosen.is_none_or(|chosen| stamp < chosen.stamp) {
                chosen = Some(Found { buffer, stamp });
            }
        }
        let Found { buffer, stamp } = chosen.expect("two buffers more than pins");
        if stamp > floor.load(Ordering::Relaxed) {
            floor.store(stamp, Ordering::Relaxed);
            kill_point!("shared.write.floor");
        }
        // Release: whoever sees the stamp sees the floor.
        stamps[buffer].store(self.version, Ordering::Release);
        // Pairs with the fence of `is_intact`: whoever sees a byte of what follows sees the stamp. It suffices to release, but for
        // streaming stores, which only a full fence keeps from overtaking the stamp.
        fence(match stores {
            Stores::Ordinary => Ordering::Release,
            Stores::Any => Ordering::SeqCst,
        });
        kill_point!("shared.write.stamped");
        Target { buffer, last, is_first: true }
    }

    /// Makes all columns of the draft the last complete version, at once. Returns its number.
    ///
    /// The bytes must have been written by ordinary stores, or be behind a fence of their own.
    pub(crate) fn commit(self) -> u64 {
        kill_point!("shared.commit.begin");
        // Release: the bytes come before it. SeqCst: pairs with `pin`.
        self.versions.version.store(self.version, Ordering::SeqCst);
        kill_point!("shared.commit.done");
        // Release: not before the version.
        self.versions.writing.store(0, Ordering::Release);
        self.version
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    struct Words {
        fixed: [AtomicU64; 2],
        pins: Vec<AtomicU64>,
        tables: Vec<AtomicU64>,
        n_buffers: usize,
    }

    impl Words {
        fn new(n_columns: usize, n_buffers: usize) -> Self {
            let words = |n| (0..n).map(|_| AtomicU64::new(0)).collect();
            let n_words = Versions::n_table_words(n_columns, n_buffers).unwrap();
            let fixed = [AtomicU64::new(0), AtomicU64::new(0)];
            Self { fixed, pins: words(n_buffers - 2), tables: words(n_words), n_buffers }
        }

        fn versions(&self) -> Versions<'_> {
            let [version, writing] = &self.fixed;
            Versions::new(version, writing, &self.pins, &self.tables, self.n_buffers)
        }
    }

    const COLUMNS: usize = 3;

    proptest! {
        /// Any order of writing some columns, failing, dying, holding and letting go. What is held has the data of its version, and what is
        /// found and intact too, whatever became of it since; data are the number of the draft that wrote them, which is used once.
        #[test]
        fn versions_keep_their_data(
            n_buffers in 2_usize..6,
            steps in prop::collection::vec((0_u8..6, 0_usize..8, any::<prop::sample::Index>()), 1..60),
        ) {
            let words = Words::new(COLUMNS, n_buffers);
            let versions = words.versions();
            let mut data = vec![[0; MAX_BUFFERS]; COLUMNS];
            // By version, what each column is.
            let mut history = vec![[0; COLUMNS]];
            let (mut held, mut n_drafts): (Vec<Pin>, u64) = (Vec::new(), 0);
            for (what, columns, index) in steps {
                match what {
                    0..=3 => {
                        let draft = versions.begin();
                        prop_assert_eq!(draft.version() as usize, history.len());
                        n_drafts += 1;
                        let mut now = *history.last().unwrap();
                        for column in (0..COLUMNS).filter(|column| columns >> column & 1 == 1) {
                            let target = draft.column(column, Stores::Any);
                            prop_assert!(target.is_first && Some(target.buffer) != target.last);
                            let again = draft.column(column, Stores::Any);
                            prop_assert_eq!((again.buffer, again.is_first), (target.buffer, false));
                            prop_assert_eq!(target.last.map_or(0, |last| data[column][last]), now[column]);
                            data[column][target.buffer] = n_drafts;
                            now[column] = n_drafts;
                        }
                        match what {
                            0 | 1 => {
                                prop_assert_eq!(draft.commit() as usize, history.len());
                                history.push(now);
                            }
                            2 => versions.discard(),
                            // As a writer that is killed leaves it.
                            _ => drop(draft),
                        }
                    }
                    4 => {
                        let pin = versions.pin(5);
                        prop_assert_eq!(pin.is_some(), held.len() < n_buffers - 2);
                        held.extend(pin);
                    }
                    _ if !held.is_empty() => {
                        let pin = held.swap_remove(index.index(held.len()));
                        versions.unpin(pin);
                    }
                    _ => {}
                }
                for pin in &held {
                    for (column, &wanted) in history[pin.version() as usize].iter().enumerate() {
                        let found = versions.find(column, pin.version());
                        prop_assert_eq!(found.map_or(0, |found| data[column][found.buffer]), wanted);
                    }
                }
                for (version, wanted) in history.iter().enumerate() {
                    for (column, &wanted) in wanted.iter().enumerate() {
                        if let Some(found) = versions.find(column, version as u64)
                            && versions.is_intact(column, found)
                        {
                            prop_assert_eq!(data[column][found.buffer], wanted);
                        } else {
                            prop_assert!(version + 1 < history.len() || wanted == 0);
                        }
                    }
                }
            }
        }
    }
}
