//! Faults, and the rules that say where they happen.

use crate::error::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use std::ops::Range;
use std::time::Duration;

/// What happens to a block on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Fault {
    /// The worker sends itself `SIGKILL`, as somebody else would: such a death does not count as an attempt.
    Kill,
    /// The worker dies of `SIGSEGV`.
    Segfault,
    /// The worker aborts.
    Abort,
    /// The worker calls `exit` with this code.
    Exit(i32),
    /// The task never returns and does not look whether its job was cancelled.
    Hang,
    /// The task waits until its job is cancelled, then goes on.
    HangUntilCancelled,
    /// The task panics.
    Panic,
    /// The task returns an error.
    Error,
    /// The task takes this much longer.
    Slow(Duration),
}

impl Fault {
    /// Whether the fault would take a program without workers with it.
    pub(super) fn needs_process(self) -> bool {
        !matches!(self, Self::Panic | Self::Error | Self::Slow(_))
    }
}

/// When in a block's life a fault happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Moment {
    /// Before the task's first instruction.
    #[default]
    Before,
    /// When the task has returned and nothing of it is committed: its result is lost, staged rows are as they were,
    /// `#[out]` rows are written.
    After,
}

/// A fault and where it happens: everywhere, unless it is told otherwise.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[must_use = "a rule does nothing until a pool has it"]
pub struct Rule {
    pub(super) fault: Fault,
    pub(super) task: Option<String>,
    pub(super) blocks: Option<Range<usize>>,
    pub(super) attempts: Option<Range<u32>>,
    pub(super) rate: f64,
    pub(super) moment: Moment,
}

impl From<Fault> for Rule {
    fn from(fault: Fault) -> Self {
        Self::new(fault)
    }
}

impl Rule {
    /// A fault at every block of every task, in every attempt, before the task.
    pub fn new(fault: Fault) -> Self {
        Self { fault, task: None, blocks: None, attempts: None, rate: 1.0, moment: Moment::Before }
    }

    /// Only in this task: the name of its function, alone or with its path, or the name that the
    /// [attribute](macro@crate::task) gave it. All functions of [`call`](crate::call()) are `ndpool::call`.
    pub fn task(mut self, name: impl Into<String>) -> Self {
        self.task = Some(name.into());
        self
    }

    /// Only in the block with this number.
    pub fn block(self, index: usize) -> Self {
        self.blocks(index..index.saturating_add(1))
    }

    /// Only in blocks with these numbers.
    pub fn blocks(mut self, indices: Range<usize>) -> Self {
        self.blocks = Some(indices);
        self
    }

    /// Only in this attempt; the first is 0.
    pub fn attempt(self, attempt: u32) -> Self {
        self.attempts(attempt..attempt.saturating_add(1))
    }

    /// Only in these attempts.
    pub fn attempts(mut self, attempts: Range<u32>) -> Self {
        self.attempts = Some(attempts);
        self
    }

    /// Only in this share, from 0 to 1, of what the rule applies to.
    pub fn rate(mut self, share: f64) -> Self {
        self.rate = share;
        self
    }

    /// Before or after the task; before by default.
    pub fn at(mut self, moment: Moment) -> Self {
        self.moment = moment;
        self
    }
}

/// All that is injected into a pool: rules, each of which applies by itself, and a seed.
///
/// See the [module](crate::inject) for what it is good for and for its text form.
///
/// # Example
///
/// ```
/// use ndpool::inject::{Fault, Faults, Rule};
///
/// let faults = Faults::new().seed(7).add(Rule::new(Fault::Kill).rate(0.1)).add(Rule::new(Fault::Panic).block(3));
/// assert_eq!(faults.to_string(), "seed=7; kill rate=0.1; panic block=3");
/// assert_eq!(faults.to_string().parse::<Faults>()?, faults);
/// # Ok::<(), ndpool::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[must_use = "faults do nothing until a pool has them"]
pub struct Faults {
    pub(super) seed: u64,
    pub(super) rules: Vec<Rule>,
}

impl Faults {
    /// No faults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Chooses which blocks a rate hits; 0 by default.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Adds a rule, or a fault that happens everywhere.
    #[expect(clippy::should_implement_trait, reason = "nothing is summed up")]
    pub fn add(mut self, rule: impl Into<Rule>) -> Self {
        self.rules.push(rule.into());
        self
    }

    /// Whether there is nothing to inject.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Whether the rules can be followed, by workers or without any.
    pub(crate) fn check(&self, is_in_process: bool) -> Result<()> {
        let invalid = |what: String| Err(Error::new(ErrorKind::InvalidArgument, what));
        for rule in &self.rules {
            if !(0.0..=1.0).contains(&rule.rate) {
                return invalid(format!("fault `{rule}`: a rate is from 0 to 1"));
            }
            if rule.blocks.as_ref().is_some_and(Range::is_empty)
                || rule.attempts.as_ref().is_some_and(Range::is_empty)
            {
                return invalid(format!("fault `{rule}`: a range without numbers"));
            }
            if is_in_process && rule.fault.needs_process() {
                return Err(Error::new(
                    ErrorKind::InvalidArgument,
                    format!("fault `{rule}`: without worker processes it would hit the program itself"),
                )
                .with_hint(
                    "in an in-process pool only `panic`, `error` and `slow` can be injected; \
                     build the pool with workers for the others",
                ));
            }
        }
        Ok(())
    }
}
