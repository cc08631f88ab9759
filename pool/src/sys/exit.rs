//! What is to be done when the process ends by itself.

use std::sync::OnceLock;

static AT_EXIT: OnceLock<fn()> = OnceLock::new();

/// Has a function called when the process returns from `main` or calls `exit`, after everything that was registered
/// later. The first caller's function counts.
pub(crate) fn at_exit(function: fn()) {
    if AT_EXIT.set(function).is_ok() {
        // SAFETY: `call` has the type that the function wants and lives as long as the program. A failure (no memory)
        // leaves what is left to the next reaper.
        let _ = unsafe { libc::atexit(call) };
    }
}

extern "C" fn call() {
    if let Some(function) = AT_EXIT.get() {
        // Unwinding into the C library would abort the process.
        let _ = std::panic::catch_unwind(function);
    }
}
