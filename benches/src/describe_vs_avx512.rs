//! How long does `describe` of 1 GB of `f64` take, beside a program that was written for this processor alone?
//!
//! The peer goes through the memory once, with 512-bit instructions on rayon's threads, and finds what `describe` cannot do
//! without: sum, sum of squared deviations, smallest and largest. ndpool's sum is compensated, NaN are counted and left out of
//! nothing by accident, and the bits do not depend on the instruction set.

use crate::measure::{Pair, in_turns};
use crate::row::{Goal, Question, Skipped, Unit};
use crate::sum_shared::numbers;
use ndpool::{Pool, ops};
use rayon::prelude::*;
use std::arch::x86_64::*;
use std::time::Instant;

pub(crate) const QUESTION: Question = Question {
    name: "describe_vs_avx512_1gb",
    peer_name: "one pass with AVX-512 on rayon's threads",
    goal: Goal::Ratio(1.2),
    unit: Unit::Milliseconds,
    measure,
};

const N: usize = 125_000_000;
const N_RUNS: usize = 15;
/// 512 KiB.
const CHUNK: usize = 1 << 16;

fn measure() -> Result<Pair, Skipped> {
    if !is_x86_feature_detected!("avx512f") {
        return Err(Skipped("this processor has no AVX-512".into()));
    }
    let pool = Pool::new()?;
    let x = pool.from_shape_fn(N, numbers)?;
    let view = x.view();
    let slice = view.as_slice().expect("arrays lie in C order");
    let expected = pool.run(ops::describe(&x))?;
    in_turns(
        N_RUNS,
        || {
            let start = Instant::now();
            let found = pool.run(ops::describe(&x))?;
            let took = start.elapsed();
            assert_eq!(found, expected, "ndpool's answer changes from run to run");
            Ok(took)
        },
        || {
            let start = Instant::now();
            let moments = slice
                .par_chunks(CHUNK)
                // SAFETY: the processor was asked above.
                .map(|chunk| unsafe { Moments::of(chunk, slice[0]) })
                .reduce(|| Moments::NONE, Moments::merge);
            let (mean, std) = moments.mean_and_std(slice[0]);
            let took = start.elapsed();
            let is_same = (mean - expected.mean).abs() < 1e-12
                && (std - expected.std).abs() < 1e-12
                && (moments.min, moments.max) == (expected.min, expected.max);
            assert!(is_same, "{moments:?} is not what ndpool found: {expected:?}");
            Ok(took)
        },
    )
}

/// What one pass finds.
#[derive(Debug, Clone, Copy)]
struct Moments {
    n: usize,
    /// Sum of the deviations from the shift.
    sum: f64,
    /// Sum of their squares.
    squares: f64,
    min: f64,
    max: f64,
}

impl Moments {
    const NONE: Self = Self { n: 0, sum: 0.0, squares: 0.0, min: f64::INFINITY, max: f64::NEG_INFINITY };

    #[target_feature(enable = "avx512f")]
    fn of(numbers: &[f64], shift: f64) -> Self {
        /// Independent sums, so that one addition need not wait for the other.
        const WAYS: usize = 4;
        const LANES: usize = 8;
        let (parts, rest) = numbers.as_chunks::<{ WAYS * LANES }>();
        let shifts = _mm512_set1_pd(shift);
        let (mut sum, mut squares) = ([_mm512_setzero_pd(); WAYS], [_mm512_setzero_pd(); WAYS]);
        let mut min = [_mm512_set1_pd(f64::INFINITY); WAYS];
        let mut max = [_mm512_set1_pd(f64::NEG_INFINITY); WAYS];
        for part in parts {
            for (way, lanes) in part.as_chunks::<LANES>().0.iter().enumerate() {
                // SAFETY: eight numbers lie there.
                let x = unsafe { _mm512_loadu_pd(lanes.as_ptr()) };
                let deviation = _mm512_sub_pd(x, shifts);
                sum[way] = _mm512_add_pd(sum[way], deviation);
                squares[way] = _mm512_fmadd_pd(deviation, deviation, squares[way]);
                min[way] = _mm512_min_pd(min[way], x);
                max[way] = _mm512_max_pd(max[way], x);
            }
        }
        let mut found = Self { n: parts.len() * WAYS * LANES, ..Self::NONE };
        for way in 0..WAYS {
            found.sum += _mm512_reduce_add_pd(sum[way]);
            found.squares += _mm512_reduce_add_pd(squares[way]);
            found.min = found.min.min(_mm512_reduce_min_pd(min[way]));
            found.max = found.max.max(_mm512_reduce_max_pd(max[way]));
        }
        rest.iter().fold(found, |found, &x| {
            found.merge(Self { n: 1, sum: x - shift, squares: (x - shift) * (x - shift), min: x, max: x })
        })
    }

    fn merge(self, other: Self) -> Self {
        Self {
            n: self.n + other.n,
            sum: self.sum + other.sum,
            squares: self.squares + other.squares,
            min: self.min.min(other.min),
            max: self.max.max(other.max),
        }
    }

    fn mean_and_std(self, shift: f64) -> (f64, f64) {
        let n = self.n as f64;
        let mean = self.sum / n;
        (mean + shift, (self.squares / n - mean * mean).sqrt())
    }
}
