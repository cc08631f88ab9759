//! Updates in place, of one array and of two, and outputs.

use ndpool::Pool;
use ndpool::ndarray::prelude::*;

use super::Scene;
use crate::stress::chance::Chance;
use crate::stress::exact::{Expected, Rows};
use crate::stress::tasks::{Deeds, derive_from, step, update, update_both};

/// Rows of a job, how it is cut, and numbers that are its own.
#[derive(Debug, Clone, Copy)]
pub struct Cut {
    pub n_rows: usize,
    pub block_rows: usize,
    /// What the rows begin with.
    pub first: i64,
    /// What the job adds; odd.
    pub k: i64,
}

impl Cut {
    /// One row to a million of them, in up to forty blocks.
    pub fn any(chance: &mut Chance) -> Self {
        let n_rows = match chance.within(0..12) {
            0 => chance.index(500_000..1_000_000),
            1..4 => chance.index(20_000..200_000),
            _ => chance.index(1..5_000),
        };
        let n_blocks = chance.index(1..40);
        Self::of(chance, n_rows, n_rows.div_ceil(n_blocks))
    }

    pub fn of(chance: &mut Chance, n_rows: usize, block_rows: usize) -> Self {
        let first = chance.within(0..1 << 20) as i64;
        Self { n_rows, block_rows, first, k: chance.within(0..1 << 20) as i64 * 2 + 1 }
    }

    pub fn n_blocks(&self) -> usize {
        self.n_rows.div_ceil(self.block_rows)
    }

    /// What row `i` holds before the job.
    pub fn before(&self, i: usize) -> i64 {
        self.first + 7 * i as i64
    }

    pub fn after(&self, i: usize) -> i64 {
        step(self.before(i), self.k)
    }

    pub fn rows_of(&self, block: usize) -> std::ops::Range<usize> {
        let start = block * self.block_rows;
        start..self.n_rows.min(start + self.block_rows)
    }

    /// What the rows of a block of an updated array show.
    pub fn look(&self, x: &ArrayView1<'_, i64>, block: usize) -> Rows {
        self.look_for(x, block, |i| self.after(i))
    }

    fn look_for(&self, x: &ArrayView1<'_, i64>, block: usize, new: impl Fn(usize) -> i64) -> Rows {
        let rows = self.rows_of(block);
        let start = rows.start;
        Rows::of(x.slice(s![rows]).iter().copied(), |i| self.before(start + i), |i| new(start + i))
    }

    pub fn array(&self, pool: &Pool) -> ndpool::Result<ndpool::SharedArray<i64, Ix1>> {
        pool.from_shape_fn(self.n_rows, |i| self.before(i))
    }

    pub fn expected(&self) -> Expected {
        Expected { n_blocks: self.n_blocks(), ..Expected::default() }
    }
}

/// Blocks that last up to some milliseconds, or no time.
pub fn linger(chance: &mut Chance) -> Deeds {
    let linger_micros = if chance.one_in(2) { 0 } else { chance.within(1..3_000) };
    Deeds { linger_micros, ..Deeds::default() }
}

pub fn in_place(scene: &mut Scene<'_>, pool: &Pool) {
    const KIND: &str = "in-place update";
    let cut = Cut::any(&mut scene.chance);
    let deeds = linger(&mut scene.chance);
    let Some(mut x) = scene.made(KIND, cut.array(pool)) else { return };
    let result = pool.run(update(&deeds, cut.k, &mut x).block_rows(cut.block_rows));
    let off_by = if result.is_ok() { scene.off_by() } else { 0 };
    let rows = |block| cut.look_for(&x.view(), block, |i| cut.after(i) + off_by);
    let verdict = cut.expected().judge(&result, rows, scene.has_pressure);
    scene.tell(KIND, cut.n_blocks(), verdict);
}

pub fn two_arrays(scene: &mut Scene<'_>, pool: &Pool) {
    const KIND: &str = "update of two arrays";
    let cut = Cut::any(&mut scene.chance);
    let deeds = linger(&mut scene.chance);
    let Some(mut x) = scene.made(KIND, cut.array(pool)) else { return };
    let Some(mut y) = scene.made(KIND, pool.from_shape_fn(cut.n_rows, |i| i as f64)) else { return };
    let call = update_both(&deeds, cut.k, &mut x, &mut y).block_rows(cut.block_rows);
    let result = pool.run(call);
    let rows = |block| {
        let rows = cut.rows_of(block);
        let start = rows.start;
        let y = Rows::of(
            y.view().slice(s![rows]).iter().map(|v| v.to_bits()),
            |i| ((start + i) as f64).to_bits(),
            |i| ((start + i) as f64 + (cut.before(start + i) | 1) as f64).to_bits(),
        );
        cut.look(&x.view(), block).and(y)
    };
    let verdict = cut.expected().judge(&result, rows, scene.has_pressure);
    scene.tell(KIND, cut.n_blocks(), verdict);
}

pub fn output(scene: &mut Scene<'_>, pool: &Pool) {
    const KIND: &str = "output";
    let cut = Cut::any(&mut scene.chance);
    let deeds = linger(&mut scene.chance);
    let Some(x) = scene.made(KIND, cut.array(pool)) else { return };
    let Some(mut y) = scene.made(KIND, pool.full(cut.n_rows, UNWRITTEN)) else { return };
    let call = derive_from(&deeds, cut.k, &x, &mut y).block_rows(cut.block_rows);
    let result = pool.run(call);
    let expected = Expected { is_output: true, ..cut.expected() };
    let verdict = expected.judge(&result, |block| look_at_output(&cut, &y.view(), block), scene.has_pressure);
    scene.tell(KIND, cut.n_blocks(), verdict);
}

/// What an output holds before the job; no step makes it.
pub const UNWRITTEN: i64 = -1;

pub fn look_at_output(cut: &Cut, y: &ArrayView1<'_, i64>, block: usize) -> Rows {
    let rows = cut.rows_of(block);
    let start = rows.start;
    Rows::of(y.slice(s![rows]).iter().copied(), |_| UNWRITTEN, |i| cut.after(start + i))
}
