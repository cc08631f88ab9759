//! The memory of one job: its header, its words, and behind them descriptor, arguments and result slots.
//!
//! ```text
//! ┌────────────┬──────────────────────────┬────────────┬───────────┬───────┬──────────────┐
//! │ JobHeader  │ words (fixed capacity)   │ descriptor │ arguments │ table │ result slots │
//! │ 4096 bytes │ 8 bytes a block          │            │           │       │              │
//! └────────────┴──────────────────────────┴────────────┴───────────┴───────┴──────────────┘
//! ```
//!
//! Arenas are reused from job to job. The words never move within an arena and their memory is never anything
//! else, so that a worker which was paused in an older job can only ever see words.
//!
//! *Who writes when:* the publisher writes everything up to the slots while no word is free; the holder of a
//! block writes its slot; the supervisor reads a slot once its word is terminal.

use super::ledger::Ledger;
use super::slots::{SlotKind, Slots, is_slot_size};
use crate::error::{Error, ErrorKind, Result};
use crate::sys::cells::Placed;
use crate::sys::map::Mapping;
use crate::sys::prefetch;
use crate::sys::primitive::{AtomicU64, Ordering};
use std::sync::Arc;

const PAGE: usize = 4096;
/// Where the words start: after the header.
const WORDS: usize = PAGE;

/// Fixed part of an arena. Written by the publisher while no word of the arena is free.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct JobHeader {
    n_blocks: AtomicU64,
    descriptor_len: AtomicU64,
    arguments_len: AtomicU64,
    /// Ends of each call's arguments, if the job is a batch.
    table_len: AtomicU64,
    slot_bytes: AtomicU64,
    /// Not zero once the job was cancelled; a hint for tasks that ask.
    cancelled: AtomicU64,
    /// Blocks of the job that workers may hold at a time; zero for no limit. Written by workers that found no space for a
    /// result, and by the supervisor when space has come back.
    window: AtomicU64,
    /// Blocks that were given back or swept so far: bumped before each of their words is free.
    n_freed: AtomicU64,
    /// Not zero if a worker has spilled a result.
    has_spilled: AtomicU64,
    unused: [AtomicU64; 7],
}

crate::sys::cells::declare_cells! { JobHeader: 128 }

/// Sizes from which the places of an arena's parts follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) n_blocks: usize,
    pub(crate) descriptor_len: usize,
    pub(crate) arguments_len: usize,
    pub(crate) table_len: usize,
    pub(crate) slot_bytes: usize,
}

impl Plan {
    /// Bytes behind the words.
    pub(crate) fn data_len(&self) -> Option<usize> {
        self.slots()?.checked_add(self.slot_bytes.checked_mul(self.n_blocks)?)
    }

    fn arguments(&self) -> usize {
        self.descriptor_len.next_multiple_of(8)
    }

    fn table(&self) -> Option<usize> {
        self.arguments().checked_add(self.arguments_len)?.checked_next_multiple_of(8)
    }

    fn slots(&self) -> Option<usize> {
        self.table()?.checked_add(self.table_len.checked_mul(8)?)?.checked_next_multiple_of(64)
    }
}

/// An arena as one process sees it.
#[derive(Debug)]
pub(crate) struct Arena {
    mapping: Arc<Mapping>,
    /// Of the bytes behind the words, in the mapping.
    data_start: usize,
    header: Placed<JobHeader>,
    words: Placed<AtomicU64>,
    /// The bytes behind the words, as words.
    data: Placed<AtomicU64>,
}

/// Bytes that an arena of this many words and this much data takes.
pub(crate) fn arena_len(words_capacity: usize, data_capacity: usize) -> Option<usize> {
    let words = words_capacity.checked_mul(8)?.checked_next_multiple_of(PAGE)?;
    WORDS.checked_add(words)?.checked_add(data_capacity)?.checked_next_multiple_of(PAGE)
}

impl Arena {
    /// An arena in a mapping whose segment's data starts at `start`.
    pub(crate) fn new(mapping: Mapping, start: usize, words_capacity: usize) -> Result<Self> {
        let least = arena_len(words_capacity, 0).and_then(|len| len.checked_add(start));
        if least.is_none_or(|least| least > mapping.len()) {
            return Err(damaged(format!("{words_capacity} words do not fit {} bytes", mapping.len())));
        }
        let data_start = start + WORDS + (words_capacity * 8).next_multiple_of(PAGE);
        let mapping = Arc::new(mapping);
        Ok(Self {
            data_start,
            header: Placed::new(&mapping, start, 1),
            words: Placed::new(&mapping, start + WORDS, words_capacity),
            data: Placed::new(&mapping, data_start, (mapping.len() - data_start) / 8),
            mapping,
        })
    }

    pub(crate) fn words_capacity(&self) -> usize {
        self.words.len()
    }

    /// Bytes behind the words.
    pub(crate) fn data_capacity(&self) -> usize {
        self.data.len() * 8
    }

    fn header(&self) -> &JobHeader {
        &self.header[0]
    }

    /// The ledger of the job that the arena holds now, if it is job `sequence`.
    pub(crate) fn ledger(&self, sequence: u64, n_blocks: usize) -> Ledger<'_> {
        Ledger::new(&self.words[..n_blocks.min(self.words.len())], sequence)
    }

    /// Number of blocks of the job that the arena holds; a hint until a block of the job is claimed.
    pub(crate) fn n_blocks(&self) -> usize {
        (self.header().n_blocks.load(Ordering::Acquire) as usize).min(self.words.len())
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.header().cancelled.load(Ordering::Relaxed) != 0
    }

    pub(crate) fn set_cancelled(&self) {
        self.header().cancelled.store(1, Ordering::Relaxed);
    }

    /// Blocks that workers may hold at a time, if space for results is short; a hint.
    pub(crate) fn window(&self) -> Option<usize> {
        let window = self.header().window.load(Ordering::Relaxed) as usize;
        (window != 0).then_some(window)
    }

    /// Lets workers hold no more blocks at a time than this.
    pub(crate) fn narrow(&self, n_blocks: usize) {
        let narrower = |window| (window == 0 || window > n_blocks as u64).then_some(n_blocks as u64);
        // An error means that it is as narrow already.
        let _ = self.header().window.fetch_update(Ordering::Relaxed, Ordering::Relaxed, narrower);
    }

    /// Lets workers hold as many blocks as they like; whether they could not.
    pub(crate) fn widen(&self) -> bool {
        self.header().window.swap(0, Ordering::Relaxed) != 0
    }

    /// How often a block of the job has become free again; read before an attempt to find out whether somebody who had taken
    /// space for a result has let it go meanwhile.
    pub(crate) fn n_freed(&self) -> u64 {
        self.header().n_freed.load(Ordering::Acquire)
    }

    /// A block is about to become free again, and what it had spilled was given back.
    pub(crate) fn note_freed(&self) {
        // Before the word, whose change releases: who sees that the block is not held any more sees this.
        self.header().n_freed.fetch_add(1, Ordering::AcqRel);
    }

    /// A result of the job was spilled. Said before its block's word is terminal.
    pub(crate) fn note_spilled(&self) {
        self.header().has_spilled.store(1, Ordering::Relaxed);
    }

    /// Whether a result of the job was spilled, once its words are terminal.
    pub(crate) fn has_spilled(&self) -> bool {
        self.header().has_spilled.load(Ordering::Relaxed) != 0
    }

    /// Writes everything that workers read of a job. The words are not touched.
    ///
    /// # Panics
    ///
    /// If the plan does not fit the arena: the caller chose it to fit.
    pub(crate) fn write_job(&self, plan: &Plan, descriptor: &[u8], arguments: &[u8], table: &[u64]) {
        assert!(
            plan.n_blocks <= self.words.len() && plan.data_len().is_some_and(|n| n <= self.data_capacity())
        );
        let header = self.header();
        set(&header.descriptor_len, plan.descriptor_len as u64);
        set(&header.arguments_len, plan.arguments_len as u64);
        set(&header.table_len, plan.table_len as u64);
        set(&header.slot_bytes, plan.slot_bytes as u64);
        set(&header.cancelled, 0);
        set(&header.window, 0);
        set(&header.n_freed, 0);
        set(&header.has_spilled, 0);
        if header.n_blocks.load(Ordering::Relaxed) != plan.n_blocks as u64 {
            header.n_blocks.store(plan.n_blocks as u64, Ordering::Release);
        }
        if !self.begins_with(descriptor) {
            self.mapping.write_bytes(self.data_start, descriptor);
        }
        self.mapping.write_bytes(self.data_start + plan.arguments(), arguments);
        if let Some(at) = plan.table() {
            for (cell, end) in self.data[at / 8..].iter().zip(table) {
                cell.store(*end, Ordering::Relaxed);
            }
        }
    }

    /// Whether the bytes behind the words begin with these.
    pub(crate) fn begins_with(&self, bytes: &[u8]) -> bool {
        let Some(cells) = self.data.get(..bytes.len().div_ceil(8)) else { return false };
        let is_there = |(bytes, cell): (&[u8], &AtomicU64)| {
            cell.load(Ordering::Relaxed).to_le_bytes().starts_with(bytes)
        };
        bytes.chunks(8).zip(cells).all(is_there)
    }

    /// Asks for what a worker looks at before it claims this block: by the time that it has found out which job is open, the memory
    /// of the job before, which mostly is the same, is on its way.
    pub(crate) fn will_claim(&self, block: usize) {
        prefetch::will_read(std::ptr::from_ref(self.header()).cast(), size_of::<JobHeader>());
        prefetch::will_read(self.data.as_ptr().cast(), 128);
        if let Some(word) = self.words.get(block) {
            prefetch::will_read(std::ptr::from_ref(word).cast(), 8);
        }
    }

    /// The plan of the job that the arena holds. For a worker that holds a claim: it then cannot change.
    pub(crate) fn plan(&self) -> Result<Plan> {
        let header = self.header();
        let load = |cell: &AtomicU64| cell.load(Ordering::Relaxed) as usize;
        let plan = Plan {
            n_blocks: self.n_blocks(),
            descriptor_len: load(&header.descriptor_len),
            arguments_len: load(&header.arguments_len),
            table_len: load(&header.table_len),
            slot_bytes: load(&header.slot_bytes),
        };
        let capacity = self.data_capacity();
        let is_sound = plan.descriptor_len <= capacity
            && is_slot_size(plan.slot_bytes)
            && plan.data_len().is_some_and(|len| len <= capacity);
        if is_sound { Ok(plan) } else { Err(damaged(format!("{plan:?} does not fit {capacity} bytes"))) }
    }

    /// Copies the descriptor's bytes, in place of what the vector holds.
    pub(crate) fn read_descriptor(&self, plan: &Plan, bytes: &mut Vec<u8>) {
        self.copy(0, plan.descriptor_len, bytes);
    }

    /// Copies the arguments of all blocks, or of one call of a batch, in place of what the vector holds.
    pub(crate) fn read_arguments(&self, plan: &Plan, call: Option<usize>, bytes: &mut Vec<u8>) {
        let (from, to) = match call {
            None => (0, plan.arguments_len),
            Some(call) => {
                let end_of = |index: usize| {
                    let table = plan.table().filter(|_| index < plan.table_len);
                    // A call beyond the table has no arguments; that will not do, and be said, when they are decoded.
                    let end = table.map_or(0, |at| self.data[at / 8 + index].load(Ordering::Relaxed));
                    (end as usize).min(plan.arguments_len)
                };
                (if call == 0 { 0 } else { end_of(call - 1) }, end_of(call))
            }
        };
        self.copy(plan.arguments() + from, to.saturating_sub(from), bytes);
    }

    fn copy(&self, at: usize, len: usize, bytes: &mut Vec<u8>) {
        bytes.resize(len, 0);
        self.mapping.read_bytes(self.data_start + at, bytes);
    }

    /// The result slots of a job whose plan fits the arena.
    pub(crate) fn slots(&self, plan: &Plan) -> Slots<'_> {
        let start = plan.slots().expect("a plan that fits has a place for its slots") / 8;
        Slots::new(&self.data[start..start + plan.n_blocks * plan.slot_bytes / 8], plan.slot_bytes)
    }

    /// Whether a block of job `sequence` that is not *done* was run and given back.
    pub(crate) fn was_given_back(&self, plan: &Plan, block: usize, sequence: u64) -> bool {
        let mut bytes = Vec::new();
        // Slots are not cleared between jobs: the sequence tells whose this is.
        self.slots(plan).read(block, &mut bytes).is_ok_and(|slot| slot.kind == SlotKind::GivenBack)
            && bytes == sequence.to_le_bytes()
    }
}

/// Stores what is not there already: a line that nobody has written stays in the caches of all who read it.
fn set(cell: &AtomicU64, value: u64) {
    if cell.load(Ordering::Relaxed) != value {
        cell.store(value, Ordering::Relaxed);
    }
}

fn damaged(what: String) -> Error {
    Error::new(ErrorKind::Segment, format!("the memory of a job is damaged: {what}"))
        .with_hint("native code in a task may write outside of its arrays")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::shm;

    #[test]
    fn what_has_changed_is_written_whatever_was_there() {
        let file = shm::create_memfd("arena").unwrap();
        let len = arena_len(8, PAGE).unwrap();
        file.set_len(len as u64).unwrap();
        let arena = Arena::new(Mapping::read_write(&file, len).unwrap(), 0, 8).unwrap();
        let mut found = Vec::new();
        // Each differs from the one before in its last byte, its length, or its first.
        for descriptor in
            [&b"eleven byte"[..], b"eleven bytf", b"eleven bytf and more", b"eleven b", b"Eleven b", b""]
        {
            let plan = Plan {
                n_blocks: descriptor.len() % 8,
                descriptor_len: descriptor.len(),
                arguments_len: 3,
                table_len: 0,
                slot_bytes: 16,
            };
            arena.note_spilled();
            arena.set_cancelled();
            arena.narrow(1);
            arena.note_freed();
            arena.write_job(&plan, descriptor, b"xyz", &[]);
            assert_eq!(arena.plan().unwrap(), plan);
            assert!(!arena.has_spilled() && !arena.is_cancelled());
            assert_eq!((arena.window(), arena.n_freed()), (None, 0));
            arena.read_descriptor(&plan, &mut found);
            assert_eq!(found, descriptor);
            assert!(arena.begins_with(descriptor) && !arena.begins_with(&[descriptor, b"?"].concat()));
            arena.read_arguments(&plan, None, &mut found);
            assert_eq!(found, b"xyz");
        }
        assert!(!arena.begins_with(&vec![0; arena.data_capacity() + 1]));
    }
}
