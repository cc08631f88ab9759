//! The bar on a terminal, for what takes longer than a second.
//!
//! A thread of its own draws it, so that loading, which reports nothing, has a sign of life too, and reporting costs
//! a few stores. There is neither thread nor bar when stderr is not a terminal.

use std::io::IsTerminal;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How long the user waits before there is anything to see.
const PATIENCE: Duration = Duration::from_secs(1);
const FRAME: Duration = Duration::from_millis(100);

/// A bar that may come up; it goes when dropped.
#[derive(Debug)]
pub struct Bar {
    state: Arc<State>,
    drawing: Option<(Sender<()>, JoinHandle<()>)>,
}

#[derive(Debug, Default)]
struct State {
    what: Mutex<String>,
    blocks_done: AtomicUsize,
    /// Zero while nothing is reported.
    n_blocks: AtomicUsize,
}

impl Bar {
    pub fn start() -> Self {
        let state = Arc::new(State::default());
        let drawing = std::io::stderr().is_terminal().then(|| {
            let (stop, stopped) = mpsc::channel();
            let state = Arc::clone(&state);
            let thread = std::thread::spawn(move || {
                if stopped.recv_timeout(PATIENCE) != Err(RecvTimeoutError::Timeout) {
                    return;
                }
                let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
                while stopped.recv_timeout(FRAME) == Err(RecvTimeoutError::Timeout) {
                    state.draw(&bar);
                }
                bar.finish_and_clear();
            });
            (stop, thread)
        });
        Self { state, drawing }
    }

    /// Something new begins, of which nothing is done yet.
    pub fn begin(&self, what: String) {
        *self.state.what.lock().unwrap_or_else(PoisonError::into_inner) = what;
        self.state.n_blocks.store(0, Ordering::Relaxed);
        self.state.blocks_done.store(0, Ordering::Relaxed);
    }

    /// What a job tells its progress to.
    pub fn reporter(&self) -> impl FnMut(ndpool::Progress) + Send + 'static {
        let state = Arc::clone(&self.state);
        move |progress| {
            state.blocks_done.store(progress.blocks_done, Ordering::Relaxed);
            state.n_blocks.store(progress.n_blocks, Ordering::Relaxed);
        }
    }
}

impl State {
    fn draw(&self, bar: &ProgressBar) {
        let what = self.what.lock().unwrap_or_else(PoisonError::into_inner).clone();
        // Two loads may not fit together; the next frame puts it right.
        let n_blocks = self.n_blocks.load(Ordering::Relaxed);
        let template = match n_blocks {
            0 => "{spinner} {msg} {elapsed}",
            _ => "{spinner} {msg} [{bar:40}] {pos}/{len} blocks {elapsed}",
        };
        bar.set_style(ProgressStyle::with_template(template).expect("a template of ours"));
        bar.set_message(what);
        if n_blocks > 0 {
            bar.set_length(n_blocks as u64);
            bar.set_position(self.blocks_done.load(Ordering::Relaxed) as u64);
        }
        bar.tick();
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.drawing.take() {
            drop(stop);
            let _ = thread.join();
        }
    }
}
