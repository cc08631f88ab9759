//! Jobs from publication to their last block.
//!
//! Whoever finds all words terminal ends the job: the entry on the board is closed, leases are released, waiters
//! are told. The arena stays with the record until its results were taken.

use super::aside::contained;
use super::core::Core;
use super::handshake::Abilities;
use super::record::{JobRecord, Phase};
use crate::error::{Error, ErrorKind, Result};
use crate::job::arena::Plan;
use crate::job::board::{N_JOBS, OpenJob};
use crate::job::descriptor::TaskId;
use crate::signals::wait_if_program_ends;
use crate::sys::kill_point;
use crate::task::{TaskVtable, image_offset, not_in_this_image};
use std::borrow::Cow;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::task::Waker;

/// Wakes a future. An executor's code runs here, and must not end the pool's threads with a panic of its own.
fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker
        && contained(|| waker.wake()).is_none()
    {
        contained(|| tracing::error!("a future's waker panicked"));
    }
}

impl Core {
    /// How workers find a task.
    pub(super) fn task_id(&self, vtable: &'static TaskVtable) -> Result<TaskId> {
        match self.abilities() {
            None | Some(Abilities::Everything) => {
                image_offset(vtable).map(TaskId::Image).ok_or_else(|| not_in_this_image(vtable.name))
            }
            Some(Abilities::Tasks(tasks)) => {
                let Some(known) = tasks.iter().find(|known| known.name == vtable.name) else {
                    return Err(Error::new(
                        ErrorKind::UnknownTask,
                        format!("the worker program has no task {}; it has {} others", vtable.name, tasks.len()),
                    )
                    .with_hint("only tasks that the worker program registers can run there: not generic ones, and no `call`"));
                };
                if known.layout != vtable.layout {
                    return Err(Error::new(
                        ErrorKind::BuildMismatch,
                        format!(
                            "task {} has the parameters ({}) here and ({}) in the worker program",
                            vtable.name, vtable.layout, known.layout
                        ),
                    )
                    .with_hint("build both programs from the same source"));
                }
                Ok(TaskId::Name)
            }
        }
    }

    /// Leases the job's arrays, waiting for jobs whose handles are gone, and hands the job to the workers.
    pub(crate) fn submit(self: &Arc<Self>, job: &Arc<JobRecord>) -> Result<()> {
        if self.is_closing.load(Ordering::SeqCst) {
            wait_if_program_ends();
            return Err(Self::closing_error());
        }
        self.retry_given_up();
        if let Some(error) = self.is_broken() {
            return Err(error);
        }
        kill_point!("submit.begin");
        self.reserve_staging(job.descriptor.staging_len())?;
        kill_point!("submit.staging_reserved");
        {
            let state = job.lock();
            for (segment, range, is_written) in job.leased_ranges(&state) {
                segment.leases().wait(range, is_written);
            }
            for (segment, range, is_written) in job.leased_ranges(&state) {
                segment.leases().lease(job.sequence, range, is_written);
                kill_point!("submit.array_leased");
            }
        }
        kill_point!("submit.leased");
        if let Err(error) = self.publish(job) {
            job.release_leases(&mut job.lock());
            return Err(error);
        }
        kill_point!("submit.published");
        self.cancel_if_late(job);
        Ok(())
    }

    /// A shutdown, or the last slot that was given up, may have looked for jobs to cancel before this one was there.
    fn cancel_if_late(self: &Arc<Self>, job: &Arc<JobRecord>) {
        if self.is_closing.load(Ordering::SeqCst) {
            self.cancel(job, Self::closing_error());
        } else if let Some(error) = self.is_broken() {
            self.cancel(job, error);
        }
    }

    /// Makes every worker's staging buffer at least this long.
    fn reserve_staging(&self, len: usize) -> Result<()> {
        if self.staging_len.load(Ordering::Acquire) >= len {
            return Ok(());
        }
        let _growing = self.growing.lock().unwrap_or_else(PoisonError::into_inner);
        for slot in &self.slots {
            slot.staging.grow_raw(len)?;
            kill_point!("submit.staging_grown");
        }
        self.staging_len.fetch_max(len, Ordering::AcqRel);
        Ok(())
    }

    /// Opens the job to the workers, or queues it if too many are open.
    fn publish(self: &Arc<Self>, job: &Arc<JobRecord>) -> Result<()> {
        let mut state = job.lock();
        let Phase::Queued { .. } = &state.phase else { return Ok(()) };
        if let Some(why) = &state.abort {
            // Cancelled while it was neither in the queue any more nor open.
            return Err(why.copy());
        }
        // Most descriptors are small, and need no memory of their own.
        let mut few = [0; 512];
        let serialised = match postcard::to_slice(&job.descriptor, &mut few) {
            Ok(bytes) => Ok(Cow::Borrowed(&*bytes)),
            Err(_) => postcard::to_stdvec(&job.descriptor).map(Cow::Owned),
        };
        let descriptor = serialised.map_err(|error| {
            Error::new(ErrorKind::Serde, format!("{}: the job cannot be described: {error}", job.label))
        })?;
        let mut table = self.table();
        if table.entries.is_empty() {
            table.entries.resize_with(N_JOBS, || None);
        }
        let Some(entry) = table.entries.iter().position(Option::is_none) else {
            table.queue.push_back(Arc::clone(job));
            kill_point!("publish.queued");
            return Ok(());
        };
        let plan = Plan { descriptor_len: descriptor.len(), ..job.plan };
        kill_point!("publish.begin");
        let arena = table.take_arena(self, &plan)?;
        kill_point!("publish.arena_taken");
        let Phase::Queued { arguments, table: ends } = std::mem::replace(&mut state.phase, Phase::Taken)
        else {
            unreachable!("checked above, under the same lock");
        };
        arena.arena.write_job(&plan, &descriptor, &arguments, &ends);
        kill_point!("publish.job_written");
        job.ledger(&arena).publish();
        kill_point!("publish.words_free");
        table.entries[entry] = Some(Arc::clone(job));
        let open = OpenJob { sequence: job.sequence, arena: arena.id };
        self.board.open(entry, &open, arena.arena.words_capacity(), || arena.segment.locator());
        kill_point!("publish.entry_open");
        state.phase = Phase::Open { entry, arena };
        let has_waker = state.waker.is_some();
        drop(table);
        drop(state);
        kill_point!("publish.unlocked");
        self.board.announce(job.n_blocks());
        kill_point!("publish.announced");
        if has_waker {
            let _ = self.watch(true);
        }
        Ok(())
    }

    /// Ends a job if all its words are terminal; whether it has ended.
    pub(crate) fn try_end(self: &Arc<Self>, job: &Arc<JobRecord>) -> bool {
        if job.has_ended() {
            return true;
        }
        let mut state = job.lock();
        let Phase::Open { entry, arena } = &state.phase else { return job.has_ended() };
        let entry = *entry;
        let unfinished = job.ledger(arena).first_unfinished(state.cursor);
        state.cursor = unfinished;
        if unfinished < job.n_blocks() {
            return false;
        }
        // No word can change any more, so no worker will touch the job's memory or its arrays.
        kill_point!("end_job.begin");
        self.board.close(entry);
        kill_point!("end_job.entry_closed");
        let Phase::Open { arena, .. } = std::mem::replace(&mut state.phase, Phase::Taken) else {
            unreachable!("checked above, under the same lock");
        };
        state.phase = Phase::Ended { arena };
        let next = {
            let mut table = self.table();
            table.entries[entry] = None;
            table.queue.pop_front()
        };
        kill_point!("end_job.entry_freed");
        job.release_leases(&mut state);
        kill_point!("end_job.leases_released");
        job.ended.store(true, Ordering::SeqCst);
        let waker = state.waker.take();
        drop(state);
        kill_point!("end_job.ended");
        if !job.is_wanted.load(Ordering::SeqCst) {
            self.discard(job);
        }
        // Other threads may wait for this job, or for a place for theirs.
        self.board.bell().ring();
        kill_point!("end_job.rung");
        let mut next = next;
        while let Some(job) = next {
            kill_point!("queue.taken");
            match self.publish(&job) {
                Ok(()) => {
                    kill_point!("queue.published");
                    self.cancel_if_late(&job);
                    // The monitor may have gone to sleep while the job was between queue and board, and must enforce its limits
                    // and end it if its handle is gone.
                    let _ = self.watch(false);
                    break;
                }
                // The place is still free: for the one behind it.
                Err(error) => {
                    self.end_unpublished(&job, error);
                    next = self.table().queue.pop_front();
                }
            }
        }
        wake(waker);
        true
    }

    /// Ends a job that never reached the workers.
    fn end_unpublished(&self, job: &JobRecord, error: Error) {
        let mut state = job.lock();
        state.abort.get_or_insert(error);
        state.phase = Phase::Taken;
        job.release_leases(&mut state);
        job.ended.store(true, Ordering::SeqCst);
        let waker = state.waker.take();
        drop(state);
        self.board.bell().ring();
        wake(waker);
    }

    /// Cancels what is free of a job; what is claimed ends first.
    pub(crate) fn cancel(self: &Arc<Self>, job: &Arc<JobRecord>, why: Error) {
        let mut state = job.lock();
        match &state.phase {
            Phase::Open { arena, .. } => {
                kill_point!("cancel.begin");
                arena.arena.set_cancelled();
                kill_point!("cancel.flag_set");
                job.ledger(arena).cancel();
                kill_point!("cancel.words_cancelled");
                state.abort.get_or_insert(why);
                state.is_cancelled = true;
                drop(state);
                if !self.try_end(job) && !self.is_closing.load(Ordering::SeqCst) {
                    // The monitor ends what does not end by itself; without one, which takes a lack of threads, nobody does.
                    let _ = self.watch(false);
                }
            }
            Phase::Queued { .. } => {
                // For whoever has just taken it out of the queue to open it.
                state.abort.get_or_insert_with(|| why.copy());
                drop(state);
                let mut table = self.table();
                let before = table.queue.len();
                table.queue.retain(|queued| !Arc::ptr_eq(queued, job));
                let was_queued = table.queue.len() < before;
                drop(table);
                if was_queued {
                    kill_point!("cancel.unqueued");
                    self.end_unpublished(job, why);
                }
            }
            Phase::Ended { .. } | Phase::Taken => {}
        }
    }

    pub(super) fn cancel_all(self: &Arc<Self>, why: &Error) {
        // From the back: what is queued must not be opened by the end of what is open.
        for job in self.all_jobs().iter().rev() {
            self.cancel(job, why.copy());
        }
    }

    pub(super) fn finish_all(self: &Arc<Self>) {
        for job in self.all_jobs() {
            self.try_end(&job);
        }
    }

    /// Says that nobody will take the results of a job; those that are there already are thrown away.
    pub(crate) fn abandon(self: &Arc<Self>, job: &Arc<JobRecord>) {
        // Sequentially consistent on both sides: either the end of the job sees this, or this sees the end.
        job.is_wanted.store(false, Ordering::SeqCst);
        kill_point!("abandon.unwanted");
        if job.has_ended() {
            self.discard(job);
        }
    }
}
