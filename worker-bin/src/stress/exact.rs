//! Whether a job's outcome is right: its error names exactly the blocks whose rows are not new.

use ndpool::{Error, ErrorKind, WorkerExit};

use super::report::Verdict;

/// What the rows of a block show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rows {
    /// As before the job.
    Old,
    /// As the task makes them.
    New,
    /// Some of each, and nothing else: allowed where a block is said to be torn.
    Both,
    /// Something else.
    Foreign,
}

impl Rows {
    /// Compares each element with what it was and with what it should become.
    pub fn of<T: PartialEq>(
        found: impl IntoIterator<Item = T>,
        was: impl Fn(usize) -> T,
        will: impl Fn(usize) -> T,
    ) -> Self {
        let (mut n_old, mut n_new) = (0_usize, 0_usize);
        for (i, found) in found.into_iter().enumerate() {
            if found == will(i) {
                n_new += 1;
            } else if found == was(i) {
                n_old += 1;
            } else {
                return Self::Foreign;
            }
        }
        match (n_old, n_new) {
            (_, 0) => Self::Old,
            (0, _) => Self::New,
            _ => Self::Both,
        }
    }

    /// What two arrays show of one block.
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Foreign, _) | (_, Self::Foreign) => Self::Foreign,
            (a, b) if a == b => a,
            _ => Self::Both,
        }
    }
}

/// What a job may come to.
#[derive(Debug, Clone, Default)]
pub struct Expected {
    pub n_blocks: usize,
    /// Blocks whose task fails for good, in order.
    pub must_fail: Vec<usize>,
    /// Kinds of errors that the job was made to have, besides those of the weather.
    pub kinds: Vec<ErrorKind>,
    /// Whether the job writes an `#[out]` array, so that blocks may be torn.
    pub is_output: bool,
    /// Whether workers may die of the task's own doing.
    pub kills: bool,
}

/// Errors that a soak brings about by itself, to any job.
pub fn is_weather(error: &Error, has_pressure: bool) -> bool {
    match error.kind() {
        // A block that was killed three times by a crash signal, or thirty times by another.
        ErrorKind::WorkerLost => is_by_killer(error),
        // Five processes in a row that were killed before they could say hello.
        ErrorKind::Start => true,
        ErrorKind::OutOfSpace => has_pressure,
        _ => false,
    }
}

fn is_by_killer(error: &Error) -> bool {
    matches!(error.worker_exit(), Some(WorkerExit::Signal { number, .. })
        if [libc::SIGKILL, libc::SIGTERM, libc::SIGSEGV].contains(number))
}

impl Expected {
    /// Judges a job by its result and by the rows of each block.
    pub fn judge<R>(
        &self,
        result: &Result<R, Error>,
        rows: impl Fn(usize) -> Rows,
        has_pressure: bool,
    ) -> Verdict {
        let error = match result {
            Ok(_) if !self.must_fail.is_empty() => {
                return Verdict::wrong(format!("a job succeeded in which blocks {:?} fail", self.must_fail));
            }
            Ok(_) => {
                return match (0..self.n_blocks).find(|&block| rows(block) != Rows::New) {
                    None => Verdict::Right,
                    Some(block) => Verdict::wrong(format!(
                        "a job of {} blocks succeeded, and the rows of block {block} are {:?}",
                        self.n_blocks,
                        rows(block)
                    )),
                };
            }
            Err(error) => error,
        };
        self.judge_error(error, rows, has_pressure)
    }

    fn judge_error(&self, error: &Error, rows: impl Fn(usize) -> Rows, has_pressure: bool) -> Verdict {
        let wrong =
            |what: String| Verdict::wrong(format!("{what}; the error is {:?}: {error}", error.kind()));
        let kind = error.kind();
        let is_own = self.kinds.contains(&kind)
            || (self.kills && !self.must_fail.is_empty() && kind == ErrorKind::WorkerLost);
        if !is_own && !is_weather(error, has_pressure) {
            return wrong("an error that nothing explains".into());
        }
        let blocks = error.failed_blocks();
        if blocks.n_blocks != self.n_blocks {
            return wrong(format!("{} blocks are said to be {}", self.n_blocks, blocks.n_blocks));
        }
        let mut listed = vec![None; self.n_blocks];
        for (set, name) in [(&blocks.failed, "failed"), (&blocks.not_run, "not run"), (&blocks.torn, "torn")]
        {
            for block in set.iter().cloned().flatten() {
                match listed.get_mut(block) {
                    Some(place @ None) => *place = Some(name),
                    _ => return wrong(format!("block {block} is listed twice, or is none")),
                }
            }
        }
        let mut given_up = 0;
        for (block, listed) in listed.iter().enumerate() {
            let rows = rows(block);
            let fits = match listed {
                None => rows == Rows::New,
                Some("torn") => self.is_output && rows != Rows::Foreign,
                Some(_) => rows == Rows::Old,
            };
            if !fits {
                let listed = listed.unwrap_or("applied");
                return wrong(format!("block {block} is said to be {listed}, and its rows are {rows:?}"));
            }
            match listed {
                None if self.must_fail.binary_search(&block).is_ok() => {
                    return wrong(format!("block {block} fails for good, and is said to be applied"));
                }
                Some("failed" | "torn") if kind == ErrorKind::WorkerLost => {
                    given_up += u64::from(self.must_fail.binary_search(&block).is_err());
                }
                _ => {}
            }
        }
        Verdict::error(error, given_up)
    }
}

/// Judges a job without arrays to write: its value alone says whether it is right.
pub fn judge_value<R: PartialEq>(
    expected: &Expected,
    result: &Result<R, Error>,
    right: impl FnOnce() -> R,
    has_pressure: bool,
) -> Verdict {
    match result {
        Ok(value) if *value != right() => Verdict::wrong("the result has other bits than it should"),
        Ok(_) => expected.judge(result, |_| Rows::New, has_pressure),
        // Nothing shows what was applied: what the error says must at least fit together.
        Err(error) => {
            let not_applied = error.failed_blocks().not_applied();
            let rows = |block| {
                if not_applied.binary_search(&block).is_ok() || not_applied.is_empty() {
                    Rows::Old
                } else {
                    Rows::New
                }
            };
            expected.judge(result, rows, has_pressure)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_old_new_both_or_foreign() {
        let of = |found: &[i32]| Rows::of(found.iter().copied(), |_| 1, |_| 2);
        assert_eq!(of(&[1, 1]), Rows::Old);
        assert_eq!(of(&[2, 2]), Rows::New);
        assert_eq!(of(&[1, 2]), Rows::Both);
        assert_eq!(of(&[1, 3]), Rows::Foreign);
        assert_eq!(Rows::Old.and(Rows::New), Rows::Both);
        assert_eq!(Rows::New.and(Rows::New), Rows::New);
    }

    #[test]
    fn a_success_with_an_old_row_is_wrong() {
        let expected = Expected { n_blocks: 2, ..Expected::default() };
        assert_eq!(expected.judge(&Ok(()), |_| Rows::New, false), Verdict::Right);
        let verdict = expected.judge(&Ok(()), |block| if block == 1 { Rows::Old } else { Rows::New }, false);
        assert!(matches!(verdict, Verdict::Wrong(_)));
        let expected = Expected { n_blocks: 2, must_fail: vec![1], ..Expected::default() };
        assert!(matches!(expected.judge(&Ok(()), |_| Rows::New, false), Verdict::Wrong(_)));
    }
}
