//! The control page: the last 4096 bytes of a published file.
//!
//! `README.md` has the table. Everything on it is an atomic word of 64 bits in the machine's byte order, but for the bell, which is two of
//! 32. Programs in other languages read it as numbers at fixed places.

use std::fmt;
use std::fs::File;
use std::io;
use std::mem::offset_of;
use std::os::unix::fs::FileExt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

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
    /// Nanoseconds since 1970 of the kernel's tick before the last commit.
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

impl fmt::Debug for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Page").field("version", &self.version).finish_non_exhaustive()
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

/// What a page says of its structure to those who only look.
#[derive(Debug, Clone, Copy)]
pub(super) struct Glance {
    pub(super) kind: Kind,
    pub(super) version: u64,
    pub(super) kept: bool,
    pub(super) served: bool,
    pub(super) created: SystemTime,
    pub(super) creator: u32,
}

/// The words of a page that whoever looks at it from outside reads, once it is known to be one.
struct Words([[u8; 8]; N_WORDS]);

const N_WORDS: usize = offset_of!(Page, bell) / 8;

impl Words {
    fn read(file: &File, len: u64) -> io::Result<Self> {
        const BYTES: u64 = PAGE_BYTES as u64;
        if len < 2 * BYTES || !len.is_multiple_of(BYTES) {
            return Err(invalid(format!("{len} bytes are no structure")));
        }
        let mut words = Self([[0; 8]; N_WORDS]);
        read(file, words.0.as_flattened_mut(), len - BYTES)?;
        if words.at(offset_of!(Page, magic)) != MAGIC {
            return Err(invalid("it has no control page"));
        }
        let layout = words.at(offset_of!(Page, layout));
        if layout != LAYOUT {
            let text = format!("its layout is version {layout}, and this program knows version {LAYOUT}");
            return Err(invalid(text));
        }
        Ok(words)
    }

    fn at(&self, offset: usize) -> u64 {
        u64::from_ne_bytes(self.0[offset / 8])
    }

    fn kind(&self) -> io::Result<Kind> {
        let code = self.at(offset_of!(Page, kind));
        Kind::from_code(code).ok_or_else(|| invalid(format!("kind {code} is not known")))
    }
}

/// Looks at page and header of a file of `len` bytes, which may be anything.
///
/// # Errors
///
/// What is wrong with it, as [`io::ErrorKind::InvalidData`]; anything else says that it could not be read.
pub(crate) fn read_places(file: &File, len: u64) -> io::Result<Places> {
    Words::read(file, len).and_then(|words| places(file, len, &words))
}

/// As [`read_places`], to tell of the structure and not to use it.
///
/// # Errors
///
/// As for [`read_places`].
pub(super) fn glance(file: &File, len: u64) -> io::Result<Glance> {
    let words = Words::read(file, len)?;
    let flags = words.at(offset_of!(Page, flags));
    Ok(Glance {
        kind: places(file, len, &words)?.kind,
        version: words.at(offset_of!(Page, version)),
        kept: flags & KEPT != 0,
        served: flags & SERVED != 0,
        created: UNIX_EPOCH + Duration::from_nanos(words.at(offset_of!(Page, created))),
        creator: u32::try_from(words.at(offset_of!(Page, creator))).unwrap_or(0),
    })
}

fn places(file: &File, len: u64, words: &Words) -> io::Result<Places> {
    let page_at = len - PAGE_BYTES as u64;
    let kind = words.kind()?;
    let tables_at = words.at(offset_of!(Page, tables_offset));
    if !tables_at.is_multiple_of(PAGE_BYTES as u64) || tables_at < PAGE_BYTES as u64 || tables_at > page_at {
        return Err(invalid(format!("tables at byte {tables_at} of {len}")));
    }
    let mut prefix = [0; 12];
    read(file, &mut prefix, 0)?;
    let data_at =
        header_len(&prefix).filter(|&end| end as u64 <= tables_at && end.is_multiple_of(PAGE_BYTES));
    let data_at = data_at.ok_or_else(|| invalid("it has no header, or a damaged one"))?;
    let place = |at: u64| usize::try_from(at).map_err(invalid);
    let nonce = words.at(offset_of!(Page, nonce));
    Ok(Places { kind, nonce, data_at, tables_at: place(tables_at)?, page_at: place(page_at)? })
}

fn invalid(problem: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, problem)
}

/// A file that is shorter than it was is no structure.
fn read(file: &File, bytes: &mut [u8], at: u64) -> io::Result<()> {
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
