//! Results that do not fit their slots: appended to the worker's spill file, page by page.
//!
//! The file belongs to the supervisor, which reads a result from it and punches its pages out. Places only grow,
//! the file is sparse, so nothing is ever moved or waited for. The board says how far the file is used, so that
//! the slot's next worker goes on behind, and where the block in hand began, so that a sweep can punch out what
//! it left.

use crate::job::board::Board;
use crate::segment::Attachment;
use crate::sys::kill_point;
use std::io;
use std::rc::Rc;

const PAGE: u64 = 4096;

pub(super) struct Spill {
    file: Rc<Attachment>,
    slot: usize,
}

impl Spill {
    pub(super) fn new(file: Rc<Attachment>, slot: usize) -> Self {
        Self { file, slot }
    }

    /// Marks where the block in hand begins to spill.
    pub(super) fn begin_block(&self, board: &Board) {
        let (start, end) = board.spill(self.slot);
        if start != end {
            board.set_spill(self.slot, end, end);
        }
    }

    /// Writes bytes and returns their place.
    ///
    /// # Errors
    ///
    /// That of the write; space that was taken is given back when the supervisor sweeps or reads the block.
    pub(super) fn write(&self, board: &Board, bytes: &[u8]) -> io::Result<u64> {
        let (start, place) = board.spill(self.slot);
        kill_point!("spill.begin");
        // Said before it is written: a sweep must know what to punch out.
        board.set_spill(self.slot, start, place + (bytes.len() as u64).next_multiple_of(PAGE));
        kill_point!("spill.said");
        if let Err(error) = self.file.write_at(place as usize, bytes) {
            // What was written of it would stay until the pool ends: no slot names it.
            let _ = self.file.punch(place as usize, bytes.len());
            board.set_spill(self.slot, start, place);
            return Err(error);
        }
        kill_point!("spill.written");
        Ok(place)
    }
}
