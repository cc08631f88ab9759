//! Hints to the processor's caches. They change no result and can fail nothing: an address that is not mapped is passed over.

/// Bytes of a cache line.
const LINE_BYTES: usize = 64;

/// Asks for the cache lines of these bytes, which are to be read soon.
#[inline]
pub(crate) fn will_read(first: *const u8, len: usize) {
    #[cfg(target_arch = "x86_64")]
    for offset in (0..len).step_by(LINE_BYTES) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch reads nothing that the program sees and faults on no address; every x86-64 processor has it.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(first.wrapping_add(offset).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (first, len, LINE_BYTES);
}
