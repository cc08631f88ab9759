//! Which jobs there are, and the arenas that they lie in.

use super::core::Core;
use super::record::JobRecord;
use crate::error::{Error, ErrorKind, Result};
use crate::job::arena::{Arena, Plan, arena_len};
use crate::job::board::N_JOBS;
use crate::segment::Segment;
use std::collections::VecDeque;
use std::sync::{Arc, MutexGuard, PoisonError};

/// Words that the smallest arena holds.
const MIN_WORDS: usize = 512;
/// Bytes behind the words of the smallest arena.
const MIN_DATA_BYTES: usize = 60 << 10;
/// Arenas that wait to be used again, at most; larger ones are let go first.
const MAX_FREE_ARENAS: usize = 2 * N_JOBS;
/// An arena that is larger is not kept.
const MAX_KEPT_ARENA_BYTES: usize = 64 << 20;

/// An arena with the segment that it lies in.
#[derive(Debug)]
pub(crate) struct OwnedArena {
    pub(super) id: u64,
    pub(super) arena: Arena,
    pub(super) segment: Arc<Segment>,
}

/// The jobs of a pool.
#[derive(Debug, Default)]
pub(super) struct Table {
    pub(super) entries: Vec<Option<Arc<JobRecord>>>,
    pub(super) queue: VecDeque<Arc<JobRecord>>,
    pub(super) free_arenas: Vec<OwnedArena>,
    pub(super) n_arenas: u64,
}

impl Table {
    /// An arena that a job of this plan fits into: of those that are free the one used last, or a new one.
    pub(super) fn take_arena(&mut self, core: &Core, plan: &Plan) -> Result<OwnedArena> {
        let too_large =
            || Error::new(ErrorKind::Shape, format!("a job of {} blocks is too large", plan.n_blocks));
        let data_len = plan.data_len().ok_or_else(too_large)?;
        let fits = |owned: &OwnedArena| {
            owned.arena.words_capacity() >= plan.n_blocks && owned.arena.data_capacity() >= data_len
        };
        // The last one used is at the end, and its pages are warm.
        if let Some(index) = self.free_arenas.iter().rposition(fits) {
            return Ok(self.free_arenas.swap_remove(index));
        }
        let words_capacity = plan.n_blocks.max(MIN_WORDS);
        let len = arena_len(words_capacity, data_len.max(MIN_DATA_BYTES)).ok_or_else(too_large)?;
        let segment = Segment::raw(&core.run, len)?;
        let arena = Arena::new(segment.map_fresh()?, segment.data_offset(), words_capacity)?;
        self.n_arenas += 1;
        Ok(OwnedArena { id: self.n_arenas, arena, segment })
    }
}

impl Core {
    pub(super) fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The open jobs, and those that wait to be opened.
    pub(super) fn all_jobs(&self) -> Vec<Arc<JobRecord>> {
        let table = self.table();
        table.entries.iter().flatten().chain(&table.queue).cloned().collect()
    }

    /// The open jobs.
    pub(super) fn open_jobs(&self) -> Vec<Arc<JobRecord>> {
        self.table().entries.iter().flatten().cloned().collect()
    }

    /// Gives the arena of a job that has ended to the next one.
    pub(super) fn give_back(&self, arena: OwnedArena) {
        let mut table = self.table();
        let len = arena.arena.data_capacity() + arena.arena.words_capacity() * 8;
        if table.free_arenas.len() < MAX_FREE_ARENAS && len <= MAX_KEPT_ARENA_BYTES {
            table.free_arenas.push(arena);
        }
    }
}
