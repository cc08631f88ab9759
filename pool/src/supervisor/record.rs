//! The record of a job: what it is, and what has become of it.
//!
//! A job's record belongs to everybody who deals with the job: the caller's handle, the table while the job is
//! open, the threads that sweep. It holds the leases on the job's arrays, from before the first word is free
//! until no worker can touch the memory; no handle's fate changes that.

use super::core::Core;
use super::table::OwnedArena;
use crate::array::ArraySource;
use crate::error::{Death, Error, Result};
use crate::job::arena::Plan;
use crate::job::descriptor::{ArraySpec, Descriptor, Mode};
use crate::job::grid::{Grid, MAX_BLOCKS};
use crate::job::ledger::Ledger;
use crate::job::slots::slot_bytes;
use crate::job::word::{BlockWord, State};
use crate::segment::Segment;
use crate::task::{CallSpec, Progress, ResolvedArray, TaskVtable};
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

/// Sequence numbers are unique in the process: arrays serve several pools, and leases are known by them.
static NEXT_SEQUENCE: AtomicU64 = AtomicU64::new(1);

/// One job.
#[derive(Debug)]
pub(crate) struct JobRecord {
    pub(super) sequence: u64,
    pub(super) label: Cow<'static, str>,
    pub(super) vtable: &'static TaskVtable,
    pub(super) descriptor: Descriptor,
    pub(super) plan: Plan,
    pub(super) attempts: u32,
    pub(super) block_timeout: Option<Duration>,
    pub(super) deadline: Option<Duration>,
    pub(super) cancel_grace: Duration,
    pub(super) state: Mutex<JobState>,
    /// Set after everything else that ending a job does.
    pub(super) ended: AtomicBool,
    /// Whether somebody will take the results.
    pub(super) is_wanted: AtomicBool,
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
    pub(super) deaths: HashMap<usize, LostWorker>,
    /// What the monitor saw claimed, and for how long.
    pub(super) observed: HashMap<usize, (BlockWord, Duration)>,
    /// Time on the monitor's clock since the job was published.
    pub(super) age: Option<Duration>,
    /// Whether it was cancelled while blocks of it ran.
    pub(super) is_cancelled: bool,
    /// Time on the monitor's clock since it saw that.
    pub(super) cancelled_for: Option<Duration>,
    pub(super) waker: Option<Waker>,
}

impl JobState {
    /// The death for which a block was given up; `None` if its last attempt told why it failed.
    pub(super) fn final_death(&self, block: usize) -> Option<&LostWorker> {
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

/// The end of a worker that held a block, and what it did to the block.
#[derive(Debug, Clone)]
pub(super) struct LostWorker {
    pub(super) death: Arc<Death>,
    pub(super) attempts: u32,
    /// Whether the task had begun, then or in an earlier attempt.
    pub(super) had_begun: bool,
    /// Whether the block was given up for it; if not, a later attempt decided.
    pub(super) is_final: bool,
    /// Whether the block was staged, and its write-back failed half-way.
    pub(super) is_half_written: bool,
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
            let ResolvedArray { source, spec, output } = param.resolve(&core.run)?;
            sources.push(source);
            arrays.push(spec);
            outputs.extend(output);
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
        let descriptor =
            Descriptor { task, task_name: Cow::Borrowed(vtable.name), grid, arrays, n_values, is_batch };
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
            vtable,
            descriptor,
            plan,
            attempts: options.attempts,
            block_timeout: options.block_timeout,
            deadline: options.deadline,
            cancel_grace: options.cancel_grace.unwrap_or(core.config.cancel_grace),
            state: Mutex::new(JobState {
                phase: Phase::Queued { arguments, table },
                sources,
                outputs,
                cursor: 0,
                abort: None,
                deaths: HashMap::new(),
                observed: HashMap::new(),
                age: None,
                is_cancelled: false,
                cancelled_for: None,
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
        self.ended.load(Ordering::SeqCst)
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
        let before = state.waker.replace(waker.clone());
        drop(state);
        // What an executor does when a waker goes may come back to this job.
        drop(before);
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
    pub(super) fn leased_ranges<'s>(
        &'s self,
        state: &'s JobState,
    ) -> impl Iterator<Item = (&'s Segment, std::ops::Range<usize>, bool)> {
        self.descriptor.arrays.iter().zip(&state.sources).filter_map(|(array, source)| {
            let segment = source.segment()?;
            Some((&**segment, array.bytes(&(0..array.n_rows())), array.mode.is_mutable()))
        })
    }

    /// Ends the job's leases and lets its arrays go.
    pub(super) fn release_leases(&self, state: &mut JobState) {
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

/// Whether a block may have been left with some rows new and some old.
pub(super) fn may_be_torn(
    job: &JobRecord,
    state: &JobState,
    arena: &OwnedArena,
    block: usize,
    word: BlockWord,
) -> bool {
    let death = state.deaths.get(&block);
    if death.is_some_and(|death| death.is_half_written) {
        return true;
    }
    if !job.descriptor.arrays.iter().any(|array| array.mode == Mode::Out) {
        return false;
    }
    let began = death.is_some_and(|death| death.had_begun);
    let ran = word.state() == State::Failed && state.final_death(block).is_none();
    let plan = arena.arena.plan();
    began || ran || plan.is_ok_and(|plan| arena.arena.was_given_back(&plan, block, job.sequence))
}
