//! The board: the one segment that supervisor and workers share for as long as the pool lives.
//!
//! ```text
//! ┌─────────────┬───────────────────────────┬──────────────────────────────┐
//! │ BoardHeader │ WorkerCells × n_workers   │ JobCells × 64                │
//! └─────────────┴───────────────────────────┴──────────────────────────────┘
//! ```
//!
//! It tells workers that there is work (the epoch), which jobs are open and where their arenas are, and tells the
//! supervisor what workers are about. Nothing on it is truth: that is in the words of the jobs' ledgers.

use super::doorbell::{Bed, Bell, Epoch};
use crate::segment::Locator;
use crate::sys::cells::{Placed, load_bytes, store_bytes};
use crate::sys::crash::SignalNote;
use crate::sys::map::Mapping;
use crate::sys::primitive::{AtomicU32, AtomicU64, Ordering, fence};
use std::sync::Arc;

/// Jobs that can be open at the same time; more wait in the supervisor.
pub(crate) const N_JOBS: usize = 64;
/// Bytes for the text of a panic that its worker may not survive.
pub(crate) const LAST_WORDS_BYTES: usize = 3072;
const LOCATOR_WORDS: usize = 56;
/// In place of a running block's word: no worker serves in this slot. No word of a job has this value.
const ABSENT: u64 = u64::MAX;

/// Entries whose first words stand beside the epoch: who sees that it has moved has them at hand.
const N_NEAR: usize = 3;

/// Which job an entry has.
#[repr(C)]
struct JobHead {
    /// Sequence of the job, or zero. Stored last, checked before and after the rest of the entry is read.
    sequence: AtomicU64,
    /// Number of the arena; workers cache mappings under it.
    arena: AtomicU64,
}

/// What concerns all. What different processes write is on cache lines of its own.
#[repr(C, align(64))]
struct BoardHeader {
    /// Bumped when there may be work.
    epoch: AtomicU32,
    /// Bumped when a block became free again, so that cursors start anew.
    rescan: AtomicU32,
    /// One bit per open job.
    open: AtomicU64,
    near: [JobHead; N_NEAR],
    /// Rung by workers that leave a job; the supervisor's threads wait on it.
    bell: AtomicU32,
    bell_waiters: AtomicU32,
    unused_1: [AtomicU64; 7],
}

/// One worker's part. Written by the worker, `parked` and `retire` by others too; reset by the supervisor between two processes.
#[repr(C, align(64))]
struct WorkerCells {
    /// See [`Bed`].
    parked: AtomicU32,
    /// Not zero if the worker is to end once it holds no block.
    retire: AtomicU32,
    /// When the worker last ran out of work, in nanoseconds of the monotonic clock.
    idle_since: AtomicU64,
    /// The word of the block whose task is running; zero before its first instruction and after its last;
    /// [`ABSENT`] while the slot has no worker that serves.
    running: AtomicU64,
    /// First unused byte of the worker's spill file.
    spill_end: AtomicU64,
    /// First byte that the block in hand has spilled.
    spill_start: AtomicU64,
    /// Blocks that the worker's present process has begun.
    n_begun: AtomicU64,
    /// Bytes of `last_words` in use.
    last_words_len: AtomicU64,
    unused_0: [AtomicU64; 1],
    /// Number and code of the signal that ended the worker, as its handler was told; zero if none came.
    signal: AtomicU64,
    /// The address that the signal is about.
    signal_address: AtomicU64,
    /// The stack pointer where the signal struck, or zero.
    signal_stack: AtomicU64,
    /// Process and user that sent the signal.
    signal_sender: AtomicU64,
    /// The sender's name.
    signal_sender_name: [AtomicU64; 2],
    /// A [`Farewell`].
    farewell: AtomicU64,
    unused_1: [AtomicU64; 1],
    /// The text of a panic, written by the panic hook before anything else can go wrong.
    last_words: [AtomicU64; LAST_WORDS_BYTES / 8],
}

/// Where the arena of an open job is.
#[repr(C, align(64))]
struct JobCells {
    /// Not used in the first [`N_NEAR`] entries.
    head: JobHead,
    words_capacity: AtomicU64,
    locator_len: AtomicU64,
    locator: [AtomicU64; LOCATOR_WORDS],
    unused: [AtomicU64; 4],
}

crate::sys::cells::declare_cells! {
    BoardHeader: 128,
    WorkerCells: 128 + LAST_WORDS_BYTES,
    JobCells: 512,
}

/// The board as one process sees it.
#[derive(Debug)]
pub(crate) struct Board {
    header: Placed<BoardHeader>,
    workers: Placed<WorkerCells>,
    jobs: Placed<JobCells>,
}

/// Why a worker ends of its own accord, which it says before it does: an end without a farewell is a death by something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub(crate) enum Farewell {
    /// It was asked to, or has run its share of blocks.
    Retired = 1,
    /// It cannot go on; its last words say why.
    GaveUp = 2,
    /// Its supervisor seems to be gone; its last words say how it knows.
    SupervisorLost = 3,
}

/// An open job, as its entry on the board says.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct OpenJob {
    pub(crate) sequence: u64,
    pub(crate) arena: u64,
}

impl Board {
    /// Bytes that a board for this many workers takes.
    pub(crate) fn len_bytes(n_workers: usize) -> usize {
        size_of::<BoardHeader>() + n_workers * size_of::<WorkerCells>() + N_JOBS * size_of::<JobCells>()
    }

    /// The board in a mapping whose segment's data starts at `start`.
    pub(crate) fn new(mapping: Mapping, start: usize, n_workers: usize) -> Self {
        assert!(start + Self::len_bytes(n_workers) <= mapping.len(), "a board of {n_workers} workers");
        let mapping = Arc::new(mapping);
        let workers = start + size_of::<BoardHeader>();
        let jobs = workers + n_workers * size_of::<WorkerCells>();
        Self {
            header: Placed::new(&mapping, start, 1),
            workers: Placed::new(&mapping, workers, n_workers),
            jobs: Placed::new(&mapping, jobs, N_JOBS),
        }
    }

    pub(crate) fn n_workers(&self) -> usize {
        self.workers.len()
    }

    fn header(&self) -> &BoardHeader {
        &self.header[0]
    }

    fn worker(&self, slot: usize) -> &WorkerCells {
        &self.workers[slot]
    }

    fn job(&self, index: usize) -> &JobCells {
        &self.jobs[index]
    }

    fn head(&self, index: usize) -> &JobHead {
        self.header().near.get(index).unwrap_or_else(|| &self.job(index).head)
    }

    pub(crate) fn epoch(&self) -> Epoch<'_> {
        Epoch(&self.header().epoch)
    }

    pub(crate) fn bell(&self) -> Bell<'_> {
        Bell::new(&self.header().bell, &self.header().bell_waiters)
    }

    pub(crate) fn bed(&self, slot: usize) -> Bed<'_> {
        Bed(&self.worker(slot).parked)
    }

    /// Changes when blocks became free again: whoever keeps a cursor starts it anew.
    pub(crate) fn rescan(&self) -> u32 {
        self.header().rescan.load(Ordering::Acquire)
    }

    /// Blocks became free again: cursors start anew, spinning workers look.
    pub(crate) fn request_rescan(&self) {
        self.header().rescan.fetch_add(1, Ordering::AcqRel);
        self.epoch().bump();
    }

    /// Wakes up to `n` parked workers, the one that went idle last first; returns how many.
    pub(crate) fn wake(&self, n: usize) -> usize {
        self.wake_while(n, || true)
    }

    /// As [`Board::wake`], and goes on after each only if more are `wanted`.
    fn wake_while(&self, n: usize, mut wanted: impl FnMut() -> bool) -> usize {
        let mut n_woken = 0;
        while n_woken < n {
            let latest = (0..self.n_workers())
                .filter(|&slot| self.bed(slot).is_parked())
                .max_by_key(|&slot| self.worker(slot).idle_since.load(Ordering::Relaxed));
            let Some(slot) = latest else { break };
            if self.bed(slot).wake() {
                n_woken += 1;
                if !wanted() {
                    break;
                }
            }
        }
        n_woken
    }

    /// As [`Board::wake`], for work that nobody came for: also wakes who sleeps although its flag was cleared, because the
    /// worker that meant to wake it died in between.
    pub(crate) fn wake_again(&self, n: usize) {
        for slot in 0..self.n_workers() {
            if !self.bed(slot).is_parked() && self.running(slot) == 0 {
                self.bed(slot).rouse();
            }
        }
        self.wake(n);
    }

    /// Tells workers of work for `n` of them: bumps the epoch and wakes those that are parked beyond the ones
    /// that are looking anyway.
    ///
    /// A wake-up takes this thread longer than a worker takes for many small blocks. So it wakes no more once a worker has left a
    /// job, which it does when it finds nothing more to claim. If that was another job, those that were woken bring the others.
    pub(crate) fn announce(&self, n: usize) {
        let rung = || self.header().bell.load(Ordering::Relaxed);
        let seen = rung();
        self.epoch().bump();
        let (mut n_parked, mut n_looking) = (0, 0);
        for slot in 0..self.n_workers() {
            if self.bed(slot).is_parked() {
                n_parked += 1;
            } else if self.running(slot) == 0 {
                // Neither parked nor running a block: it looks for work now.
                n_looking += 1;
            }
        }
        self.wake_while(n.saturating_sub(n_looking).min(n_parked), || rung() == seen);
    }

    /// Bits of the job entries that are open.
    pub(crate) fn open_jobs(&self) -> u64 {
        self.header().open.load(Ordering::Acquire)
    }

    /// Whether no job but this entry's is open.
    pub(crate) fn is_only_open(&self, index: usize) -> bool {
        self.open_jobs() & !(1 << index) == 0
    }

    /// Whether an entry has room for such a locator.
    pub(crate) fn has_room_for(locator: &Locator) -> bool {
        // Numbers in it may grow by some digits.
        postcard::to_stdvec(locator).is_ok_and(|bytes| bytes.len() + 40 <= LOCATOR_WORDS * 8)
    }

    /// Opens a job's entry; workers may look into its arena from now on.
    ///
    /// # Panics
    ///
    /// If the serialised locator is too long: the supervisor's control segments have short names.
    pub(crate) fn open(
        &self,
        index: usize,
        job: &OpenJob,
        words_capacity: usize,
        locator: impl FnOnce() -> Locator,
    ) {
        let (head, entry) = (self.head(index), self.job(index));
        // Most jobs get the arena of the one before, and its place is here already: only the supervisor writes it.
        if head.arena.load(Ordering::Relaxed) != job.arena {
            let bytes = postcard::to_stdvec(&locator()).expect("a locator can be serialised");
            assert!(bytes.len() <= LOCATOR_WORDS * 8, "a locator of {} bytes", bytes.len());
            head.arena.store(job.arena, Ordering::Relaxed);
            entry.words_capacity.store(words_capacity as u64, Ordering::Relaxed);
            entry.locator_len.store(bytes.len() as u64, Ordering::Relaxed);
            store_bytes(&entry.locator, &bytes);
        }
        head.sequence.store(job.sequence, Ordering::Release);
        self.header().open.fetch_or(1 << index, Ordering::AcqRel);
    }

    /// Closes a job's entry. Workers may still look at its arena's words, and will find none to claim.
    pub(crate) fn close(&self, index: usize) {
        self.header().open.fetch_and(!(1 << index), Ordering::AcqRel);
        self.head(index).sequence.store(0, Ordering::Relaxed);
        // Release: the next job's fields are not seen before this zero is.
        fence(Ordering::Release);
    }

    /// The job of an entry, if it is open.
    pub(crate) fn open_job(&self, index: usize) -> Option<OpenJob> {
        let head = self.head(index);
        let sequence = head.sequence.load(Ordering::Acquire);
        let job = OpenJob { sequence, arena: head.arena.load(Ordering::Acquire) };
        (sequence != 0 && head.sequence.load(Ordering::Acquire) == sequence).then_some(job)
    }

    /// Where the arena of an open job is, and how many words it has; `None` if the entry changed meanwhile.
    pub(crate) fn arena_of(&self, index: usize, job: &OpenJob) -> Option<(Locator, usize)> {
        let entry = self.job(index);
        let len = (entry.locator_len.load(Ordering::Relaxed) as usize).min(LOCATOR_WORDS * 8);
        let mut bytes = Vec::new();
        load_bytes(&entry.locator, len, &mut bytes);
        let words_capacity = entry.words_capacity.load(Ordering::Relaxed) as usize;
        // Acquire: the look at the sequence below comes after the loads above; pairs with the fence in `close`.
        fence(Ordering::Acquire);
        if self.open_job(index).as_ref() != Some(job) {
            return None;
        }
        Some((postcard::from_bytes(&bytes).ok()?, words_capacity))
    }

    /// The word of the block whose task the worker is running, or zero.
    pub(crate) fn running(&self, slot: usize) -> u64 {
        self.worker(slot).running.load(Ordering::Relaxed)
    }

    /// Said by the worker right before the first instruction of a task, and with zero after its last.
    pub(crate) fn set_running(&self, slot: usize, word: u64) {
        self.worker(slot).running.store(word, Ordering::Relaxed);
    }

    pub(crate) fn set_idle_since(&self, slot: usize, nanos: u64) {
        self.worker(slot).idle_since.store(nanos, Ordering::Relaxed);
    }

    /// Blocks that the worker's process has begun; a fresh worker has begun none.
    pub(crate) fn n_begun(&self, slot: usize) -> u64 {
        self.worker(slot).n_begun.load(Ordering::Relaxed)
    }

    pub(crate) fn set_begun(&self, slot: usize, n: u64) {
        self.worker(slot).n_begun.store(n, Ordering::Relaxed);
    }

    /// Whether the worker is asked to end once it holds no block.
    pub(crate) fn must_retire(&self, slot: usize) -> bool {
        self.worker(slot).retire.load(Ordering::Relaxed) != 0
    }

    pub(crate) fn ask_to_retire(&self, slot: usize) {
        self.worker(slot).retire.store(1, Ordering::Relaxed);
        self.epoch().bump();
        self.bed(slot).rouse();
    }

    /// First byte that the block in hand spilled, and the first byte that is unused.
    pub(crate) fn spill(&self, slot: usize) -> (u64, u64) {
        let cells = self.worker(slot);
        (cells.spill_start.load(Ordering::Relaxed), cells.spill_end.load(Ordering::Relaxed))
    }

    pub(crate) fn set_spill(&self, slot: usize, start: u64, end: u64) {
        let cells = self.worker(slot);
        cells.spill_start.store(start, Ordering::Relaxed);
        cells.spill_end.store(end, Ordering::Relaxed);
    }

    /// Leaves the text of a panic where it survives the worker, behind those of the same block: of a panic while
    /// another unwinds, the first tells most.
    pub(crate) fn add_last_words(&self, slot: usize, text: &[u8]) {
        let cells = self.worker(slot);
        let mut all = self.last_words(slot);
        if !all.is_empty() {
            all.extend_from_slice(b"\nand then: ");
        }
        all.extend_from_slice(text);
        let text = &all[..all.len().min(LAST_WORDS_BYTES)];
        store_bytes(&cells.last_words, text);
        cells.last_words_len.store(text.len() as u64, Ordering::Release);
    }

    /// Forgets the panics of earlier blocks: they were survived.
    pub(crate) fn forget_last_words(&self, slot: usize) {
        self.worker(slot).last_words_len.store(0, Ordering::Relaxed);
    }

    /// The text of the panics in the worker's last block, or nothing.
    pub(crate) fn last_words(&self, slot: usize) -> Vec<u8> {
        let cells = self.worker(slot);
        let len = cells.last_words_len.load(Ordering::Acquire) as usize;
        let mut text = Vec::new();
        load_bytes(&cells.last_words, len.min(LAST_WORDS_BYTES), &mut text);
        text
    }

    /// Notes the signal that ends the worker. For a signal handler: stores only.
    pub(crate) fn note_signal(&self, slot: usize, note: &SignalNote) {
        let cells = self.worker(slot);
        cells.signal_address.store(note.address, Ordering::Relaxed);
        cells.signal_stack.store(note.stack, Ordering::Relaxed);
        let sender = u64::from(note.sender_pid) | u64::from(note.sender_uid) << 32;
        cells.signal_sender.store(sender, Ordering::Relaxed);
        for (cell, word) in cells.signal_sender_name.iter().zip(note.sender_name) {
            cell.store(word, Ordering::Relaxed);
        }
        let signal = u64::from(note.number.cast_unsigned()) | u64::from(note.code.cast_unsigned()) << 32;
        cells.signal.store(signal, Ordering::Release);
    }

    /// The signal that the worker's handler noted last.
    pub(crate) fn signal(&self, slot: usize) -> Option<SignalNote> {
        let cells = self.worker(slot);
        let signal = cells.signal.load(Ordering::Acquire);
        let sender = cells.signal_sender.load(Ordering::Relaxed);
        (signal != 0).then(|| SignalNote {
            number: (signal as u32).cast_signed(),
            code: ((signal >> 32) as u32).cast_signed(),
            address: cells.signal_address.load(Ordering::Relaxed),
            stack: cells.signal_stack.load(Ordering::Relaxed),
            sender_pid: sender as u32,
            sender_uid: (sender >> 32) as u32,
            sender_name: [0, 1].map(|i| cells.signal_sender_name[i].load(Ordering::Relaxed)),
        })
    }

    /// Says why the worker ends of its own accord.
    pub(crate) fn say_farewell(&self, slot: usize, farewell: Farewell) {
        self.worker(slot).farewell.store(farewell as u64, Ordering::Relaxed);
    }

    pub(crate) fn farewell(&self, slot: usize) -> Option<Farewell> {
        match self.worker(slot).farewell.load(Ordering::Relaxed) {
            1 => Some(Farewell::Retired),
            2 => Some(Farewell::GaveUp),
            3 => Some(Farewell::SupervisorLost),
            _ => None,
        }
    }

    /// Whether the worker's process is running a task.
    pub(crate) fn is_in_task(&self, slot: usize) -> bool {
        !matches!(self.running(slot), 0 | ABSENT)
    }

    /// Readies a worker's cells for its next process. The spill file's end stays: results may lie before it.
    pub(crate) fn reset_worker(&self, slot: usize) {
        let cells = self.worker(slot);
        let end = cells.spill_end.load(Ordering::Relaxed);
        cells.spill_start.store(end, Ordering::Relaxed);
        cells.retire.store(0, Ordering::Relaxed);
        cells.running.store(ABSENT, Ordering::Relaxed);
        cells.n_begun.store(0, Ordering::Relaxed);
        cells.last_words_len.store(0, Ordering::Relaxed);
        cells.signal.store(0, Ordering::Relaxed);
        cells.farewell.store(0, Ordering::Relaxed);
        self.bed(slot).clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment::{Backing, Run, Segment};
    use std::sync::Arc;

    const N_WORKERS: usize = 5;

    /// A board whose workers sleep; the later in this list, the longer ago they went idle. With the owner of its memory.
    fn asleep(latest_first: [usize; N_WORKERS]) -> (Board, Arc<Segment>) {
        let run = Run::create(Backing::Memfd).unwrap();
        let segment = Segment::raw(&run, Board::len_bytes(N_WORKERS)).unwrap();
        let board = Board::new(segment.map_fresh().unwrap(), segment.data_offset(), N_WORKERS);
        for (age, slot) in latest_first.into_iter().enumerate() {
            board.set_idle_since(slot, 1_000 - age as u64);
            board.bed(slot).0.store(1, Ordering::SeqCst);
        }
        (board, segment)
    }

    fn awake(board: &Board) -> Vec<usize> {
        (0..N_WORKERS).filter(|&slot| !board.bed(slot).is_parked()).collect()
    }

    #[test]
    fn as_many_are_woken_as_are_wanted_and_the_latest_first() {
        let (board, _segment) = asleep([3, 0, 4, 1, 2]);
        assert_eq!((board.wake(0), awake(&board)), (0, vec![]));
        assert_eq!((board.wake(2), awake(&board)), (2, vec![0, 3]));
        // One, however few are wanted after it.
        assert_eq!((board.wake_while(3, || false), awake(&board)), (1, vec![0, 3, 4]));
        let mut n_asked = 0;
        let wanted = || {
            n_asked += 1;
            n_asked < 2
        };
        assert_eq!((board.wake_while(9, wanted), awake(&board)), (2, vec![0, 1, 2, 3, 4]));
        assert_eq!(board.wake(1), 0);
    }

    #[test]
    fn workers_that_look_are_not_woken_for_and_those_that_run_are() {
        let (board, _segment) = asleep([0, 1, 2, 3, 4]);
        board.bed(3).clear();
        board.bed(4).clear();
        board.set_running(4, 7);
        // Worker 3 looks.
        board.announce(3);
        assert_eq!(awake(&board), [0, 1, 3, 4]);
        // A bell that rang before says nothing of this job.
        board.bell().ring();
        let epoch = board.epoch().now();
        board.announce(9);
        assert_eq!((awake(&board), board.epoch().now()), (vec![0, 1, 2, 3, 4], epoch + 1));
    }
}
