//! Where header, data and control page lie in a segment's bytes.
//!
//! ```text
//!   npy   | header, padded | data, C order, padded | slack | control page |
//!         0                4096                            file length − 4096
//!
//!   raw   | control page   | data …                        |
//!         0                4096                            file length
//! ```
//!
//! The slack of an array is what a recycled file is longer than its new owner needs. The control page of a raw segment comes first,
//! so that the file can grow. All numbers are in this machine's byte order: both sides run on it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use serde::{Deserialize, Serialize};

/// The unit of the layout. Not the machine's page size: files look alike everywhere, and where pages are larger there are fewer
/// guard pages.
pub(crate) const PAGE_BYTES: usize = 4096;

const MAGIC: u64 = u64::from_le_bytes(*b"ndpool\x01c");
const VERSION: u64 = 1;

/// What the bytes of a segment are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Kind {
    /// A `.npy` file of fixed length.
    Npy,
    /// Scratch that may grow.
    Raw,
}

impl Kind {
    /// The length of a file with room for `data_len` bytes; `None` if it overflows.
    pub(super) fn file_len(self, data_len: usize) -> Option<usize> {
        let pages = match self {
            Self::Npy => 2,
            Self::Raw => 1,
        };
        let data = data_len.checked_next_multiple_of(PAGE_BYTES)?;
        let len = data.checked_add(pages * PAGE_BYTES)?;
        i64::try_from(len).is_ok().then_some(len)
    }

    /// Bytes of data that a file has room for.
    pub(super) fn capacity(self, file_len: usize) -> usize {
        match self {
            Self::Npy => file_len - 2 * PAGE_BYTES,
            Self::Raw => file_len - PAGE_BYTES,
        }
    }

    /// Where the control page lies.
    pub(super) fn control_offset(self, file_len: usize) -> usize {
        match self {
            Self::Npy => file_len - PAGE_BYTES,
            Self::Raw => 0,
        }
    }
}

/// The words at the start of the control page; what follows them is zero and kept for versions, locks and statistics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Control {
    /// Random, fixed for the life of the file: the identity under which mappings are cached.
    pub(super) nonce: u64,
    /// Changes whenever the file gets a new owner.
    pub(super) generation: u64,
    pub(super) run: u64,
}

impl Control {
    const LEN: usize = 5 * 8;

    pub(super) fn write(&self, file: &File, at: usize) -> io::Result<()> {
        let words = [MAGIC, VERSION, self.nonce, self.generation, self.run];
        file.write_all_at(words.map(u64::to_ne_bytes).as_flattened(), at as u64)
    }

    /// Reads the page; `None` if it is not one of ours.
    pub(super) fn read(file: &File, at: usize) -> io::Result<Option<Self>> {
        let mut bytes = [0; Self::LEN];
        file.read_exact_at(&mut bytes, at as u64)?;
        let (words, _) = bytes.as_chunks::<8>();
        let word = |i: usize| u64::from_ne_bytes(words[i]);
        let ours = word(0) == MAGIC && word(1) == VERSION;
        Ok(ours.then(|| Self { nonce: word(2), generation: word(3), run: word(4) }))
    }
}
