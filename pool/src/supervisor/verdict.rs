//! What becomes of a block whose worker died: a pure function of its word and of how the worker ended.

use crate::error::WorkerExit;
use crate::job::word::{BlockWord, State};
use nix::sys::signal::Signal;

/// Deaths from outside that a block survives; a storm of kills must not fail a job, an endless one must not keep
/// it for ever.
pub(super) const MAX_EXTERNAL: u32 = 30;

/// Whose doing a death is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Blame {
    /// The task's: it counts against the block's attempts.
    Block,
    /// Somebody else's, or it came before the task began.
    Outside,
}

/// Whose doing the end of a worker is that held a block; `had_begun` says whether the block's task had.
pub(super) fn blame(exit: &WorkerExit, had_begun: bool) -> Blame {
    let is_own_doing = match exit {
        WorkerExit::Code(_)
        | WorkerExit::TimedOut(_)
        | WorkerExit::PastDeadline
        | WorkerExit::MemoryLimit { .. } => true,
        WorkerExit::Signal { number, .. } => [
            Signal::SIGSEGV,
            Signal::SIGBUS,
            Signal::SIGFPE,
            Signal::SIGILL,
            Signal::SIGABRT,
            Signal::SIGTRAP,
            Signal::SIGSYS,
            Signal::SIGXCPU,
            Signal::SIGXFSZ,
            Signal::SIGPIPE,
            Signal::SIGALRM,
        ]
        .iter()
        .any(|&signal| signal as i32 == *number),
        WorkerExit::Unknown => false,
    };
    if is_own_doing && had_begun { Blame::Block } else { Blame::Outside }
}

/// The next word of a block that was *claimed* or *condemned* when its worker died: *free* with the death counted, or *failed*
/// if one of its budgets is used up or its job's deadline has passed. `attempts` is the budget for deaths that the block is to
/// blame for.
pub(super) fn judge(word: BlockWord, exit: &WorkerExit, had_begun: bool, attempts: u32) -> BlockWord {
    let next = match blame(exit, had_begun) {
        Blame::Block => word.charge(),
        Blame::Outside => word.charge_external(),
    };
    let is_past_deadline = matches!(exit, WorkerExit::PastDeadline);
    let is_poison = next.charged() >= attempts || next.external() >= MAX_EXTERNAL || is_past_deadline;
    next.with_state(if is_poison { State::Failed } else { State::Free })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signal(signal: Signal) -> WorkerExit {
        WorkerExit::Signal { number: signal as i32, core_dumped: false }
    }

    #[test]
    fn only_a_death_of_the_tasks_own_doing_is_charged() {
        for (exit, expected) in [
            (signal(Signal::SIGSEGV), Blame::Block),
            (signal(Signal::SIGABRT), Blame::Block),
            (signal(Signal::SIGKILL), Blame::Outside),
            (signal(Signal::SIGTERM), Blame::Outside),
            (WorkerExit::Code(0), Blame::Block),
            (WorkerExit::MemoryLimit { limit_bytes: 1, found_bytes: None }, Blame::Block),
            (WorkerExit::Unknown, Blame::Outside),
        ] {
            assert_eq!(blame(&exit, true), expected, "{exit}");
            assert_eq!(blame(&exit, false), Blame::Outside, "{exit} before the task began");
        }
    }

    #[test]
    fn each_budget_fails_a_block_when_it_is_used_up_and_not_before() {
        for (exit, budget) in [(signal(Signal::SIGSEGV), 3), (signal(Signal::SIGKILL), MAX_EXTERNAL)] {
            let mut word = BlockWord::free(1);
            for death in 1..=budget {
                let next = judge(word.claimed_by(4), &exit, true, 3);
                assert_eq!(next.attempt(), death);
                assert_eq!(next.state() == State::Failed, death == budget, "death {death} by {exit}");
                word = next;
            }
        }
        let late = judge(BlockWord::free(1).claimed_by(0), &WorkerExit::PastDeadline, true, 3);
        assert_eq!((late.state(), late.charged()), (State::Failed, 1));
    }
}
