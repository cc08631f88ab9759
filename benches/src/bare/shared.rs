//! Memory that a bare program shares with those it starts.

use crate::row::Skipped;
use memmap2::{MmapOptions, MmapRaw};
use std::fs::{File, OpenOptions};
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// A file without a name in /dev/shm, mapped. The first page holds words, the data follow.
#[derive(Debug)]
pub(crate) struct Shared {
    file: File,
    map: MmapRaw,
}

/// Where data begin.
const DATA: usize = 4096;
/// Words lie on cache lines of their own, two apart: processors fetch neighbours.
const WORD_STRIDE: usize = 128;

impl Shared {
    /// Memory for so many bytes of data. None of its pages exist yet.
    pub(crate) fn new(len_bytes: usize) -> Result<Self, Skipped> {
        let file =
            OpenOptions::new().read(true).write(true).custom_flags(libc::O_TMPFILE).open("/dev/shm")?;
        file.set_len((DATA + len_bytes) as u64)?;
        Ok(Self { map: MmapOptions::new().map_raw(&file)?, file })
    }

    /// Where a process that this one starts finds the memory.
    pub(crate) fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.file.as_raw_fd())
    }

    /// The memory at the path that another process gave.
    pub(crate) fn open(path: &str) -> Result<Self, Skipped> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        Ok(Self { map: MmapOptions::new().map_raw(&file)?, file })
    }

    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Word `i` of the first page.
    pub(crate) fn word(&self, i: usize) -> &AtomicU32 {
        assert!(i < DATA / WORD_STRIDE, "the first page has no word {i}");
        // SAFETY: the place is within the first page, which every such file has.
        let word = unsafe { self.map.as_mut_ptr().add(i * WORD_STRIDE) };
        // SAFETY: it is aligned, stays mapped as long as `self`, and every process uses it as this atomic only.
        unsafe { AtomicU32::from_ptr(word.cast()) }
    }

    /// The data as words that any process may change at any time.
    pub(crate) fn words(&self) -> &[AtomicU64] {
        // SAFETY: files are longer than their first page.
        let first = unsafe { self.map.as_ptr().add(DATA) };
        // SAFETY: mapped as long as `self`, aligned to a page, any bytes are words, and atomics may be shared.
        unsafe { std::slice::from_raw_parts(first.cast(), (self.map.len() - DATA) / size_of::<AtomicU64>()) }
    }

    /// All numbers of the data.
    ///
    /// # Safety
    ///
    /// As for [`numbers`](Self::numbers).
    pub(crate) unsafe fn all_numbers(&self) -> &[f64] {
        // SAFETY: the caller promises what is asked for.
        unsafe { self.numbers(0..(self.map.len() - DATA) / size_of::<f64>()) }
    }

    /// Some of the data as numbers.
    ///
    /// # Safety
    ///
    /// Nobody writes them while they are borrowed.
    pub(crate) unsafe fn numbers(&self, range: Range<usize>) -> &[f64] {
        let first = self.place_of(&range);
        // SAFETY: checked to be mapped, for as long as `self`; aligned to numbers; any bytes are numbers; the caller promises that
        // nobody writes them.
        unsafe { std::slice::from_raw_parts(first, range.len()) }
    }

    /// Some of the data as numbers to write.
    ///
    /// # Safety
    ///
    /// Nobody else reads or writes them while they are borrowed.
    pub(crate) unsafe fn numbers_mut(&mut self, range: Range<usize>) -> &mut [f64] {
        let first = self.place_of(&range);
        // SAFETY: as for `numbers`; the caller promises that nobody else touches them.
        unsafe { std::slice::from_raw_parts_mut(first, range.len()) }
    }

    fn place_of(&self, range: &Range<usize>) -> *mut f64 {
        let n = (self.map.len() - DATA) / size_of::<f64>();
        assert!(range.start <= range.end && range.end <= n, "numbers {range:?} of {n}");
        // SAFETY: it is within the mapping, as was just checked.
        unsafe { self.map.as_mut_ptr().add(DATA + range.start * size_of::<f64>()) }.cast()
    }

    /// Where in the file data begin.
    pub(crate) const DATA: u64 = DATA as u64;
}

/// Sleeps as long as the word has this value; may return early.
pub(crate) fn futex_wait(word: &AtomicU32, value: u32) {
    // SAFETY: the word is mapped for as long as it is borrowed; there is no time limit to point at.
    unsafe {
        libc::syscall(
            libc::SYS_futex,
            word.as_ptr(),
            libc::FUTEX_WAIT,
            value,
            std::ptr::null::<libc::timespec>(),
        )
    };
}

/// Stores a value and wakes who sleeps on the word.
pub(crate) fn futex_wake(word: &AtomicU32, value: u32) {
    word.store(value, Ordering::Release);
    // SAFETY: the word is mapped for as long as it is borrowed.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, 1) };
}
