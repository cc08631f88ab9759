//! Shared mappings of files.
//!
//! Or of none: memory of this process alone, for copies.
//!
//! A [`Mapping`] hands out raw pointers, atomics and copies, never a reference to plain bytes: another process may write them
//! at any moment. It is not inherited by a child made by `fork` (`MADV_DONTFORK`), since such a child would go on writing
//! after its parent, a worker, was declared dead and its blocks were given to others.

use std::ffi::c_void;
use std::fs::File;
use std::io;
use std::mem::{ManuallyDrop, MaybeUninit};
use std::num::NonZeroUsize;
use std::ops::Range;
use std::ptr::{self, NonNull};

use memmap2::{Advice, MmapOptions, MmapRaw};
use nix::sys::mman::{MapFlags, MmapAdvise, ProtFlags, madvise, mmap, mprotect, munmap};

use super::prefetch;
use super::stream;
use super::{fork, host};

/// Bytes that are copied between two requests for what comes next.
const PIECE_BYTES: usize = 1024;

/// Bytes of a large page, and of a piece that is populated just before it is written, so that its zeros are still in a cache then.
const LARGE_PAGE_BYTES: usize = 2 << 20;

/// A shared mapping of the first bytes of a file; unmapped when dropped.
#[derive(Debug)]
pub(crate) struct Mapping {
    memory: Memory,
    /// What of it may be used; a guard may follow.
    len: usize,
    writable: bool,
    owner: u32,
}

/// The pages of a mapping, unmapped by who drops the mapping.
#[derive(Debug)]
enum Memory {
    /// Where the system puts mappings.
    Near(ManuallyDrop<MmapRaw>),
    /// At a place of its own.
    Apart { start: NonNull<c_void>, len: usize },
}

// SAFETY: an address and a length; what is done through them is `Mapping`'s to argue, as it is for a `MmapRaw`.
unsafe impl Send for Memory {}
// SAFETY: as for `Send`.
unsafe impl Sync for Memory {}

impl Mapping {
    /// Maps the first `len` bytes of `file` for reading.
    pub(crate) fn read_only(file: &File, len: usize) -> io::Result<Self> {
        Self::new(MmapOptions::new().len(len).map_raw_read_only(file)?, false)
    }

    /// Maps the first `len` bytes of `file` for reading and writing.
    pub(crate) fn read_write(file: &File, len: usize) -> io::Result<Self> {
        Self::new(MmapOptions::new().len(len).map_raw(file)?, true)
    }

    /// Maps `len` bytes of `file` from `offset` on, a multiple of the page size, for reading and writing.
    pub(crate) fn read_write_at(file: &File, offset: u64, len: usize) -> io::Result<Self> {
        Self::new(MmapOptions::new().offset(offset).len(len).map_raw(file)?, true)
    }

    /// As [`read_write`](Self::read_write), with a page behind the last that nobody may touch: without it the next mapping, which
    /// may be anything, could begin there.
    pub(crate) fn read_write_before_guard(file: &File, len: usize) -> io::Result<Self> {
        let page = page_size();
        let too_large = || io::Error::from_raw_os_error(libc::ENOMEM);
        let guard = len.checked_next_multiple_of(page).ok_or_else(too_large)?;
        let mut mapping = Self::read_write(file, guard.checked_add(page).ok_or_else(too_large)?)?;
        // Even if the file grows, and the page with it.
        mapping.forbid(guard, page)?;
        mapping.len = len;
        Ok(mapping)
    }

    /// As [`read_write`](Self::read_write), at an address that no calculation with the address of another mapping comes to by
    /// mistake: the system puts mappings side by side, and this one lies at a random place, terabytes away from them.
    pub(crate) fn read_write_apart(file: &File, len: usize) -> io::Result<Self> {
        let page = page_size();
        let random = usize::try_from(host::random_u64()?).unwrap_or(0);
        // Within 47 bits, which is what every 64-bit machine gives a program, and far below where mappings go by themselves.
        let wanted = NonZeroUsize::new((1 << 44) + random % (1 << 45) / page * page);
        let length = NonZeroUsize::new(len).ok_or(io::ErrorKind::InvalidInput)?;
        let (access, flags) = (ProtFlags::PROT_READ | ProtFlags::PROT_WRITE, MapFlags::MAP_SHARED);
        // SAFETY: without MAP_FIXED the address is a wish, and no mapping that exists is replaced. If something is there already the
        // system chooses another place.
        let start = unsafe { mmap(wanted, length, access, flags, file, 0) }?;
        Self::with_memory(Memory::Apart { start, len }, len, true)
    }

    /// Memory of this process alone, all zero, in large pages where the system has them: for copies of what is shared.
    ///
    /// A child made by `fork` has it too, as it has all memory that is not shared.
    pub(crate) fn anonymous(len: usize) -> io::Result<Self> {
        let memory = MmapOptions::new().len(len).no_reserve_swap().map_anon()?;
        if len >= LARGE_PAGE_BYTES {
            // A kernel without them goes on with small ones.
            let _ = memory.advise(Advice::HugePage);
        }
        let memory = Memory::Near(ManuallyDrop::new(MmapRaw::from(memory)));
        Ok(Self { memory, len, writable: true, owner: fork::owner_pid() })
    }

    fn new(raw: MmapRaw, writable: bool) -> io::Result<Self> {
        let len = raw.len();
        Self::with_memory(Memory::Near(ManuallyDrop::new(raw)), len, writable)
    }

    fn with_memory(memory: Memory, len: usize, writable: bool) -> io::Result<Self> {
        let mapping = Self { memory, len, writable, owner: fork::owner_pid() };
        match &mapping.memory {
            Memory::Near(raw) => raw.advise(Advice::DontFork)?,
            // SAFETY: the pages are this mapping's own, and the advice changes what a child has of them, nothing else.
            Memory::Apart { start, len } => unsafe { madvise(*start, *len, MmapAdvise::MADV_DONTFORK) }?,
        }
        Ok(mapping)
    }

    #[inline]
    fn start(&self) -> *const u8 {
        match &self.memory {
            Memory::Near(raw) => raw.as_ptr(),
            Memory::Apart { start, .. } => start.as_ptr().cast_const().cast(),
        }
    }

    /// Length in bytes.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Whether it may be written.
    pub(crate) fn is_writable(&self) -> bool {
        self.writable
    }

    /// The first byte.
    pub(crate) fn as_ptr(&self) -> *const u8 {
        self.start()
    }

    /// The first byte, for writing.
    ///
    /// # Panics
    ///
    /// If the mapping is read-only.
    #[inline]
    pub(crate) fn as_mut_ptr(&self) -> *mut u8 {
        assert!(self.writable, "this mapping is read-only");
        self.start().cast_mut()
    }

    /// Makes the whole pages inside `offset..offset + len` inaccessible to this process, as a guard.
    ///
    /// Pages that lie only partly inside are left alone, so that a machine with larger pages has fewer guards, not fewer data.
    pub(crate) fn forbid(&self, offset: usize, len: usize) -> io::Result<()> {
        self.check(offset, len);
        let page = page_size();
        let first = offset.next_multiple_of(page);
        let last = (offset + len) / page * page;
        if first >= last {
            return Ok(());
        }
        // SAFETY: `first` lies within the mapping, by the check above.
        let start = unsafe { self.start().add(first) };
        let start = NonNull::new(start.cast_mut().cast()).expect("a mapping is not at address zero");
        // SAFETY: start and length are whole pages of this mapping, which lives as long as `self`. Nobody holds a reference
        // to bytes in them: this type gives out none but to atomics, whose owners do not forbid them.
        unsafe { mprotect(start, last - first, ProtFlags::PROT_NONE) }?;
        Ok(())
    }

    /// Copies bytes out.
    ///
    /// Bytes that another process writes meanwhile may be old or new, each by itself; whoever reads such bytes checks them.
    ///
    /// # Panics
    ///
    /// If the range reaches beyond the mapping.
    pub(crate) fn read_bytes(&self, offset: usize, bytes: &mut [u8]) {
        self.check(offset, bytes.len());
        // SAFETY: `check` showed that `offset` lies within the mapping.
        let source = unsafe { self.as_ptr().add(offset) };
        // SAFETY: source and target are valid for `bytes.len()` bytes, and private and shared memory do not overlap.
        unsafe { ptr::copy_nonoverlapping(source, bytes.as_mut_ptr(), bytes.len()) };
    }

    /// Copies bytes in.
    ///
    /// # Panics
    ///
    /// If the range reaches beyond the mapping, or if the mapping is read-only.
    pub(crate) fn write_bytes(&self, offset: usize, bytes: &[u8]) {
        self.check(offset, bytes.len());
        // SAFETY: `check` showed that `offset` lies within the mapping.
        let target = unsafe { self.as_mut_ptr().add(offset) };
        // SAFETY: source and target are valid for `bytes.len()` bytes, and private and shared memory do not overlap.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), target, bytes.len()) };
    }

    /// Copies bytes in past the cache: see [`stream`].
    ///
    /// # Panics
    ///
    /// If the range reaches beyond the mapping, or if the mapping is read-only.
    pub(crate) fn stream_bytes(&self, offset: usize, bytes: &[u8]) {
        self.check(offset, bytes.len());
        let target = self.as_mut_ptr().wrapping_add(offset);
        // SAFETY: the target lies within the mapping, by the check; private and shared memory do not overlap.
        unsafe { stream::copy(bytes.as_ptr(), target, bytes.len()) };
    }

    /// Copies bytes out to memory that holds nothing yet; many of them past the cache: see [`stream`].
    ///
    /// As for [`read_bytes`](Self::read_bytes), bytes that another process writes meanwhile may be old or new.
    ///
    /// # Panics
    ///
    /// If the range reaches beyond the mapping.
    pub(crate) fn read_to(&self, offset: usize, target: &mut [MaybeUninit<u8>]) {
        self.check(offset, target.len());
        let (source, len) = (self.as_ptr().wrapping_add(offset), target.len());
        let target = target.as_mut_ptr().cast();
        // SAFETY: the source lies within the mapping, by the check; private and shared memory do not overlap.
        unsafe { copy_or_stream(source, target, len) };
    }

    /// Copies bytes in; many of them past the cache.
    ///
    /// # Panics
    ///
    /// If the range reaches beyond the mapping, or if the mapping is read-only.
    pub(crate) fn write_from(&self, offset: usize, bytes: &[u8]) {
        self.check(offset, bytes.len());
        let target = self.as_mut_ptr().wrapping_add(offset);
        // SAFETY: the target lies within the mapping, by the check; private and shared memory do not overlap.
        unsafe { copy_or_stream(bytes.as_ptr(), target, bytes.len()) };
    }

    /// Copies bytes from one place to another; many of them past the cache.
    ///
    /// # Panics
    ///
    /// If either range reaches beyond the mapping, they overlap, or the mapping is read-only.
    pub(crate) fn copy_within(&self, from: usize, to: usize, len: usize) {
        self.check(from, len);
        self.check(to, len);
        assert!(from.abs_diff(to) >= len, "{len} bytes from {from} to {to} overlap");
        let (source, target) = (self.as_ptr().wrapping_add(from), self.as_mut_ptr().wrapping_add(to));
        // SAFETY: both ranges lie within the mapping and do not overlap, by the checks.
        unsafe { copy_or_stream(source, target, len) };
    }

    /// Has the kernel map the pages of a range that have memory, many at a time, so that writing them costs no fault each.
    ///
    /// A read maps the neighbours of the page that is read too, and for writing if the mapping is; a write maps one page.
    pub(crate) fn populate(&self, range: Range<usize>) {
        let len = range.end.saturating_sub(range.start);
        self.check(range.start, len);
        let first = range.start / page_size() * page_size();
        let start = self.as_ptr().wrapping_add(first).cast_mut().cast();
        // SAFETY: the pages from `start` on lie within the mapping, by the check; the advice changes no byte of them.
        // A kernel that does not know it, before 5.14, has the pages faulted in later.
        let _ = unsafe { libc::madvise(start, range.end - first, libc::MADV_POPULATE_READ) };
    }

    /// Copies bytes from another mapping, which must not be of the same memory.
    ///
    /// # Panics
    ///
    /// If either range reaches beyond its mapping, or if this mapping is read-only.
    pub(crate) fn copy_from(&self, offset: usize, from: &Self, from_offset: usize, len: usize) {
        self.check(offset, len);
        from.check(from_offset, len);
        let source = from.as_ptr().wrapping_add(from_offset);
        let target = self.as_mut_ptr().wrapping_add(offset);
        // SAFETY: both ranges lie within their mappings, by the checks, and mappings of different memory do not overlap.
        unsafe { ptr::copy_nonoverlapping(source, target, len) };
    }

    /// As [`copy_from`](Self::copy_from); many bytes past the cache.
    ///
    /// # Panics
    ///
    /// As [`copy_from`](Self::copy_from) does.
    pub(crate) fn copy_many_from(&self, offset: usize, from: &Self, from_offset: usize, len: usize) {
        self.check(offset, len);
        from.check(from_offset, len);
        let source = from.as_ptr().wrapping_add(from_offset);
        let target = self.as_mut_ptr().wrapping_add(offset);
        // SAFETY: both ranges lie within their mappings, by the checks, and mappings of different memory do not overlap.
        unsafe { copy_or_stream(source, target, len) };
    }

    /// As [`copy_from`](Self::copy_from), into memory that nobody has written yet: has the kernel provide it piece by piece, which takes
    /// half the time of as many faults.
    ///
    /// # Panics
    ///
    /// As [`copy_from`](Self::copy_from) does.
    pub(crate) fn copy_from_into_fresh(&self, offset: usize, from: &Self, from_offset: usize, len: usize) {
        self.check(offset, len);
        from.check(from_offset, len);
        let mut done = 0;
        while done < len {
            // Up to the next large page of the target, so that each is populated once.
            let address = self.as_ptr().addr() + offset + done;
            let piece = (LARGE_PAGE_BYTES - address % LARGE_PAGE_BYTES).min(len - done);
            self.populate_to_write(offset + done..offset + done + piece);
            self.copy_from(offset + done, from, from_offset + done, piece);
            done += piece;
        }
    }

    /// Has the kernel provide the pages of a range, so that writing them costs no fault each.
    fn populate_to_write(&self, range: Range<usize>) {
        let first = range.start / page_size() * page_size();
        let start = self.as_mut_ptr().wrapping_add(first).cast();
        // SAFETY: the pages from `start` on lie within the mapping, as callers check; the advice changes no byte of them. A kernel that
        // does not know it, before 5.14, or has no memory now, leaves them to be faulted in.
        let _ = unsafe { libc::madvise(start, range.end - first, libc::MADV_POPULATE_WRITE) };
    }

    /// As [`copy_from`](Self::copy_from), asking meanwhile for the bytes of `soon`, from the first on as many as it says, which
    /// are to be read afterwards; they may be anywhere.
    ///
    /// # Panics
    ///
    /// As [`copy_from`](Self::copy_from) does.
    pub(crate) fn copy_from_fetching(
        &self,
        offset: usize,
        from: &Self,
        from_offset: usize,
        len: usize,
        (soon, soon_len): (*const u8, usize),
    ) {
        // As many pieces of the one as of the other.
        let soon_piece = soon_len.div_ceil(len.div_ceil(PIECE_BYTES).max(1));
        let mut asked = 0;
        for done in (0..len).step_by(PIECE_BYTES) {
            prefetch::will_read(soon.wrapping_add(asked), soon_piece.min(soon_len - asked));
            asked = (asked + soon_piece).min(soon_len);
            self.copy_from(offset + done, from, from_offset + done, PIECE_BYTES.min(len - done));
        }
    }

    /// Bytes that no process writes at the moment, such as those of a worker's own staging buffer, for a system call.
    ///
    /// # Panics
    ///
    /// If the range reaches beyond the mapping.
    pub(crate) fn bytes_at_rest(&self, offset: usize, len: usize) -> &[u8] {
        self.check(offset, len);
        // SAFETY: the range lies within the mapping, which stays while `self` is borrowed; the caller has memory that only
        // it writes, and does not write it while it holds the slice.
        unsafe { std::slice::from_raw_parts(self.as_ptr().wrapping_add(offset), len) }
    }

    /// Sets the bytes of a range to zero.
    ///
    /// # Panics
    ///
    /// If the range reaches beyond the mapping, or if the mapping is read-only.
    pub(crate) fn zero(&self, range: Range<usize>) {
        let len = range.end.saturating_sub(range.start);
        self.check(range.start, len);
        // SAFETY: `check` showed that the range's start lies within the mapping.
        let target = unsafe { self.as_mut_ptr().add(range.start) };
        // SAFETY: the target is valid for `len` bytes.
        unsafe { ptr::write_bytes(target, 0, len) };
    }

    fn check(&self, offset: usize, len: usize) {
        let fits = offset.checked_add(len).is_some_and(|end| end <= self.len());
        assert!(fits, "{len} bytes at offset {offset} of a mapping of {} bytes", self.len());
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // A forked child did not inherit the mapping; something else may live at its addresses by now.
        if fork::is_forked(self.owner) {
            return;
        }
        match &mut self.memory {
            // SAFETY: `raw` is not used again, since this is the destructor of its only owner.
            Memory::Near(raw) => unsafe { ManuallyDrop::drop(raw) },
            Memory::Apart { start, len } => {
                // SAFETY: `mmap` gave this place and this length, and nobody uses them after their only owner. An error, which
                // would take pages that are not mapped, leaves nothing to be done.
                let _ = unsafe { munmap(*start, *len) };
            }
        }
    }
}

/// Copies bytes, past the cache if they are many.
///
/// # Safety
///
/// As for [`ptr::copy_nonoverlapping`].
unsafe fn copy_or_stream(source: *const u8, target: *mut u8, len: usize) {
    if len < stream::STREAM_FROM_BYTES {
        // SAFETY: the caller's promise.
        unsafe { ptr::copy_nonoverlapping(source, target, len) };
    } else {
        // SAFETY: the caller's promise.
        unsafe { stream::copy(source, target, len) };
    }
}

/// Size of a page in bytes.
pub(crate) fn page_size() -> usize {
    use nix::unistd::{SysconfVar, sysconf};
    static SIZE: std::sync::LazyLock<usize> = std::sync::LazyLock::new(|| {
        let size = sysconf(SysconfVar::PAGE_SIZE).ok().flatten();
        size.and_then(|size| usize::try_from(size).ok()).unwrap_or(4096)
    });
    *SIZE
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(len: u64) -> File {
        let file =
            File::from(nix::sys::memfd::memfd_create("map", nix::sys::memfd::MFdFlags::MFD_CLOEXEC).unwrap());
        file.set_len(len).unwrap();
        file
    }

    #[test]
    fn what_is_written_through_one_mapping_is_read_through_another() {
        let file = file(8192);
        let writer = Mapping::read_write(&file, 8192).unwrap();
        let reader = Mapping::read_only(&file, 8192).unwrap();
        writer.write_bytes(4090, b"across pages");
        let mut bytes = [0; 12];
        reader.read_bytes(4090, &mut bytes);
        assert_eq!(&bytes, b"across pages");
        writer.zero(4090..4096);
        reader.read_bytes(4090, &mut bytes);
        assert_eq!(&bytes, b"\0\0\0\0\0\0 pages");
    }

    #[test]
    fn an_empty_mapping_works() {
        let mapping = Mapping::read_only(&file(0), 0).unwrap();
        assert_eq!(mapping.len(), 0);
        mapping.read_bytes(0, &mut []);
        mapping.forbid(0, 0).unwrap();
    }

    #[test]
    fn a_guard_is_no_part_of_the_mapping_and_stays_when_the_file_grows() {
        let page = page_size();
        for len in [1, page, page + 1] {
            let file = file(len as u64);
            let mapping = Mapping::read_write_before_guard(&file, len).unwrap();
            assert_eq!(mapping.len(), len);
            file.set_len(4 * page as u64).unwrap();
            let guard = format!("{:x}-", mapping.as_ptr() as usize + len.next_multiple_of(page));
            let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
            let line = maps
                .lines()
                .find(|line| line.starts_with(&guard))
                .expect("the guard is a mapping of its own");
            assert_eq!(line.split(' ').nth(1), Some("---s"), "{line}");
            mapping.write_bytes(len - 1, &[1]);
        }
    }

    #[test]
    fn anonymous_memory_takes_copies() {
        let len = 2 * LARGE_PAGE_BYTES + 5000;
        let from = Mapping::read_write(&file(len as u64), len).unwrap();
        for at in (0..len).step_by(997) {
            from.write_bytes(at, &[(at % 251) as u8]);
        }
        let copy = Mapping::anonymous(len).unwrap();
        copy.copy_from_into_fresh(3, &from, 0, len - 3);
        let bytes = |mapping: &Mapping, at| {
            let mut bytes = vec![0; len - 3];
            mapping.read_bytes(at, &mut bytes);
            bytes
        };
        assert!(bytes(&copy, 3) == bytes(&from, 0));
        copy.copy_from_into_fresh(0, &from, 3, len - 3);
        assert!(bytes(&copy, 0) == bytes(&from, 3));
    }

    #[test]
    #[should_panic(expected = "4 bytes at offset 8190 of a mapping of 8192 bytes")]
    fn a_range_beyond_the_end_is_refused() {
        Mapping::read_only(&file(8192), 8192).unwrap().read_bytes(8190, &mut [0; 4]);
    }

    #[test]
    fn a_mapping_apart_is_far_from_others_and_shows_the_same_bytes() {
        let file = file(3 * 8192);
        let apart = Mapping::read_write_apart(&file, 3 * 8192).unwrap();
        let near = Mapping::read_only(&file, 3 * 8192).unwrap();
        assert!(apart.as_ptr().addr().abs_diff(near.as_ptr().addr()) > 1 << 40);
        apart.populate(5000..15_000);
        apart.write_bytes(5000, b"far");
        let mut bytes = [0; 3];
        near.read_bytes(5000, &mut bytes);
        assert_eq!(&bytes, b"far");
        let name = format!("{:x}-", apart.as_ptr().addr());
        drop(apart);
        assert!(!std::fs::read_to_string("/proc/self/maps").unwrap().contains(&name));
    }

    #[test]
    #[should_panic(expected = "read-only")]
    fn a_read_only_mapping_is_not_written() {
        Mapping::read_only(&file(8192), 8192).unwrap().as_mut_ptr();
    }
}
