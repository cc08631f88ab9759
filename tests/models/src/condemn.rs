use crate::job::word::State;
use crate::world::{BLOCK_ROWS, Fuel, World, check};
use loom::sync::Arc;
use loom::thread;

/// *Goal:* of the monitor's condemnation and the worker's commit exactly one takes effect. A worker that was condemned has
/// applied nothing; after it was waited for and swept, the block runs again and counts once.
///
/// *Actors:* a worker that runs one staged block; a monitor that condemns the block if it sees it claimed; the supervisor, which
/// waits for a condemned worker, sweeps it, and has another run what became free.
///
/// *What would break it:* changing a word without comparing it with the one that was seen; condemning *staged*; a worker that
/// writes back before the word says *staged*.
pub fn a_condemned_worker_commits_nothing() {
    check(4, || {
        let world = Arc::new(World::new(1, 2));
        world.ledger(3).publish();
        let worker = {
            let world = Arc::clone(&world);
            thread::spawn(move || world.serve(&world.ledger(3), 0, &Fuel::endless()).is_some())
        };
        let monitor = {
            let world = Arc::clone(&world);
            thread::spawn(move || {
                let ledger = world.ledger(3);
                let word = ledger.load(0);
                word.state() == State::Claimed
                    && ledger.advance(0, word, word.with_state(State::Condemned)).is_ok()
            })
        };
        let has_condemned = monitor.join().unwrap();
        let has_committed = worker.join().unwrap();
        assert_ne!(has_condemned, has_committed);
        let ledger = world.ledger(3);
        if has_condemned {
            assert_eq!(ledger.load(0).state(), State::Condemned);
            assert_eq!(world.n_applied(0), 0);
            assert_eq!(world.sweep(&ledger, 0), 1);
            assert_eq!(ledger.load(0).charged(), 1);
            world.serve(&ledger, 1, &Fuel::endless()).unwrap();
        }
        world.assert_all_applied_once(&ledger);
    });
}

/// *Goal:* a condemnation that loses to the sweep of a dead worker, or comes in the middle of it, leaves no block condemned for
/// ever. (In the product both hold the job's lock; the ledger does not need it.)
///
/// *Actors:* a worker that died with a claim; the sweeper; the monitor.
///
/// *What would break it:* a sweep that does not look again after a swap that failed.
pub fn a_condemnation_in_the_middle_of_a_sweep_is_swept() {
    check(4, || {
        let world = Arc::new(World::new(1, 2));
        world.ledger(3).publish();
        world.ledger(3).claim(0, 0).unwrap();
        let monitor = {
            let world = Arc::clone(&world);
            thread::spawn(move || {
                let ledger = world.ledger(3);
                let word = ledger.load(0);
                if word.state() == State::Claimed {
                    let _ = ledger.advance(0, word, word.with_state(State::Condemned));
                }
            })
        };
        let ledger = world.ledger(3);
        assert_eq!(world.sweep(&ledger, 0), 1);
        monitor.join().unwrap();
        let word = ledger.load(0);
        assert_eq!((word.state(), word.charged()), (State::Free, 1));
    });
}

/// *Goal:* a worker that dies by itself at any step, while the monitor condemns the block that it holds, is swept like any other.
///
/// *Actors:* a worker that dies after `k` of its steps, for every `k`; a monitor that condemns the block if it sees it claimed;
/// the supervisor, which waits for the worker, sweeps it, and has another run what became free.
///
/// *What would break it:* a sweep that leaves *condemned* to the monitor, or that charges a block twice for one death.
pub fn a_death_under_condemnation_counts_once() {
    for n_steps in 0..=2 * BLOCK_ROWS + 5 {
        check(3, move || {
            let world = Arc::new(World::new(1, 2));
            world.ledger(3).publish();
            let worker = {
                let world = Arc::clone(&world);
                thread::spawn(move || {
                    world.serve(&world.ledger(3), 0, &Fuel::of(n_steps));
                })
            };
            let monitor = {
                let world = Arc::clone(&world);
                thread::spawn(move || {
                    let ledger = world.ledger(3);
                    let word = ledger.load(0);
                    if word.state() == State::Claimed {
                        let _ = ledger.advance(0, word, word.with_state(State::Condemned));
                    }
                })
            };
            worker.join().unwrap();
            let ledger = world.ledger(3);
            let n_swept = world.sweep(&ledger, 0);
            assert!(ledger.load(0).charged() as usize <= n_swept && n_swept <= 1);
            monitor.join().unwrap();
            world.serve(&ledger, 1, &Fuel::endless()).unwrap();
            world.assert_all_applied_once(&ledger);
        });
    }
}
