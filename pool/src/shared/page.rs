//! The control page: the last 4096 bytes of a published file.
//!
//! `README.md` has the table. Everything on it is an atomic word of 64 bits in the machine's byte order, but for the bell, which is two of
//! 32. Programs in other languages read it as numbers at fixed places.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use crate::segment::PAGE_BYTES;
use crate::sys::cells::declare_cells;
use crate::sys::primitive::{AtomicU32, AtomicU64, Ordering};

use super::bell::Bell;

pub(super) const MAGIC: u64 = u64::from_le_bytes(*b"ndpool\x01p");
/// Goes up with every change of the layout.
pub(super) const LAYOUT: u64 = 1;

/// Words that are the structure's own.
pub(super) const N_OWN: usize = 16;
/// Most pins that a structure can have.
pub(super) const N_PINS: usize = 32;
/// More words that are the structure's own.
pub(super) const N_MORE: usize = 448;

/// What the structure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// A [`SharedFrame`](super::SharedFrame) of named columns.
    Frame,
    /// A [`SharedFrame`](super::SharedFrame) of one element type, as a matrix.
    Matrix,
    /// A [`DoubleBuffer`](super::DoubleBuffer).
    DoubleBuffer,
    /// An array under a [`Mutex`](super::Mutex).
    Mutex,
    /// An [`Event`](super::Event).
    Event,
    /// What a server knows of itself.
    Catalog,
}

impl Kind {
    pub(crate) const ALL: &[Self] =
        &[Self::Frame, Self::Matrix, Self::DoubleBuffer, Self::Mutex, Self::Event, Self::Catalog];

    pub(super) fn code(self) -> u64 {
        self as u64 + 1
    }

    pub(super) fn from_code(code: u64) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.code() == code)
    }

    /// What messages call it, with an article.
    pub(super) fn name_with_article(self) -> String {
        with_article(self.name())
    }

    /// What messages call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Frame => "frame",
            Self::Matrix => "matrix",
            Self::DoubleBuffer => "double buffer",
            Self::Mutex => "mutex",
            Self::Event => "event",
            Self::Catalog => "catalog",
        }
    }
}

/// What a thing is called, with an article.
pub(crate) fn with_article(noun: &str) -> String {
    let article = if noun.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    format!("{article} {noun}")
}

/// The words of the page, in their order.
#[repr(C)]
pub(crate) struct Page {
    pub(super) magic: AtomicU64,
    pub(super) layout: AtomicU64,
    pub(super) nonce: AtomicU64,
    pub(super) kind: AtomicU64,
    pub(super) flags: AtomicU64,
    pub(super) created: AtomicU64,
    pub(super) creator: AtomicU64,
    /// A hint that the name may be another file's, or nobody's, by now.
    pub(super) stale: AtomicU64,
    /// The last version that was committed.
    pub(crate) version: AtomicU64,
    /// The version that is being written, or 0.
    pub(crate) writing: AtomicU64,
    pub(crate) n_buffers: AtomicU64,
    pub(crate) n_columns: AtomicU64,
    pub(crate) n_pins: AtomicU64,
    pub(super) tables_offset: AtomicU64,
    bell: AtomicU32,
    sleepers: AtomicU32,
    /// Nanoseconds since 1970 of the last commit.
    pub(crate) committed: AtomicU64,
    pub(crate) own: [AtomicU64; N_OWN],
    pub(crate) pins: [AtomicU64; N_PINS],
    pub(crate) more: [AtomicU64; N_MORE],
}

declare_cells!(Page: PAGE_BYTES);

/// Bits of [`Page::flags`].
const KEPT: u64 = 1;
const GROUP_READ: u64 = 2;
const SERVED: u64 = 4;

impl Page {
    pub(crate) fn bell(&self) -> Bell<'_> {
        Bell::new(&self.bell, &self.sleepers)
    }

    /// Wakes all who wait for changes.
    pub(crate) fn ring(&self) {
        self.bell().ring(self.flags.load(Ordering::Relaxed) & GROUP_READ != 0);
    }

    pub(super) fn set_flags(&self, kept: bool, group_read: bool, served: bool) {
        let bits = u64::from(kept) * KEPT + u64::from(group_read) * GROUP_READ + u64::from(served) * SERVED;
        self.flags.store(bits, Ordering::Relaxed);
    }

    /// Whether it was published on a server's terms.
    pub(crate) fn is_served(&self) -> bool {
        self.flags.load(Ordering::Relaxed) & SERVED != 0
    }

    pub(super) fn is_kept(&self) -> bool {
        self.flags.load(Ordering::Relaxed) & KEPT != 0
    }
}

/// What header and page say of where things are, checked against the length of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Places {
    pub(crate) kind: Kind,
    pub(crate) nonce: u64,
    /// Where the data begin.
    pub(crate) data_at: usize,
    /// Where the tables begin.
    pub(crate) tables_at: usize,
    /// Where the page begins.
    pub(crate) page_at: usize,
}

impl Places {
    /// Words between tables and page.
    pub(crate) fn n_table_words(&self) -> usize {
        (self.page_at - self.tables_at) / 8
    }
}

/// Looks at page and header of a file of `len` bytes, which may be anything.
///
/// # Errors
///
/// What is wrong with it, as [`io::ErrorKind::InvalidData`]; anything else says that it could not be read.
pub(crate) fn read_places(file: &File, len: u64) -> io::Result<Places> {
    const WORDS: usize = 14;
    const BYTES: u64 = PAGE_BYTES as u64;
    if len < 2 * BYTES || !len.is_multiple_of(BYTES) {
        return Err(invalid(format!("{len} bytes are no structure")));
    }
    let page_at = len - BYTES;
    let mut bytes = [0; WORDS * 8];
    read(file, &mut bytes, page_at)?;
    let (words, _) = bytes.as_chunks::<8>();
    let word = |i: usize| u64::from_ne_bytes(words[i]);
    if word(0) != MAGIC {
        return Err(invalid("it has no control page"));
    }
    if word(1) != LAYOUT {
        let text = format!("its layout is version {}, and this program knows version {LAYOUT}", word(1));
        return Err(invalid(text));
    }
    let kind = Kind::from_code(word(3)).ok_or_else(|| invalid(format!("kind {} is not known", word(3))))?;
    let tables_at = word(13);
    if !tables_at.is_multiple_of(BYTES) || tables_at < BYTES || tables_at > page_at {
        return Err(invalid(format!("tables at byte {tables_at} of {len}")));
    }
    let mut prefix = [0; 12];
    read(file, &mut prefix, 0)?;
    let data_at =
        header_len(&prefix).filter(|&end| end as u64 <= tables_at && end.is_multiple_of(PAGE_BYTES));
    let data_at = data_at.ok_or_else(|| invalid("it has no header, or a damaged one"))?;
    let place = |at: u64| usize::try_from(at).map_err(invalid);
    Ok(Places { kind, nonce: word(2), data_at, tables_at: place(tables_at)?, page_at: place(page_at)? })
}

fn invalid(problem: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, problem)
}

/// A file that is shorter than it was is no structure.
pub(super) fn read(file: &File, bytes: &mut [u8], at: u64) -> io::Result<()> {
    file.read_exact_at(bytes, at).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => invalid(error),
        _ => error,
    })
}

/// Where the data of a `.npy` file begin, by its first bytes.
fn header_len(prefix: &[u8; 12]) -> Option<usize> {
    let rest = prefix.strip_prefix(b"\x93NUMPY")?;
    match rest[0] {
        1 => Some(10 + usize::from(u16::from_le_bytes([rest[2], rest[3]]))),
        2 | 3 => {
            12_usize.checked_add(u32::from_le_bytes([rest[2], rest[3], rest[4], rest[5]]).try_into().ok()?)
        }
        _ => None,
    }
}
