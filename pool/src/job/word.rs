//! The word of a block: what is true of it, in 64 bits that change by compare-and-swap alone.
//!
//! ```text
//!  63                                   24 23        13 12       8 7        3 2   0
//! ┌───────────────────────────────────────┬────────────┬──────────┬──────────┬─────┐
//! │ sequence of the job (40)              │ worker (11)│ external │ charged  │state│
//! └───────────────────────────────────────┴────────────┴──────────┴──────────┴─────┘
//! ```
//!
//! The sequence makes the reuse of a job's memory safe: a worker that was paused inside one job holds a word of
//! that job, and no compare-and-swap from it succeeds once the memory belongs to another. A word whose sequence
//! is not that of the job in the memory is *void*, whatever its state says; so is zero.
//!
//! ```text
//!            ┌────────── give back, sweep ──────────┐
//!            ▼                                      │
//!  void ──► free ──► claimed ──► staged ──► done    │
//!            │         │ │ │        └─────► failed  │
//!            │         │ │ └──────────────► done    │
//!            │         │ └─────────► failed         │
//!            │         └──► condemned ──────────────┤
//!            ▼                   └─────► failed     │
//!        cancelled        claimed ──────────────────┘
//! ```
//!
//! [`EDGES`] is the same as a table, with who may take each edge.

use std::fmt;

const STATE_BITS: u32 = 3;
const CHARGED_SHIFT: u32 = STATE_BITS;
const EXTERNAL_SHIFT: u32 = 8;
const COUNT_MASK: u64 = 0x1f;
const WORKER_SHIFT: u32 = 13;
const WORKER_MASK: u64 = 0x7ff;
const SEQUENCE_SHIFT: u32 = 24;

/// Most workers that a pool can have: their numbers fit the word.
pub(crate) const MAX_WORKERS: usize = WORKER_MASK as usize;
/// Largest number of charged or external attempts that a word can count.
pub(crate) const MAX_ATTEMPTS: u32 = COUNT_MASK as u32;
/// Sequences that a word distinguishes.
pub(crate) const SEQUENCE_MASK: u64 = (1 << 40) - 1;

/// What a block is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub(crate) enum State {
    /// Belongs to no job.
    Void = 0,
    /// To be run.
    Free = 1,
    /// Held by a worker, which runs it.
    Claimed = 2,
    /// Run; its new rows lie in the worker's staging buffer and are being written back.
    Staged = 3,
    /// Applied, its result in its slot.
    Done = 4,
    /// Not applied for good, the reason in its slot or with the supervisor.
    Failed = 5,
    /// Held by a worker that is about to be killed for it.
    Condemned = 6,
    /// Will not be run.
    Cancelled = 7,
}

impl State {
    /// Whether no actor will change a word in this state.
    pub(crate) fn is_terminal(self) -> bool {
        matches!(self, Self::Void | Self::Done | Self::Failed | Self::Cancelled)
    }

    fn from_bits(bits: u64) -> Self {
        match bits & ((1 << STATE_BITS) - 1) {
            0 => Self::Void,
            1 => Self::Free,
            2 => Self::Claimed,
            3 => Self::Staged,
            4 => Self::Done,
            5 => Self::Failed,
            6 => Self::Condemned,
            _ => Self::Cancelled,
        }
    }
}

/// Who changes a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Actor {
    /// The supervisor's thread that publishes the job.
    Publisher,
    /// The worker that claims, or holds, the block.
    Worker,
    /// The supervisor's thread that cleans up after a dead worker.
    Sweeper,
    /// The supervisor's thread that enforces time limits.
    Monitor,
    /// Whoever cancels a job.
    Canceller,
}

/// Every change of state that is allowed, and whose it is.
#[cfg_attr(not(any(test, debug_assertions)), expect(dead_code, reason = "checked in debug builds and tests"))]
pub(crate) const EDGES: &[(State, State, Actor)] = &[
    (State::Void, State::Free, Actor::Publisher),
    (State::Free, State::Claimed, Actor::Worker),
    (State::Free, State::Cancelled, Actor::Canceller),
    (State::Claimed, State::Staged, Actor::Worker),
    (State::Claimed, State::Done, Actor::Worker),
    (State::Claimed, State::Failed, Actor::Worker),
    (State::Claimed, State::Free, Actor::Worker),
    (State::Claimed, State::Condemned, Actor::Monitor),
    (State::Claimed, State::Free, Actor::Sweeper),
    (State::Claimed, State::Failed, Actor::Sweeper),
    (State::Condemned, State::Free, Actor::Sweeper),
    (State::Condemned, State::Failed, Actor::Sweeper),
    (State::Staged, State::Done, Actor::Worker),
    (State::Staged, State::Done, Actor::Sweeper),
    (State::Staged, State::Failed, Actor::Sweeper),
];

/// The value of a block's word.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct BlockWord(u64);

impl BlockWord {
    /// A block of job `sequence` that nobody has tried yet.
    pub(crate) fn free(sequence: u64) -> Self {
        Self((sequence & SEQUENCE_MASK) << SEQUENCE_SHIFT | State::Free as u64)
    }

    pub(crate) fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    pub(crate) fn bits(self) -> u64 {
        self.0
    }

    pub(crate) fn state(self) -> State {
        State::from_bits(self.0)
    }

    /// Number of the worker that holds the block or held it last; meaningless in a free block that nobody tried.
    pub(crate) fn worker(self) -> usize {
        (self.0 >> WORKER_SHIFT & WORKER_MASK) as usize
    }

    /// Deaths that were the block's own doing.
    pub(crate) fn charged(self) -> u32 {
        (self.0 >> CHARGED_SHIFT & COUNT_MASK) as u32
    }

    /// Deaths that came from outside while the block was held.
    pub(crate) fn external(self) -> u32 {
        (self.0 >> EXTERNAL_SHIFT & COUNT_MASK) as u32
    }

    /// Number of earlier attempts at this block.
    pub(crate) fn attempt(self) -> u32 {
        self.charged() + self.external()
    }

    /// Whether the word belongs to job `sequence`.
    pub(crate) fn is_of(self, sequence: u64) -> bool {
        self.0 >> SEQUENCE_SHIFT == sequence & SEQUENCE_MASK
    }

    /// The same block in another state.
    pub(crate) fn with_state(self, state: State) -> Self {
        Self(self.0 & !((1 << STATE_BITS) - 1) | state as u64)
    }

    /// The same block, claimed by a worker.
    pub(crate) fn claimed_by(self, worker: usize) -> Self {
        debug_assert!(worker < MAX_WORKERS);
        let cleared = self.0 & !(WORKER_MASK << WORKER_SHIFT);
        Self(cleared | (worker as u64) << WORKER_SHIFT).with_state(State::Claimed)
    }

    /// The same block with one more charged attempt, saturating.
    pub(crate) fn charge(self) -> Self {
        if self.charged() == MAX_ATTEMPTS { self } else { Self(self.0 + (1 << CHARGED_SHIFT)) }
    }

    /// The same block with one more external attempt, saturating.
    pub(crate) fn charge_external(self) -> Self {
        if self.external() == MAX_ATTEMPTS { self } else { Self(self.0 + (1 << EXTERNAL_SHIFT)) }
    }
}

impl fmt::Debug for BlockWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?}(job {}, worker {}, attempts {}+{})",
            self.state(),
            self.0 >> SEQUENCE_SHIFT,
            self.worker(),
            self.charged(),
            self.external()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_do_not_touch_each_other() {
        let word = BlockWord::free(SEQUENCE_MASK).claimed_by(MAX_WORKERS - 1).charge().charge_external();
        assert_eq!((word.worker(), word.charged(), word.external()), (MAX_WORKERS - 1, 1, 1));
        assert_eq!(word.state(), State::Claimed);
        assert!(word.is_of(SEQUENCE_MASK) && !word.is_of(0));
        let full = (0..100).fold(word, |word, _| word.charge().charge_external());
        assert_eq!((full.charged(), full.external(), full.worker()), (31, 31, MAX_WORKERS - 1));
        assert_eq!(full.with_state(State::Free).state(), State::Free);
    }

    #[test]
    fn no_edge_leaves_a_terminal_state() {
        for &(from, to, actor) in EDGES {
            assert_ne!(from, to);
            assert!(!from.is_terminal() || from == State::Void, "{from:?} → {to:?} by {actor:?}");
        }
    }
}
