//! How long does a snapshot of a frame of 100 MB take, which is a checked copy, beside a plain copy of as many bytes?
//!
//! Once into memory that is new on both sides, and so is faulted in page by page, and once into memory that both have kept from the time
//! before. Source on both sides is shared memory that is mapped and was read before. A snapshot that is lent is not copied: it
//! has a row of its own, among what takes no time to speak of.

use super::name;
use crate::bare::Shared;
use crate::measure::{Pair, in_turns, timed};
use crate::row::{Goal, Question, Skipped, Unit};
use crate::sum_shared::numbers;
use ndpool::shared::{Schema, SharedFrame, Snapshot};
use std::time::Instant;

pub(crate) const FRESH: Question = Question {
    name: "snapshot_100mb_fresh",
    peer_name: "memcpy into fresh memory",
    goal: Goal::Ratio(1.2),
    unit: Unit::Milliseconds,
    measure: || measure(true),
};

pub(crate) const KEPT: Question = Question {
    name: "snapshot_100mb_kept",
    peer_name: "memcpy into memory that is there",
    measure: || measure(false),
    ..FRESH
};

pub(crate) const LENT: Question = Question {
    name: "snapshot_100mb_lent",
    peer_name: "memcpy of 100 MB into memory that is there",
    goal: Goal::Ratio(0.001),
    unit: Unit::Microseconds,
    measure: measure_lent,
};

/// Columns of 25 MB.
const N_ROWS: usize = 3_125_000;
const COLUMNS: [&str; 4] = ["open", "high", "low", "close"];
const N_RUNS: usize = 31;

fn frame() -> Result<SharedFrame, Skipped> {
    let schema = COLUMNS.into_iter().fold(Schema::new(N_ROWS), |schema, name| schema.column::<f64>(name));
    let frame = SharedFrame::create(&name("snapshot"), &schema)?;
    frame.write(|frame| {
        for column in COLUMNS {
            frame.column_mut::<f64>(column)?.iter_mut().enumerate().for_each(|(i, x)| *x = numbers(i));
        }
        Ok(())
    })?;
    Ok(frame)
}

/// A plain copy of what the frame has, in memory of its own.
fn source() -> Result<Shared, Skipped> {
    let mut memory = Shared::new(8 * N_ROWS * COLUMNS.len())?;
    // SAFETY: nobody else knows the memory.
    let data = unsafe { memory.numbers_mut(0..N_ROWS * COLUMNS.len()) };
    data.iter_mut().enumerate().for_each(|(i, x)| *x = numbers(i % N_ROWS));
    Ok(memory)
}

fn last(snapshot: &Snapshot) -> Result<f64, Skipped> {
    Ok(snapshot.column::<f64>("close")?[N_ROWS - 1])
}

fn measure(is_fresh: bool) -> Result<Pair, Skipped> {
    let (frame, source) = (frame()?, source()?);
    let expected = numbers(N_ROWS - 1);
    let mut kept = Vec::new();
    in_turns(
        N_RUNS,
        || {
            // A handle that has made no copy has no memory to make the next one in.
            let other =
                is_fresh.then(|| SharedFrame::attach(&name("snapshot"), frame.schema())).transpose()?;
            let frame = other.as_ref().unwrap_or(&frame);
            // Maps the pages, which is not asked here.
            frame.read(|snapshot| {
                COLUMNS.iter().try_for_each(|column| {
                    assert!(snapshot.column::<f64>(column)?.sum().is_finite());
                    Ok(())
                })
            })?;
            let start = Instant::now();
            let snapshot = frame.try_copy()?;
            let took = start.elapsed();
            assert_eq!(last(&snapshot)?, expected);
            Ok(took)
        },
        || {
            // SAFETY: nobody writes it any more.
            let source = unsafe { source.all_numbers() };
            if is_fresh {
                kept = Vec::new();
            }
            timed(&expected, || {
                kept.clear();
                kept.extend_from_slice(source);
                Ok(kept[kept.len() - 1])
            })
        },
    )
}

fn measure_lent() -> Result<Pair, Skipped> {
    const N_ITEMS: usize = 1000;
    let (frame, source) = (frame()?, source()?);
    let expected = numbers(N_ROWS - 1);
    let mut kept = Vec::new();
    let pair = in_turns(
        N_RUNS,
        || {
            timed(&expected, || {
                let mut x = 0.0;
                for _ in 0..N_ITEMS {
                    x = last(&frame.try_snapshot()?)?;
                }
                Ok(x)
            })
        },
        || {
            // SAFETY: nobody writes it any more.
            let source = unsafe { source.all_numbers() };
            timed(&expected, || {
                kept.clear();
                kept.extend_from_slice(source);
                Ok(kept[kept.len() - 1])
            })
        },
    )?;
    Ok(pair.per_item(N_ITEMS, 1))
}
