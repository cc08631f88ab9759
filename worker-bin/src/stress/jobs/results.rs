//! Reductions, built in and of one's own, and results that spill.

use ndpool::merge::Concat;
use ndpool::{Error, Pool, ops};

use super::Scene;
use super::updates::{Cut, linger};
use crate::stress::exact::{Expected, judge_value};
use crate::stress::tasks::{Affine, Summary, bulk, bulk_of, copy_rows, summarise};

/// Built-in reductions of numbers whose sums round: they must have the bits that they have without workers.
pub fn reduction(scene: &mut Scene<'_>, pool: &Pool) {
    const KIND: &str = "reduction";
    let cut = Cut::any(&mut scene.chance);
    let value = |i: usize| (cut.before(i) as f64 * 0.37).sin();
    let Some(x) = scene.made(KIND, pool.from_shape_fn(cut.n_rows, value)) else { return };
    let which = scene.chance.within(0..6);
    let of = |call: ndpool::Call<'_, f64>, here: bool| -> Result<u64, Error> {
        let call = call.block_rows(cut.block_rows);
        let result = if here { call.run_here() } else { pool.run(call) };
        result.map(f64::to_bits)
    };
    let both = |here| match which {
        0 => of(ops::sum(&x), here),
        1 => of(ops::mean(&x), here),
        2 => of(ops::std(&x, 1.0), here),
        3 => of(ops::min(&x), here),
        4 => of(ops::argmax(&x).then(|place| place as f64), here),
        _ => of(ops::norm(&x, ops::NormOrd::Two), here),
    };
    let result = both(false);
    // Without workers nothing but memory can be short.
    let Some(right) = scene.made(KIND, both(true)) else { return };
    let verdict = judge_value(&cut.expected(), &result, || right, scene.has_pressure);
    scene.tell(KIND, cut.n_blocks(), verdict);
}

/// A merge that depends on the order, a derived one, and one that tells the order.
pub fn own_merge(scene: &mut Scene<'_>, pool: &Pool) {
    const KIND: &str = "reduction with an own merge";
    let cut = Cut::any(&mut scene.chance);
    let deeds = linger(&mut scene.chance);
    let Some(x) = scene.made(KIND, cut.array(pool)) else { return };
    let result = pool.run(summarise(&deeds, &x).block_rows(cut.block_rows));
    let right = || {
        let values = || (0..cut.n_rows).map(|i| cut.before(i));
        Summary {
            chain: values().fold(Affine::NOTHING, |chain, v| chain.then(Affine::of(v))),
            total: ndpool::merge::Sum(values().sum()),
            top: ndpool::merge::Max(values().max().unwrap_or(i64::MIN)),
            blocks: Concat((0..cut.n_blocks()).collect()),
        }
    };
    let verdict = judge_value(&cut.expected(), &result, right, scene.has_pressure);
    scene.tell(KIND, cut.n_blocks(), verdict);
}

/// Results of some megabytes, of one call, of several in a map, and put together from blocks.
pub fn spilling(scene: &mut Scene<'_>, pool: &Pool) {
    const KIND: &str = "large result";
    match scene.chance.within(0..3) {
        0 => {
            let (seed, len) = (scene.chance.next(), scene.chance.index(50_000..400_000));
            let result = pool.run(bulk(seed, len));
            let expected = Expected { n_blocks: 1, ..Expected::default() };
            let verdict = judge_value(&expected, &result, || bulk_of(seed, len), scene.has_pressure);
            scene.tell(KIND, 1, verdict);
        }
        1 => {
            let calls: Vec<(u64, usize)> =
                (0..12).map(|_| (scene.chance.next(), scene.chance.index(1..60_000))).collect();
            let results = pool.map(calls.iter().map(|&(seed, len)| bulk(seed, len)));
            let expected = Expected { n_blocks: 1, ..Expected::default() };
            for (result, &(seed, len)) in results.zip(&calls) {
                let verdict = judge_value(&expected, &result, || bulk_of(seed, len), scene.has_pressure);
                scene.tell(KIND, 1, verdict);
            }
        }
        _ => {
            let n_rows = scene.chance.index(100_000..300_000);
            let block_rows = scene.chance.index(5_000..40_000);
            let cut = Cut::of(&mut scene.chance, n_rows, block_rows);
            let Some(x) = scene.made(KIND, cut.array(pool)) else { return };
            let result = pool.run(copy_rows(&x).block_rows(cut.block_rows)).map(|Concat(all)| all);
            let right = || (0..cut.n_rows).map(|i| cut.before(i)).collect();
            let verdict = judge_value(&cut.expected(), &result, right, scene.has_pressure);
            scene.tell(KIND, cut.n_blocks(), verdict);
        }
    }
}
