use crate::job::ledger::Cursor;
use crate::job::word::State;
use crate::world::{World, check, result_of};
use loom::sync::Arc;
use loom::thread;
use std::sync::atomic::{AtomicU32, Ordering};

/// *Goal:* each block is claimed once; whoever claims sees the descriptor; whoever finds a block *done* sees its result.
///
/// *Actors:* a publisher that writes the descriptor and opens two blocks, two workers that look for blocks all the while, and
/// the publisher again, which reads the result of any block that it finds done while the workers still run.
///
/// *What would break it:* publishing or claiming without release and acquire (the descriptor is read before it is written);
/// committing without release or reading a word without acquire (the result is); claiming by anything but a
/// compare-and-swap (a block runs twice).
pub fn each_block_runs_once_and_its_result_is_seen() {
    const SEQUENCE: u64 = 5;
    check(2, || {
        let world = Arc::new(World::new(2, 2));
        // Not of loom: counts without ordering anything.
        let n_runs = Arc::new([const { AtomicU32::new(0) }; 2]);
        let workers: Vec<_> = (0..2)
            .map(|worker| {
                let (world, n_runs) = (Arc::clone(&world), Arc::clone(&n_runs));
                thread::spawn(move || work(&world, &n_runs, worker))
            })
            .collect();
        world.descriptor.set(SEQUENCE);
        let ledger = world.ledger(SEQUENCE);
        ledger.publish();
        for block in 0..2 {
            if ledger.load(block).state() == State::Done {
                assert_eq!(world.slots[block].get(), result_of(block));
            }
        }
        for worker in workers {
            worker.join().unwrap();
        }
        // What the workers came too early for.
        work(&world, &n_runs, 0);
        assert_eq!(ledger.first_unfinished(0), 2);
        assert!(n_runs.iter().all(|n| n.load(Ordering::Relaxed) == 1));
    });

    fn work(world: &World, n_runs: &[AtomicU32; 2], worker: usize) {
        let ledger = world.ledger(SEQUENCE);
        let mut cursor = Cursor::new(worker, 2, 2);
        while let Some((block, word)) = cursor.claim(&ledger, worker, |_| true) {
            assert_eq!(world.descriptor.get(), SEQUENCE);
            n_runs[block].fetch_add(1, Ordering::Relaxed);
            world.slots[block].set(result_of(block));
            ledger.advance(block, word, word.with_state(State::Done)).unwrap();
        }
    }
}

/// *Goal:* a block that a worker gives back carries over everything that this worker did to whoever claims it next.
///
/// *Actors:* one worker that claims the block, writes its slot and gives the block back; another that claims it if it finds it
/// free, and writes the slot too. Loom fails if nothing orders the two writes.
///
/// *What would break it:* a claim that does not acquire, a change of state that does not release.
pub fn a_block_given_back_carries_over_what_was_written() {
    check(3, || {
        let world = Arc::new(World::new(1, 2));
        world.ledger(1).publish();
        let workers: Vec<_> = (0..2)
            .map(|worker| {
                let world = Arc::clone(&world);
                thread::spawn(move || {
                    let ledger = world.ledger(1);
                    if let Some(word) = ledger.claim(0, worker) {
                        world.slots[0].set(worker as u64);
                        ledger.advance(0, word, word.with_state(State::Free)).unwrap();
                    }
                })
            })
            .collect();
        for worker in workers {
            worker.join().unwrap();
        }
        assert_eq!(world.ledger(1).load(0).state(), State::Free);
    });
}
