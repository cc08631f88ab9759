use crate::job::word::State;
use crate::world::{Fuel, World, check};
use loom::sync::{Arc, Mutex};
use loom::thread;

/// What the sweeper does about a job that was cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Afterwards {
    /// Cancels what it has freed: the product's way.
    CancelFreed,
    /// Nothing: must fail.
    LeaveFreed,
}

/// *Goal:* a sweep, a cancellation and another worker's claims, all at once: every word ends, and a block is applied once if
/// it is *done* and not at all if it is *cancelled*.
///
/// *Actors:* a worker that died with a claim on the first of two blocks; the sweeper and the canceller, each under the job's
/// lock; a worker that claims what it finds free.
///
/// *What would break it:* a sweep that leaves free what it frees of a cancelled job ([`Afterwards::LeaveFreed`]); a
/// cancellation that overwrites a claim; a claim that overwrites a cancellation.
pub fn everything_ends_whoever_comes_first(afterwards: Afterwards) {
    check(2, move || {
        let world = Arc::new(World::new(2, 2));
        world.ledger(4).publish();
        world.ledger(4).claim(0, 0).unwrap();
        let is_cancelled = Arc::new(Mutex::new(false));
        let helper = {
            let world = Arc::clone(&world);
            thread::spawn(move || world.serve(&world.ledger(4), 1, &Fuel::endless()).unwrap())
        };
        let canceller = {
            let (world, is_cancelled) = (Arc::clone(&world), Arc::clone(&is_cancelled));
            thread::spawn(move || {
                let mut is_cancelled = is_cancelled.lock().unwrap();
                world.ledger(4).cancel();
                *is_cancelled = true;
            })
        };
        let ledger = world.ledger(4);
        {
            let is_cancelled = is_cancelled.lock().unwrap();
            assert_eq!(world.sweep(&ledger, 0), 1);
            if *is_cancelled && afterwards == Afterwards::CancelFreed {
                ledger.cancel();
            }
        }
        canceller.join().unwrap();
        helper.join().unwrap();
        assert_eq!(ledger.first_unfinished(0), 2);
        for block in 0..2 {
            let expected = match ledger.load(block).state() {
                State::Done => 1,
                State::Cancelled => 0,
                other => panic!("block {block} is {other:?}"),
            };
            assert_eq!(world.n_applied(block), expected, "block {block}");
        }
    });
}

/// *Goal:* a block that the sweep frees is run by a worker that is looking for blocks, with everything that the supervisor did
/// before the sweep seen by it.
///
/// *Actors:* a worker that died with a claim and with its slot half written; the sweeper, which tidies that slot first; a
/// worker that writes the slot if it gets the block.
///
/// *What would break it:* a sweep that does not release, a claim that does not acquire.
pub fn a_freed_block_carries_over_what_the_sweeper_did() {
    check(4, || {
        let world = Arc::new(World::new(1, 2));
        world.ledger(4).publish();
        world.ledger(4).claim(0, 0).unwrap();
        let helper = {
            let world = Arc::clone(&world);
            thread::spawn(move || world.serve(&world.ledger(4), 1, &Fuel::endless()).unwrap())
        };
        let ledger = world.ledger(4);
        let n_swept = ledger.sweep(0, |block, word| {
            world.slots[block].set(0);
            word.charge().with_state(State::Free)
        });
        assert_eq!(n_swept, 1);
        helper.join().unwrap();
        world.serve(&ledger, 1, &Fuel::endless()).unwrap();
        world.assert_all_applied_once(&ledger);
    });
}
