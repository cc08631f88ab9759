//! A test that hangs is ended, loudly, instead of keeping everybody waiting.

use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::Duration;

/// No test comes near it; a hang is all that it catches.
const PATIENCE: Duration = Duration::from_secs(180);

/// Aborts the process unless it is dropped in time.
#[derive(Debug)]
pub struct Watchdog {
    _stop: Sender<()>,
}

/// Aborts the process if the guard is not dropped within three minutes.
#[must_use = "the watchdog sleeps once it is dropped"]
pub fn watchdog() -> Watchdog {
    let (stop, stopped) = mpsc::channel();
    let name = std::thread::current().name().unwrap_or("a test").to_owned();
    std::thread::spawn(move || {
        if stopped.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
            eprintln!("{name} has hung for {PATIENCE:?} and is ended");
            std::process::abort();
        }
    });
    Watchdog { _stop: stop }
}
