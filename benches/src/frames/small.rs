//! What do reading and writing a frame of 64 bytes cost, beside a sequence lock around as many?
//!
//! Within one thread, with all of it in the cache: what the protocols themselves take. A sequence lock is what one writes for a few words
//! that one process writes and others read: the writer makes a number odd, stores, and makes it even again; the reader copies between two looks at
//! it. It has no second buffer: a writer that dies half way leaves nobody anything to read.

use super::name;
use crate::bare::Shared;
use crate::measure::{Pair, in_turns, timed};
use crate::row::{Goal, Question, Skipped, Unit};
use ndarray::{Array1, Ix1};
use ndpool::shared::DoubleBuffer;
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering, fence};

pub(crate) const READ: Question = Question {
    name: "frame_64b_read",
    peer_name: "a sequence lock",
    goal: Goal::Within(50.0),
    unit: Unit::Nanoseconds,
    measure: measure_read,
};

pub(crate) const WRITE: Question = Question { name: "frame_64b_write", measure: measure_write, ..READ };

const N: usize = 8;
const N_ITEMS: usize = 100_000;
const N_RUNS: usize = 51;

/// A number and the data behind it.
struct SequenceLock<'a> {
    sequence: &'a AtomicU64,
    data: &'a [AtomicU64],
}

impl<'a> SequenceLock<'a> {
    fn new(memory: &'a Shared) -> Self {
        let (sequence, data) = memory.words().split_first().expect("there is room for it");
        Self { sequence, data: &data[..N] }
    }

    fn read(&self, target: &mut [f64]) -> u64 {
        loop {
            let before = self.sequence.load(Ordering::Acquire);
            for (x, word) in target.iter_mut().zip(self.data) {
                *x = f64::from_bits(word.load(Ordering::Relaxed));
            }
            fence(Ordering::Acquire);
            if before.is_multiple_of(2) && self.sequence.load(Ordering::Relaxed) == before {
                return before / 2;
            }
        }
    }

    fn write(&self, source: &[f64]) -> u64 {
        let before = self.sequence.load(Ordering::Relaxed);
        self.sequence.store(before + 1, Ordering::Relaxed);
        fence(Ordering::Release);
        for (word, x) in self.data.iter().zip(source) {
            word.store(x.to_bits(), Ordering::Relaxed);
        }
        self.sequence.store(before + 2, Ordering::Release);
        before / 2 + 1
    }
}

fn measure_read() -> Result<Pair, Skipped> {
    let buffer = DoubleBuffer::<f64, Ix1>::create(&name("small"), N)?;
    let frame = Array1::from_elem(N, 1.5);
    buffer.writer()?.assign(&frame);
    let mut reader = buffer.reader();
    let memory = Shared::new(8 * (N + 1))?;
    let lock = SequenceLock::new(&memory);
    lock.write(frame.as_slice().expect("one axis, as it was made"));
    let (mut ours, mut theirs) = (Array1::zeros(N), [0.0; N]);
    let pair = in_turns(
        N_RUNS,
        || {
            timed(&1, || {
                let mut number = 0;
                for _ in 0..N_ITEMS {
                    number = reader.read_into(black_box(&mut ours))?;
                }
                Ok(number)
            })
        },
        || {
            timed(&1, || {
                let mut number = 0;
                for _ in 0..N_ITEMS {
                    number = lock.read(black_box(&mut theirs));
                }
                Ok(number)
            })
        },
    )?;
    Ok(pair.per_item(N_ITEMS, N_ITEMS))
}

fn measure_write() -> Result<Pair, Skipped> {
    let buffer = DoubleBuffer::<f64, Ix1>::create(&name("small"), N)?;
    let frame = Array1::from_elem(N, 1.5);
    let mut writer = buffer.writer()?;
    let memory = Shared::new(8 * (N + 1))?;
    let lock = SequenceLock::new(&memory);
    let source = frame.as_slice().expect("one axis, as it was made");
    let pair = in_turns(
        N_RUNS,
        || {
            timed(&true, || {
                let before = writer.number();
                (0..N_ITEMS).for_each(|_| _ = writer.assign(black_box(&frame)));
                Ok(writer.number() == before + N_ITEMS as u64)
            })
        },
        || {
            timed(&true, || {
                let mut number = 0;
                (0..N_ITEMS).for_each(|_| number = lock.write(black_box(source)));
                Ok(number >= N_ITEMS as u64)
            })
        },
    )?;
    Ok(pair.per_item(N_ITEMS, N_ITEMS))
}
