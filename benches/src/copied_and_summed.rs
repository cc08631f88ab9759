//! How long does it take to copy 100 MB into memory that was used before, and have a running worker sum them behind the copy?
//!
//! The caller copies while the worker sums what is there already. With ndpool the data go in four parts, and each is summed by a job of
//! its own as soon as it is full: into arrays that are made of memory which the pool recycles, or into the rows of one array
//! that was kept, as the example of `RowsMut::assign` does. The bare program copies 2 MB at a time and says in a word of the shared memory
//! how far its copy is, which goes past the caches; its child spins on that word.

use crate::bare::{Bare, Parent, Role, Shared, die_with_parent, spin_until};
use crate::measure::{Pair, in_turns, timed};
use crate::row::{Goal, Question, Skipped, Unit};
use crate::sum_shared::numbers;
use ndarray::ArrayView1;
use ndpool::{Pool, ops};
use std::sync::Arc;
use std::sync::atomic::Ordering;

pub(crate) const QUESTION: Question = Question {
    name: "copied_and_summed_behind",
    peer_name: "a copy past the caches, a word that says how far it is, a child that sums behind it",
    goal: Goal::Limit { limit: 15.0, bare: 11.0 },
    unit: Unit::Milliseconds,
    measure: measure_recycled,
};

pub(crate) const KEPT: Question =
    Question { name: "written_and_summed_behind", measure: measure_kept, ..QUESTION };

/// Sums what has been copied as far as word 0 says, whenever it is asked to; argument: the memory.
pub(crate) const SUM_BEHIND: Role = Role { name: "sum-behind", play: sum_behind };

const N: usize = 12_500_000;
const N_RUNS: usize = 25;
/// What ndpool copies before it is summed: 25 MB.
const PART: usize = N / 4;
/// What the bare program copies before it is summed: 2 MB.
const PIECE: usize = N / 50;

fn measure_recycled() -> Result<Pair, Skipped> {
    let data = data();
    let pool = Pool::builder().workers(1).build()?;
    beside_bare(&data, || {
        let mut jobs = Vec::with_capacity(N / PART);
        for part in data.chunks(PART) {
            let x = Arc::new(pool.from_array(&ArrayView1::from(part))?);
            jobs.push((pool.submit(ops::sum(Arc::clone(&x)))?, x));
        }
        // All arrays live until here: together they are the 100 MB.
        jobs.into_iter().map(|(job, _)| job.join()).sum()
    })
}

fn measure_kept() -> Result<Pair, Skipped> {
    let data = data();
    let pool = Pool::builder().workers(1).build()?;
    let mut x = pool.zeros::<f64, _>(N)?;
    beside_bare(&data, || {
        let mut jobs = Vec::with_capacity(N / PART);
        for (mut rows, part) in x.row_chunks_mut(PART).zip(data.chunks(PART)) {
            rows.assign(&ArrayView1::from(part));
            jobs.push(pool.submit(ops::sum(rows.into_rows()))?);
        }
        jobs.into_iter().map(|job| job.join()).sum()
    })
}

fn data() -> Vec<f64> {
    (0..N).map(numbers).collect()
}

fn beside_bare(data: &[f64], mut ndpool: impl FnMut() -> ndpool::Result<f64>) -> Result<Pair, Skipped> {
    let expected: f64 = data.iter().sum();
    let mut memory = Shared::new(size_of_val(data))?;
    let mut child = Bare::start(SUM_BEHIND, &[memory.path()])?;
    in_turns(
        N_RUNS,
        || timed(&expected, || Ok(ndpool()?)),
        || {
            memory.word(0).store(0, Ordering::Release);
            timed(&expected, || {
                child.ask()?;
                for (i, piece) in data.chunks(PIECE).enumerate() {
                    // SAFETY: the child reads nothing behind what the word says.
                    unsafe { memory.stream(i * PIECE, piece) };
                    memory.word(0).store(i as u32 + 1, Ordering::Release);
                }
                child.wait_for_number().map(f64::from_bits)
            })
        },
    )
}

fn sum_behind(args: &[String]) -> Result<(), Skipped> {
    die_with_parent();
    let memory = Shared::open(args.first().map_or("", String::as_str))?;
    let mut parent = Parent::new()?;
    while parent.is_asked()? {
        let mut total = 0.0;
        for i in 0..N / PIECE {
            spin_until(|| memory.word(0).load(Ordering::Acquire) > i as u32);
            // SAFETY: the word says that this piece is written, and it is not written again before the answer.
            let piece = unsafe { memory.numbers(i * PIECE..(i + 1) * PIECE) };
            total += ArrayView1::from(piece).sum();
        }
        parent.answer_number(total.to_bits())?;
    }
    Ok(())
}
