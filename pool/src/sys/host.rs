//! Random numbers, and the identity of machine, boot and process.

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::sync::LazyLock;

/// 64 random bits of the kernel's.
pub(crate) fn random_u64() -> io::Result<u64> {
    let mut bytes = [0_u8; 8];
    loop {
        // SAFETY: the pointer is valid for writing the given number of bytes.
        let n = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
        // Up to 256 bytes come whole or not at all.
        if n == 8 {
            return Ok(u64::from_ne_bytes(bytes));
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

/// The effective user, who owns the files that this process creates.
pub(crate) fn effective_uid() -> u32 {
    nix::unistd::geteuid().as_raw()
}

/// A number that changes with every boot of the machine; empty where there is none.
pub(crate) fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map(|id| id.trim().to_owned())
        .unwrap_or_default()
}

/// The name of the namespace in which this process's number is valid; empty where there is none.
pub(crate) fn pid_namespace() -> OsString {
    std::fs::read_link("/proc/self/ns/pid").map(Into::into).unwrap_or_default()
}

/// Whether processes of the same user can reach this one's descriptors through `/proc/<pid>/fd`.
///
/// They cannot when `/proc` is not mounted, nor when this process is not dumpable (set-user-ID, or a program file that its
/// user cannot read), though it can still reach them itself.
pub(crate) fn descriptors_are_reachable() -> bool {
    static FD_DIRECTORY: LazyLock<bool> =
        LazyLock::new(|| Path::new("/proc").join(std::process::id().to_string()).join("fd").is_dir());
    *FD_DIRECTORY && nix::sys::prctl::get_dumpable().unwrap_or(false)
}
