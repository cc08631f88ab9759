use super::{N_ROWS, Rows, Slot, Temper, World, out_of, result_of, signal};
use crate::error::WorkerExit;
use crate::job::ledger::{Cursor, Ledger};
use crate::job::word::{BlockWord, State};
use nix::sys::signal::Signal;

/// Where a worker is in a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    CopyIn(usize),
    Begin,
    Run(usize),
    Return,
    Store,
    Stage,
    WriteBack(usize),
    Commit,
    /// Found its word condemned.
    AwaitKill,
}

#[derive(Debug)]
pub(super) struct Process {
    pub(super) is_ready: bool,
    pub(super) n_begun: u64,
    pub(super) must_retire: bool,
    pub(super) cursor: Option<(u32, Cursor)>,
    pub(super) held: Option<(usize, BlockWord, Step)>,
    /// The `running` cell.
    pub(super) running: u64,
    /// How it ended, before the supervisor knows.
    pub(super) ended: Option<WorkerExit>,
    pub(super) killed_for: Option<WorkerExit>,
}

impl Process {
    /// Started, and not heard of yet.
    pub(super) fn new() -> Self {
        Self {
            is_ready: false,
            n_begun: 0,
            must_retire: false,
            cursor: None,
            held: None,
            running: u64::MAX,
            ended: None,
            killed_for: None,
        }
    }
}

impl World {
    /// One step of a worker, as `Worker::take_block` and `execute` have them.
    pub(super) fn worker_moves(&mut self, index: usize) {
        let (n_slots, n_blocks, mode, rescan) =
            (self.slots.len(), self.tempers.len(), self.mode, self.rescan);
        let ledger = Ledger::new(&self.words[..n_blocks], self.sequence);
        let Slot { process, staging, .. } = &mut self.slots[index];
        let Some(process) = process.as_mut().filter(|process| process.is_ready && process.ended.is_none())
        else {
            return;
        };
        let Some((block, word, step)) = process.held else {
            if process.must_retire || self.is_closing {
                process.ended = Some(WorkerExit::Code(0));
                return;
            }
            let fresh_cursor = || (rescan, Cursor::new(index, n_slots, n_blocks));
            let (known, cursor) = process.cursor.get_or_insert_with(fresh_cursor);
            if *known != rescan {
                (*known, *cursor) = fresh_cursor();
            }
            let is_fresh = process.n_begun == 0;
            let charged =
                if is_fresh { cursor.clone().claim(&ledger, index, |word| word.charged() > 0) } else { None };
            let claimed =
                charged.or_else(|| cursor.claim(&ledger, index, |word| is_fresh || word.charged() == 0));
            if let Some((block, word)) = claimed {
                assert!(
                    is_fresh || self.seen[block].charged == 0,
                    "a charged block on a worker that is not fresh"
                );
                process.n_begun += 1;
                process.held = Some((block, word, Step::CopyIn(0)));
            }
            return;
        };
        let next = match step {
            Step::CopyIn(row) => {
                if mode == Rows::Staged {
                    staging[row] = self.rows[block][row];
                }
                if row + 1 < N_ROWS { Step::CopyIn(row + 1) } else { Step::Begin }
            }
            Step::Begin => {
                process.running = word.bits();
                self.seen[block].has_begun = true;
                Step::Run(0)
            }
            Step::Run(row) => {
                match mode {
                    Rows::Staged => staging[row] += 1,
                    Rows::Out => self.rows[block][row] = out_of(block),
                }
                let dies = match self.tempers[block] {
                    Temper::Poison => true,
                    Temper::KillsSome(n) => self.seen[block].charged < n,
                    Temper::Hangs if row + 1 == N_ROWS => return,
                    _ => false,
                };
                if dies {
                    return self.die(index, signal(Signal::SIGSEGV));
                }
                if row + 1 < N_ROWS { Step::Run(row + 1) } else { Step::Return }
            }
            Step::Return => {
                process.running = 0;
                Step::Store
            }
            Step::Store if self.tempers[block] == Temper::Errs => {
                self.results[block] = Some(u64::MAX);
                match ledger.advance(block, word, word.with_state(State::Failed)) {
                    Ok(()) => {
                        self.seen[block].has_erred = true;
                        process.held = None;
                        return;
                    }
                    Err(_) => Step::AwaitKill,
                }
            }
            Step::Store => {
                self.results[block] = Some(result_of(block));
                if mode == Rows::Staged { Step::Stage } else { Step::Commit }
            }
            Step::Stage => {
                let staged = word.with_state(State::Staged);
                match ledger.advance(block, word, staged) {
                    Ok(()) => {
                        process.held = Some((block, staged, Step::WriteBack(0)));
                        return;
                    }
                    Err(_) => Step::AwaitKill,
                }
            }
            Step::WriteBack(row) => {
                self.rows[block][row] = staging[row];
                if row + 1 < N_ROWS { Step::WriteBack(row + 1) } else { Step::Commit }
            }
            Step::Commit => match ledger.advance(block, word, word.with_state(State::Done)) {
                Ok(()) => {
                    self.seen[block].n_applied += 1;
                    process.held = None;
                    return;
                }
                Err(_) => Step::AwaitKill,
            },
            Step::AwaitKill => return,
        };
        process.held = Some((block, word, next));
    }
}
