use crate::job::ledger::{Cursor, Ledger};
use crate::job::word::State;
use crate::sys::primitive::{AtomicU64, Ordering};
use crate::world::{Fuel, World, check};
use loom::sync::Arc;
use loom::thread;

const OLD: u64 = 1;
const NEW: u64 = 2;

/// An arena: a world, and the header from which a worker learns how many words are in use.
struct Arena {
    world: World,
    n_blocks: AtomicU64,
}

impl Arena {
    fn ledger(&self, sequence: u64) -> Ledger<'_> {
        let n_blocks = self.n_blocks.load(Ordering::Acquire) as usize;
        Ledger::new(&self.world.words[..n_blocks], sequence)
    }

    fn publish(&self, sequence: u64, n_blocks: u64) {
        self.world.descriptor.set(sequence);
        self.n_blocks.store(n_blocks, Ordering::Release);
        self.ledger(sequence).publish();
    }

    /// Claims and runs what the worker finds of a job; it has been told of `n_blocks`.
    fn work(&self, sequence: u64, n_blocks: usize) -> usize {
        self.work_as(0, sequence, n_blocks)
    }

    fn work_as(&self, worker: usize, sequence: u64, n_blocks: usize) -> usize {
        let mut cursor = Cursor::new(0, 1, n_blocks);
        let mut n_run = 0;
        loop {
            let ledger = self.ledger(sequence);
            let Some((block, word)) = cursor.claim(&ledger, worker, |_| true) else { return n_run };
            // Claim first, look second: under the claim this is the descriptor of the right job.
            assert_eq!(self.world.descriptor.get(), sequence);
            self.world.slots[block].set(sequence);
            let done = word.with_state(State::Done);
            ledger.advance(block, word, done).unwrap();
            assert!(ledger.advance(block, word, done).is_err());
            n_run += 1;
        }
    }
}

/// *Goal:* a worker that was paused anywhere inside a job can neither claim nor commit blocks of the next job in the same
/// memory, and reads no descriptor but that of the job whose block it holds.
///
/// *Actors:* a worker that works for the old job and then for the new one, and does not know when the old one ends; the
/// supervisor, which cancels the old job, waits until all its words are terminal, writes the descriptor of the new job
/// over the old one's, and opens a new job that has `n_new` blocks where the old one had two.
///
/// *What would break it:* words without a sequence, or a claim that does not look at it; a descriptor that is written while a
/// block is claimed; a cursor of the larger job that reaches past the words of the smaller one.
pub fn a_paused_worker_does_no_harm_to_the_next_job(n_new: u64) {
    const N_OLD: usize = 2;
    check(2, move || {
        let arena = Arc::new(Arena { world: World::new(3, 1), n_blocks: AtomicU64::new(0) });
        arena.publish(OLD, N_OLD as u64);
        let worker = {
            let arena = Arc::clone(&arena);
            thread::spawn(move || {
                arena.work(OLD, N_OLD);
                arena.work(NEW, n_new as usize)
            })
        };
        let old = arena.ledger(OLD);
        let n_cancelled = old.cancel();
        while old.first_unfinished(0) < N_OLD {
            thread::yield_now();
        }
        let n_done = (0..N_OLD).filter(|&block| old.load(block).state() == State::Done).count();
        assert_eq!(n_cancelled + n_done, N_OLD);
        arena.publish(NEW, n_new);
        let n_run = worker.join().unwrap() + arena.work(NEW, n_new as usize);
        assert_eq!(n_run as u64, n_new);
        assert_eq!(old.cancel(), 0);
        assert!((0..n_new as usize).all(|block| arena.world.slots[block].get() == NEW));
    });
}

/// *Goal:* a worker that dies inside a job keeps neither that job from ending nor the next one from using its memory.
///
/// *Actors:* a worker that claims a block of the old job, reads the descriptor, writes the slot and commits, and dies after `k` of these
/// steps; the supervisor, which cancels the old job, waits for the worker, sweeps it, cancels what that freed, and publishes the next
/// job over the old one's descriptor; a worker of the next job.
///
/// *What would break it:* a sweep of a job that is not open any more; a new descriptor before the old job's words are terminal.
pub fn a_death_in_the_old_job_does_no_harm_to_the_next() {
    for n_steps in 0..=4 {
        check(2, move || {
            let arena = Arc::new(Arena { world: World::new(1, 2), n_blocks: AtomicU64::new(0) });
            arena.publish(OLD, 1);
            let mortal = {
                let arena = Arc::clone(&arena);
                thread::spawn(move || {
                    let fuel = Fuel::of(n_steps);
                    let ledger = arena.ledger(OLD);
                    fuel.step()?;
                    let word = ledger.claim(0, 0)?;
                    fuel.step()?;
                    assert_eq!(arena.world.descriptor.get(), OLD);
                    fuel.step()?;
                    arena.world.slots[0].set(OLD);
                    fuel.step()?;
                    ledger.advance(0, word, word.with_state(State::Done)).ok()
                })
            };
            // It looks for work of either job all the while.
            let helper = {
                let arena = Arc::clone(&arena);
                thread::spawn(move || arena.work_as(1, NEW, 1))
            };
            let old = arena.ledger(OLD);
            let n_cancelled = old.cancel();
            let has_committed = mortal.join().unwrap().is_some();
            let n_swept = old.sweep(0, |_, word| word.charge_external().with_state(State::Free));
            let n_cancelled = n_cancelled + old.cancel();
            assert_eq!(n_cancelled + usize::from(has_committed), 1);
            assert!(n_swept <= n_cancelled);
            assert_eq!(old.first_unfinished(0), 1);
            arena.publish(NEW, 1);
            assert_eq!(helper.join().unwrap() + arena.work(NEW, 1), 1);
            assert_eq!(arena.world.slots[0].get(), NEW);
        });
    }
}
