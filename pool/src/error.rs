//! What can go wrong, and what to do about it.
//!
//! Every fallible operation of the crate returns [`Error`]: one pointer wide, with a [kind](Error::kind) to
//! match on, a message that says what was found and what was wanted, and, where there is one, a
//! [hint](Error::hint) that says what to do. `Debug` prints what `Display` prints, so that `unwrap` and a
//! `main` that returns `Result` read well; `{:#?}` shows the structure.

mod death;

pub use death::{Argument, Cause, Death, Fate, LostBlock, MappedRows, Sender};

use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// The result of an operation of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, as a category to match on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The program did not call [`init`](crate::init) before it built a pool.
    NotInitialised,
    /// An argument of a call or an option is not usable.
    InvalidArgument,
    /// Shapes do not fit each other, or a size overflows.
    Shape,
    /// A `.npy` file or header is not what was asked for; the source is an [`NpyError`](crate::NpyError).
    Npy,
    /// An operation of the system failed; the source is the [`std::io::Error`].
    Io,
    /// There is not enough shared memory, disk or address space.
    OutOfSpace,
    /// A shared-memory segment is missing, foreign or damaged.
    Segment,
    /// A lock is poisoned, was not to be had in time, or is this thread's already.
    Lock,
    /// A worker could not be started.
    Start,
    /// Supervisor and worker do not fit: another build, another version, a task with other arguments.
    BuildMismatch,
    /// Two tasks have the same name.
    DuplicateTask,
    /// The worker does not know the task.
    UnknownTask,
    /// A task returned an error.
    Task,
    /// A task panicked.
    Panic,
    /// A block killed as many workers as its attempts allow.
    WorkerLost,
    /// A block took more memory than its worker may have, as often as its attempts allow.
    MemoryLimit,
    /// The kernel killed as many workers for want of memory as the block's attempts allow.
    OutOfMemory,
    /// A block ran longer than its block timeout, as often as its attempts allow.
    Timeout,
    /// The job did not end before its deadline.
    Deadline,
    /// The job was cancelled.
    Cancelled,
    /// A value could not be serialised or deserialised.
    Serde,
    /// The pool is shutting down, or was shut down.
    Shutdown,
    /// Somebody who lives has what only one can have, such as the right to write.
    Busy,
    /// What was read changed faster than it could be copied.
    TooSlow,
}

/// How a worker process ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum WorkerExit {
    /// It called `exit` with this code, even if the code is 0.
    Code(i32),
    /// A signal ended it.
    Signal {
        /// The signal's number.
        number: i32,
        /// Whether the kernel wrote a core file.
        core_dumped: bool,
    },
    /// The pool killed it because a block ran longer than its block timeout.
    TimedOut(Duration),
    /// The pool killed it because the job's deadline passed.
    PastDeadline,
    /// The pool killed it because the job was cancelled and the block did not end within the grace that was left to it.
    Cancelled(Duration),
    /// It had more memory to itself than [`memory_limit_per_worker`](crate::Builder::memory_limit_per_worker) allows.
    MemoryLimit {
        /// The limit.
        limit_bytes: u64,
        /// What the pool found when it killed the worker; `None` if the system refused memory and the worker aborted.
        found_bytes: Option<u64>,
    },
    /// There never was one: the program could not be started.
    NeverStarted,
    /// It ended, but somebody else waited for it, or `SIGCHLD` is ignored.
    Unknown,
}

impl WorkerExit {
    /// The name of the signal that ended the worker, such as `SIGSEGV`.
    pub fn signal_name(&self) -> Option<&'static str> {
        match self {
            Self::Signal { number, .. } => {
                nix::sys::signal::Signal::try_from(*number).ok().map(nix::sys::signal::Signal::as_str)
            }
            _ => None,
        }
    }
}

impl fmt::Display for WorkerExit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exited with code {code}"),
            Self::Signal { number, core_dumped } => {
                match self.signal_name() {
                    Some(name) => write!(f, "was killed by {name}")?,
                    None => write!(f, "was killed by signal {number}")?,
                }
                if *core_dumped { f.write_str(" (core dumped)") } else { Ok(()) }
            }
            Self::TimedOut(limit) => write!(f, "was killed after the block timeout of {limit:?}"),
            Self::PastDeadline => f.write_str("was killed because the job's deadline passed"),
            Self::Cancelled(grace) => {
                write!(
                    f,
                    "was killed because its job was cancelled and its block went on for more than {grace:?}"
                )
            }
            Self::MemoryLimit { limit_bytes, found_bytes: Some(found) } => {
                write!(
                    f,
                    "was killed with {found} bytes of memory of its own, over its limit of {limit_bytes}"
                )
            }
            Self::MemoryLimit { limit_bytes, found_bytes: None } => {
                write!(f, "aborted when it was refused memory for its limit of {limit_bytes} bytes")
            }
            Self::NeverStarted => f.write_str("was never started"),
            Self::Unknown => f.write_str("ended in an unknown way"),
        }
    }
}

/// The blocks of a job that ended with an error, each as ranges of block indices.
///
/// Every block of the job is in exactly one of the three sets, or was applied.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FailedBlocks {
    /// Blocks whose task failed, so that nothing of them was applied.
    pub failed: Vec<Range<usize>>,
    /// Blocks that were never run, because the job was cancelled or ran out of time.
    pub not_run: Vec<Range<usize>>,
    /// Blocks whose rows may be partly old and partly new: they write an `#[out]` array and failed half-way, or the
    /// disk failed under a file-backed array while they were written back.
    pub torn: Vec<Range<usize>>,
    /// Number of blocks in the job.
    pub n_blocks: usize,
}

impl FailedBlocks {
    /// Whether every block was applied.
    pub fn is_empty(&self) -> bool {
        self.failed.is_empty() && self.not_run.is_empty() && self.torn.is_empty()
    }

    /// Indices of all blocks that were not applied, in order.
    pub fn not_applied(&self) -> Vec<usize> {
        let mut all: Vec<usize> =
            [&self.failed, &self.not_run, &self.torn].into_iter().flatten().cloned().flatten().collect();
        all.sort_unstable();
        all
    }
}

/// An error of the pool, of an array or of a task.
///
/// # Example
///
/// ```
/// use ndpool::{ErrorKind, Pool, task};
///
/// #[task]
/// fn root(x: f64) -> Result<f64, String> {
///     if x < 0.0 { Err(format!("no root of {x}")) } else { Ok(x.sqrt()) }
/// }
///
/// ndpool::init();
/// let pool = Pool::builder().workers(1).build()?;
/// let error = pool.run(root(-1.0)).unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::Task);
/// assert!(error.to_string().contains("no root of -1"));
/// assert_eq!(error.failed_blocks().not_applied(), [0]);
/// # Ok::<(), ndpool::Error>(())
/// ```
pub struct Error(Box<Repr>);

struct Repr {
    kind: ErrorKind,
    message: String,
    hint: Option<Cow<'static, str>>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
    blocks: FailedBlocks,
    death: Option<Arc<Death>>,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Repr {
            kind,
            message: message.into(),
            hint: None,
            source: None,
            blocks: FailedBlocks::default(),
            death: None,
        }))
    }

    pub(crate) fn io(message: impl fmt::Display, source: io::Error) -> Self {
        Self::new(ErrorKind::Io, format!("{message}: {source}")).with_source(source)
    }

    /// An operation on a file of the user's failed; `doing` completes "cannot".
    pub(crate) fn of_file(doing: &str, path: &Path, source: io::Error) -> Self {
        let hint = match source.kind() {
            io::ErrorKind::NotFound => "check the path; a relative one starts at the working directory",
            io::ErrorKind::PermissionDenied => {
                "check the permissions of the file and of the directories above it"
            }
            io::ErrorKind::IsADirectory => "name a file, not a directory",
            io::ErrorKind::InvalidInput => "name a regular file",
            io::ErrorKind::FileTooLarge => "lift the limit on the size of files with `ulimit -f unlimited`",
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                "free space there, or choose another place"
            }
            _ => return Self::io(format_args!("cannot {doing} `{}`", path.display()), source),
        };
        Self::io(format_args!("cannot {doing} `{}`", path.display()), source).with_hint(hint)
    }

    pub(crate) fn with_hint(mut self, hint: impl Into<Cow<'static, str>>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    pub(crate) fn with_source(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    pub(crate) fn with_blocks(mut self, blocks: FailedBlocks) -> Self {
        self.0.blocks = blocks;
        self
    }

    pub(crate) fn with_death(mut self, death: Arc<Death>) -> Self {
        self.0.death = Some(death);
        self
    }

    /// With the record of another error, if that has one.
    pub(crate) fn with_death_of(mut self, other: &Self) -> Self {
        self.0.death.clone_from(&other.0.death);
        self
    }

    /// The same error once more, without its source: one reason may end many jobs.
    pub(crate) fn copy(&self) -> Self {
        let Repr { kind, message, hint, blocks, death, .. } = &*self.0;
        Self(Box::new(Repr {
            kind: *kind,
            message: message.clone(),
            hint: hint.clone(),
            source: None,
            blocks: blocks.clone(),
            death: death.clone(),
        }))
    }

    /// Message and hint, for an error that is passed on.
    pub(crate) fn parts(&self) -> (&str, Option<&str>) {
        (&self.0.message, self.hint())
    }

    /// The category of the error.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// What to do about it, where there is something to do.
    pub fn hint(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// The blocks that were not applied: all of them if the job never reached the workers. Empty unless a job failed, or if the
    /// call could not become one, because of its arguments or for want of memory for an output.
    pub fn failed_blocks(&self) -> &FailedBlocks {
        &self.0.blocks
    }

    /// How the last worker that ran the failing block ended; `None` unless a worker died.
    pub fn worker_exit(&self) -> Option<&WorkerExit> {
        self.death().map(|death| &death.exit)
    }

    /// The record of that worker's end, with its probable cause; `None` unless a worker died.
    pub fn death(&self) -> Option<&Death> {
        self.0.death.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        match &self.0.hint {
            Some(hint) => write!(f, "\n(hint: {hint})"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !f.alternate() {
            return fmt::Display::fmt(self, f);
        }
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("message", &self.0.message)
            .field("hint", &self.0.hint)
            .field("source", &self.0.source)
            .field("failed_blocks", &self.0.blocks)
            .field("death", &self.0.death)
            .finish()
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}
