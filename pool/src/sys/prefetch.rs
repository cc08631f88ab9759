//! Hints to the processor's caches. They change no result and can fail nothing: an address that is not mapped is passed over.

/// Bytes of a cache line.
const LINE_BYTES: usize = 64;

/// Asks for the cache lines of these bytes, which are to be read within some hundred instructions.
#[inline(always)]
pub(crate) fn will_read(first: *const u8, len: usize) {
    #[cfg(target_arch = "x86_64")]
    for offset in (0..len).step_by(LINE_BYTES) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        let line = first.wrapping_add(offset).cast();
        // SAFETY: every x86-64 processor has the instruction; it may be given any address, and neither faults nor changes memory.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(line) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (first, len, LINE_BYTES);
}

/// As [`will_read`], for bytes that are to be read some time later: into the second-level cache, which waits for more lines at once.
#[inline(always)]
pub(crate) fn will_read_later(first: *const u8, len: usize) {
    #[cfg(target_arch = "x86_64")]
    for offset in (0..len).step_by(LINE_BYTES) {
        use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
        let line = first.wrapping_add(offset).cast();
        // SAFETY: as in `will_read`.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(line) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (first, len, LINE_BYTES);
}
