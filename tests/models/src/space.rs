use crate::job::ledger::Ledger;
use crate::job::word::{BlockWord, State};
use crate::world::{World, check};
use loom::sync::atomic::{AtomicU64, Ordering};
use loom::sync::{Arc, Mutex};
use loom::thread;

/// When a worker takes it for certain that there is no space.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Certain {
    /// As the product does: alone, after one more attempt, and nothing was let go since before that.
    AloneAndNothingFreed,
    /// After the first attempt.
    AtOnce,
}

/// Units of space that there are.
const SPACE: usize = 2;
/// Units that the result of each block takes: all that there is, and more.
const RESULTS: [usize; 2] = [SPACE, SPACE + 1];

/// What the workers share beyond the ledger.
struct Shared {
    world: World,
    space: Mutex<usize>,
    window: AtomicU64,
    n_freed: AtomicU64,
}

/// *Goal:* of two results the one that fits is kept and the other one fails, however their writers get into each other's way:
/// nobody fails a block because of what another had written and then gave back.
///
/// *Actors:* three workers with one attempt each, at the first block that they find; then one that does what is left. A result
/// is written step by step, and what was written of one that does not fit is given back, in a step of its own.
///
/// *What would break it:* being certain without having been alone.
pub fn the_result_that_fits_is_kept(certain: Certain) {
    check(2, move || {
        let shared = Arc::new(Shared {
            world: World::new(2, 3),
            space: Mutex::new(SPACE),
            window: AtomicU64::new(0),
            n_freed: AtomicU64::new(0),
        });
        shared.world.ledger(1).publish();
        let others = [1, 2].map(|worker| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || work(&shared, worker, certain))
        });
        work(&shared, 0, certain);
        others.into_iter().for_each(|other| other.join().unwrap());
        let ledger = shared.world.ledger(1);
        while ledger.first_unfinished(0) < 2 {
            work(&shared, 0, certain);
        }
        let states = [0, 1].map(|block| ledger.load(block).state());
        assert_eq!(states, [State::Done, State::Failed], "the first result fits");
    });
}

/// One attempt at a block, if there is one and the window lets it.
fn work(shared: &Shared, worker: usize, certain: Certain) {
    let ledger = shared.world.ledger(1);
    let window = shared.window.load(Ordering::Relaxed);
    if window != 0 && ledger.n_held() as u64 >= window {
        return;
    }
    let first = worker.min(1);
    let claimed =
        [first, 1 - first].into_iter().find_map(|block| Some((block, ledger.claim(block, worker)?)));
    let Some((block, word)) = claimed else { return };
    let is_kept = if write(shared, block) {
        true
    } else if certain == Certain::AtOnce {
        false
    } else if ledger.n_held() > 1 {
        return give_way(shared, &ledger, block, word);
    } else {
        shared.window.store(1, Ordering::Relaxed);
        let n_freed = shared.n_freed.load(Ordering::Acquire);
        let is_kept = write(shared, block);
        if !is_kept && (ledger.n_held() > 1 || shared.n_freed.load(Ordering::Acquire) != n_freed) {
            return give_way(shared, &ledger, block, word);
        }
        is_kept
    };
    let state = if is_kept { State::Done } else { State::Failed };
    ledger.advance(block, word, word.with_state(state)).unwrap();
}

/// Takes space for a result step by step; gives back what it took if that is not all.
fn write(shared: &Shared, block: usize) -> bool {
    for taken in 0..RESULTS[block] {
        let mut space = shared.space.lock().unwrap();
        if *space == 0 {
            drop(space);
            // A call of its own: others find no space in between.
            *shared.space.lock().unwrap() += taken;
            return false;
        }
        *space -= 1;
    }
    true
}

fn give_way(shared: &Shared, ledger: &Ledger<'_>, block: usize, word: BlockWord) {
    shared.window.store(1, Ordering::Relaxed);
    shared.n_freed.fetch_add(1, Ordering::AcqRel);
    ledger.advance(block, word, word.with_state(State::Free)).unwrap();
}
