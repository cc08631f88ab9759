//! Many calls: in batches, with some that fail, and with arrays.

use ndpool::{ErrorKind, Pool};

use super::Scene;
use super::updates::Cut;
use crate::stress::exact::{Expected, judge_value};
use crate::stress::report::Verdict;
use crate::stress::tasks::{ALWAYS, Deed, mangle, mangled, total};

/// Thousands of calls that do next to nothing.
pub fn batched(scene: &mut Scene<'_>, pool: &Pool) {
    const KIND: &str = "map in batches";
    let n = scene.chance.index(1..3_000);
    let seed = scene.chance.next();
    let calls = (0..n as u64).map(|i| mangle(seed ^ i, None));
    let expected = Expected { n_blocks: 1, ..Expected::default() };
    let mut n_right = 0;
    let mut n_results = 0;
    for (i, result) in pool.map(calls).enumerate() {
        n_results += 1;
        match judge_value(&expected, &result, || mangled(seed ^ i as u64), scene.has_pressure) {
            Verdict::Right => n_right += 1,
            verdict => scene.tell(KIND, 1, verdict),
        }
    }
    let verdict = if n_results == n {
        Verdict::Right
    } else {
        Verdict::wrong(format!("{n} calls had {n_results} results"))
    };
    scene.tell(KIND, n_right, verdict);
}

/// Calls of which some end their worker, or fail.
pub fn failing_calls(scene: &mut Scene<'_>, pool: &Pool) {
    const KIND: &str = "map with failing calls";
    let n = scene.chance.index(1..200);
    let seed = scene.chance.next();
    let deeds: Vec<Option<(u32, Deed)>> = (0..n)
        .map(|_| {
            let chance = &mut scene.chance;
            chance.one_in(20).then(|| {
                let deed =
                    *chance.pick(&[Deed::Abort, Deed::Segfault, Deed::Exit, Deed::Panic, Deed::Refuse]);
                (if chance.one_in(2) { ALWAYS } else { 1 }, deed)
            })
        })
        .collect();
    let calls = deeds.iter().enumerate().map(|(i, &deed)| mangle(seed ^ i as u64, deed));
    let results: Vec<_> = pool.map(calls).collect();
    if results.len() != n {
        scene.tell(KIND, 0, Verdict::wrong(format!("{n} calls had {} results", results.len())));
    }
    for (i, (result, deed)) in results.iter().zip(&deeds).enumerate() {
        let mut expected = Expected { n_blocks: 1, ..Expected::default() };
        match *deed {
            // Final at once, unless a death came first.
            Some((_, Deed::Panic)) => expected.kinds.push(ErrorKind::Panic),
            Some((_, Deed::Refuse)) => expected.kinds.push(ErrorKind::Task),
            _ => {}
        }
        if matches!(deed, Some((ALWAYS, _))) {
            expected.must_fail.push(0);
        }
        expected.kills = deed.is_some_and(|(_, deed)| deed.is_death());
        let verdict = judge_value(&expected, result, || mangled(seed ^ i as u64), scene.has_pressure);
        scene.tell(KIND, 1, verdict);
    }
}

/// Calls with rows of an array: each is a job of its own.
pub fn with_arrays(scene: &mut Scene<'_>, pool: &Pool) {
    const KIND: &str = "map with arrays";
    let n_rows = scene.chance.index(1..20_000);
    let chunk = scene.chance.index(1..n_rows + 1).max(n_rows / 150);
    let cut = Cut::of(&mut scene.chance, n_rows, chunk);
    let micros = scene.chance.within(0..500);
    let Some(x) = scene.made(KIND, cut.array(pool)) else { return };
    let mut results = pool.map(x.row_chunks(chunk).map(|rows| total(micros, rows).block_rows(chunk)));
    for i in 0..cut.n_blocks() {
        let Some(result) = results.next() else {
            scene.tell(KIND, 0, Verdict::wrong(format!("{} calls had {i} results", cut.n_blocks())));
            return;
        };
        let result = result.map(|sum| sum.0);
        let expected = Expected { n_blocks: 1, ..Expected::default() };
        let right = || cut.rows_of(i).map(|i| cut.before(i)).sum();
        let verdict = judge_value(&expected, &result, right, scene.has_pressure);
        scene.tell(KIND, 1, verdict);
    }
}
