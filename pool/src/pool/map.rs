//! Many calls in order, lazily, with a bounded number in flight.
//!
//! Calls that have no arrays and are alike travel in batches: one job whose blocks are the calls. The size of a
//! batch follows the time that batches take, so that quick calls share the cost of publishing and slow ones are
//! not held up by their neighbours.

use super::handle::{Engine, Pool, cancelled};
use super::in_process;
use super::job::Job;
use crate::error::Result;
use crate::signals::wait_if_program_ends;
use crate::supervisor::{Core, Driver, JobRecord, OwnedArena};
use crate::task::{Call, CallSpec, Collect, Merge, Tree};
use std::collections::VecDeque;
use std::fmt;
use std::iter::{Fuse, FusedIterator};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Time that a batch should take from its publication to its end: long beside a wake-up, short beside a user's
/// patience.
const BATCH_TIME: Duration = Duration::from_millis(1);
/// Calls of the largest batch.
const MAX_BATCH: usize = 4096;
/// Bytes of arguments of the largest batch.
const MAX_BATCH_BYTES: usize = 1 << 20;
/// Jobs in flight for each worker, so that none waits while results are taken.
const JOBS_PER_WORKER: usize = 2;

/// The results of many calls, in their order; made by [`Pool::map`].
///
/// A call that fails gives its error in its place, and the others go on. Dropping the iterator cancels what is in
/// flight.
#[must_use = "a map runs nothing until its results are asked for"]
pub struct Map<'p, 'a, I, R> {
    pool: &'p Pool,
    calls: Fuse<I>,
    /// A call that was drawn and belongs to the next batch.
    held: Option<Call<'a, R>>,
    in_flight: VecDeque<Flight<'a, R>>,
    /// Calls in `in_flight`.
    n_in_flight: usize,
    max_in_flight: Option<usize>,
    batch: usize,
    n_drawn: usize,
}

/// What was handed to the workers together.
enum Flight<'a, R> {
    Job { index: usize, job: Job<'a, R> },
    Batch(Batch<'a, R>),
    Ready { index: usize, result: Result<R> },
}

struct Batch<'a, R> {
    core: Arc<Core>,
    /// Number of the batch's first call that was not given out.
    index: usize,
    record: Arc<JobRecord>,
    /// What becomes of the results, from the first call not given out.
    collects: std::vec::IntoIter<Collect<'a, R>>,
    next_block: usize,
    arena: Option<OwnedArena>,
    submitted: Instant,
}

impl<'p, 'a, R: 'a, I: Iterator<Item = Call<'a, R>>> Map<'p, 'a, I, R> {
    pub(super) fn new(pool: &'p Pool, calls: I) -> Self {
        Self {
            pool,
            calls: calls.fuse(),
            held: None,
            in_flight: VecDeque::new(),
            n_in_flight: 0,
            max_in_flight: None,
            batch: 1,
            n_drawn: 0,
        }
    }

    /// Draws at most this many calls ahead of the result that is asked for. By default some for each worker, and
    /// more as long as they are quick.
    ///
    /// # Panics
    ///
    /// If `n` is zero.
    pub fn in_flight(mut self, n: usize) -> Self {
        assert!(n > 0, "in_flight(0): at least one call is in flight");
        self.max_in_flight = Some(n);
        self
    }

    /// Gives results as they come, each with the number of its call.
    ///
    /// # Example
    ///
    /// ```
    /// use ndpool::{Pool, call};
    ///
    /// ndpool::init();
    /// let pool = Pool::builder().workers(2).build()?;
    /// for (i, result) in pool.map((0..100).map(|x: u64| call(|x: u64| x * x, x))).unordered() {
    ///     assert_eq!(result?, (i * i) as u64);
    /// }
    /// # Ok::<(), ndpool::Error>(())
    /// ```
    pub fn unordered(self) -> Unordered<'p, 'a, I, R> {
        Unordered { map: self }
    }

    /// Merges all results in the order of the calls, in a tree that depends on their number alone; `None` if
    /// there was no call.
    ///
    /// # Errors
    ///
    /// That of the first call that failed; what is in flight then is cancelled.
    ///
    /// # Example
    ///
    /// ```
    /// use ndpool::{Pool, call, merge::Sum};
    ///
    /// ndpool::init();
    /// let pool = Pool::builder().workers(2).build()?;
    /// let total = pool.map((0..100).map(|x: u64| call(|x: u64| Sum(x), x))).merged()?;
    /// assert_eq!(total, Some(Sum(4_950)));
    /// # Ok::<(), ndpool::Error>(())
    /// ```
    pub fn merged(self) -> Result<Option<R>>
    where
        R: Merge,
    {
        let mut tree = Tree::new();
        for result in self {
            tree.push(result?);
        }
        Ok(tree.finish())
    }

    /// Draws calls and hands them over until enough are in flight.
    fn fill(&mut self) {
        let max_jobs = JOBS_PER_WORKER * self.pool.n_workers();
        while self.in_flight.len() < max_jobs && self.room() > 0 {
            let Some(call) = self.held.take().or_else(|| self.calls.next()) else { return };
            match self.pool.engine() {
                Engine::Workers(core) if call.can_batch() => self.fill_batch(core, call),
                _ => {
                    let flight = self.single(call);
                    self.in_flight.push_back(flight);
                }
            }
        }
    }

    /// Calls that may still be drawn.
    fn room(&self) -> usize {
        self.max_in_flight.map_or(usize::MAX, |max| max.saturating_sub(self.n_in_flight))
    }

    /// Gives the next `n` calls their numbers.
    fn count(&mut self, n: usize) -> usize {
        let index = self.n_drawn;
        self.n_drawn += n;
        self.n_in_flight += n;
        index
    }

    fn single(&mut self, call: Call<'a, R>) -> Flight<'a, R> {
        let index = self.count(1);
        let result = call.into_parts().and_then(|(spec, collect, on_progress)| match self.pool.engine() {
            Engine::Workers(core) => {
                let job = Job::start(core, spec, collect, on_progress, true)?;
                Ok(Flight::Job { index, job })
            }
            Engine::InProcess { run, faults, .. } => Ok(Flight::Ready {
                index,
                result: in_process::run(run, faults.as_ref(), spec, collect, on_progress),
            }),
        });
        result.unwrap_or_else(|error| Flight::Ready { index, result: Err(error) })
    }

    /// Draws calls that are like the first one, and hands them over as one job.
    fn fill_batch(&mut self, core: &Arc<Core>, first: Call<'a, R>) {
        let max = self.batch.min(self.room()).max(1);
        let mut specs: Vec<CallSpec> = Vec::with_capacity(max);
        let mut collects = Vec::with_capacity(max);
        let mut n_bytes = 0;
        let mut next = Some(first);
        while let Some(call) = next.take() {
            if specs.first().is_some_and(|first| !call.spec.is_like(first)) {
                self.held = Some(call);
                break;
            }
            n_bytes += call.spec.values.len();
            specs.push(call.spec);
            collects.push(call.collect);
            if specs.len() == max || n_bytes >= MAX_BATCH_BYTES {
                break;
            }
            next = self.calls.next();
            if next.as_ref().is_some_and(|call| !call.can_batch()) {
                self.held = next.take();
            }
        }
        let n_calls = specs.len();
        let index = self.count(n_calls);
        let submitted = Instant::now();
        let record = JobRecord::new_batch(core, &mut specs).and_then(|record| {
            if core.must_watch(&record) {
                core.watch(false).map_err(|error| error.with_blocks(record.none_run()))?;
            }
            core.submit(&record).map_err(|error| error.with_blocks(record.none_run()))?;
            if core.must_watch(&record) {
                // The monitor may have looked before the job was there.
                let _ = core.watch(false);
            }
            Ok(record)
        });
        match record.inspect_err(|_| wait_if_program_ends()) {
            Ok(record) => self.in_flight.push_back(Flight::Batch(Batch {
                core: Arc::clone(core),
                index,
                record,
                collects: collects.into_iter(),
                next_block: 0,
                arena: None,
                submitted,
            })),
            // None of them was handed over, and all fail with the same; unless it is the program that ends.
            Err(error) => self.in_flight.extend(
                (index..index + n_calls).map(|index| Flight::Ready { index, result: Err(error.copy()) }),
            ),
        }
    }

    /// Takes the next result of the flight at `position`, whose first result must be there or be waited for.
    fn take(&mut self, position: usize) -> Option<(usize, Result<R>)> {
        if let Flight::Batch(batch) = &mut self.in_flight[position] {
            if batch.arena.is_none() {
                self.batch = next_batch_size(self.batch, batch.finish());
            }
            if batch.collects.len() > 1 {
                self.n_in_flight -= 1;
                return batch.next();
            }
        }
        // Out of the queue before the caller's own function runs on the result: it may panic.
        let flight = self.in_flight.remove(position)?;
        self.n_in_flight -= 1;
        match flight {
            Flight::Job { index, job } => Some((index, job.join())),
            Flight::Ready { index, result } => Some((index, result)),
            Flight::Batch(mut batch) => batch.next(),
        }
    }
}

/// The size of the batches to come, after one that took this long.
fn next_batch_size(size: usize, took: Duration) -> usize {
    if took < BATCH_TIME {
        (size * 2).min(MAX_BATCH)
    } else if took > 4 * BATCH_TIME {
        (size / 2).max(1)
    } else {
        size
    }
}

impl<'a, R: 'a> Batch<'a, R> {
    /// Waits for the batch to end; how long it took.
    fn finish(&mut self) -> Duration {
        Driver::new(&self.core).wait(&self.record, || true);
        let took = self.submitted.elapsed();
        self.arena = self.core.take_ended(&self.record);
        took
    }

    fn next(&mut self) -> Option<(usize, Result<R>)> {
        let collect = self.collects.next()?;
        let (index, block) = (self.index, self.next_block);
        self.index += 1;
        self.next_block += 1;
        let result = match &self.arena {
            None => Err(self.core.abort_error(&self.record)),
            Some(arena) => match self.core.error_of_call(&self.record, arena, block) {
                Some(error) => Err(error),
                None => self.core.collect_one(&self.record, arena, block, collect),
            },
        };
        Some((index, result))
    }
}

impl<R> Drop for Batch<'_, R> {
    fn drop(&mut self) {
        if self.core.is_forked() {
            return;
        }
        match self.arena.take() {
            Some(arena) => self.core.release_ended(&self.record, arena),
            None => {
                self.core.cancel(&self.record, cancelled());
                self.core.abandon(&self.record);
                // Nobody else will end it: a batch has no leases that others wait for.
                let _ = self.core.watch(false);
            }
        }
    }
}

impl<'a, R: 'a, I: Iterator<Item = Call<'a, R>>> Iterator for Map<'_, 'a, I, R> {
    type Item = Result<R>;

    fn next(&mut self) -> Option<Self::Item> {
        self.fill();
        if self.in_flight.is_empty() {
            return None;
        }
        self.take(0).map(|(_, result)| result)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let known = self.n_in_flight + usize::from(self.held.is_some());
        let (low, high) = self.calls.size_hint();
        (low.saturating_add(known), high.and_then(|high| high.checked_add(known)))
    }
}

impl<'a, R: 'a, I: Iterator<Item = Call<'a, R>>> FusedIterator for Map<'_, 'a, I, R> {}

impl<I, R> fmt::Debug for Map<'_, '_, I, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Map")
            .field("drawn", &self.n_drawn)
            .field("in_flight", &self.n_in_flight)
            .finish_non_exhaustive()
    }
}

/// The results of many calls as they come, each with the number of its call; made by [`Map::unordered`].
#[must_use = "a map runs nothing until its results are asked for"]
pub struct Unordered<'p, 'a, I, R> {
    map: Map<'p, 'a, I, R>,
}

impl<'a, R: 'a, I: Iterator<Item = Call<'a, R>>> Iterator for Unordered<'_, 'a, I, R> {
    type Item = (usize, Result<R>);

    fn next(&mut self) -> Option<Self::Item> {
        let map = &mut self.map;
        map.fill();
        if map.in_flight.is_empty() {
            return None;
        }
        let first_ready = |in_flight: &VecDeque<Flight<'a, R>>| in_flight.iter().position(Flight::is_ready);
        if let Engine::Workers(core) = map.pool.engine() {
            Driver::new(core).wait_for(|| first_ready(&map.in_flight).is_some());
        }
        let position = first_ready(&map.in_flight).unwrap_or(0);
        map.take(position)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.map.size_hint()
    }
}

impl<'a, R: 'a> Flight<'a, R> {
    fn is_ready(&self) -> bool {
        match self {
            Self::Job { job, .. } => job.is_finished(),
            Self::Batch(batch) => batch.arena.is_some() || batch.core.try_end(&batch.record),
            Self::Ready { .. } => true,
        }
    }
}

impl<I, R> fmt::Debug for Unordered<'_, '_, I, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Unordered").field(&self.map).finish()
    }
}
