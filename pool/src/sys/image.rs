//! Addresses that mean the same in every process of one program file: offsets in the image that holds ndpool.
//!
//! A program is loaded at a random address, but the distance of a function or a constant from that address is
//! fixed by the file. A task's table therefore travels as an offset, and is checked for lying inside the image
//! (and inside executable pages, for functions) before it is used.

use std::ffi::{c_int, c_void};
use std::sync::OnceLock;

static ANCHOR: u8 = 0;

struct Image {
    base: usize,
    /// Start, end and executability of every loaded part.
    parts: Vec<(usize, usize, bool)>,
}

impl Image {
    fn contains(&self, address: usize, len: usize, executable: bool) -> bool {
        let Some(end) = address.checked_add(len) else { return false };
        self.parts
            .iter()
            .any(|&(start, stop, is_exec)| start <= address && end <= stop && (is_exec || !executable))
    }
}

/// The image that this function was linked into.
fn image() -> &'static Image {
    static IMAGE: OnceLock<Image> = OnceLock::new();
    IMAGE.get_or_init(|| {
        let mut found = Image { base: 0, parts: Vec::new() };
        // SAFETY: `visit` has the type that the function wants, and `found` outlives the call, which is the only
        // time at which the pointer is used.
        unsafe { libc::dl_iterate_phdr(Some(visit), (&raw mut found).cast::<c_void>()) };
        found
    })
}

/// Fills an [`Image`] if `info` describes the object that holds [`ANCHOR`]; returns 1 to end the walk then.
extern "C" fn visit(info: *mut libc::dl_phdr_info, _size: usize, found: *mut c_void) -> c_int {
    // SAFETY: the dynamic linker passes a valid description for the time of the call.
    let info = unsafe { &*info };
    // SAFETY: `dlpi_phdr` points to `dlpi_phnum` program headers of a loaded object.
    let headers = unsafe { std::slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum)) };
    let base = info.dlpi_addr as usize;
    let parts: Vec<_> = headers
        .iter()
        .filter(|header| header.p_type == libc::PT_LOAD)
        .map(|header| {
            let start = base.wrapping_add(header.p_vaddr as usize);
            (start, start + header.p_memsz as usize, header.p_flags & libc::PF_X != 0)
        })
        .collect();
    let image = Image { base, parts };
    if !image.contains((&raw const ANCHOR).addr(), 1, false) {
        return 0;
    }
    // SAFETY: `found` is the pointer to a live `Image` that `image` passed, and nobody else uses it meanwhile.
    unsafe { *found.cast::<Image>() = image };
    1
}

/// The offset of `len` bytes at an address; `None` if they belong to another image than ndpool.
pub(crate) fn offset_of(address: usize, len: usize, executable: bool) -> Option<u64> {
    let image = image();
    image.contains(address, len, executable).then(|| (address - image.base) as u64)
}

/// The address of an offset that came from another process of the same program file; `None` if `len` bytes there
/// do not lie inside the image.
pub(crate) fn address_of(offset: u64, len: usize, executable: bool) -> Option<usize> {
    let image = image();
    let address = image.base.checked_add(usize::try_from(offset).ok()?)?;
    image.contains(address, len, executable).then_some(address)
}

/// The `T` at an offset of the image, if there is one: its first eight bytes are the magic number.
///
/// # Safety
///
/// `T` is `repr(C)`, starts with a `u64`, and has neither interior mutability nor drop glue; and eight aligned bytes of
/// the image that equal `magic` start a `T`.
pub(crate) unsafe fn static_at<T>(offset: u64, magic: u64) -> Option<&'static T> {
    let pointer = address_of(offset, size_of::<T>().max(8), false)? as *const T;
    if !pointer.is_aligned() || !pointer.cast::<u64>().is_aligned() {
        return None;
    }
    // SAFETY: eight bytes inside the image (checked above), aligned; images of the program are always readable.
    let found = unsafe { pointer.cast::<u64>().read() };
    if found != magic {
        return None;
    }
    // SAFETY: inside the image, aligned, and a `T` by the caller's promise; images of the program itself are never
    // unloaded, and a `T` is not written.
    Some(unsafe { &*pointer })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_go_there_and_back_and_nowhere_else() {
        static HERE: u64 = 7;
        let address = (&raw const HERE).addr();
        let offset = offset_of(address, 8, false).unwrap();
        assert_eq!(address_of(offset, 8, false), Some(address));
        assert_eq!(address_of(offset, 8, true), None, "data is not executable");
        let function = offsets_go_there_and_back_and_nowhere_else as fn() as usize;
        assert!(offset_of(function, 1, true).is_some());
        assert_eq!(offset_of(Box::into_raw(Box::new(1u8)).addr(), 1, false), None);
        assert_eq!(address_of(u64::MAX, 1, false), None);
        assert_eq!(address_of(1 << 46, 1, false), None);
    }
}
