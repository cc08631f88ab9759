//! How a task fails without its worker dying.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Why a task did not give a result.
///
/// A task that returns a `Result` whose error implements `Display` is turned into one by the macro.
#[derive(Debug, Clone)]
pub struct TaskError(pub(crate) Failure);

impl TaskError {
    /// An error with this text; its `source`s are the caller's to include (`{:#}` for `anyhow`).
    pub fn new(message: impl fmt::Display) -> Self {
        // The alternate form lets error types that have one include their sources.
        Self(Failure { kind: FailureKind::Error, message: format!("{message:#}"), ..Failure::default() })
    }

    pub(crate) fn with_kind(kind: FailureKind, message: impl Into<String>) -> Self {
        Self(Failure { kind, message: message.into(), ..Failure::default() })
    }
}

impl fmt::Display for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for TaskError {}

/// In which way a task failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) enum FailureKind {
    /// It returned an error.
    #[default]
    Error,
    /// It panicked.
    Panic,
    /// An argument or the result could not be turned into or from bytes.
    Serde,
    /// An array of the job could not be mapped, or the descriptor does not fit the task.
    Segment,
    /// The worker's program has no such task.
    UnknownTask,
    /// There was no space for the result.
    OutOfSpace,
}

/// A failure as it travels from worker to supervisor.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Failure {
    pub(crate) kind: FailureKind,
    pub(crate) message: String,
    /// File, line and column of a panic.
    pub(crate) location: Option<String>,
    pub(crate) backtrace: Option<String>,
}
