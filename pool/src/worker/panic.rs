//! What a panic leaves behind: its message, place and backtrace.
//!
//! The hook writes the text to the board before anything unwinds or aborts, so that the supervisor has it even
//! if the process does not survive. A task's panic is then caught, and the text goes into the block's slot.

use crate::job::board::Board;
use crate::task::{Failure, FailureKind};
use std::backtrace::Backtrace;
use std::cell::RefCell;
use std::panic::PanicHookInfo;
use std::sync::{Arc, Once};

thread_local! {
    static LAST_PANIC: RefCell<Option<Failure>> = const { RefCell::new(None) };
    static IS_TASK_THREAD: RefCell<bool> = const { RefCell::new(false) };
}

/// Frames of a backtrace that are kept, in lines.
const MAX_BACKTRACE_LINES: usize = 120;

fn message_of(info: &PanicHookInfo<'_>) -> String {
    let payload = info.payload();
    payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_string())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "panicked with a payload that is not a string".into())
}

fn failure_of(info: &PanicHookInfo<'_>) -> Failure {
    Failure {
        kind: FailureKind::Panic,
        message: message_of(info),
        location: info.location().map(ToString::to_string),
        backtrace: None,
    }
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
        let backtrace = Backtrace::force_capture().to_string();
        let lines: Vec<_> = backtrace.lines().take(MAX_BACKTRACE_LINES).collect();
        failure.backtrace = Some(lines.join("\n"));
        LAST_PANIC.set(Some(failure));
    }));
}

/// Panics of tasks that run in the supervisor's own process are kept too; all others go where they went.
pub(crate) fn install_hook_in_process() -> impl Drop {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let default_hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if IS_TASK_THREAD.with_borrow(|is| *is) {
                LAST_PANIC.set(Some(failure_of(info)));
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

/// The panic that was just caught.
pub(crate) fn take_last_panic() -> Failure {
    LAST_PANIC.take().unwrap_or_else(|| Failure {
        kind: FailureKind::Panic,
        message: "the task unwound without a panic".into(),
        ..Failure::default()
    })
}
