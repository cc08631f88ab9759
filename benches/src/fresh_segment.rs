//! How long does a copy into a fresh segment take, beside one that faults its pages in?
//!
//! Both sides make a file in /dev/shm and copy 256 MB into it with one thread: ndpool by `pwrite`, which the kernel lets one thread
//! at a time do to a file; the peer through a mapping, as `memcpy` into fresh shared memory does.

use crate::bare::Shared;
use crate::measure::{Pair, in_turns};
use crate::row::{Goal, Question, Skipped, Unit};
use crate::sum_shared::numbers;
use ndarray::Array1;
use ndpool::Pool;
use std::time::Instant;

pub(crate) const QUESTION: Question = Question {
    name: "copy_into_fresh_segment",
    peer_name: "a thread that copies into a fresh mapping of /dev/shm",
    goal: Goal::Ratio(0.6),
    unit: Unit::Milliseconds,
    measure,
};

const N: usize = 32_000_000;
const N_RUNS: usize = 9;

fn measure() -> Result<Pair, Skipped> {
    let data = Array1::from_shape_fn(N, numbers);
    let slice = data.as_slice().expect("C order");
    in_turns(
        N_RUNS,
        || {
            // A pool of its own: it has nothing to recycle.
            let pool = Pool::builder().workers(1).build()?;
            let start = Instant::now();
            let x = pool.from_array(&data)?;
            let took = start.elapsed();
            assert!(x.view() == data.view(), "the copy differs");
            Ok(took)
        },
        || {
            let start = Instant::now();
            let mut memory = Shared::new(N * size_of::<f64>())?;
            // SAFETY: nobody else has it.
            let target = unsafe { memory.numbers_mut(0..N) };
            target.copy_from_slice(slice);
            let took = start.elapsed();
            assert!(target == slice, "the copy differs");
            Ok(took)
        },
    )
}
