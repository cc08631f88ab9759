//! Where segments live.

use std::path::PathBuf;

/// Where a pool keeps its arrays.
///
/// | | `Named` | `Memfd` | `File` |
/// |---|---|---|---|
/// | lies in | `/dev/shm` | anonymous memory | a directory |
/// | limited by | the size of `/dev/shm` | memory | the disk |
/// | opened by others | by name | through `/proc/<pid>/fd` | by name |
/// | after a crash of everything | reaped by the next pool | gone at once | reaped by the next pool |
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Backing {
    /// For each array the first that has room: [`Named`](Self::Named), or [`Memfd`](Self::Memfd) when `/dev/shm` is missing,
    /// read-only or too small, as in a container whose `/dev/shm` has 64 MB.
    #[default]
    Auto,
    /// Files in `/dev/shm`, which other programs can open by name while the pool lives.
    Named,
    /// Anonymous memory: it leaves nothing behind, whatever dies.
    Memfd,
    /// Files in this directory, for arrays that are larger than memory. They are scratch: they go with the pool, and what shall
    /// stay is saved with [`save_npy`](crate::SharedArray::save_npy).
    File(PathBuf),
}
