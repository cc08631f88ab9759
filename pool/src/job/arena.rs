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
use crate::error::{Error, ErrorKind, Result};
use crate::sys::cells::cells;
use crate::sys::map::Mapping;
use crate::sys::primitive::{AtomicU64, Ordering};

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
}

crate::sys::cells::declare_cells! { JobHeader: 64 }

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
    mapping: Mapping,
    /// Of the segment's data in the mapping.
    start: usize,
    words_capacity: usize,
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
        Ok(Self { mapping, start, words_capacity })
    }

    pub(crate) fn words_capacity(&self) -> usize {
        self.words_capacity
    }

    /// Bytes behind the words.
    pub(crate) fn data_capacity(&self) -> usize {
        self.mapping.len() - self.data_start()
    }

    fn data_start(&self) -> usize {
        self.start + WORDS + (self.words_capacity * 8).next_multiple_of(PAGE)
    }

    fn header(&self) -> &JobHeader {
        &cells::<JobHeader>(&self.mapping, self.start, 1)[0]
    }

    /// The ledger of the job that the arena holds now, if it is job `sequence`.
    pub(crate) fn ledger(&self, sequence: u64, n_blocks: usize) -> Ledger<'_> {
        let words = self.mapping.atomics_u64(self.start + WORDS, n_blocks.min(self.words_capacity));
        Ledger::new(words, sequence)
    }

    /// Number of blocks of the job that the arena holds; a hint until a block of the job is claimed.
    pub(crate) fn n_blocks(&self) -> usize {
        (self.header().n_blocks.load(Ordering::Acquire) as usize).min(self.words_capacity)
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

    /// Writes everything that workers read of a job. The words are not touched.
    ///
    /// # Panics
    ///
    /// If the plan does not fit the arena: the caller chose it to fit.
    pub(crate) fn write_job(&self, plan: &Plan, descriptor: &[u8], arguments: &[u8], table: &[u64]) {
        assert!(
            plan.n_blocks <= self.words_capacity
                && plan.data_len().is_some_and(|n| n <= self.data_capacity())
        );
        let header = self.header();
        header.descriptor_len.store(plan.descriptor_len as u64, Ordering::Relaxed);
        header.arguments_len.store(plan.arguments_len as u64, Ordering::Relaxed);
        header.table_len.store(plan.table_len as u64, Ordering::Relaxed);
        header.slot_bytes.store(plan.slot_bytes as u64, Ordering::Relaxed);
        header.cancelled.store(0, Ordering::Relaxed);
        header.window.store(0, Ordering::Relaxed);
        header.n_freed.store(0, Ordering::Relaxed);
        header.n_blocks.store(plan.n_blocks as u64, Ordering::Release);
        let start = self.data_start();
        self.mapping.write_bytes(start, descriptor);
        self.mapping.write_bytes(start + plan.arguments(), arguments);
        if let Some(at) = plan.table() {
            for (index, end) in table.iter().enumerate() {
                self.mapping.write_bytes(start + at + index * 8, &end.to_le_bytes());
            }
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
            && plan.slot_bytes >= SLOT_HEADER_BYTES
            && plan.data_len().is_some_and(|len| len <= capacity);
        if is_sound { Ok(plan) } else { Err(damaged(format!("{plan:?} does not fit {capacity} bytes"))) }
    }

    /// A copy of the descriptor's bytes.
    pub(crate) fn descriptor(&self, plan: &Plan) -> Vec<u8> {
        self.copy(0, plan.descriptor_len)
    }

    /// A copy of the arguments of all blocks, or of one call of a batch.
    pub(crate) fn arguments(&self, plan: &Plan, call: Option<usize>) -> Vec<u8> {
        let (from, to) = match call {
            None => (0, plan.arguments_len),
            Some(call) => {
                let end_of = |index: usize| {
                    let mut bytes = [0; 8];
                    // A call beyond the table has no arguments; that will not do, and be said, when they are decoded.
                    if let Some(table) = plan.table().filter(|_| index < plan.table_len) {
                        self.mapping.read_bytes(self.data_start() + table + index * 8, &mut bytes);
                    }
                    (u64::from_le_bytes(bytes) as usize).min(plan.arguments_len)
                };
                (if call == 0 { 0 } else { end_of(call - 1) }, end_of(call))
            }
        };
        self.copy(plan.arguments() + from, to.saturating_sub(from))
    }

    fn copy(&self, at: usize, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.mapping.read_bytes(self.data_start() + at, &mut bytes);
        bytes
    }

    /// Writes the outcome of a block into its slot. Only for the holder of the block.
    pub(crate) fn write_slot(&self, plan: &Plan, block: usize, kind: SlotKind, payload: Payload<'_>) {
        let at = self.data_start() + plan.slots().unwrap_or(usize::MAX) + block * plan.slot_bytes;
        let (len, offset) = match payload {
            Payload::Inline(bytes) => {
                assert!(bytes.len() <= plan.slot_bytes - SLOT_HEADER_BYTES);
                self.mapping.write_bytes(at + SLOT_HEADER_BYTES, bytes);
                (bytes.len() as u64, INLINE)
            }
            Payload::Spilled { offset, len } => (len, offset),
        };
        let mut header = [0; SLOT_HEADER_BYTES];
        header[..8].copy_from_slice(&(kind as u64).to_le_bytes());
        header[8..16].copy_from_slice(&len.to_le_bytes());
        header[16..].copy_from_slice(&offset.to_le_bytes());
        self.mapping.write_bytes(at, &header);
    }

    /// Whether a block of job `sequence` that is not *done* was run and given back.
    pub(crate) fn was_given_back(&self, plan: &Plan, block: usize, sequence: u64) -> bool {
        let mut bytes = Vec::new();
        // Slots are not cleared between jobs: the sequence tells whose this is.
        matches!(self.read_slot(plan, block, &mut bytes), Ok((SlotKind::GivenBack, Place::Inline)))
            && bytes == sequence.to_le_bytes()
    }

    /// Reads the slot of a block whose word is terminal.
    ///
    /// # Errors
    ///
    /// If the slot's bytes cannot be right: they come from another process.
    pub(crate) fn read_slot(
        &self,
        plan: &Plan,
        block: usize,
        inline: &mut Vec<u8>,
    ) -> Result<(SlotKind, Place)> {
        let slots = plan
            .slots()
            .filter(|_| block < plan.n_blocks)
            .ok_or_else(|| damaged(format!("no slot for block {block} of {plan:?}")))?;
        let at = self.data_start() + slots + block * plan.slot_bytes;
        let mut header = [0; SLOT_HEADER_BYTES];
        self.mapping.read_bytes(at, &mut header);
        let word = |index: usize| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&header[index * 8..index * 8 + 8]);
            u64::from_le_bytes(bytes)
        };
        let kind = SlotKind::from_bits(word(0))
            .ok_or_else(|| damaged(format!("slot of block {block} has kind {}", word(0))))?;
        let (len, offset) = (word(1), word(2));
        if offset != INLINE {
            return Ok((kind, Place::Spilled { offset, len }));
        }
        let len = usize::try_from(len)
            .ok()
            .filter(|&len| len <= plan.slot_bytes - SLOT_HEADER_BYTES)
            .ok_or_else(|| damaged(format!("slot of block {block} claims {len} bytes")))?;
        inline.resize(len, 0);
        self.mapping.read_bytes(at + SLOT_HEADER_BYTES, inline);
        Ok((kind, Place::Inline))
    }
}

fn damaged(what: String) -> Error {
    Error::new(ErrorKind::Segment, format!("the memory of a job is damaged: {what}"))
        .with_hint("native code in a task may write outside of its arrays")
}

/// Bytes of a slot before its inline payload.
pub(crate) const SLOT_HEADER_BYTES: usize = 24;
/// In place of a spill offset: the payload lies in the slot.
const INLINE: u64 = u64::MAX;

/// Bytes of a slot for a result whose value has this size in memory.
pub(crate) fn slot_bytes(value_bytes: usize) -> usize {
    // Serialised values are seldom much larger than in memory; what does not fit spills.
    (SLOT_HEADER_BYTES + value_bytes + value_bytes / 4).next_multiple_of(64).clamp(64, 512)
}

/// What a slot holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub(crate) enum SlotKind {
    /// The serialised result of the block.
    Value = 1,
    /// A serialised [`Failure`](crate::task::Failure).
    Failure = 2,
    /// The sequence of the job: the task ran, there was no space for its result, and the block was given back.
    GivenBack = 3,
}

impl SlotKind {
    fn from_bits(bits: u64) -> Option<Self> {
        match bits {
            1 => Some(Self::Value),
            2 => Some(Self::Failure),
            3 => Some(Self::GivenBack),
            _ => None,
        }
    }
}

/// The bytes of an outcome, as their writer has them.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Payload<'a> {
    /// Few enough for the slot.
    Inline(&'a [u8]),
    /// In the spill file of the worker that holds the block.
    Spilled { offset: u64, len: u64 },
}

/// Where the bytes of an outcome are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// Copied from the slot.
    Inline,
    /// In the spill file of the worker that the block's word names.
    Spilled { offset: u64, len: u64 },
}
