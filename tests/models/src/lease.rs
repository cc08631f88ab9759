use crate::segment::leases::Leases;
use crate::world::{BLOCK_ROWS, Fuel, Plain, World, check};
use loom::sync::Arc;
use loom::thread;

/// When the record of a job gives its leases up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Release {
    /// Once every word is terminal: the product's way.
    WhenAllEnded,
    /// With the handle, as the borrow checker sees it: must fail.
    WithTheHandle,
}

/// Bytes of a block's rows, as the lease on them counts.
const BYTES: usize = 8 * BLOCK_ROWS;

/// An array with its leases, and the job's memory.
struct Shared {
    leases: Leases,
    world: World,
}

/// *Goal:* whoever looks at the rows after the handle of a job is gone sees them before the job or after it, and nobody writes them
/// meanwhile, wherever the job's worker dies.
///
/// *Actors:* a worker that increments the rows and dies after `k` of its steps, for every `k`; the supervisor, which waits for it,
/// sweeps it, has what became free run, and only then releases the job's leases; the caller, which has forgotten the handle and asks
/// for the rows to write them. Loom fails if nothing orders the worker's accesses and the caller's.
///
/// *What would break it:* leases that go with the handle ([`Release::WithTheHandle`]); a release that does not release, or a look that
/// there is no lease that does not acquire; a release that wakes nobody.
pub fn a_forgotten_job_keeps_its_rows(release: Release) {
    const STEPS: usize = 2 * BLOCK_ROWS + 4;
    for n_steps in 0..=STEPS + 1 {
        check(2, move || {
            let shared = Arc::new(Shared { leases: Leases::default(), world: World::new(1, 2) });
            shared.leases.wait(0..BYTES, true);
            shared.leases.lease(7, 0..BYTES, true);
            shared.world.ledger(7).publish();
            let worker = {
                let shared = Arc::clone(&shared);
                thread::spawn(move || {
                    shared.world.serve(&shared.world.ledger(7), 0, &Fuel::of(n_steps));
                })
            };
            let supervisor = {
                let shared = Arc::clone(&shared);
                thread::spawn(move || {
                    let ledger = shared.world.ledger(7);
                    if release == Release::WithTheHandle {
                        shared.leases.release(7);
                    }
                    worker.join().unwrap();
                    shared.world.sweep(&ledger, 0);
                    shared.world.serve(&ledger, 1, &Fuel::endless()).unwrap();
                    assert_eq!(ledger.first_unfinished(0), 1);
                    shared.leases.release(7);
                })
            };
            shared.leases.wait(0..BYTES, true);
            assert_eq!(shared.world.n_applied(0), 1);
            shared.world.rows[0].iter().for_each(|row| row.set(0));
            supervisor.join().unwrap();
        });
    }
}

/// *Goal:* a job that writes rows begins after every job that reads them, and whoever reads them waits for it alone.
///
/// *Actors:* two jobs that read one row, forgotten by their callers, each ending on a thread of its own; a third that writes the row: its
/// submission waits, then leases; a reader of other rows, who waits for nobody.
///
/// *What would break it:* a waiter that takes the first release for the one that it waits for; a release of one job that takes the
/// leases of another along; ranges that are compared wrongly.
pub fn a_writing_job_waits_for_all_that_read() {
    check(3, || {
        let shared = Arc::new((Leases::default(), Plain::new(1)));
        for job in 1..=2 {
            shared.0.lease(job, 0..8, false);
        }
        let readers: Vec<_> = (1..=2)
            .map(|job| {
                let shared = Arc::clone(&shared);
                thread::spawn(move || {
                    assert_eq!(shared.1.get(), 1);
                    shared.0.release(job);
                })
            })
            .collect();
        // Other rows, and the same rows to read: at once.
        shared.0.wait(8..16, true);
        shared.0.wait(0..8, false);
        shared.0.wait(4..12, true);
        shared.0.lease(3, 0..8, true);
        shared.1.set(2);
        shared.0.release(3);
        for reader in readers {
            reader.join().unwrap();
        }
        assert!(shared.0.is_free());
    });
}

/// *Goal:* a release wakes every waiter that it concerns, whoever waits besides.
///
/// *Actors:* two jobs that write one row each; a waiter for each row; the supervisor, which releases one job and then the other.
///
/// *What would break it:* waking one waiter alone: it may be the one for the other row.
pub fn a_release_wakes_whom_it_concerns() {
    check(3, || {
        let leases = Arc::new(Leases::default());
        leases.lease(1, 0..8, true);
        leases.lease(2, 8..16, true);
        let waiters: Vec<_> = [0..8, 8..16]
            .into_iter()
            .map(|row| {
                let leases = Arc::clone(&leases);
                thread::spawn(move || leases.wait(row, false))
            })
            .collect();
        leases.release(1);
        leases.release(2);
        for waiter in waiters {
            waiter.join().unwrap();
        }
    });
}
