use crate::job::arena::Arena;
use crate::job::board::{Board, N_JOBS};
use crate::job::slots::{Place as SlotPlace, Slot, is_slot_size};
use crate::job::word::State;
use crate::segment::{Access, Kind, Locator, PAGE_BYTES, Place, RunId, attach};
use crate::sys::map::Mapping;
use crate::sys::shm;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, MetadataExt};

/// Numbers at the front of an input.
pub(super) struct Front<'a>(pub(super) &'a [u8]);

impl Front<'_> {
    pub(super) fn byte(&mut self) -> u8 {
        let Some((&first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        first
    }

    fn word(&mut self) -> u64 {
        let len = self.0.len().min(8);
        let (front, rest) = self.0.split_at(len);
        self.0 = rest;
        let mut word = [0; 8];
        word[..len].copy_from_slice(front);
        u64::from_le_bytes(word)
    }
}

/// Shared memory of some pages that begins with these bytes.
fn file_of(n_pages: usize, at: usize, bytes: &[u8]) -> File {
    let file = shm::create_memfd("fuzz").expect("memory");
    let len = n_pages * PAGE_BYTES;
    file.set_len(len as u64).expect("memory");
    let n = bytes.len().min(len - at);
    file.write_all_at(&bytes[..n], at as u64).expect("memory");
    file
}

fn map(file: &File, n_pages: usize) -> Mapping {
    Mapping::read_write(file, n_pages * PAGE_BYTES).expect("memory")
}

/// The memory of a job: its plan, its words, its slots.
///
/// The input is the number of words, a number of blocks as the supervisor knows it, then the header, the first words, and what
/// lies behind the words. Nothing that it says reaches outside of the mapping; a plan that is accepted fits it.
pub fn arena(input: &[u8]) {
    const PAGES: usize = 4;
    let mut front = Front(input);
    let words_capacity = front.word() as usize;
    let n_blocks = usize::from(front.byte());
    let file = file_of(PAGES, 0, &front.0[..front.0.len().min(128)]);
    let rest = front.0.get(128..).unwrap_or_default();
    let words = &rest[..rest.len().min(64)];
    file.write_all_at(words, PAGE_BYTES as u64).expect("memory");
    let data = rest.get(64..).unwrap_or_default();
    let room = (PAGES - 2) * PAGE_BYTES;
    file.write_all_at(&data[..data.len().min(room)], 2 * PAGE_BYTES as u64).expect("memory");
    let Ok(arena) = Arena::new(map(&file, PAGES), 0, words_capacity) else { return };
    assert!(arena.n_blocks() <= words_capacity);
    if let Ok(plan) = arena.plan() {
        assert!(plan.data_len().expect("checked") <= arena.data_capacity());
        assert!(plan.n_blocks <= words_capacity && is_slot_size(plan.slot_bytes));
        let mut bytes = Vec::new();
        arena.read_descriptor(&plan, &mut bytes);
        assert_eq!(bytes.len(), plan.descriptor_len);
        arena.read_arguments(&plan, None, &mut bytes);
        assert_eq!(bytes.len(), plan.arguments_len);
        let slots = arena.slots(&plan);
        for block in 0..n_blocks {
            arena.read_arguments(&plan, Some(block), &mut bytes);
            assert!(bytes.len() <= plan.arguments_len);
            match slots.read(block, &mut bytes) {
                Ok(Slot { place: SlotPlace::Inline, .. }) => assert!(bytes.len() <= slots.room()),
                Ok(Slot { place: SlotPlace::Spilled { .. }, .. }) | Err(_) => {}
            }
        }
    }
    let n_words = n_blocks.min(words_capacity);
    let first = if n_words > 0 { arena.ledger(0, n_blocks).load(0).bits() } else { 0 };
    for sequence in [1, first >> 24] {
        let ledger = arena.ledger(sequence, n_blocks);
        assert!(ledger.first_unfinished(0) <= n_words);
        ledger.cancel();
        assert!((0..n_words).all(|block| ledger.peek_free(block).is_none()));
        for worker in [0, 1, usize::MAX] {
            ledger.sweep(worker, |_, word| match word.state() {
                State::Staged => word.with_state(State::Done),
                _ => word.charge().charge_external().with_state(State::Failed),
            });
        }
    }
}

/// The board: what a worker reads of open jobs, and what the supervisor reads of workers.
pub fn board(input: &[u8]) {
    const MAX_WORKERS: usize = 4;
    let mut front = Front(input);
    let n_workers = usize::from(front.byte()) % MAX_WORKERS + 1;
    let n_pages = Board::len_bytes(n_workers).div_ceil(PAGE_BYTES);
    let file = file_of(n_pages, 0, front.0);
    let board = Board::new(map(&file, n_pages), 0, n_workers);
    for index in 0..N_JOBS {
        let Some(job) = board.open_job(index) else { continue };
        assert_ne!(job.sequence, 0);
        if let Some((locator, _)) = board.arena_of(index, &job) {
            let _ = locator.grown_to(usize::MAX);
        }
    }
    for slot in 0..n_workers {
        let text = board.last_words(slot);
        board.add_last_words(slot, b"more");
        let both = board.last_words(slot);
        assert!(both.starts_with(&text));
        board.reset_worker(slot);
        let (start, end) = board.spill(slot);
        assert_eq!(start, end);
        assert!(board.last_words(slot).is_empty() && !board.must_retire(slot));
    }
    assert_eq!(board.wake(n_workers), 0);
}

/// The file of a segment and the locator with which a worker opens it.
///
/// The input is what distinguishes the locator from the one that fits, the file's pages, and the file's bytes. What is attached
/// has its data inside of its mapping, and carries the nonce, generation and run that were asked for.
pub fn segment(input: &[u8]) {
    let mut front = Front(input);
    let kind = [Some(Kind::Npy), Some(Kind::Raw), None][usize::from(front.byte()) % 3];
    let access = [Access::Read, Access::Stage, Access::Write][usize::from(front.byte()) % 3];
    let n_pages = usize::from(front.byte()) % 4;
    let mut off = || front.word();
    let [nonce, generation, run, file_len, data_offset, data_len] =
        [off(), off(), off(), off(), off(), off()];
    let control_page = match kind {
        Some(Kind::Npy) => n_pages.saturating_sub(1) * PAGE_BYTES,
        _ => 0,
    };
    let file = file_of(n_pages, control_page, front.0);
    let mut control = [0; 40];
    let n = file.read_at(&mut control, control_page as u64).expect("memory");
    let word = |i: usize| {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&control[i * 8..i * 8 + 8]);
        u64::from_ne_bytes(bytes)
    };
    let len = n_pages * PAGE_BYTES;
    let metadata = file.metadata().expect("memory");
    let path = format!("/proc/self/fd/{}", file.as_raw_fd()).into_bytes();
    let locator = Locator {
        place: match kind {
            Some(_) => Place::Memfd { pid: std::process::id(), fd: file.as_raw_fd() },
            None => Place::File { path, device: metadata.dev(), inode: metadata.ino() },
        },
        kind,
        run: RunId::new(word(4).wrapping_add(run)),
        nonce: word(2).wrapping_add(nonce),
        generation: word(3).wrapping_add(generation),
        file_len: len.wrapping_add(file_len as usize),
        data_offset: if kind.is_some() { PAGE_BYTES } else { 0 }.wrapping_add(data_offset as usize),
        data_len: len.saturating_sub(2 * PAGE_BYTES).wrapping_add(data_len as usize),
    };
    let Ok(attachment) = attach(&locator, access) else { return };
    if kind.is_some() {
        assert_eq!(n, control.len());
        assert_eq!(&control[..8], b"ndpool\x01c");
        assert_eq!((nonce, generation, run), (0, 0, 0));
    }
    assert!(locator.file_len <= len && attachment.mapping().len() == locator.file_len);
    let end = locator.data_offset.checked_add(locator.data_len).expect("checked");
    assert!(end <= attachment.mapping().len());
    // All of the data can be touched.
    let mut bytes = vec![0; locator.data_len];
    attachment.mapping().read_bytes(locator.data_offset, &mut bytes);
}
