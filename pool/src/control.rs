//! What supervisor and worker say to each other outside of shared memory: the handshake, and the end.
//!
//! The channel of the hot path is the [board](crate::job::board); these messages go over `ipc-channel`, a few of
//! them in the life of a worker.

use crate::inject::Faults;
use crate::segment::Locator;
use crate::task;
use ipc_channel::ipc::IpcSender;
use serde::{Deserialize, Serialize};
use std::os::unix::fs::MetadataExt;

/// `argv[0]` of a worker. Unlike the environment it is not inherited by what a worker starts.
pub(crate) const WORKER_ARG0: &str = "ndpool-worker";
/// Name of the one-shot server that waits for the worker's [`Hello`].
pub(crate) const ENV_SOCKET: &str = "NDPOOL_SOCKET";
/// Process identifier of the supervisor.
pub(crate) const ENV_SUPERVISOR: &str = "NDPOOL_SUPERVISOR";
/// Number of the run, 16 hexadecimal digits.
pub(crate) const ENV_RUN: &str = "NDPOOL_RUN";
/// Directories in which the run has a manifest, as `PATH` has its own.
pub(crate) const ENV_DIRECTORIES: &str = "NDPOOL_DIRECTORIES";

/// Bumped whenever what two processes share changes: messages, board, arena, descriptor, segments.
pub(crate) const PROTOCOL: u32 = 3;

/// What tells one program file from another: only processes of the same one can exchange places in its image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Fingerprint {
    device: u64,
    inode: u64,
    len_bytes: u64,
    modified_nanos: i64,
}

impl Fingerprint {
    /// Of the file that this process runs, even if its name is gone.
    pub(crate) fn of_this_program() -> std::io::Result<Self> {
        let metadata = std::fs::metadata("/proc/self/exe")?;
        Ok(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            len_bytes: metadata.len(),
            modified_nanos: metadata.mtime().wrapping_mul(1_000_000_000).wrapping_add(metadata.mtime_nsec()),
        })
    }
}

/// A task that a program registers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KnownTask {
    pub(crate) name: String,
    pub(crate) layout: String,
}

/// The tasks that this program registers, sorted by name.
pub(crate) fn known_tasks() -> Vec<KnownTask> {
    let mut tasks: Vec<_> = task::registered()
        .map(|vtable| KnownTask { name: vtable.name.into(), layout: vtable.layout.into() })
        .collect();
    tasks.sort_by(|a, b| a.name.cmp(&b.name));
    tasks
}

/// A worker's first message.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Hello {
    pub(crate) protocol: u32,
    /// Version of this crate in the worker.
    pub(crate) version: String,
    pub(crate) pid: u32,
    pub(crate) fingerprint: Fingerprint,
    pub(crate) tasks: Vec<KnownTask>,
    /// Where the worker listens.
    pub(crate) control: IpcSender<ToWorker>,
}

/// What the supervisor tells a worker.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ToWorker {
    /// The answer to its [`Hello`]: the worker serves from here on.
    Welcome(Box<Welcome>),
    /// End once no block is held.
    Shutdown,
}

/// Exit code of a worker that cannot serve; its stderr says why.
pub(crate) const EXIT_CANNOT_SERVE: i32 = 71;

/// What a worker needs to serve.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Welcome {
    pub(crate) slot: usize,
    pub(crate) n_workers: usize,
    pub(crate) board: Locator,
    pub(crate) staging: Locator,
    pub(crate) spill: Locator,
    pub(crate) idle_spin_nanos: u64,
    /// Blocks after which the worker ends, to be replaced.
    pub(crate) max_tasks: Option<u64>,
    /// Bytes that the worker may have to itself.
    pub(crate) memory_limit: Option<u64>,
    /// Bytes of its own above which the worker ends after a block, to be replaced.
    pub(crate) recycle_above: Option<u64>,
    /// The processor to stay on.
    pub(crate) cpu: Option<usize>,
    /// What is to go wrong on purpose.
    pub(crate) faults: Option<Faults>,
}
