//! Looking for work: the loop of a worker's main thread.
//!
//! One pass looks at every open job and takes one block of each, so that jobs go on side by side. After a pass
//! without a block the worker spins for a while on the board's epoch, then parks.

use super::cache::{Cache, map_shared};
use super::context::JobEntry;
use super::execute::execute;
use super::panic::install_hook;
use super::spill::Spill;
use crate::control::Welcome;
use crate::error::Result;
use crate::inject::Faults;
use crate::job::arena::Arena;
use crate::job::board::{Board, Farewell, N_JOBS};
use crate::job::ledger::{Cursor, Ledger};
use crate::job::word::BlockWord;
use crate::segment::{Access, Attachment, Locator};
use crate::sys::crash::{self, SignalNote};
use crate::sys::memory::{self, OwnMemory};
use crate::sys::{clock, kill_point, process};
use crate::task::States;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// What a worker's main thread works with.
pub(super) struct Worker {
    pub(super) slot: usize,
    pub(super) board: Arc<Board>,
    pub(super) cache: Cache,
    pub(super) spill: Spill,
    pub(super) states: States,
    /// What is to go wrong on purpose.
    pub(super) faults: Option<Faults>,
    staging: Locator,
    idle_spin: Duration,
    max_tasks: Option<u64>,
    /// This process's memory, and the bytes of it above which it is to be replaced.
    growth: Option<(OwnMemory, u64)>,
    n_begun: u64,
}

static BOARD: OnceLock<(Arc<Board>, usize)> = OnceLock::new();
static MUST_END: AtomicBool = AtomicBool::new(false);

/// Called by the control thread: the main thread ends once it holds no block.
pub(super) fn end_when_idle() {
    MUST_END.store(true, Ordering::SeqCst);
    if let Some((board, slot)) = BOARD.get() {
        board.ask_to_retire(*slot);
    }
}

/// Called in the handler of the signal that ends this process: loads and stores of atomics alone.
fn note_signal(note: &SignalNote) {
    if let Some((board, slot)) = BOARD.get() {
        board.note_signal(*slot, note);
    }
}

/// Leaves on the board why this process ends of its own accord, if there is a board yet.
pub(super) fn say_farewell(farewell: Farewell, why: &str) {
    if let Some((board, slot)) = BOARD.get() {
        board.forget_last_words(*slot);
        board.add_last_words(*slot, why.as_bytes());
        board.say_farewell(*slot, farewell);
    }
}

/// Serves until told to end.
pub(super) fn serve(welcome: &Welcome) -> ! {
    let mut worker = match Worker::new(welcome) {
        Ok(worker) => worker,
        Err(error) => super::bootstrap::give_up(&format!("cannot map the pool's memory: {error}")),
    };
    worker.run();
    kill_point!("worker.over");
    super::watch::stay_if_orphaned(Duration::ZERO);
    worker.board.say_farewell(worker.slot, Farewell::Retired);
    // The supervisor asked for it, or the worker has run its share of blocks: not a death.
    std::process::exit(0);
}

impl Worker {
    fn new(welcome: &Welcome) -> Result<Self> {
        if let Some(cpu) = welcome.cpu {
            // A processor that went away since is no reason not to work.
            let _ = process::pin_to_cpu(cpu);
        }
        if let Some(limit) = welcome.memory_limit {
            // The supervisor measures too. Twice as much, since reserved memory that nobody uses counts here.
            let _ = memory::limit_growth(limit.saturating_mul(2));
        }
        let (mapping, start) = map_shared(&welcome.board)?;
        kill_point!("worker.board_mapped");
        let board = Arc::new(Board::new(mapping, start, welcome.n_workers));
        install_hook(Arc::clone(&board), welcome.slot);
        let _ = BOARD.set((Arc::clone(&board), welcome.slot));
        // Without it, a record of this worker's end says less.
        let _ = crash::note_signals(note_signal);
        process::set_process_name(&format!("ndpool {}", welcome.slot));
        let mut cache = Cache::new();
        let spill = cache.segment(&welcome.spill, Access::Stage)?;
        kill_point!("worker.spill_mapped");
        // Over its limit, it would be killed for what earlier blocks have left behind.
        let above = [welcome.recycle_above, welcome.memory_limit].into_iter().flatten().min();
        Ok(Self {
            slot: welcome.slot,
            spill: Spill::new(spill, welcome.slot),
            board,
            cache,
            states: States::default(),
            faults: welcome.faults.clone(),
            staging: welcome.staging.clone(),
            idle_spin: Duration::from_nanos(welcome.idle_spin_nanos),
            max_tasks: welcome.max_tasks,
            growth: above.and_then(|above| Some((OwnMemory::open().ok()?, above))),
            n_begun: 0,
        })
    }

    /// This worker's staging buffer, mapped for at least `len` bytes.
    pub(super) fn staging(&mut self, len: usize) -> Result<Rc<Attachment>> {
        self.cache.segment(&self.staging.grown_to(len), Access::Write)
    }

    /// Whether the block in hand is the first of this process.
    pub(super) fn is_fresh(&self) -> bool {
        self.n_begun == 1
    }

    fn must_end(&self) -> bool {
        let has_had_enough = self.max_tasks.is_some_and(|max| self.n_begun >= max);
        has_had_enough || self.board.must_retire(self.slot) || MUST_END.load(Ordering::Relaxed)
    }

    fn run(&mut self) {
        let mut entries: Vec<Option<JobEntry>> = (0..N_JOBS).map(|_| None).collect();
        self.board.set_running(self.slot, 0);
        kill_point!("worker.serving");
        let mut idle_since = Instant::now();
        loop {
            let epoch = self.board.epoch().now();
            let mut has_worked = false;
            while self.pass(&mut entries) {
                has_worked = true;
            }
            if self.must_end() {
                return;
            }
            if has_worked {
                idle_since = Instant::now();
                self.board.set_idle_since(self.slot, clock::monotonic_nanos());
            }
            if !self.spin(epoch, idle_since) {
                kill_point!("worker.parking");
                let board = Arc::clone(&self.board);
                board.bed(self.slot).park_unless(board.epoch(), epoch, || self.must_end());
                kill_point!("worker.awake");
            }
        }
    }

    /// Waits for the epoch to move on; whether it did within the time to spin.
    ///
    /// The time runs from the worker's last block, not from the last news: who is always too late for the blocks of
    /// small jobs goes to sleep, and leaves the processor to those that are not.
    fn spin(&self, seen: u32, idle_since: Instant) -> bool {
        while idle_since.elapsed() < self.idle_spin {
            // Reading the clock takes longer than a look at the epoch: many looks to one reading.
            for _ in 0..64 {
                if self.board.epoch().now() != seen {
                    return true;
                }
                std::hint::spin_loop();
            }
        }
        false
    }

    /// Takes one block of every open job, or all that there are of the only one; whether there was any.
    fn pass(&mut self, entries: &mut [Option<JobEntry>]) -> bool {
        let mut open = self.board.open_jobs();
        // Workers begin at different jobs.
        let turn = (self.slot % N_JOBS) as u32;
        open = open.rotate_right(turn);
        let mut has_worked = false;
        while open != 0 {
            let index = (open.trailing_zeros() + turn) as usize % N_JOBS;
            open &= open - 1;
            if self.must_end() {
                return has_worked;
            }
            has_worked |= self.work_on(index, &mut entries[index]);
        }
        has_worked
    }

    /// Runs one block of a job, and more as long as no other job is open; whether there was one.
    fn work_on(&mut self, index: usize, slot: &mut Option<JobEntry>) -> bool {
        let Some(entry) = self.enter(index, slot) else { return false };
        let arena = Rc::clone(&entry.arena);
        let ledger = arena.ledger(entry.sequence, entry.n_blocks);
        let mut has_worked = false;
        while self.take_block(entry, &arena, &ledger) {
            has_worked = true;
            if self.must_end() || !self.board.is_only_open(index) {
                break;
            }
        }
        has_worked
    }

    /// What this worker knows of the job in an entry of the board, which is mapped if it was not; `None` if none is open.
    fn enter<'e>(&mut self, index: usize, slot: &'e mut Option<JobEntry>) -> Option<&'e mut JobEntry> {
        if let Some(entry) = slot.as_ref() {
            entry.arena.will_claim(entry.first);
        }
        let job = self.board.open_job(index)?;
        if slot.as_ref().is_none_or(|entry| entry.sequence != job.sequence) {
            kill_point!("job.seen");
            let same = slot.as_ref().filter(|entry| entry.arena_id == job.arena);
            let found = match same {
                Some(entry) => Ok(Some(Rc::clone(&entry.arena))),
                None => self.cache.arena(&self.board, index, &job),
            };
            let arena = match found {
                Ok(Some(arena)) => arena,
                // The job ended while this worker looked, and its memory with it.
                Ok(None) => return None,
                Err(_) if self.board.open_job(index).as_ref() != Some(&job) => return None,
                // Tasks may have used up descriptors or address space. If all workers stayed like that the job would wait for
                // ever; a fresh process can, or says why not.
                Err(error) => super::bootstrap::give_up(&format!("cannot map a job: {error}")),
            };
            kill_point!("job.arena_mapped");
            // Read once: if the arena goes to another job meanwhile, cursor and ledger still agree, and the words
            // that they see are void.
            let n_blocks = arena.n_blocks();
            let cursor = Cursor::new(self.slot, self.board.n_workers(), n_blocks);
            let earlier = slot.take().and_then(JobEntry::into_context);
            *slot = Some(JobEntry {
                sequence: job.sequence,
                arena_id: job.arena,
                first: cursor.first(),
                arena,
                n_blocks,
                cursor,
                rescan: self.board.rescan(),
                has_begun: false,
                plan: None,
                context: None,
                earlier,
            });
        }
        slot.as_mut()
    }

    /// Claims and runs one block of a job; whether there was one.
    fn take_block(&mut self, entry: &mut JobEntry, arena: &Arena, ledger: &Ledger<'_>) -> bool {
        let rescan = self.board.rescan();
        if entry.rescan != rescan {
            entry.rescan = rescan;
            entry.cursor = Cursor::new(self.slot, self.board.n_workers(), entry.n_blocks);
        }
        if arena.is_cancelled() {
            // What is free now was given back; the supervisor cancels it.
            return false;
        }
        let window = arena.window();
        if window.is_some_and(|window| ledger.n_held() >= window) {
            // Space for results is short. Who holds a block says when it is done.
            return false;
        }
        // Before the claim: a sweep punches out what the board says the held block has spilled, and between a claim and a
        // later word on the board that would be the last block's result, which is committed.
        self.spill.begin_block(&self.board);
        kill_point!("claim.before");
        // Only a fresh worker takes what has killed others before, and takes it first.
        let is_fresh = self.n_begun == 0;
        let wanted = |word: BlockWord| is_fresh || word.charged() == 0;
        let mut claimed = None;
        if is_fresh && rescan != 0 {
            claimed = entry.cursor.clone().claim(ledger, self.slot, |word| word.charged() > 0);
        }
        let claimed = claimed.or_else(|| entry.cursor.claim(ledger, self.slot, wanted));
        let Some((block, word)) = claimed else { return false };
        kill_point!("claim.after");
        if !entry.has_begun && entry.cursor.next_free(ledger, wanted).is_some() {
            // Who was woken may have died since: whoever comes to a job brings one more.
            self.board.wake(1);
            kill_point!("claim.woke_one_more");
        }
        entry.has_begun = true;
        self.n_begun += 1;
        self.board.set_begun(self.slot, self.n_begun);
        kill_point!("claim.counted");
        execute(self, entry, ledger, block, word);
        kill_point!("block.over");
        if arena.window().is_some() {
            // Others wait for their turn, asleep or looking at the epoch.
            self.board.epoch().bump();
            self.board.wake(1);
        }
        if let Some((memory, above)) = &self.growth
            && memory.resident_bytes().is_ok_and(|bytes| bytes > *above)
        {
            // Said on the board, so that the end of this process is not taken for a death.
            self.board.ask_to_retire(self.slot);
        }
        if entry.cursor.next_free(ledger, |word| word.charged() == 0).is_none() {
            // This worker leaves the job: its last block may have been the job's.
            kill_point!("job.left");
            self.board.bell().ring();
            kill_point!("job.rung");
        }
        true
    }
}
