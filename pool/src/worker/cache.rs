//! What a worker has mapped: segments and arenas, kept from job to job so that a page is faulted in once.
//!
//! A mapping is found by the nonce of its segment, which stays with the memory when it is recycled and is never
//! given to other memory. What was not used for longest goes when there are too many. A segment that the
//! supervisor has dropped keeps no memory although it is mapped here: its pages were punched out.

use crate::error::Result;
use crate::job::arena::Arena;
use crate::job::board::{Board, OpenJob};
use crate::segment::{Access, Attachment, Locator, Window, attach};
use crate::sys::map::Mapping;
use std::collections::HashMap;
use std::hash::Hash;
use std::rc::Rc;

/// Mappings of segments kept at most.
const MAX_SEGMENTS: usize = 512;
/// Mappings of arenas kept at most: more than can be open at a time.
const MAX_ARENAS: usize = 128;

/// A map that forgets what was not used for longest.
struct Lru<K, V> {
    entries: HashMap<K, (u64, Rc<V>)>,
    capacity: usize,
    tick: u64,
}

impl<K: Eq + Hash + Copy, V> Lru<K, V> {
    fn new(capacity: usize) -> Self {
        Self { entries: HashMap::new(), capacity, tick: 0 }
    }

    fn get(
        &mut self,
        key: K,
        is_current: impl FnOnce(&V) -> bool,
        make: impl FnOnce() -> Result<V>,
    ) -> Result<Rc<V>> {
        self.tick += 1;
        if let Some((used, value)) = self.entries.get_mut(&key)
            && is_current(value)
        {
            *used = self.tick;
            return Ok(Rc::clone(value));
        }
        let value = Rc::new(make()?);
        if self.entries.len() >= self.capacity {
            self.forget_oldest();
        }
        self.entries.insert(key, (self.tick, Rc::clone(&value)));
        Ok(value)
    }

    /// Forgets the older half: one search for many.
    fn forget_oldest(&mut self) {
        let mut ticks: Vec<_> = self.entries.values().map(|(used, _)| *used).collect();
        let middle = ticks.len() / 2;
        let (_, &mut median, _) = ticks.select_nth_unstable(middle);
        self.entries.retain(|_, (used, _)| *used >= median);
    }
}

/// All mappings of a worker.
pub(super) struct Cache {
    segments: Lru<(u64, Access), Attachment>,
    windows: Lru<u64, Option<Window>>,
    arenas: Lru<u64, Arena>,
}

impl Cache {
    pub(super) fn new() -> Self {
        Self {
            segments: Lru::new(MAX_SEGMENTS),
            windows: Lru::new(MAX_SEGMENTS),
            arenas: Lru::new(MAX_ARENAS),
        }
    }

    /// The mapping of a segment.
    pub(super) fn segment(&mut self, locator: &Locator, access: Access) -> Result<Rc<Attachment>> {
        // A staging buffer grows in place: the nonce stays, the length does not.
        let is_current = |known: &Attachment| known.mapping().len() >= locator.file_len;
        self.segments.get((locator.nonce, access), is_current, || attach(locator, access))
    }

    /// The window on a segment, if it may have one.
    pub(super) fn window(&mut self, locator: &Locator) -> Result<Rc<Option<Window>>> {
        self.windows.get(locator.nonce, |_| true, || Window::open(locator))
    }

    /// The arena of an open job; `None` if the job was closed meanwhile.
    pub(super) fn arena(&mut self, board: &Board, index: usize, job: &OpenJob) -> Result<Option<Rc<Arena>>> {
        if let Some((_, arena)) = self.arenas.entries.get(&job.arena) {
            return Ok(Some(Rc::clone(arena)));
        }
        let Some((locator, words_capacity)) = board.arena_of(index, job) else { return Ok(None) };
        let arena = self.arenas.get(
            job.arena,
            |_| true,
            || {
                let (mapping, start) = map_shared(&locator)?;
                Arena::new(mapping, start, words_capacity)
            },
        )?;
        Ok(Some(arena))
    }
}

/// Maps one of the supervisor's control segments for reading and writing; with it, where its data starts.
pub(super) fn map_shared(locator: &Locator) -> Result<(Mapping, usize)> {
    let attachment = attach(locator, Access::Write)?;
    let start = attachment.data_offset();
    Ok((attachment.into_mapping(), start))
}
