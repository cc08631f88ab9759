use crate::job::doorbell::{Bed, Bell, Epoch};
use crate::job::word::State;
use crate::sys::primitive::{AtomicU32, AtomicU64, Ordering};
use crate::world::{World, check};
use loom::sync::Arc;
use loom::thread;

/// *Goal:* whoever waits for a job hears the last commit. Without time limits: a wake-up that is lost is a deadlock, which loom
/// reports.
///
/// *Actors:* `n_waiters` threads of the supervisor that wait until the only block is done, and the worker that commits it and
/// rings.
///
/// *What would break it:* ringing before the commit; a waiter that reads the sequence after it looked at the words; anything
/// weaker than sequential consistency.
pub fn no_waiter_misses_the_last_commit(n_waiters: usize) {
    struct Shared {
        world: World,
        sequence: AtomicU32,
        waiters: AtomicU32,
    }
    check(3, move || {
        let shared = Arc::new(Shared {
            world: World::new(1, 1),
            sequence: AtomicU32::new(0),
            waiters: AtomicU32::new(0),
        });
        shared.world.ledger(1).publish();
        let claimed = shared.world.ledger(1).claim(0, 0).unwrap();
        let waiters: Vec<_> = (0..n_waiters)
            .map(|_| {
                let shared = Arc::clone(&shared);
                thread::spawn(move || {
                    let is_over = || shared.world.ledger(1).first_unfinished(0) == 1;
                    while !is_over() {
                        Bell::new(&shared.sequence, &shared.waiters).wait_unless(is_over, None);
                    }
                })
            })
            .collect();
        shared.world.ledger(1).advance(0, claimed, claimed.with_state(State::Done)).unwrap();
        Bell::new(&shared.sequence, &shared.waiters).ring();
        for waiter in waiters {
            waiter.join().unwrap();
        }
    });
}

/// The board as far as waking goes: an epoch, and the beds of two workers.
struct Board {
    world: World,
    epoch: AtomicU32,
    beds: [AtomicU32; 2],
    must_end: AtomicU64,
}

impl Board {
    fn new() -> Self {
        Self {
            world: World::new(1, 2),
            epoch: AtomicU32::new(0),
            beds: std::array::from_fn(|_| AtomicU32::new(0)),
            must_end: AtomicU64::new(0),
        }
    }

    fn epoch(&self) -> Epoch<'_> {
        Epoch(&self.epoch)
    }

    fn bed(&self, worker: usize) -> Bed<'_> {
        Bed(&self.beds[worker])
    }

    /// Tells the workers of work for one of them.
    fn announce_one(&self) {
        self.epoch().bump();
        let _ = (0..2).any(|worker| self.bed(worker).wake());
    }

    /// The loop of a worker: works until it has run the block or is told to end; whether it ran the block.
    fn serve(&self, worker: usize) -> bool {
        let must_end = || self.must_end.load(Ordering::Relaxed) != 0;
        loop {
            let epoch = self.epoch().now();
            let ledger = self.world.ledger(1);
            if let Some(word) = ledger.claim(0, worker) {
                ledger.advance(0, word, word.with_state(State::Done)).unwrap();
                return true;
            }
            if must_end() {
                return false;
            }
            self.bed(worker).park_unless(self.epoch(), epoch, must_end);
        }
    }
}

/// *Goal:* a job that is published while a worker is about to park gets that worker.
///
/// *Actors:* a worker that finds nothing and parks; the publisher, which opens a block, bumps the epoch and wakes one.
///
/// *What would break it:* a worker that reads the epoch after it has looked for work, or does not look at it again once its
/// bed is made; a publisher that looks at the beds before it bumps the epoch; anything weaker than sequential consistency.
pub fn no_worker_sleeps_through_a_publication() {
    check(4, || {
        let board = Arc::new(Board::new());
        let worker = {
            let board = Arc::clone(&board);
            thread::spawn(move || assert!(board.serve(0)))
        };
        board.world.ledger(1).publish();
        board.announce_one();
        worker.join().unwrap();
    });
}

/// *Goal:* a worker that is told to end does so, even if it is about to park.
///
/// *Actors:* a worker without work; the supervisor, which asks it to end.
///
/// *What would break it:* a worker that does not look at the wish to end between making its bed and sleeping, and a wish that
/// does not bump the epoch: either of the two is enough.
pub fn no_worker_sleeps_through_the_wish_that_it_end() {
    check(4, || {
        let board = Arc::new(Board::new());
        let worker = {
            let board = Arc::clone(&board);
            thread::spawn(move || assert!(!board.serve(0)))
        };
        // As `Board::ask_to_retire`.
        board.must_end.store(1, Ordering::Relaxed);
        board.epoch().bump();
        board.bed(0).wake();
        worker.join().unwrap();
    });
}

/// *Goal:* one wake-up for one block is not spent on a worker that died in its sleep, once that worker was swept.
///
/// *Actors:* the bed of a dead worker, still made; a living worker; the supervisor, which clears the bed, publishes one block
/// and wakes one worker.
///
/// *What would break it:* a sweep that leaves the bed as it is.
pub fn no_wake_up_is_spent_on_a_swept_worker() {
    check(4, || {
        let board = Arc::new(Board::new());
        board.beds[0].store(1, Ordering::SeqCst);
        let worker = {
            let board = Arc::clone(&board);
            thread::spawn(move || assert!(board.serve(1)))
        };
        board.bed(0).clear();
        board.world.ledger(1).publish();
        board.announce_one();
        worker.join().unwrap();
    });
}

/// *Goal:* a wake-up that was spent on a dead worker before its sweep is made good by the next tick of whoever waits for the
/// job: the block is not forgotten.
///
/// *Actors:* the bed of a dead worker; a living worker; a publisher that wakes one of the two; the sweeper at the same time;
/// then the waiting caller, which finds the block still free and wakes again (`wake_for_free_blocks`).
///
/// *What would break it:* a caller that does not look again; a woken bed that stays made.
pub fn a_wake_up_spent_on_a_dead_worker_is_repeated() {
    check(3, || {
        let board = Arc::new(Board::new());
        board.beds[0].store(1, Ordering::SeqCst);
        let worker = {
            let board = Arc::clone(&board);
            thread::spawn(move || assert!(board.serve(1)))
        };
        let sweeper = {
            let board = Arc::clone(&board);
            thread::spawn(move || board.bed(0).clear())
        };
        board.world.ledger(1).publish();
        board.announce_one();
        if board.world.ledger(1).peek_free(0).is_some() {
            board.announce_one();
        }
        worker.join().unwrap();
        sweeper.join().unwrap();
    });
}

/// Where the process that means to wake another one dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WakerDies {
    /// Before it has touched the bed.
    BeforeTheFlag,
    /// After it has cleared the bed's flag and before the futex call.
    BeforeTheCall,
    /// After the call.
    AfterTheCall,
}

/// *Goal:* a worker sleeps on if, and only if, there is nothing to do, though the process that was to wake it died at any step.
///
/// *Actors:* a sleeper; another worker, a process too, which brings one more worker to the job and dies before, in the middle of,
/// or after `Bed::wake`; the caller, whose timed wait ends after that death and which finds the block still free (as
/// `Board::wake_again`).
///
/// *What would break it:* a second wake-up that trusts the flag; `Bed::rouse` without the call.
pub fn a_waker_may_die_at_any_step(dies: WakerDies) {
    check(3, move || {
        let board = Arc::new(Board::new());
        let sleeper = {
            let board = Arc::clone(&board);
            thread::spawn(move || assert!(board.serve(0)))
        };
        let waker = {
            let board = Arc::clone(&board);
            thread::spawn(move || match dies {
                WakerDies::BeforeTheFlag => {}
                WakerDies::BeforeTheCall => {
                    // The steps of `Bed::wake` up to its call.
                    let _ = board.bed(0).is_parked() && board.beds[0].swap(0, Ordering::SeqCst) == 1;
                }
                WakerDies::AfterTheCall => {
                    board.bed(0).wake();
                }
            })
        };
        board.world.ledger(1).publish();
        board.epoch().bump();
        waker.join().unwrap();
        if board.world.ledger(1).peek_free(0).is_some() {
            if !board.bed(0).is_parked() {
                board.bed(0).rouse();
            }
            board.bed(0).wake();
        }
        sleeper.join().unwrap();
    });
}

/// *Goal:* whoever waits for a job hears of its last commit although the worker died before it could ring.
///
/// *Actors:* a worker that holds the last block and dies after `k` steps: before its commit, between commit and ring, after both;
/// a waiter without a time limit; the supervisor, which waits for the worker, sweeps it and rings, and runs what became free.
///
/// *What would break it:* a sweep that rings only if it has changed a word: between commit and ring the dead worker
/// holds none.
pub fn a_commit_whose_worker_dies_is_heard_of() {
    struct Shared {
        world: World,
        sequence: AtomicU32,
        waiters: AtomicU32,
    }
    for n_steps in 0..=2 {
        check(3, move || {
            let shared = Arc::new(Shared {
                world: World::new(1, 1),
                sequence: AtomicU32::new(0),
                waiters: AtomicU32::new(0),
            });
            shared.world.ledger(1).publish();
            let claimed = shared.world.ledger(1).claim(0, 0).unwrap();
            let waiter = {
                let shared = Arc::clone(&shared);
                thread::spawn(move || {
                    let is_over = || shared.world.ledger(1).first_unfinished(0) == 1;
                    while !is_over() {
                        Bell::new(&shared.sequence, &shared.waiters).wait_unless(is_over, None);
                    }
                })
            };
            let worker = {
                let shared = Arc::clone(&shared);
                thread::spawn(move || {
                    if n_steps >= 1 {
                        shared.world.ledger(1).advance(0, claimed, claimed.with_state(State::Done)).unwrap();
                    }
                    if n_steps >= 2 {
                        Bell::new(&shared.sequence, &shared.waiters).ring();
                    }
                })
            };
            worker.join().unwrap();
            let ledger = shared.world.ledger(1);
            ledger.sweep(0, |_, word| word.charge_external().with_state(State::Failed));
            Bell::new(&shared.sequence, &shared.waiters).ring();
            waiter.join().unwrap();
        });
    }
}
