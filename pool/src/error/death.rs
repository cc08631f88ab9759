//! What is known of a worker's end: the record that is left of it.

use super::WorkerExit;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::SystemTime;

/// Lines of stderr that a record shows as text; all that were kept are in [`Death::stderr`].
const SHOWN_LINES: usize = 8;

/// The record of a worker's unexpected end.
///
/// It is in the [error](crate::Error::death) of a block that was given up for it, in [`Pool::deaths`](crate::Pool::deaths),
/// and in the `tracing` event *a worker died* at level warn. A worker that ends because it was asked to (shutdown, replacement by
/// a fresh one, [`max_tasks_per_worker`](crate::Builder::max_tasks_per_worker)) leaves none.
///
/// `Display` is a few lines for a person; each field is there for programs, and the whole can be serialised.
///
/// # Example
///
/// ```
/// use ndpool::{Block, Cause, Pool, task};
///
/// #[task]
/// fn leaves_once(code: i32, block: &Block) -> i32 {
///     if block.attempt() == 0 {
///         std::process::exit(code);
///     }
///     code
/// }
///
/// ndpool::init();
/// let pool = Pool::builder().workers(1).build()?;
/// assert_eq!(pool.run(leaves_once(3))?, 3);
///
/// let deaths = pool.deaths();
/// let [death] = deaths.as_slice() else { panic!("{deaths:?}") };
/// assert_eq!(death.cause, Cause::Exit);
/// let block = death.block.as_ref().unwrap();
/// assert_eq!((block.index, block.attempt), (0, 0));
/// assert_eq!(block.arguments[0].to_string(), "code = 3");
/// println!("{death}");
/// # Ok::<(), ndpool::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Death {
    /// When the supervisor found it.
    pub time: SystemTime,
    /// The worker's number.
    pub worker: usize,
    /// Its process identifier; `None` if no process could be started.
    pub pid: Option<u32>,
    /// How the process ended.
    pub exit: WorkerExit,
    /// Why, as far as can be told.
    pub cause: Cause,
    /// What says so, one sentence each.
    pub evidence: Vec<String>,
    /// The block that it held; `None` if it held none.
    pub block: Option<LostBlock>,
    /// Blocks that the process had begun, this one included.
    pub n_begun: u64,
    /// The text and place of a panic that it did not survive.
    pub last_panic: Option<String>,
    /// The last lines that it printed to stderr; none with [`Stderr::Inherit`](crate::Stderr::Inherit).
    pub stderr: Vec<String>,
    /// Most bytes of memory that the process had resident at a time; `None` if the kernel does not say. A process inherits
    /// this mark from the one that starts it, so it is `None` too if it is not above the supervisor's own.
    pub peak_resident_bytes: Option<u64>,
}

/// Why a worker ended, as far as can be told.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Cause {
    /// The kernel killed it for want of memory; probable, with the evidence beside it.
    OutOfMemory,
    /// It went over the limit of memory that its pool sets.
    MemoryLimit,
    /// Its stack overflowed.
    StackOverflow,
    /// It touched memory that it must not: `SIGSEGV`.
    InvalidAccess,
    /// It touched a page that could not be had, or with an alignment that is not allowed: `SIGBUS`.
    BusError,
    /// It met an instruction that its processor does not have: `SIGILL`.
    IllegalInstruction,
    /// An integer division by zero, or another fault of arithmetic: `SIGFPE`.
    Arithmetic,
    /// A panic that could not be caught: one while another unwound, or with `panic = "abort"`.
    Panic,
    /// It called `abort`, or a check in native code did.
    Abort,
    /// A block ran longer than its block timeout, and the pool killed it.
    BlockTimeout,
    /// The job's deadline passed, and the pool killed it.
    Deadline,
    /// The job was cancelled, its block did not end within the grace, and the pool killed it.
    Cancelled,
    /// A signal came from another process, or from one that the kernel does not name.
    Killed {
        /// Who sent it, where the kernel tells.
        by: Option<Sender>,
    },
    /// It sent itself a signal that ends a process, or the kernel did for a timer or a limit.
    Signal,
    /// It called `exit`.
    Exit,
    /// It said on stderr that it cannot go on, and ended.
    GaveUp,
    /// It could not be started, or ended before it served.
    DidNotStart,
    /// It took its supervisor for dead and ended.
    SupervisorLost,
    /// Nothing is known.
    Unknown,
}

impl Cause {
    /// What to do about it, where there is something to do.
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::OutOfMemory => {
                "use fewer workers (`Builder::workers`) or smaller blocks (`Call::block_rows`), or give the memory group more"
            }
            Self::MemoryLimit => {
                "give the block fewer rows (`Call::block_rows`), or workers more memory (`Builder::memory_limit_per_worker`)"
            }
            Self::StackOverflow => {
                "recursion without an end, or large values on the stack: a task runs on the worker's main thread (`ulimit -s`)"
            }
            Self::IllegalInstruction => {
                "probably built for another processor (`target-cpu=native`, or a native library that is)"
            }
            Self::BusError => {
                "usually a mapped file that was made shorter, or no room left behind a sparse file"
            }
            _ => return None,
        })
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OutOfMemory => "out of memory",
            Self::MemoryLimit => "over its memory limit",
            Self::StackOverflow => "stack overflow",
            Self::InvalidAccess => "invalid memory access",
            Self::BusError => "bus error",
            Self::IllegalInstruction => "illegal instruction",
            Self::Arithmetic => "arithmetic fault",
            Self::Panic => "a panic that could not be caught",
            Self::Abort => "abort",
            Self::BlockTimeout => "block timeout",
            Self::Deadline => "deadline of the job",
            Self::Cancelled => "cancelled",
            Self::Killed { by: None } => "killed from outside",
            Self::Killed { by: Some(sender) } => return write!(f, "killed by {sender}"),
            Self::Signal => "a signal to itself",
            Self::Exit => "called exit",
            Self::GaveUp => "gave up",
            Self::DidNotStart => "did not start",
            Self::SupervisorLost => "took its supervisor for dead",
            Self::Unknown => "unknown",
        })
    }
}

/// The process that sent a signal.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Sender {
    /// Its process identifier, in the worker's namespace; 0 for one outside of it.
    pub pid: u32,
    /// Its user's identifier.
    pub uid: u32,
    /// Its name, if it still had one when the signal arrived.
    pub name: Option<String>,
}

impl fmt::Display for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.pid == 0 {
            return write!(f, "a process outside of the PID namespace (user {})", self.uid);
        }
        write!(f, "process {}", self.pid)?;
        match &self.name {
            Some(name) => write!(f, " ({name}, user {})", self.uid),
            None => write!(f, " (user {})", self.uid),
        }
    }
}

/// The block that a worker held as it ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LostBlock {
    /// The name by which messages call the job: the task's, unless the call was given one.
    pub job: String,
    /// The task.
    pub task: String,
    /// Number of the block in its job; in a [`map`](crate::Pool::map), of the call in its batch.
    pub index: usize,
    /// Blocks of the job.
    pub n_blocks: usize,
    /// Earlier attempts at the block that ended with the death of their worker.
    pub attempt: u32,
    /// Whether the task had begun. If not, its death is not the block's doing.
    pub had_begun: bool,
    /// What becomes of the block.
    pub fate: Fate,
    /// The task's plain arguments, in order.
    pub arguments: Vec<Argument>,
    /// The arrays that were mapped for the block.
    pub arrays: Vec<MappedRows>,
}

/// What becomes of a block whose worker died.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Fate {
    /// It is run again, by another worker.
    RunAgain,
    /// It was complete, and the supervisor writes it back.
    Applied,
    /// Its attempts are used up: it has failed.
    GivenUp,
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RunAgain => "it is run again",
            Self::Applied => "it was complete and is applied",
            Self::GivenUp => "it is given up",
        })
    }
}

/// One plain argument of a task, as text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Argument {
    /// The parameter's name.
    pub name: String,
    /// The value as its `Debug` prints it, shortened; the type if it has none.
    pub text: String,
}

impl fmt::Display for Argument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} = {}", self.name, self.text)
    }
}

/// Rows of an array that were mapped for a block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct MappedRows {
    /// The parameter's name, if the task's maker gave one.
    pub name: Option<String>,
    /// The segment, or the file, that holds the array.
    pub segment: String,
    /// Element type.
    pub dtype: String,
    /// Shape of what the task saw: the block's rows, or all of a `#[whole]` array.
    pub shape: Vec<usize>,
    /// Bytes of that.
    pub n_bytes: usize,
    /// What the task does with them: `read`, `whole`, `staged` or `out`.
    pub access: String,
}

impl fmt::Display for MappedRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, segment, dtype, shape, n_bytes, access } = self;
        if let Some(name) = name {
            write!(f, "{name}: ")?;
        }
        write!(f, "{dtype} {shape:?}, {n_bytes} bytes, {access}, of {segment}")
    }
}

impl Death {
    /// The probable cause with its evidence, in one line.
    pub(crate) fn why(&self) -> String {
        let mut text = self.cause.to_string();
        for (i, sentence) in self.evidence.iter().enumerate() {
            text.push_str(if i == 0 { ": " } else { "; " });
            text.push_str(sentence);
        }
        text
    }
}

impl fmt::Display for Death {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "worker {}", self.worker)?;
        if let Some(pid) = self.pid {
            write!(f, " (process {pid})")?;
        }
        write!(f, " {} at {}", self.exit, utc(self.time))?;
        write!(f, "\n  probable cause: {}", self.why())?;
        match &self.block {
            Some(block) => {
                let LostBlock { job, index, n_blocks, attempt, fate, .. } = block;
                write!(f, "\n  block: {index} of {n_blocks} of {job}, attempt {}; {fate}", attempt + 1)?;
                if !block.had_begun && *fate != Fate::Applied {
                    f.write_str(" (the task had not begun)")?;
                }
                for argument in &block.arguments {
                    write!(f, "\n  argument: {argument}")?;
                }
                for array in &block.arrays {
                    write!(f, "\n  array: {array}")?;
                }
            }
            None => write!(f, "\n  block: none in hand, {} begun", self.n_begun)?,
        }
        if let Some(bytes) = self.peak_resident_bytes {
            write!(f, "\n  memory: {} MiB resident at most", bytes >> 20)?;
        }
        if let Some(panic) = &self.last_panic {
            write!(f, "\n  last panic: {}", panic.replace('\n', "\n    "))?;
        }
        let skipped = self.stderr.len().saturating_sub(SHOWN_LINES);
        for line in &self.stderr[skipped..] {
            write!(f, "\n  stderr: {line}")?;
        }
        if let Some(hint) = self.cause.hint() {
            write!(f, "\n  (hint: {hint})")?;
        }
        Ok(())
    }
}

/// A time as `2026-11-22 13:46:23.120 UTC`.
fn utc(time: SystemTime) -> String {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let (day, second) = ((since.as_secs() / 86_400) as i64, since.as_secs() % 86_400);
    // Days since 0000-03-01, so that the day added in leap years is the last of its year; an era is 400 years.
    let day = day + 719_468;
    let (era, day_of_era) = (day.div_euclid(146_097), day.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{day_of_month:02} {:02}:{:02}:{:02}.{:03} UTC",
        second / 3_600,
        second / 60 % 60,
        second % 60,
        since.subsec_millis()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn death() -> Death {
        Death {
            time: SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_355_183_120),
            worker: 2,
            pid: Some(4711),
            exit: WorkerExit::Signal { number: 9, core_dumped: false },
            cause: Cause::OutOfMemory,
            evidence: vec!["the group /a has killed 1 process".into(), "so has the machine".into()],
            block: Some(LostBlock {
                job: "mine::fit".into(),
                task: "mine::fit".into(),
                index: 17,
                n_blocks: 64,
                attempt: 0,
                had_begun: true,
                fate: Fate::RunAgain,
                arguments: vec![Argument { name: "alpha".into(), text: "0.5".into() }],
                arrays: vec![MappedRows {
                    name: Some("x".into()),
                    segment: "ndpool.0.3".into(),
                    dtype: "float64".into(),
                    shape: vec![1024, 3],
                    n_bytes: 24_576,
                    access: "read".into(),
                }],
            }),
            n_begun: 5,
            last_panic: None,
            stderr: (0..10).map(|i| format!("line {i}")).collect(),
            peak_resident_bytes: Some(3 << 20),
        }
    }

    #[test]
    fn a_record_reads_well() {
        let text = death().to_string();
        let head = "worker 2 (process 4711) was killed by SIGKILL at 2026-11-22 13:46:23.120 UTC\n  \
                    probable cause: out of memory: the group /a has killed 1 process; so has the machine\n  \
                    block: 17 of 64 of mine::fit, attempt 1; it is run again\n  \
                    argument: alpha = 0.5\n  \
                    array: x: float64 [1024, 3], 24576 bytes, read, of ndpool.0.3\n  \
                    memory: 3 MiB resident at most\n  \
                    stderr: line 2\n";
        assert!(text.starts_with(head), "{text}");
        assert!(text.contains("(hint: use fewer workers"), "{text}");
    }

    #[test]
    fn a_record_travels() {
        let death = death();
        let bytes = postcard::to_stdvec(&death).unwrap();
        assert_eq!(postcard::from_bytes::<Death>(&bytes).unwrap(), death);
    }

    #[test]
    fn times_are_told_by_the_calendar() {
        for (seconds, expected) in [
            (0, "1970-01-01 00:00:00.000 UTC"),
            (951_782_400, "2000-02-29 00:00:00.000 UTC"),
            (951_868_799, "2000-02-29 23:59:59.000 UTC"),
            (4_107_542_400, "2100-03-01 00:00:00.000 UTC"),
        ] {
            assert_eq!(utc(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)), expected);
        }
    }
}
