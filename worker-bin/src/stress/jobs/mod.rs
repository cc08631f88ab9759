//! The jobs of the soak, each checked to the bit.

/// Arrays made, dropped, saved and loaded.
mod arrays;
/// Jobs that go wrong on purpose.
mod failures;
/// Jobs whose handles are dropped, forgotten or cancelled, and pools that end under them.
mod handles;
/// Many calls.
mod maps;
/// Reductions, and results that spill.
mod results;
/// Updates in place and outputs.
mod updates;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use ndpool::{Error, Pool};

use super::chance::Chance;
use super::exact::is_weather;
use super::report::{Desk, Verdict};

pub use arrays::check_saved;

/// Everything that a job of the soak needs.
#[derive(Debug)]
pub struct Scene<'s> {
    pub chance: Chance,
    pub desk: &'s Desk,
    /// A directory of this supervisor's own.
    pub directory: &'s Path,
    /// Whether shared memory is filled now and then.
    pub has_pressure: bool,
    /// Set if the next check shall expect something wrong.
    pub fault: &'s AtomicBool,
    /// Set if a handle was forgotten, which keeps the pool's memory until the process ends.
    pub has_forgotten: &'s AtomicBool,
}

impl Scene<'_> {
    /// Reports a job that was checked.
    fn tell(&self, kind: &str, blocks: usize, verdict: Verdict) {
        self.desk.job(kind, blocks, verdict);
    }

    /// Takes what was to be made; an error must be one that the soak brings about.
    fn made<T>(&self, kind: &str, what: Result<T, Error>) -> Option<T> {
        what.map_err(|error| {
            let verdict = if is_weather(&error, self.has_pressure) {
                Verdict::error(&error, 0)
            } else {
                Verdict::wrong(format!("an error that nothing explains: {:?}: {error}", error.kind()))
            };
            self.tell(kind, 0, verdict);
        })
        .ok()
    }

    /// What a right result is off by: nothing, but once in a soak that shall find something wrong.
    fn off_by(&self) -> i64 {
        i64::from(self.fault.swap(false, Ordering::Relaxed))
    }
}

/// A kind of jobs.
pub type Play = fn(&mut Scene<'_>, &Pool);

/// All kinds that may run side by side in one pool, the usual ones more than once.
pub const PLAYS: &[Play] = &[
    updates::in_place,
    updates::in_place,
    updates::two_arrays,
    updates::output,
    results::reduction,
    results::own_merge,
    results::spilling,
    maps::batched,
    maps::failing_calls,
    maps::with_arrays,
    failures::misdeeds,
    failures::misdeeds,
    failures::timeouts,
    failures::deadline,
    handles::many_at_once,
    handles::dropped,
    handles::forgotten,
    handles::cancelled,
    arrays::churn,
    arrays::saved_and_loaded,
];

/// What ends a pool: jobs are in flight.
pub use handles::pool_dropped;
