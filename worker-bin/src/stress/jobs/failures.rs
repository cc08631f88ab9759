//! Jobs that go wrong on purpose: deaths, panics, errors, hangs, deadlines.

use std::time::Duration;

use ndpool::{ErrorKind, Pool};

use super::Scene;
use super::updates::{Cut, UNWRITTEN, linger, look_at_output};
use crate::stress::chance::Chance;
use crate::stress::exact::Expected;
use crate::stress::tasks::{ALWAYS, Deed, Deeds, derive_from, update};

/// Blocks, in order, that go wrong so, each in its first `attempts`.
fn add_deeds(deeds: &mut Deeds, chance: &mut Chance, n_blocks: usize, deed: Deed, attempts: u32) {
    let n = chance.index(1..4);
    let mut blocks: Vec<usize> = (0..n).map(|_| chance.index(0..n_blocks)).collect();
    blocks.sort_unstable();
    blocks.dedup();
    deeds.of_blocks.extend(blocks.into_iter().map(|block| (block, attempts, deed)));
}

/// Blocks that fail for good: all that always go wrong, but a block that is killed often enough from outside may stop
/// going wrong.
fn expect(expected: &mut Expected, deeds: &Deeds) {
    for &(block, attempts, deed) in &deeds.of_blocks {
        if attempts == ALWAYS {
            expected.must_fail.push(block);
        }
        expected.kills |= deed.is_death();
        expected.kinds.extend(match deed {
            Deed::Panic => Some(ErrorKind::Panic),
            Deed::Refuse => Some(ErrorKind::Task),
            Deed::Hang => Some(ErrorKind::Timeout),
            _ => None,
        });
    }
}

/// Some blocks end their worker or fail, once or for good; in place or in an output.
pub fn misdeeds(scene: &mut Scene<'_>, pool: &Pool) {
    const KIND: &str = "failing blocks";
    let cut = Cut::any(&mut scene.chance);
    let deed =
        *scene.chance.pick(&[Deed::Abort, Deed::Segfault, Deed::Exit, Deed::Panic, Deed::Refuse, Deed::Kill]);
    // Thirty deaths by SIGKILL are not waited for, and what does not kill is final at once.
    let attempts = match deed {
        Deed::Kill => 2,
        Deed::Panic | Deed::Refuse => ALWAYS,
        _ if scene.chance.one_in(2) => ALWAYS,
        _ => 1,
    };
    let mut deeds = linger(&mut scene.chance);
    add_deeds(&mut deeds, &mut scene.chance, cut.n_blocks(), deed, attempts);
    let mut expected = cut.expected();
    expect(&mut expected, &deeds);
    let limit = scene.chance.within(2..4) as u32;
    let Some(mut x) = scene.made(KIND, cut.array(pool)) else { return };
    let verdict = if scene.chance.one_in(3) {
        let Some(mut y) = scene.made(KIND, pool.full(cut.n_rows, UNWRITTEN)) else { return };
        let call = derive_from(&deeds, cut.k, &x, &mut y).block_rows(cut.block_rows).attempts(limit);
        let result = pool.run(call);
        expected.is_output = true;
        expected.judge(&result, |block| look_at_output(&cut, &y.view(), block), scene.has_pressure)
    } else {
        let result = pool.run(update(&deeds, cut.k, &mut x).block_rows(cut.block_rows).attempts(limit));
        expected.judge(&result, |block| cut.look(&x.view(), block), scene.has_pressure)
    };
    scene.tell(KIND, cut.n_blocks(), verdict);
}

/// Blocks that hang, once or for good, under a block timeout.
pub fn timeouts(scene: &mut Scene<'_>, pool: &Pool) {
    const KIND: &str = "block timeout";
    let n_rows = scene.chance.index(1..3_000);
    let block_rows = scene.chance.index(1..200).max(n_rows / 12);
    let cut = Cut::of(&mut scene.chance, n_rows, block_rows);
    let attempts = if scene.chance.one_in(2) { 1 } else { ALWAYS };
    let mut deeds = Deeds::default();
    add_deeds(&mut deeds, &mut scene.chance, cut.n_blocks(), Deed::Hang, attempts);
    let mut expected = cut.expected();
    expect(&mut expected, &deeds);
    // A block that was stopped, or had no core, may run past any limit.
    expected.kinds.push(ErrorKind::Timeout);
    let limit = scene.chance.millis(20..120);
    let Some(mut x) = scene.made(KIND, cut.array(pool)) else { return };
    let call = update(&deeds, cut.k, &mut x).block_rows(cut.block_rows).block_timeout(limit).attempts(2);
    let result = pool.run(call);
    let verdict = expected.judge(&result, |block| cut.look(&x.view(), block), scene.has_pressure);
    scene.tell(KIND, cut.n_blocks(), verdict);
}

/// A job that may or may not end before its deadline.
pub fn deadline(scene: &mut Scene<'_>, pool: &Pool) {
    const KIND: &str = "deadline";
    let cut = Cut::any(&mut scene.chance);
    let mut deeds = Deeds { linger_micros: scene.chance.within(0..8_000), ..Deeds::default() };
    if scene.chance.one_in(3) {
        add_deeds(&mut deeds, &mut scene.chance, cut.n_blocks(), Deed::Hang, ALWAYS);
    }
    let limit: Duration = scene.chance.millis(5..80);
    let mut expected = cut.expected();
    expected.kinds.push(ErrorKind::Deadline);
    expected.must_fail = deeds.of_blocks.iter().map(|&(block, ..)| block).collect();
    let Some(mut x) = scene.made(KIND, cut.array(pool)) else { return };
    let result = pool.run(update(&deeds, cut.k, &mut x).block_rows(cut.block_rows).deadline(limit));
    let verdict = expected.judge(&result, |block| cut.look(&x.view(), block), scene.has_pressure);
    scene.tell(KIND, cut.n_blocks(), verdict);
}
