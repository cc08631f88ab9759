use super::{ATTEMPTS, EXTERNAL, N_ROWS, Rows, Temper, World, out_of, result_of};
use crate::job::word::State;

/// What happened to a block, as an all-seeing observer counts it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Seen {
    pub(super) n_applied: u32,
    pub(super) charged: u32,
    pub(super) external: u32,
    pub(super) past_deadline: bool,
    pub(super) has_erred: bool,
    pub(super) has_begun: bool,
}

/// What was counted over many worlds.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Totals {
    pub(super) jobs: usize,
    pub(super) blocks: usize,
    pub(super) done: usize,
    pub(super) failed: usize,
    pub(super) not_run: usize,
    pub(super) deaths: usize,
    pub(super) given_up: usize,
}

impl Totals {
    /// Counts another world too.
    pub(super) fn add(&mut self, other: Self) {
        self.jobs += other.jobs;
        self.blocks += other.blocks;
        self.done += other.done;
        self.failed += other.failed;
        self.not_run += other.not_run;
        self.deaths += other.deaths;
        self.given_up += other.given_up;
    }
}

impl World {
    /// Compares every block of a job that has ended with what was seen of it.
    pub(super) fn judge_job(&mut self) {
        self.totals.jobs += 1;
        let must_be_done = !self.is_cancelled;
        for (block, word) in self.words_now().into_iter().enumerate() {
            let seen = self.seen[block];
            let what = format!("block {block}, {word:?}, {:?}, {seen:?}", self.tempers[block]);
            self.totals.blocks += 1;
            let untouched = self.rows[block] == [0; N_ROWS];
            assert_eq!((word.charged(), word.external()), (seen.charged, seen.external), "{what}");
            match word.state() {
                State::Done => {
                    self.totals.done += 1;
                    assert_eq!(seen.n_applied, 1, "{what}");
                    let expected = if self.mode == Rows::Staged { 1 } else { out_of(block) };
                    assert_eq!(self.rows[block], [expected; N_ROWS], "{what}");
                    assert_eq!(self.results[block], Some(result_of(block)), "{what}");
                    assert!(
                        !matches!(self.tempers[block], Temper::Poison | Temper::Errs | Temper::Hangs),
                        "{what}"
                    );
                }
                State::Failed => {
                    self.totals.failed += 1;
                }
                State::Cancelled => {
                    self.totals.not_run += 1;
                    assert!(!must_be_done, "{what}");
                }
                _ => panic!("not the end: {what}"),
            }
            assert!(seen.charged <= ATTEMPTS && seen.external <= EXTERNAL, "{what}");
            let is_used_up = seen.charged == ATTEMPTS || seen.external == EXTERNAL;
            let must_fail = is_used_up || seen.has_erred || seen.past_deadline;
            assert_eq!(word.state() == State::Failed, must_fail, "{what}");
            if word.state() != State::Done {
                assert_eq!(seen.n_applied, 0, "{what}");
                // Torn is only what is declared to be, and begun.
                assert!(untouched || (self.mode == Rows::Out && seen.has_begun), "{what}");
            }
        }
    }
}
