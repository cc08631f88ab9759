//! What workers run: arithmetic that shows whether it was done once, and misdeeds on demand.

use std::time::Duration;

use ndpool::merge::{Concat, Max, Sum};
use ndpool::ndarray::prelude::*;
use ndpool::{Block, Merge, task};
use nix::sys::signal::{Signal, raise};
use serde::{Deserialize, Serialize};

use super::chance::Chance;

/// How a task goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Deed {
    Abort,
    Segfault,
    Exit,
    Kill,
    Hang,
    Panic,
    Refuse,
}

impl Deed {
    /// Whether the worker dies of it.
    pub fn is_death(self) -> bool {
        !matches!(self, Self::Panic | Self::Refuse)
    }

    fn happen(self) -> Result<(), String> {
        match self {
            Self::Abort => std::process::abort(),
            Self::Segfault => loop {
                // The standard library's handler lets the first pass that is no fault of a stack.
                let _ = raise(Signal::SIGSEGV);
            },
            Self::Exit => std::process::exit(3),
            Self::Kill => loop {
                let _ = raise(Signal::SIGKILL);
            },
            Self::Hang => loop {
                std::thread::sleep(Duration::from_secs(3600));
            },
            Self::Panic => panic!("a panic on demand"),
            Self::Refuse => Err("an error on demand".into()),
        }
    }
}

/// Which blocks go wrong, in how many attempts, and how.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Deeds {
    pub of_blocks: Vec<(usize, u32, Deed)>,
    /// How long each block lasts, so that kills find it running.
    pub linger_micros: u64,
}

/// An attempt that no block comes to.
pub const ALWAYS: u32 = u32::MAX;

impl Deeds {
    fn happen(&self, block: &Block) -> Result<(), String> {
        linger(self.linger_micros);
        match self.of_blocks.iter().find(|(index, ..)| *index == block.index()) {
            Some(&(_, attempts, deed)) if block.attempt() < attempts => deed.happen(),
            _ => Ok(()),
        }
    }
}

fn linger(micros: u64) {
    if micros > 0 {
        std::thread::sleep(Duration::from_micros(micros));
    }
}

/// What an update makes of an element; never the same, for odd `k`.
pub fn step(v: i64, k: i64) -> i64 {
    v.wrapping_mul(3).wrapping_add(k)
}

/// Updates in place.
#[task]
pub fn update(deeds: &Deeds, block: &Block, k: i64, mut x: ArrayViewMut1<i64>) -> Result<(), String> {
    x.mapv_inplace(|v| step(v, k));
    deeds.happen(block)
}

/// Updates two arrays of different types, one from the other.
#[task]
pub fn update_both(
    deeds: &Deeds,
    block: &Block,
    k: i64,
    mut x: ArrayViewMut1<i64>,
    mut y: ArrayViewMut1<f64>,
) -> Result<(), String> {
    y.zip_mut_with(&x, |y, &x| *y += (x | 1) as f64);
    x.mapv_inplace(|v| step(v, k));
    deeds.happen(block)
}

/// Writes an output.
#[task]
pub fn derive_from(
    deeds: &Deeds,
    block: &Block,
    k: i64,
    x: ArrayView1<i64>,
    #[out] mut y: ArrayViewMut1<i64>,
) -> Result<(), String> {
    y.zip_mut_with(&x, |y, &x| *y = step(x, k));
    deeds.happen(block)
}

/// A function v ↦ a·v + b; composing them depends on the order and not on the parentheses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Affine {
    pub a: u64,
    pub b: u64,
}

impl Affine {
    pub const NOTHING: Self = Self { a: 1, b: 0 };

    /// The function that one element stands for.
    pub fn of(v: i64) -> Self {
        Self { a: (v as u64) << 1 | 1, b: (v as u64) ^ 0x5bd1_e995 }
    }

    /// First this, then the other.
    pub fn then(self, later: Self) -> Self {
        Self { a: later.a.wrapping_mul(self.a), b: later.a.wrapping_mul(self.b).wrapping_add(later.b) }
    }
}

impl Merge for Affine {
    fn merge(&mut self, later: Self) {
        *self = self.then(later);
    }
}

/// A summary that merges by hand and by derivation.
#[derive(Debug, Clone, PartialEq, Eq, Merge, Serialize, Deserialize)]
pub struct Summary {
    pub chain: Affine,
    pub total: Sum<i64>,
    pub top: Max<i64>,
    pub blocks: Concat<usize>,
}

#[task]
pub fn summarise(deeds: &Deeds, block: &Block, x: ArrayView1<i64>) -> Result<Summary, String> {
    deeds.happen(block)?;
    Ok(Summary {
        chain: x.iter().fold(Affine::NOTHING, |chain, &v| chain.then(Affine::of(v))),
        total: Sum(x.sum()),
        top: Max(x.iter().copied().max().unwrap_or(i64::MIN)),
        blocks: Concat(vec![block.index()]),
    })
}

/// One call without arrays.
#[task]
pub fn mangle(seed: u64, deed: Option<(u32, Deed)>, block: &Block) -> Result<u64, String> {
    match deed {
        Some((attempts, deed)) if block.attempt() < attempts => deed.happen()?,
        _ => {}
    }
    Ok(mangled(seed))
}

pub fn mangled(seed: u64) -> u64 {
    Chance::new(seed, &[]).next()
}

/// A result that does not fit its place.
#[task]
pub fn bulk(seed: u64, len: usize) -> Vec<u64> {
    bulk_of(seed, len)
}

pub fn bulk_of(seed: u64, len: usize) -> Vec<u64> {
    let mut chance = Chance::new(seed, &[]);
    (0..len).map(|_| chance.next()).collect()
}

/// The same from rows, put together in their order.
#[task]
pub fn copy_rows(x: ArrayView1<i64>) -> Concat<i64> {
    Concat(x.to_vec())
}

/// A call with an array.
#[task]
pub fn total(linger_micros: u64, x: ArrayView1<i64>) -> Sum<i64> {
    linger(linger_micros);
    Sum(x.sum())
}
