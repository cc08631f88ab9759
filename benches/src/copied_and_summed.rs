//! How long does it take to copy 100 MB into memory that was used before, and have a running worker sum them behind the copy?
//!
//! The caller copies on one core while the worker sums on the other what is there already. With ndpool the data go into a row of
//! smaller arrays, whose memory is that of arrays which were dropped, and each is summed by a job of its own as soon as it
//! is copied. The bare program says in a word of the shared memory how far the copy is, and its child spins on that word.

use crate::bare::{Bare, Parent, Role, Shared, die_with_parent, spin_until};
use crate::measure::{Pair, in_turns};
use crate::row::{Goal, Question, Skipped, Unit};
use crate::sum_shared::numbers;
use ndarray::{Array1, ArrayView1};
use ndpool::{Pool, ops};
use std::sync::atomic::Ordering;
use std::time::Instant;

pub(crate) const QUESTION: Question = Question {
    name: "copied_and_summed_behind",
    peer_name: "a memcpy with a word that says how far it is, a child that sums behind it",
    goal: Goal::Limit { limit: 15.0, bare: 11.0 },
    unit: Unit::Milliseconds,
    measure,
};

/// Sums what has been copied as far as word 0 says, whenever it is asked to; argument: the memory.
pub(crate) const SUM_BEHIND: Role = Role { name: "sum-behind", play: sum_behind };

const N: usize = 12_500_000;
const N_RUNS: usize = 25;
/// What is copied before it is summed: 2 MB.
const PIECE: usize = N / 50;

fn measure() -> Result<Pair, Skipped> {
    let data = Array1::from_shape_fn(N, numbers);
    let data = data.as_slice().expect("C order");
    let expected: f64 = data.iter().sum();
    let pool = Pool::builder().workers(1).build()?;
    let mut memory = Shared::new(N * size_of::<f64>())?;
    let path = memory.path();
    let mut child = Bare::start(SUM_BEHIND, &[path])?;
    in_turns(
        N_RUNS,
        || {
            let start = Instant::now();
            let mut arrays = Vec::with_capacity(N / PIECE);
            let mut jobs = Vec::with_capacity(N / PIECE);
            for piece in data.chunks(PIECE) {
                let x = std::sync::Arc::new(pool.from_array(&ArrayView1::from(piece))?);
                jobs.push(pool.submit(ops::sum(std::sync::Arc::clone(&x)))?);
                arrays.push(x);
            }
            let found: f64 = jobs.into_iter().map(|job| job.join()).sum::<ndpool::Result<f64>>()?;
            let took = start.elapsed();
            assert_eq!(found, expected);
            Ok(took)
        },
        || {
            memory.word(0).store(0, Ordering::Release);
            let start = Instant::now();
            child.ask()?;
            for (i, piece) in data.chunks(PIECE).enumerate() {
                // SAFETY: the child reads nothing behind what the word says.
                let target = unsafe { memory.numbers_mut(i * PIECE..i * PIECE + piece.len()) };
                target.copy_from_slice(piece);
                memory.word(0).store(i as u32 + 1, Ordering::Release);
            }
            let found = child.wait_for_number().map(f64::from_bits)?;
            let took = start.elapsed();
            assert_eq!(found, expected);
            Ok(took)
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
