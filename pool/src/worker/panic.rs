//! What a panic leaves behind: its message, place and backtrace.
//!
//! The hook writes the text to the board before anything unwinds or aborts, so that the supervisor has it even
//! if the process does not survive. A task's panic is then caught, and the text goes into the block's slot.

use crate::job::board::Board;
use crate::task::{Failure, FailureKind};
use std::any::Any;
use std::backtrace::Backtrace;
use std::cell::{Cell, RefCell};
use std::panic::PanicHookInfo;
use std::sync::{Arc, Once};

thread_local! {
    static LAST_PANIC: RefCell<Option<Failure>> = const { RefCell::new(None) };
    /// Whether there is a last panic: a look that every block takes.
    static HAS_PANICKED: Cell<bool> = const { Cell::new(false) };
    static IS_TASK_THREAD: RefCell<bool> = const { RefCell::new(false) };
}

/// Frames of a backtrace that are kept, in lines.
const MAX_BACKTRACE_LINES: usize = 120;

fn text_of(payload: &(dyn Any + Send)) -> String {
    payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_string())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "panicked with a payload that is not a string".into())
}

fn failure_of(info: &PanicHookInfo<'_>) -> Failure {
    Failure {
        kind: FailureKind::Panic,
        message: text_of(info.payload()),
        location: info.location().map(ToString::to_string),
        backtrace: None,
    }
}

/// The frames of the task alone, without those of the panic before it and of the worker after it.
fn trim(backtrace: &str) -> String {
    const PANIC: [&str; 3] = ["core::panicking::", "std::panicking::", "rust_begin_unwind"];
    let lines: Vec<&str> = backtrace.lines().collect();
    let end = lines.iter().position(|line| line.contains("::run_and_serialise")).unwrap_or(lines.len());
    let is_panic = |line: &&str| PANIC.iter().any(|name| line.contains(name));
    let mut start = lines[..end].iter().rposition(is_panic).map_or(0, |last| last + 1);
    // The place of the last frame of the panic.
    start += usize::from(lines[start..end].first().is_some_and(|line| line.trim_start().starts_with("at ")));
    // A build without symbols has nothing to go by: all of it then.
    let frames = if start < end { &lines[start..end] } else { &lines[..] };
    frames.iter().take(MAX_BACKTRACE_LINES).copied().collect::<Vec<_>>().join("\n")
}

/// Panics of this thread are kept from now on, and left on the board; those of other threads go to stderr.
pub(super) fn install_hook(board: Arc<Board>, slot: usize) {
    IS_TASK_THREAD.set(true);
    let default_hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if !IS_TASK_THREAD.with_borrow(|is| *is) {
            return default_hook(info);
        }
        let mut failure = failure_of(info);
        let place = failure.location.as_deref().unwrap_or("an unknown place");
        // First the part that cannot fail, for a process that does not come to the rest.
        board.add_last_words(slot, format!("{} at {place}", failure.message).as_bytes());
        failure.backtrace = Some(trim(&Backtrace::force_capture().to_string()));
        keep(failure);
    }));
}

/// Panics of tasks that run in the supervisor's own process are kept too; all others go where they went.
pub(crate) fn install_hook_in_process() -> impl Drop {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let default_hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if IS_TASK_THREAD.with_borrow(|is| *is) {
                keep(failure_of(info));
            } else {
                default_hook(info);
            }
        }));
    });
    struct Guard(bool);
    impl Drop for Guard {
        fn drop(&mut self) {
            IS_TASK_THREAD.set(self.0);
        }
    }
    Guard(IS_TASK_THREAD.replace(true))
}

fn keep(failure: Failure) {
    LAST_PANIC.set(Some(failure));
    HAS_PANICKED.set(true);
}

/// Forgets a panic that the last task caught itself.
pub(crate) fn forget_last_panic() {
    if HAS_PANICKED.replace(false) {
        LAST_PANIC.set(None);
    }
}

/// The panic that was just caught. One that comes from another thread (`resume_unwind`, as rayon does) has not been through
/// the hook on this one: what is known of it is its payload.
pub(crate) fn take_last_panic(payload: &(dyn Any + Send)) -> Failure {
    LAST_PANIC.take().unwrap_or_else(|| Failure {
        kind: FailureKind::Panic,
        message: text_of(payload),
        ..Failure::default()
    })
}

#[cfg(test)]
mod tests {
    use super::trim;

    #[test]
    fn a_backtrace_is_trimmed_to_the_task() {
        let full = "   0: ndpool::worker::panic::hook\n             at a.rs:1:1\n   1: core::panicking::panic_fmt\n             \
                    at b.rs:2:2\n   2: mine::task\n             at mine.rs:3:3\n   3: ndpool::task::function::run_and_serialise\n   \
                    4: main";
        assert_eq!(trim(full), "   2: mine::task\n             at mine.rs:3:3");
        assert_eq!(trim("   0: <unknown>"), "   0: <unknown>");
        assert_eq!(trim(""), "");
    }
}
