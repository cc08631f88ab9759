//! A job in flight.

use super::handle::cancelled;
use crate::error::Result;
use crate::signals::wait_if_program_ends;
use crate::supervisor::{Core, Driver, JobRecord};
use crate::task::{CallSpec, Collect, OnProgress};
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// A job in flight, made by [`Pool::submit`](crate::Pool::submit).
///
/// It may be joined, polled as a `Future` of any executor, cancelled, dropped, which cancels and does not wait,
/// or forgotten: the arrays stay leased until no worker can touch them, and whoever wants them next waits for
/// that. It may outlive its pool; it then ends with an error.
///
/// # Example
///
/// ```
/// use ndpool::{Pool, ops};
///
/// ndpool::init();
/// let pool = Pool::builder().workers(2).build()?;
/// let x = pool.full(10_000, 0.5_f64)?;
/// let mut job = pool.submit(ops::sum(&x))?;
/// let sum = loop {
///     match job.try_join() {
///         Ok(result) => break result?,
///         Err(unfinished) => job = unfinished, // other work, in between
///     }
/// };
/// assert_eq!(sum, 5_000.0);
/// # Ok::<(), ndpool::Error>(())
/// ```
#[must_use = "dropping a job cancels it"]
pub struct Job<'a, R> {
    /// `None` once the result was taken.
    state: Option<JobState<'a, R>>,
}

enum JobState<'a, R> {
    Running {
        core: Arc<Core>,
        record: Arc<JobRecord>,
        collect: Collect<'a, R>,
        on_progress: Option<OnProgress<'a>>,
    },
    Ended(Result<R>),
}

impl<R> Unpin for Job<'_, R> {}

impl<'a, R: 'a> Job<'a, R> {
    /// Hands a call to the workers. If it is `detached`, the monitor looks after it while nobody waits for it.
    pub(super) fn start(
        core: &Arc<Core>,
        spec: CallSpec,
        collect: Collect<'a, R>,
        on_progress: Option<OnProgress<'a>>,
        detached: bool,
    ) -> Result<Self> {
        // A caller whose program is being ended is not to take that for an error of its own.
        Self::hand_over(core, spec, collect, on_progress, detached).inspect_err(|_| wait_if_program_ends())
    }

    fn hand_over(
        core: &Arc<Core>,
        spec: CallSpec,
        collect: Collect<'a, R>,
        on_progress: Option<OnProgress<'a>>,
        detached: bool,
    ) -> Result<Self> {
        let record = JobRecord::new(core, spec)?;
        let is_watched = detached || core.must_watch(&record);
        if is_watched {
            // Fails here, if it does, and not once workers have the job.
            core.watch(false).map_err(|error| error.with_blocks(record.none_run()))?;
        }
        core.submit(&record).map_err(|error| error.with_blocks(record.none_run()))?;
        let job = Self {
            state: Some(JobState::Running {
                core: Arc::clone(core),
                record: Arc::clone(&record),
                collect,
                on_progress,
            }),
        };
        if is_watched {
            // The monitor may have looked before the job was there.
            let _ = core.watch(false);
        }
        Ok(job)
    }

    pub(super) fn ended(result: Result<R>) -> Self {
        Self { state: Some(JobState::Ended(result)) }
    }

    /// Waits for the job and takes its result.
    ///
    /// # Errors
    ///
    /// See [`Pool::run`](crate::Pool::run).
    ///
    /// # Panics
    ///
    /// If the job's result was taken before, by polling it to its end; or with the panic of the call's progress
    /// function, after the job was cancelled and waited for.
    pub fn join(mut self) -> Result<R> {
        if let Some(JobState::Running { core, record, on_progress, .. }) = &mut self.state {
            drive(core, record, on_progress);
        }
        self.take().expect("the result of a job is taken once")
    }

    /// The result if the job has ended; the job itself if not.
    ///
    /// # Errors
    ///
    /// The job, to be tried again.
    ///
    /// # Panics
    ///
    /// If the job's result was taken before, by polling it to its end.
    pub fn try_join(mut self) -> Result<Result<R>, Self> {
        if self.is_finished() {
            Ok(self.take().expect("the result of a job is taken once"))
        } else {
            Err(self)
        }
    }

    /// Whether the job has ended, well or not.
    pub fn is_finished(&self) -> bool {
        match &self.state {
            Some(JobState::Running { core, record, .. }) => core.try_end(record),
            Some(JobState::Ended(_)) | None => true,
        }
    }

    /// Cancels the job: blocks that no worker has begun are not run. Those that were begun are applied in full or
    /// not at all; the error of [`Job::join`] says which. What does not end by itself is ended after the
    /// [grace](crate::Builder::cancel_grace).
    pub fn cancel(&self) {
        if let Some(JobState::Running { core, record, .. }) = &self.state {
            core.cancel(record, cancelled());
        }
    }

    fn take(&mut self) -> Option<Result<R>> {
        match self.state.take()? {
            JobState::Running { core, record, collect, .. } => Some(core.collect(&record, collect)),
            JobState::Ended(result) => Some(result),
        }
    }
}

/// Waits for a job, telling its caller how far it is.
fn drive(core: &Arc<Core>, record: &Arc<JobRecord>, on_progress: &mut Option<OnProgress<'_>>) {
    let driver = Driver::new(core);
    let Some(on_progress) = on_progress else {
        driver.wait(record, || true);
        return;
    };
    let mut panic = None;
    driver.wait(record, || {
        panic = catch_unwind(AssertUnwindSafe(|| on_progress(record.progress()))).err();
        panic.is_none()
    });
    if let Some(payload) = panic {
        // The caller's borrows end when the panic goes on: not before the workers are done with them.
        core.cancel(record, cancelled());
        driver.wait(record, || true);
        resume_unwind(payload);
    }
    on_progress(record.progress());
}

impl<'a, R: 'a> Future for Job<'a, R> {
    type Output = Result<R>;

    /// # Panics
    ///
    /// If polled again after it was ready.
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(JobState::Running { core, record, on_progress, .. }) = &mut self.state
            && !core.try_end(record)
            && !record.wake_when_ended(context.waker())
        {
            if let Some(on_progress) = on_progress {
                on_progress(record.progress());
            }
            if let Err(error) = core.watch(true) {
                core.cancel(record, error);
            }
            return Poll::Pending;
        }
        Poll::Ready(self.take().expect("a job is not polled after it was ready"))
    }
}

impl<R> Drop for Job<'_, R> {
    fn drop(&mut self) {
        if let Some(JobState::Running { core, record, .. }) = &self.state
            && !core.is_forked()
        {
            core.cancel(record, cancelled());
            core.abandon(record);
        }
    }
}

impl<R> fmt::Debug for Job<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let progress = match &self.state {
            Some(JobState::Running { record, .. }) => Some(record.progress()),
            Some(JobState::Ended(_)) | None => None,
        };
        f.debug_struct("Job").field("progress", &progress).finish_non_exhaustive()
    }
}
