//! How long does it take to have 100 MB summed by a worker that has seen nothing of them yet?
//!
//! Copied in: from a vector of the caller's into shared memory that is fresh too. Born shared: the array has been made in
//! shared memory, and only has to be mapped. The worker runs before the time is taken. The bare program has a file in /dev/shm, two
//! threads that write to it, and a child that maps it when a pipe says so.

use crate::bare::{Bare, Parent, Role, Shared};
use crate::measure::{Pair, in_turns};
use crate::row::{Goal, Question, Skipped, Unit};
use crate::sum_shared::numbers;
use ndarray::{Array1, ArrayView1};
use ndpool::{Pool, ops};
use rayon::prelude::*;
use std::os::unix::fs::FileExt;
use std::time::Instant;

pub(crate) const COPIED_IN: Question = Question {
    name: "fresh_worker_copied_in",
    peer_name: "two threads that pwrite to /dev/shm, a child that maps and sums",
    goal: Goal::Limit { limit: 55.0, bare: 44.0 },
    unit: Unit::Milliseconds,
    measure: measure_copied_in,
};

pub(crate) const BORN_SHARED: Question = Question {
    name: "fresh_worker_born_shared",
    peer_name: "a child that maps /dev/shm and sums",
    goal: Goal::Limit { limit: 16.0, bare: 12.0 },
    measure: measure_born_shared,
    ..COPIED_IN
};

/// Maps memory when it is asked to, and gives the bits of its sum; argument: the memory.
pub(crate) const SUM: Role = Role { name: "sum", play: sum };

const N: usize = 12_500_000;
const N_RUNS: usize = 15;
/// What a thread writes at a time.
const PIECE_BYTES: usize = 1 << 20;

fn measure_copied_in() -> Result<Pair, Skipped> {
    let data = Array1::from_shape_fn(N, numbers);
    let expected = data.sum();
    in_turns(
        N_RUNS,
        || {
            let pool = Pool::builder().workers(1).build()?;
            let start = Instant::now();
            let x = pool.from_array(&data)?;
            let found = pool.run(ops::sum(&x))?;
            let took = start.elapsed();
            assert_eq!(found, expected);
            Ok(took)
        },
        || {
            let memory = Shared::new(N * size_of::<f64>())?;
            let mut child = Bare::start(SUM, &[memory.path()])?;
            child.wait_for_answer()?;
            let start = Instant::now();
            write(&memory, data.as_slice().expect("C order"))?;
            let found = child.sum()?;
            let took = start.elapsed();
            assert_eq!(found, expected);
            Ok(took)
        },
    )
}

fn measure_born_shared() -> Result<Pair, Skipped> {
    let owner = Pool::builder().workers(1).build()?;
    let x = owner.from_shape_fn(N, numbers)?;
    let memory = Shared::new(N * size_of::<f64>())?;
    write(&memory, x.view().as_slice().expect("C order"))?;
    let expected = x.view().sum();
    in_turns(
        N_RUNS,
        || {
            // An array of one pool may be given to another, whose worker has not mapped it.
            let pool = Pool::builder().workers(1).build()?;
            let start = Instant::now();
            let found = pool.run(ops::sum(&x))?;
            let took = start.elapsed();
            assert_eq!(found, expected);
            Ok(took)
        },
        || {
            let mut child = Bare::start(SUM, &[memory.path()])?;
            child.wait_for_answer()?;
            let start = Instant::now();
            let found = child.sum()?;
            let took = start.elapsed();
            assert_eq!(found, expected);
            Ok(took)
        },
    )
}

/// Writes numbers to the data's place, by several threads.
pub(crate) fn write(memory: &Shared, numbers: &[f64]) -> Result<(), Skipped> {
    let pieces = numbers.par_chunks(PIECE_BYTES / size_of::<f64>()).enumerate();
    Ok(pieces.try_for_each(|(i, piece)| {
        let bytes: &[u8] = bytes_of(piece);
        memory.file().write_all_at(bytes, Shared::DATA + (i * PIECE_BYTES) as u64)
    })?)
}

fn bytes_of(numbers: &[f64]) -> &[u8] {
    // SAFETY: numbers have no padding, and any of their bytes are bytes.
    unsafe { std::slice::from_raw_parts(numbers.as_ptr().cast(), size_of_val(numbers)) }
}

impl Bare {
    /// Has a process of the role [`SUM`] sum the memory.
    pub(crate) fn sum(&mut self) -> Result<f64, Skipped> {
        self.ask()?;
        self.wait_for_number().map(f64::from_bits)
    }
}

fn sum(args: &[String]) -> Result<(), Skipped> {
    let mut parent = Parent::new()?;
    parent.answer()?;
    while parent.is_asked()? {
        let memory = Shared::open(args.first().map_or("", String::as_str))?;
        // SAFETY: who asks has written the data and waits for the sum.
        let numbers = unsafe { memory.all_numbers() };
        parent.answer_number(ArrayView1::from(numbers).sum().to_bits())?;
    }
    Ok(())
}
