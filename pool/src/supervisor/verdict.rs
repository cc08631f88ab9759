//! What becomes of a block whose worker died: a pure function of its word and of why the worker ended.

use crate::error::Cause;
use crate::job::word::{BlockWord, State};

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

/// Whom a death is charged to.
pub(super) fn blame(cause: &Cause, had_begun: bool) -> Blame {
    let is_own_doing = match cause {
        Cause::OutOfMemory
        | Cause::MemoryLimit
        | Cause::StackOverflow
        | Cause::InvalidAccess
        | Cause::BusError
        | Cause::IllegalInstruction
        | Cause::Arithmetic
        | Cause::Panic
        | Cause::Abort
        | Cause::BlockTimeout
        | Cause::Deadline
        | Cause::Signal
        | Cause::Exit
        | Cause::GaveUp => true,
        Cause::Killed { .. }
        | Cause::Cancelled
        | Cause::DidNotStart
        | Cause::SupervisorLost
        | Cause::Unknown => false,
    };
    if is_own_doing && had_begun { Blame::Block } else { Blame::Outside }
}

/// The next word of a block that was *claimed* or *condemned* when its worker died: *free* with the death counted, or *failed*
/// if one of its budgets is used up or its job's deadline has passed. `attempts` is the budget for deaths that the block is to
/// blame for.
pub(super) fn judge(word: BlockWord, cause: &Cause, had_begun: bool, attempts: u32) -> BlockWord {
    let next = match blame(cause, had_begun) {
        // It will not be run again.
        _ if *cause == Cause::Cancelled => word,
        Blame::Block => word.charge(),
        Blame::Outside => word.charge_external(),
    };
    let is_past_deadline = *cause == Cause::Deadline;
    let is_poison = next.charged() >= attempts || next.external() >= MAX_EXTERNAL || is_past_deadline;
    next.with_state(if is_poison { State::Failed } else { State::Free })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Sender;

    #[test]
    fn only_a_death_of_the_tasks_own_doing_is_charged() {
        let sender = Sender { pid: 9, uid: 0, name: None };
        for (cause, expected) in [
            (Cause::InvalidAccess, Blame::Block),
            (Cause::Abort, Blame::Block),
            (Cause::OutOfMemory, Blame::Block),
            (Cause::MemoryLimit, Blame::Block),
            (Cause::Exit, Blame::Block),
            (Cause::BlockTimeout, Blame::Block),
            (Cause::Killed { by: None }, Blame::Outside),
            (Cause::Killed { by: Some(sender) }, Blame::Outside),
            (Cause::Unknown, Blame::Outside),
        ] {
            assert_eq!(blame(&cause, true), expected, "{cause}");
            assert_eq!(blame(&cause, false), Blame::Outside, "{cause} before the task began");
        }
    }

    #[test]
    fn each_budget_fails_a_block_when_it_is_used_up_and_not_before() {
        for (cause, budget) in [(Cause::InvalidAccess, 3), (Cause::Killed { by: None }, MAX_EXTERNAL)] {
            let mut word = BlockWord::free(1);
            for death in 1..=budget {
                let next = judge(word.claimed_by(4), &cause, true, 3);
                assert_eq!(next.attempt(), death);
                assert_eq!(next.state() == State::Failed, death == budget, "death {death} by {cause}");
                word = next;
            }
        }
        let late = judge(BlockWord::free(1).claimed_by(0), &Cause::Deadline, true, 3);
        assert_eq!((late.state(), late.charged()), (State::Failed, 1));
    }
}
