//! Jobs from publication to their last block.
//!
//! A job's record belongs to everybody who deals with the job: the caller's handle, the table while the job is
//! open, the threads that sweep. It holds the leases on the job's arrays, from before the first word is free
//! until no worker can touch the memory; no handle's fate changes that.
//!
//! Whoever finds all words terminal ends the job: the entry on the board is closed, leases are released, waiters
//! are told. The arena stays with the record until its results were taken.

use super::core::Core;
use super::handshake::Abilities;
use super::signals::wait_if_program_ends;
use crate::array::ArraySource;
use crate::error::{Error, ErrorKind, Result, WorkerExit};
use crate::job::arena::{Arena, Plan, arena_len, slot_bytes};
use crate::job::board::{N_JOBS, OpenJob};
use crate::job::descriptor::{ArraySpec, Descriptor, Mode, TaskId};
use crate::job::grid::{Grid, MAX_BLOCKS};
use crate::job::ledger::Ledger;
use crate::job::word::{BlockWord, State};
use crate::segment::{Fill, Segment};
use crate::task::{CallSpec, ParamSource, Progress, TaskVtable, image_offset, not_in_this_image};
use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::{Duration, Instant};

/// Words that the smallest arena holds.
const MIN_WORDS: usize = 512;
/// Bytes behind the words of the smallest arena.
const MIN_DATA_BYTES: usize = 60 << 10;
/// Arenas that wait to be used again, at most; larger ones are let go first.
const MAX_FREE_ARENAS: usize = 2 * N_JOBS;
/// An arena that is larger is not kept.
const MAX_KEPT_ARENA_BYTES: usize = 64 << 20;
/// First and longest sleep of a thread that waits for a job.
const SHORTEST_WAIT: Duration = Duration::from_millis(1);
const LONGEST_WAIT: Duration = Duration::from_millis(50);

/// An arena with the segment that it lies in.
#[derive(Debug)]
pub(crate) struct OwnedArena {
    id: u64,
    pub(super) arena: Arena,
    segment: Arc<Segment>,
}

/// The jobs of a pool.
#[derive(Debug, Default)]
pub(super) struct Table {
    entries: Vec<Option<Arc<JobRecord>>>,
    queue: VecDeque<Arc<JobRecord>>,
    free_arenas: Vec<OwnedArena>,
    n_arenas: u64,
}

/// Sequence numbers are unique in the process: arrays serve several pools, and leases are known by them.
static NEXT_SEQUENCE: AtomicU64 = AtomicU64::new(1);

/// One job.
#[derive(Debug)]
pub(crate) struct JobRecord {
    pub(super) sequence: u64,
    pub(super) label: Cow<'static, str>,
    pub(super) descriptor: Descriptor,
    pub(super) plan: Plan,
    pub(super) attempts: u32,
    pub(super) block_timeout: Option<Duration>,
    pub(super) deadline: Option<Duration>,
    pub(super) state: Mutex<JobState>,
    /// Set after everything else that ending a job does.
    ended: AtomicBool,
    /// Whether somebody will take the results.
    is_wanted: AtomicBool,
}

/// What changes in the life of a job.
#[derive(Debug)]
pub(super) struct JobState {
    pub(super) phase: Phase,
    /// Where each array's bytes are, one for each of the descriptor's; let go when the job ends.
    pub(super) sources: Vec<ArraySource>,
    /// Arrays that were made for this job, in the order of the parameters; let go when the result is taken.
    pub(super) outputs: Vec<Arc<Segment>>,
    /// Blocks before this one are in a terminal state.
    pub(super) cursor: usize,
    /// Why blocks were cancelled, if they were.
    pub(super) abort: Option<Error>,
    /// How the workers ended that held blocks which then failed or were freed.
    pub(super) deaths: HashMap<usize, Death>,
    /// What the monitor saw claimed, and for how long.
    pub(super) observed: HashMap<usize, (BlockWord, Duration)>,
    /// Time on the monitor's clock since the job was published.
    pub(super) age: Duration,
    waker: Option<Waker>,
}

impl JobState {
    /// The death for which a block was given up; `None` if its last attempt told why it failed.
    pub(super) fn final_death(&self, block: usize) -> Option<&Death> {
        self.deaths.get(&block).filter(|death| death.is_final)
    }
}

#[derive(Debug)]
pub(super) enum Phase {
    /// Not published yet; holds what the arena will.
    Queued { arguments: Vec<u8>, table: Vec<u64> },
    /// Workers may claim its blocks.
    Open { entry: usize, arena: OwnedArena },
    /// All blocks have ended; the results have not been taken.
    Ended { arena: OwnedArena },
    /// Nothing is left.
    Taken,
}

/// The end of a worker that held a block.
#[derive(Debug, Clone)]
pub(super) struct Death {
    pub(super) worker: usize,
    pub(super) exit: WorkerExit,
    pub(super) attempts: u32,
    pub(super) stderr: Vec<String>,
    /// The text of a panic that the worker did not survive.
    pub(super) last_words: String,
    /// Whether the task had begun, then or in an earlier attempt.
    pub(super) had_begun: bool,
    /// Whether the block was given up for it; if not, a later attempt decided.
    pub(super) is_final: bool,
}

impl JobRecord {
    /// A job of one call.
    ///
    /// Makes the arrays that the call wants made. Nothing is leased or published yet.
    pub(crate) fn new(core: &Core, spec: CallSpec) -> Result<Arc<Self>> {
        let grid = spec.grid()?;
        let label = label_of(&spec);
        let arguments = (spec.values, Vec::new());
        let mut sources = Vec::with_capacity(spec.arrays.len());
        let mut outputs = Vec::new();
        let mut arrays = Vec::with_capacity(spec.arrays.len());
        for param in spec.arrays {
            let (source, locator, dtype, shape, offset_bytes) = match param.source {
                ParamSource::Array(array) => {
                    let locator = array.locator();
                    (array.source, locator, array.dtype, array.shape, array.offset_bytes)
                }
                ParamSource::Output { dtype, shape } => {
                    let segment = Segment::npy(&core.run, dtype, &shape, Fill::CallerWrites)?;
                    outputs.push(Arc::clone(&segment));
                    let locator = segment.locator();
                    (ArraySource::Segment(segment), locator, dtype, shape, 0)
                }
            };
            sources.push(source);
            arrays.push(ArraySpec { locator, dtype, shape, offset_bytes, mode: param.mode });
        }
        Self::assemble(
            core,
            label,
            spec.vtable,
            &spec.options,
            grid,
            arrays,
            sources,
            outputs,
            arguments,
            spec.n_values,
        )
    }

    /// A job of many calls of one task without arrays: every call is a block.
    pub(crate) fn new_batch(core: &Core, calls: &mut Vec<CallSpec>) -> Result<Arc<Self>> {
        debug_assert!(calls.len() <= MAX_BLOCKS);
        let grid = Grid::new(calls.len(), 1);
        let first = &calls[0];
        let (vtable, options, n_values) = (first.vtable, first.options.clone(), first.n_values);
        let label = label_of(first);
        let mut values = Vec::new();
        let mut ends = Vec::with_capacity(calls.len());
        for call in calls.drain(..) {
            values.extend_from_slice(&call.values);
            ends.push(values.len() as u64);
        }
        let arguments = (values, ends);
        Self::assemble(
            core,
            label,
            vtable,
            &options,
            grid,
            Vec::new(),
            Vec::new(),
            Vec::new(),
            arguments,
            n_values,
        )
    }

    #[expect(clippy::too_many_arguments, reason = "the two constructors share this last step")]
    fn assemble(
        core: &Core,
        label: Cow<'static, str>,
        vtable: &'static TaskVtable,
        options: &crate::task::CallOptions,
        grid: Grid,
        arrays: Vec<ArraySpec>,
        sources: Vec<ArraySource>,
        outputs: Vec<Arc<Segment>>,
        (arguments, table): (Vec<u8>, Vec<u64>),
        n_values: usize,
    ) -> Result<Arc<Self>> {
        let task = core.task_id(vtable)?;
        let sequence = NEXT_SEQUENCE.fetch_add(1, Ordering::Relaxed);
        let is_batch = !table.is_empty();
        let descriptor = Descriptor {
            sequence,
            task,
            task_name: Cow::Borrowed(vtable.name),
            grid,
            arrays,
            n_values,
            is_batch,
        };
        let plan = Plan {
            n_blocks: grid.n_blocks(),
            // Filled in when the descriptor is serialised, at publication.
            descriptor_len: 0,
            arguments_len: arguments.len(),
            table_len: table.len(),
            slot_bytes: slot_bytes(vtable.output_bytes),
        };
        Ok(Arc::new(Self {
            sequence,
            label,
            descriptor,
            plan,
            attempts: options.attempts,
            block_timeout: options.block_timeout,
            deadline: options.deadline,
            state: Mutex::new(JobState {
                phase: Phase::Queued { arguments, table },
                sources,
                outputs,
                cursor: 0,
                abort: None,
                deaths: HashMap::new(),
                observed: HashMap::new(),
                age: Duration::ZERO,
                waker: None,
            }),
            ended: AtomicBool::new(false),
            is_wanted: AtomicBool::new(true),
        }))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, JobState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    pub(crate) fn has_limits(&self) -> bool {
        self.block_timeout.is_some() || self.deadline.is_some()
    }

    pub(super) fn n_blocks(&self) -> usize {
        self.plan.n_blocks
    }

    /// The words, in an arena that holds this job.
    pub(super) fn ledger<'a>(&self, arena: &'a OwnedArena) -> Ledger<'a> {
        arena.arena.ledger(self.sequence, self.plan.n_blocks)
    }

    /// Has a waker called when the job has ended; whether it has already.
    pub(crate) fn wake_when_ended(&self, waker: &Waker) -> bool {
        let mut state = self.lock();
        if self.has_ended() {
            return true;
        }
        state.waker = Some(waker.clone());
        false
    }

    /// How far the job is; a look at every block's word.
    pub(crate) fn progress(&self) -> Progress {
        let state = self.lock();
        let n_blocks = self.n_blocks();
        let blocks_done = match &state.phase {
            Phase::Queued { .. } => 0,
            Phase::Open { arena, .. } => {
                let ledger = self.ledger(arena);
                let later =
                    (state.cursor..n_blocks).filter(|&block| ledger.load(block).state().is_terminal());
                state.cursor + later.count()
            }
            Phase::Ended { .. } | Phase::Taken => n_blocks,
        };
        Progress { blocks_done, n_blocks }
    }

    /// The data bytes of the rows that the job's blocks touch of each array, and whether they are written.
    fn leased_ranges<'s>(
        &'s self,
        state: &'s JobState,
    ) -> impl Iterator<Item = (&'s Segment, std::ops::Range<usize>, bool)> {
        self.descriptor.arrays.iter().zip(&state.sources).filter_map(|(array, source)| match source {
            ArraySource::Segment(segment) => {
                Some((&**segment, array.bytes(&(0..array.n_rows())), array.mode.is_mutable()))
            }
            ArraySource::File(_) => None,
        })
    }

    /// Ends the job's leases and lets its arrays go.
    fn release_leases(&self, state: &mut JobState) {
        for (segment, _, _) in self.leased_ranges(state) {
            segment.leases().release(self.sequence);
        }
        state.sources.clear();
    }
}

/// The name by which messages call a job.
fn label_of(spec: &CallSpec) -> Cow<'static, str> {
    spec.options.name.clone().map_or(Cow::Borrowed(spec.vtable.name), Cow::Owned)
}

/// Waits for jobs on the caller's thread.
pub(crate) struct Driver<'c> {
    core: &'c Arc<Core>,
}

impl<'c> Driver<'c> {
    pub(crate) fn new(core: &'c Arc<Core>) -> Self {
        Self { core }
    }

    /// Returns once the job has ended, or once `tick` says to stop: it is called before every sleep. Whether the
    /// job has ended.
    pub(crate) fn wait(&self, job: &Arc<JobRecord>, tick: impl FnMut() -> bool) -> bool {
        self.wait_until(|| self.core.try_end(job), tick)
    }

    /// Returns once `is_over` holds; workers ring when it may.
    pub(crate) fn wait_for(&self, is_over: impl FnMut() -> bool) {
        self.wait_until(is_over, || true);
    }

    fn wait_until(&self, is_over: impl FnMut() -> bool, tick: impl FnMut() -> bool) -> bool {
        let is_over = self.spin_then_sleep(is_over, tick);
        wait_if_program_ends();
        is_over
    }

    fn spin_then_sleep(&self, mut is_over: impl FnMut() -> bool, mut tick: impl FnMut() -> bool) -> bool {
        let core = self.core;
        let start = Instant::now();
        loop {
            for _ in 0..64 {
                if is_over() {
                    return true;
                }
                std::hint::spin_loop();
            }
            if start.elapsed() >= core.config.idle_spin {
                break;
            }
        }
        let mut sleep = SHORTEST_WAIT;
        loop {
            if !tick() {
                return is_over();
            }
            core.board.bell().wait_unless(&mut is_over, Some(sleep));
            if is_over() {
                return true;
            }
            // Who was woken may have died before it claimed.
            for job in core.open_jobs() {
                core.wake_for_free_blocks(&job);
            }
            sleep = (sleep * 2).min(LONGEST_WAIT);
        }
    }
}

impl Core {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How workers find a task.
    fn task_id(&self, vtable: &'static TaskVtable) -> Result<TaskId> {
        match &*self.abilities() {
            None | Some(Abilities::Everything) => {
                image_offset(vtable).map(TaskId::Image).ok_or_else(|| not_in_this_image(vtable.name))
            }
            Some(Abilities::Tasks(tasks)) => {
                let Some(known) = tasks.iter().find(|known| known.name == vtable.name) else {
                    return Err(Error::new(
                        ErrorKind::UnknownTask,
                        format!("the worker program has no task {}; it has {} others", vtable.name, tasks.len()),
                    )
                    .with_hint("only tasks that the worker program registers can run there: not generic ones, and no `call`"));
                };
                if known.layout != vtable.layout {
                    return Err(Error::new(
                        ErrorKind::BuildMismatch,
                        format!(
                            "task {} has the parameters ({}) here and ({}) in the worker program",
                            vtable.name, vtable.layout, known.layout
                        ),
                    )
                    .with_hint("build both programs from the same source"));
                }
                Ok(TaskId::Name)
            }
        }
    }

    /// Leases the job's arrays, waiting for jobs whose handles are gone, and hands the job to the workers.
    pub(crate) fn submit(self: &Arc<Self>, job: &Arc<JobRecord>) -> Result<()> {
        if self.is_closing.load(Ordering::SeqCst) {
            wait_if_program_ends();
            return Err(Self::closing_error());
        }
        if let Some(error) = self.is_broken() {
            return Err(error);
        }
        self.reserve_staging(job.descriptor.staging_len())?;
        {
            let state = job.lock();
            for (segment, range, is_written) in job.leased_ranges(&state) {
                segment.leases().wait(range, is_written);
            }
            for (segment, range, is_written) in job.leased_ranges(&state) {
                segment.leases().lease(job.sequence, range, is_written);
            }
        }
        if let Err(error) = self.publish(job) {
            job.release_leases(&mut job.lock());
            return Err(error);
        }
        self.cancel_if_late(job);
        Ok(())
    }

    /// A shutdown, or the last slot that was given up, may have looked for jobs to cancel before this one was there.
    fn cancel_if_late(self: &Arc<Self>, job: &Arc<JobRecord>) {
        if self.is_closing.load(Ordering::SeqCst) {
            self.cancel(job, Self::closing_error());
        } else if let Some(error) = self.is_broken() {
            self.cancel(job, error);
        }
    }

    /// Makes every worker's staging buffer at least this long.
    fn reserve_staging(&self, len: usize) -> Result<()> {
        if self.staging_len.load(Ordering::Acquire) >= len {
            return Ok(());
        }
        for slot in &self.slots {
            slot.staging.grow_raw(len)?;
        }
        self.staging_len.fetch_max(len, Ordering::AcqRel);
        Ok(())
    }

    /// Opens the job to the workers, or queues it if too many are open.
    fn publish(self: &Arc<Self>, job: &Arc<JobRecord>) -> Result<()> {
        let mut state = job.lock();
        let Phase::Queued { .. } = &state.phase else { return Ok(()) };
        if let Some(why) = &state.abort {
            // Cancelled while it was neither in the queue any more nor open.
            return Err(why.copy());
        }
        let descriptor = postcard::to_stdvec(&job.descriptor).map_err(|error| {
            Error::new(ErrorKind::Serde, format!("{}: the job cannot be described: {error}", job.label))
        })?;
        let mut table = self.table();
        if table.entries.is_empty() {
            table.entries.resize_with(N_JOBS, || None);
        }
        let Some(entry) = table.entries.iter().position(Option::is_none) else {
            table.queue.push_back(Arc::clone(job));
            return Ok(());
        };
        let plan = Plan { descriptor_len: descriptor.len(), ..job.plan };
        let arena = table.take_arena(self, &plan)?;
        let Phase::Queued { arguments, table: ends } = std::mem::replace(&mut state.phase, Phase::Taken)
        else {
            unreachable!("checked above, under the same lock");
        };
        arena.arena.write_job(&plan, &descriptor, &arguments, &ends);
        job.ledger(&arena).publish();
        table.entries[entry] = Some(Arc::clone(job));
        let open = OpenJob { sequence: job.sequence, arena: arena.id };
        self.board.open(entry, &open, arena.arena.words_capacity(), &arena.segment.locator());
        state.phase = Phase::Open { entry, arena };
        drop(table);
        drop(state);
        self.board.announce(job.n_blocks());
        Ok(())
    }

    /// Ends a job if all its words are terminal; whether it has ended.
    pub(crate) fn try_end(self: &Arc<Self>, job: &Arc<JobRecord>) -> bool {
        if job.has_ended() {
            return true;
        }
        let mut state = job.lock();
        let Phase::Open { entry, arena } = &state.phase else { return job.has_ended() };
        let entry = *entry;
        let unfinished = job.ledger(arena).first_unfinished(state.cursor);
        state.cursor = unfinished;
        if unfinished < job.n_blocks() {
            return false;
        }
        // No word can change any more, so no worker will touch the job's memory or its arrays.
        self.board.close(entry);
        let Phase::Open { arena, .. } = std::mem::replace(&mut state.phase, Phase::Taken) else {
            unreachable!("checked above, under the same lock");
        };
        state.phase = Phase::Ended { arena };
        let next = {
            let mut table = self.table();
            table.entries[entry] = None;
            table.queue.pop_front()
        };
        job.release_leases(&mut state);
        job.ended.store(true, Ordering::Release);
        let waker = state.waker.take();
        drop(state);
        if !job.is_wanted.load(Ordering::Acquire) {
            self.discard(job);
        }
        if let Some(waker) = waker {
            waker.wake();
        }
        // Other threads may wait for this job, or for a place for theirs.
        self.board.bell().ring();
        let mut next = next;
        while let Some(job) = next {
            match self.publish(&job) {
                Ok(()) => {
                    self.cancel_if_late(&job);
                    break;
                }
                // The place is still free: for the one behind it.
                Err(error) => {
                    self.end_unpublished(&job, error);
                    next = self.table().queue.pop_front();
                }
            }
        }
        true
    }

    /// Ends a job that never reached the workers.
    fn end_unpublished(&self, job: &JobRecord, error: Error) {
        let mut state = job.lock();
        state.abort.get_or_insert(error);
        state.phase = Phase::Taken;
        job.release_leases(&mut state);
        job.ended.store(true, Ordering::Release);
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
        self.board.bell().ring();
    }

    /// Cancels what is free of a job; what is claimed ends first.
    pub(crate) fn cancel(self: &Arc<Self>, job: &Arc<JobRecord>, why: Error) {
        let mut state = job.lock();
        match &state.phase {
            Phase::Open { arena, .. } => {
                arena.arena.set_cancelled();
                job.ledger(arena).cancel();
                state.abort.get_or_insert(why);
                drop(state);
                self.try_end(job);
            }
            Phase::Queued { .. } => {
                // For whoever has just taken it out of the queue to open it.
                state.abort.get_or_insert_with(|| why.copy());
                drop(state);
                let mut table = self.table();
                let before = table.queue.len();
                table.queue.retain(|queued| !Arc::ptr_eq(queued, job));
                let was_queued = table.queue.len() < before;
                drop(table);
                if was_queued {
                    self.end_unpublished(job, why);
                }
            }
            Phase::Ended { .. } | Phase::Taken => {}
        }
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

    pub(super) fn cancel_all(self: &Arc<Self>, why: &Error) {
        // From the back: what is queued must not be opened by the end of what is open.
        for job in self.all_jobs().iter().rev() {
            self.cancel(job, why.copy());
        }
    }

    pub(super) fn finish_all(self: &Arc<Self>) {
        for job in self.all_jobs() {
            self.try_end(&job);
        }
    }

    /// Wakes workers if a job has blocks that nobody claims.
    pub(super) fn wake_for_free_blocks(self: &Arc<Self>, job: &JobRecord) {
        let state = job.lock();
        let Phase::Open { arena, .. } = &state.phase else { return };
        let ledger = job.ledger(arena);
        let mut only_charged = true;
        let n_free = (state.cursor..job.n_blocks())
            .filter_map(|block| ledger.peek_free(block))
            .inspect(|word| only_charged &= word.charged() > 0)
            .take(self.config.n_workers)
            .count();
        if n_free == 0 {
            return;
        }
        self.board.request_rescan();
        self.board.wake(n_free);
        if only_charged {
            self.make_fresh_worker();
        }
    }

    /// Has one worker replaced by a fresh one, if there is none: only that takes what has killed others.
    fn make_fresh_worker(&self) {
        let serving = |slot: &usize| self.slots[*slot].lock().is_serving;
        let slots: Vec<_> = (0..self.slots.len()).collect();
        let is_coming = !slots.iter().all(serving);
        let is_fresh =
            slots.iter().any(|&slot| self.board.n_begun(slot) == 0 || self.board.must_retire(slot));
        if is_coming || is_fresh {
            return;
        }
        if let Some(idle) = slots.into_iter().find(|&slot| self.board.running(slot) == 0) {
            self.board.ask_to_retire(idle);
        }
    }

    /// Says that nobody will take the results of a job; those that are there already are thrown away.
    pub(crate) fn abandon(self: &Arc<Self>, job: &Arc<JobRecord>) {
        job.is_wanted.store(false, Ordering::Release);
        if job.has_ended() {
            self.discard(job);
        }
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

impl Table {
    /// An arena that a job of this plan fits into: the smallest that is free, or a new one.
    fn take_arena(&mut self, core: &Core, plan: &Plan) -> Result<OwnedArena> {
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

/// Whether a block may have been left with some rows new and some old.
pub(super) fn may_be_torn(job: &JobRecord, state: &JobState, block: usize, word: BlockWord) -> bool {
    let began = state.deaths.get(&block).is_some_and(|death| death.had_begun);
    let ran = word.state() == State::Failed && state.final_death(block).is_none();
    job.descriptor.arrays.iter().any(|array| array.mode == Mode::Out) && (began || ran)
}
