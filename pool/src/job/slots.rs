//! Result slots: what became of each block of a job, at a fixed place for each.
//!
//! ```text
//!  63                          24 23     17 16 15      8 7     0
//! ┌──────────────────────────────┬─────────┬──┬─────────┬───────┐
//! │ bytes of the payload (40)    │ 0       │S │ height  │ kind  │
//! ├──────────────────────────────┴─────────┴──┴─────────┴───────┤
//! │ payload; if S is set, its place in the worker's spill file  │
//! └─────────────────────────────────────────────────────────────┘
//! ```
//!
//! A value of height *h* is the merged result of the 2ʰ blocks that end with this one: the worker that ran them one after
//! the other has merged them as it went (`task::fold`). Each of them has a slot of its own all the same.
//!
//! A slot is written by the holder of its block, before the block's word is terminal, and read after. It is never cleared:
//! what a block that is not *done* or *failed* has in its slot may come from an earlier job.

use crate::error::{Error, ErrorKind, Result};
use crate::sys::cells::{load_bytes, store_bytes};
use crate::sys::primitive::{AtomicU64, Ordering};

/// Bytes of a slot before its payload.
pub(crate) const SLOT_HEADER_BYTES: usize = 8;
/// Bytes of the smallest slot: a header and a place in a spill file.
pub(crate) const MIN_SLOT_BYTES: usize = 16;
/// Bytes of the largest slot.
const MAX_SLOT_BYTES: usize = 512;

const HEIGHT_SHIFT: u32 = 8;
const IS_SPILLED: u64 = 1 << 16;
const LEN_SHIFT: u32 = 24;

/// Bytes of a slot for a result whose value has this size in memory.
pub(crate) fn slot_bytes(value_bytes: usize) -> usize {
    // Serialised values are seldom much larger than in memory; what does not fit spills.
    let wanted = value_bytes.saturating_add(value_bytes / 4).saturating_add(SLOT_HEADER_BYTES);
    wanted.clamp(MIN_SLOT_BYTES, MAX_SLOT_BYTES).next_multiple_of(8)
}

/// Whether slots can be this large.
pub(crate) fn is_slot_size(slot_bytes: usize) -> bool {
    slot_bytes >= MIN_SLOT_BYTES && slot_bytes.is_multiple_of(8)
}

/// What a slot holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
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

/// A slot that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) kind: SlotKind,
    /// The payload concerns the 2ʰ blocks that end with the slot's, *h* being this.
    pub(crate) height: u32,
    pub(crate) place: Place,
}

/// The slots of a job.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Slots<'a> {
    words: &'a [AtomicU64],
    words_per_slot: usize,
}

impl<'a> Slots<'a> {
    /// Slots of `slot_bytes` bytes each.
    ///
    /// # Panics
    ///
    /// If slots cannot be of this size.
    pub(crate) fn new(words: &'a [AtomicU64], slot_bytes: usize) -> Self {
        assert!(is_slot_size(slot_bytes), "slots of {slot_bytes} bytes");
        Self { words, words_per_slot: slot_bytes / 8 }
    }

    /// Bytes of payload that fit a slot.
    pub(crate) fn room(&self) -> usize {
        self.words_per_slot * 8 - SLOT_HEADER_BYTES
    }

    /// Header and payload of a slot.
    fn slot(&self, block: usize) -> Option<(&'a AtomicU64, &'a [AtomicU64])> {
        let start = block.checked_mul(self.words_per_slot)?;
        self.words.get(start..start.checked_add(self.words_per_slot)?)?.split_first()
    }

    /// Writes the outcome of a block. Only for the holder of the block.
    ///
    /// # Panics
    ///
    /// If there is no such slot, or the payload does not fit it.
    pub(crate) fn write(&self, block: usize, kind: SlotKind, height: u32, payload: Payload<'_>) {
        let (header, room) = self.slot(block).expect("the job has such a block");
        let (len, place) = match payload {
            Payload::Inline(bytes) => {
                assert!(bytes.len() <= room.len() * 8);
                store_bytes(room, bytes);
                (bytes.len() as u64, 0)
            }
            Payload::Spilled { offset, len } => {
                room[0].store(offset, Ordering::Relaxed);
                (len, IS_SPILLED)
            }
        };
        let bits = kind as u64 | u64::from(height) << HEIGHT_SHIFT | place | len << LEN_SHIFT;
        header.store(bits, Ordering::Relaxed);
    }

    /// For how many blocks the payload of a slot stands, as a power of two; zero if there is no such slot.
    pub(crate) fn height(&self, block: usize) -> u32 {
        self.slot(block)
            .map_or(0, |(header, _)| (header.load(Ordering::Relaxed) >> HEIGHT_SHIFT & 0xff) as u32)
    }

    /// Reads the slot of a block whose word is terminal; a payload that lies in it is copied to `inline`.
    ///
    /// # Errors
    ///
    /// If the slot's bytes cannot be right: they come from another process.
    pub(crate) fn read(&self, block: usize, inline: &mut Vec<u8>) -> Result<Slot> {
        let (header, room) = self.slot(block).ok_or_else(|| damaged(block, "there is no such slot"))?;
        let bits = header.load(Ordering::Relaxed);
        let kind = SlotKind::from_bits(bits & 0xff)
            .ok_or_else(|| damaged(block, format_args!("it is of kind {}", bits & 0xff)))?;
        let height = (bits >> HEIGHT_SHIFT & 0xff) as u32;
        let len = bits >> LEN_SHIFT;
        if bits & IS_SPILLED != 0 {
            let offset = room[0].load(Ordering::Relaxed);
            return Ok(Slot { kind, height, place: Place::Spilled { offset, len } });
        }
        if len > (room.len() * 8) as u64 {
            return Err(damaged(block, format_args!("it claims {len} bytes")));
        }
        load_bytes(room, len as usize, inline);
        Ok(Slot { kind, height, place: Place::Inline })
    }
}

fn damaged(block: usize, what: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Segment, format!("the slot of block {block} is damaged: {what}"))
        .with_hint("native code in a task may write outside of its arrays")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(n: usize) -> Vec<AtomicU64> {
        (0..n).map(|_| AtomicU64::new(u64::MAX)).collect()
    }

    #[test]
    fn what_is_written_is_read() {
        let memory = cells(12);
        let slots = Slots::new(&memory, 32);
        assert_eq!(slots.room(), 24);
        let mut inline = b"left over".to_vec();
        for len in [0, 1, 7, 8, 9, 24] {
            let bytes: Vec<u8> = (1..=len).collect();
            slots.write(1, SlotKind::Value, 5, Payload::Inline(&bytes));
            let slot = slots.read(1, &mut inline).unwrap();
            assert_eq!(slot, Slot { kind: SlotKind::Value, height: 5, place: Place::Inline });
            assert_eq!(inline, bytes);
        }
        let (offset, len) = (u64::MAX, (1 << 40) - 1);
        slots.write(2, SlotKind::Failure, 0, Payload::Spilled { offset, len });
        let slot = slots.read(2, &mut inline).unwrap();
        assert_eq!(slot.place, Place::Spilled { offset, len });
    }

    #[test]
    fn slots_that_cannot_be_are_errors() {
        let memory = cells(4);
        let slots = Slots::new(&memory, 16);
        let mut inline = Vec::new();
        // All bits are set: no such kind. Then a kind, and a length beyond the slot. Then no slot at all.
        assert!(slots.read(0, &mut inline).is_err());
        memory[0].store(1 | 9 << LEN_SHIFT, Ordering::Relaxed);
        assert!(slots.read(0, &mut inline).is_err());
        assert!(slots.read(2, &mut inline).is_err());
        assert!(slots.read(usize::MAX, &mut inline).is_err());
    }

    #[test]
    fn sizes_leave_room_for_the_value_and_for_a_place() {
        for (value, slot) in [(0, 16), (8, 24), (6, 16), (24, 40), (400, 512), (usize::MAX, 512)] {
            assert_eq!(slot_bytes(value), slot, "{value}");
            assert!(is_slot_size(slot_bytes(value)));
        }
    }
}
