//! What a supervisor of the soak tells the director: one line of JSON each, short enough that a pipe takes it whole.

use std::io::Write;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

/// Characters of a text that goes into a report: lines stay below what a pipe writes in one piece.
const LONGEST_TEXT: usize = 1500;

/// One thing that happened.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Report {
    /// The supervisor lives.
    Pulse,
    /// A pool was built; with the run's digits.
    Pool(String),
    /// A job has ended and was checked.
    Job { kind: String, blocks: u64, verdict: Verdict },
    /// What the pool counted since the last time.
    Counts(Counts),
    /// Something was held longer than it should have been, or is gone though it should be there.
    Leak(String),
    /// No progress, though nobody stopped it.
    Hang(String),
    /// Arrays and holdings were looked at, and were as they should be.
    Held(Held),
    /// The pool is gone and nothing will be done until told.
    Quiet,
}

/// What was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Held {
    /// The file of a living array is there.
    Names,
    /// Descriptors, mappings and memory of this process after a pool.
    Supervisor,
    /// Those of a worker.
    Worker,
    /// A file that was saved by a supervisor that was killed since.
    Saved,
}

/// Sums of [`ndpool::Stats`].
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Counts {
    pub workers_started: u64,
    pub workers_lost: u64,
    pub blocks_redone: u64,
    pub blocks_finished: u64,
}

/// What became of a job, seen from outside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// The result is right to the bit.
    Right,
    /// A typed error, of which everything is right: kind, blocks, data.
    Error {
        kind: String,
        /// Blocks that failed although the task did nothing wrong in them: they were killed too often.
        given_up: u64,
        /// The error, if there are such blocks.
        text: Option<String>,
    },
    /// Anything else.
    Wrong(String),
}

impl Verdict {
    pub fn wrong(text: impl Into<String>) -> Self {
        Self::Wrong(shortened(text.into()))
    }

    /// An error that is right.
    pub fn error(error: &ndpool::Error, given_up: u64) -> Self {
        let kind = format!("{:?}", error.kind());
        let text = (given_up > 0).then(|| shortened(error.to_string()));
        Self::Error { kind, given_up, text }
    }
}

fn shortened(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(LONGEST_TEXT) {
        text.truncate(end);
    }
    text
}

/// Where reports go.
#[derive(Debug, Default)]
pub struct Desk {
    lock: Mutex<()>,
}

impl Desk {
    /// Writes a line. Without a reader there is no soak any more: the process ends.
    pub fn tell(&self, report: &Report) {
        let mut line = serde_json::to_vec(report).expect("a report is plain data");
        line.push(b'\n');
        let _one_at_a_time = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        let mut out = std::io::stdout().lock();
        if out.write_all(&line).and_then(|()| out.flush()).is_err() {
            std::process::exit(0);
        }
    }

    /// Says how a job ended.
    pub fn job(&self, kind: &str, blocks: usize, verdict: Verdict) {
        self.tell(&Report::Job { kind: kind.into(), blocks: blocks as u64, verdict });
    }
}
