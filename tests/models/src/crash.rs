use crate::world::{BLOCK_ROWS, Fuel, World, check};
use loom::sync::Arc;
use loom::thread;

/// When the supervisor sweeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// The dead worker is waited for, then swept: the product's order.
    WaitThenSweep,
    /// Swept on suspicion, while the worker may still run: must fail.
    SweepThenWait,
}

/// Steps of a worker in one block: claim, copy in, result, *staged*, write back, *done*.
const BLOCK_STEPS: usize = 2 * BLOCK_ROWS + 4;

/// *Goal:* `x += 1` in place counts once for every row, wherever the worker that runs it dies.
///
/// *Actors:* worker 0, which dies after `k` of its steps, for every `k` from none to all: claim, copy in row by row, result,
/// *staged*, write back row by row, *done*; worker 1, which lives and helps; the supervisor, which waits for worker 0, sweeps
/// it, and fills its slot again.
///
/// *What would break it:* writing back before *staged*; a sweep that frees a staged block, or finishes a claimed one;
/// staging buffers that workers share; sweeping before the worker was waited for ([`Order::SweepThenWait`]).
pub fn a_death_after_any_step_counts_once(n_blocks: usize, max_preemptions: usize, order: Order) {
    let first_steps = if order == Order::WaitThenSweep { 0 } else { BLOCK_STEPS };
    for n_steps in first_steps..=n_blocks * BLOCK_STEPS + 1 {
        check(max_preemptions, move || {
            let world = Arc::new(World::new(n_blocks, 2));
            world.ledger(7).publish();
            let mortal = {
                let world = Arc::clone(&world);
                thread::spawn(move || {
                    world.serve(&world.ledger(7), 0, &Fuel::of(n_steps));
                })
            };
            let helper = {
                let world = Arc::clone(&world);
                thread::spawn(move || world.serve(&world.ledger(7), 1, &Fuel::endless()).unwrap())
            };
            let ledger = world.ledger(7);
            match order {
                Order::WaitThenSweep => {
                    mortal.join().unwrap();
                    world.sweep(&ledger, 0);
                }
                Order::SweepThenWait => {
                    world.sweep(&ledger, 0);
                    mortal.join().unwrap();
                    world.sweep(&ledger, 0);
                }
            }
            world.serve(&ledger, 0, &Fuel::endless()).unwrap();
            helper.join().unwrap();
            world.assert_all_applied_once(&ledger);
        });
    }
}

/// *Goal:* the death of the second worker in a row is no different from that of the first; attempts add up.
///
/// *Actors:* two workers, both of which die: one after `k` steps, the other after `l`, for all `k` and `l` within one block.
/// The supervisor sweeps each once it was waited for, in either order of deaths, and runs what is left.
///
/// *What would break it:* a sweep that touches blocks of another worker than the dead one, or a staged block that is finished
/// from another worker's buffer.
pub fn two_deaths_count_once() {
    for first in 0..=BLOCK_STEPS {
        for second in 0..=BLOCK_STEPS {
            check(1, move || {
                let world = Arc::new(World::new(1, 2));
                world.ledger(7).publish();
                let workers = [first, second].into_iter().enumerate().map(|(worker, n_steps)| {
                    let world = Arc::clone(&world);
                    thread::spawn(move || {
                        world.serve(&world.ledger(7), worker, &Fuel::of(n_steps));
                    })
                });
                let ledger = world.ledger(7);
                for (worker, thread) in workers.collect::<Vec<_>>().into_iter().enumerate() {
                    thread.join().unwrap();
                    world.sweep(&ledger, worker);
                }
                assert!(ledger.load(0).charged() <= 2);
                world.serve(&ledger, 0, &Fuel::endless()).unwrap();
                world.assert_all_applied_once(&ledger);
            });
        }
    }
}

/// When a slot gets its next worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refill {
    /// Once its last one was swept: the product's order.
    AfterTheSweep,
    /// Before: must fail.
    BeforeTheSweep,
}

/// *Goal:* a slot whose workers die one after the other: each sweep concerns the one that was waited for, attempts add up, and the block
/// counts once.
///
/// *Actors:* a worker in slot 0 that dies after `k` steps; its successor in the same slot, with the same staging buffer, that dies after
/// `l`; a worker in slot 1 that lives and helps; the supervisor, which waits, sweeps and refills, twice, and sweeps once more
/// for nothing.
///
/// *What would break it:* a slot that is filled before it was swept ([`Refill::BeforeTheSweep`]): the word names the slot, and the sweep
/// takes the successor's block; a second sweep that changes what the first has settled.
pub fn a_slot_that_dies_twice_counts_once(refill: Refill) {
    let (firsts, seconds) = match refill {
        Refill::AfterTheSweep => (0..=BLOCK_STEPS, 0..=BLOCK_STEPS),
        // The first holds nothing when it dies, and the successor works on while the sweep goes on.
        Refill::BeforeTheSweep => (0..=0, BLOCK_STEPS..=BLOCK_STEPS),
    };
    for first in firsts {
        for second in seconds.clone() {
            check(1, move || {
                let world = Arc::new(World::new(1, 2));
                world.ledger(7).publish();
                let slot = |n_steps| {
                    let world = Arc::clone(&world);
                    thread::spawn(move || {
                        world.serve(&world.ledger(7), 0, &Fuel::of(n_steps));
                    })
                };
                let ledger = world.ledger(7);
                slot(first).join().unwrap();
                let successor = match refill {
                    Refill::AfterTheSweep => {
                        world.sweep(&ledger, 0);
                        slot(second)
                    }
                    Refill::BeforeTheSweep => {
                        let successor = slot(second);
                        world.sweep(&ledger, 0);
                        successor
                    }
                };
                let helper = {
                    let world = Arc::clone(&world);
                    thread::spawn(move || world.serve(&world.ledger(7), 1, &Fuel::endless()).unwrap())
                };
                successor.join().unwrap();
                world.sweep(&ledger, 0);
                assert_eq!(world.sweep(&ledger, 0), 0);
                helper.join().unwrap();
                world.serve(&ledger, 0, &Fuel::endless()).unwrap();
                world.assert_all_applied_once(&ledger);
                assert!(ledger.load(0).charged() <= 2);
            });
        }
    }
}
