//! From which size on is the sum of an array that is shared already worth a job, beside the caller's own thread?

use super::of;
use crate::measure::{Pair, in_turns};
use crate::row::{Question, Skipped, Unit};
use crate::sum_shared::numbers;
use ndpool::{Pool, ops};
use std::hint::black_box;
use std::time::Instant;

const PEER: &str = "ndarray sum on the caller's thread";

pub(super) const KB_8: Question = of("small_sum_8kb", PEER, Unit::Microseconds, measure::<8>);
pub(super) const KB_32: Question = of("small_sum_32kb", PEER, Unit::Microseconds, measure::<32>);
pub(super) const KB_128: Question = of("small_sum_128kb", PEER, Unit::Microseconds, measure::<128>);
pub(super) const KB_512: Question = of("small_sum_512kb", PEER, Unit::Microseconds, measure::<512>);
pub(super) const MB_2: Question = of("small_sum_2mb", PEER, Unit::Microseconds, measure::<2_048>);
pub(super) const MB_4: Question = of("small_sum_4mb", PEER, Unit::Microseconds, measure::<4_096>);
pub(super) const MB_8: Question = of("small_sum_8mb", PEER, Unit::Microseconds, measure::<8_192>);

const N_RUNS: usize = 51;
/// Sums of a run, one after the other.
const BATCH: usize = 50;

fn measure<const KIB: usize>() -> Result<Pair, Skipped> {
    let pool = Pool::builder().workers(2).build()?;
    let x = pool.from_shape_fn(KIB * 128, numbers)?;
    let view = x.view();
    let expected = view.sum();
    let pair = in_turns(
        N_RUNS,
        || {
            let start = Instant::now();
            for _ in 0..BATCH {
                assert_eq!(pool.run(ops::sum(&x))?, expected);
            }
            Ok(start.elapsed())
        },
        || {
            let start = Instant::now();
            for _ in 0..BATCH {
                assert_eq!(black_box(&view).sum(), expected);
            }
            Ok(start.elapsed())
        },
    )?;
    Ok(pair.per_item(BATCH, BATCH))
}
