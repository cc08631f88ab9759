//! Native code that crashes: the program goes on, and says exactly what it could not do.
//!
//! Shows: what pools of processes are for. The task calls a library that dereferences a bad pointer on some input,
//! as native code does. With threads that would be the end of the program; here it costs a worker and one block.
//!
//! Run: `cargo run --release --example native_crash`
//!
//! Prints: that a job whose every fourth block kills its worker at the first attempt still has an exact result; then
//! the error of a job in which one block kills every worker that touches it: block, attempts and signal, while all
//! other blocks are applied; and that the pool works on after that.

use ndarray::prelude::*;
use ndpool::{Block, ErrorKind, Pool, task};

const N_ROWS: usize = 16_000;
const BLOCK_ROWS: usize = 1_000;
const N_BLOCKS: usize = N_ROWS / BLOCK_ROWS;
/// The block that no worker survives.
const POISON: usize = 6;

/// A stand-in for a library with a bug.
mod native {
    /// The square root, except for those who hit the bug.
    pub fn square_root(x: f64, hits_the_bug: bool) -> f64 {
        if hits_the_bug {
            let nowhere = std::ptr::without_provenance_mut::<u8>(8);
            // SAFETY: there is none. The address is not mapped, and the process dies here of SIGSEGV, which is what this
            // example is about.
            unsafe { nowhere.write_volatile(1) };
        }
        x.sqrt()
    }
}

/// y ← √y on one block of rows. Half-way, the library crashes: on every fourth block at the first attempt, and on
/// `poison` always.
#[task]
fn square_roots(poison: Option<usize>, block: &Block, mut y: ArrayViewMut1<f64>) {
    let is_unlucky = block.index() % 4 == 1 && block.attempt() == 0;
    let half = y.len() / 2;
    for (i, y) in y.iter_mut().enumerate() {
        *y = native::square_root(*y, i == half && (is_unlucky || poison == Some(block.index())));
    }
}

fn main() -> ndpool::Result<()> {
    ndpool::init();
    let pool = Pool::new()?;
    let mut y = pool.from_shape_fn(N_ROWS, |i| i as f64)?;

    pool.run(square_roots(None, &mut y).block_rows(BLOCK_ROWS))?;
    let stats = pool.stats();
    println!("first job: {} workers lost, {} blocks redone", stats.workers_lost, stats.blocks_redone);
    let once = Array1::from_shape_fn(N_ROWS, |i| (i as f64).sqrt());
    assert_eq!(y.view(), once, "the first job's result differs from the serial one");
    assert_eq!(stats.blocks_redone as usize, N_BLOCKS / 4, "every fourth block is redone once");
    println!("           and all {N_ROWS} square roots are right\n");

    let Err(error) = pool.run(square_roots(Some(POISON), &mut y).block_rows(BLOCK_ROWS)) else {
        panic!("a job with a block that kills every worker must fail");
    };
    println!("second job: {error}");
    assert_eq!(error.kind(), ErrorKind::WorkerLost);
    assert_eq!(error.failed_blocks().not_applied(), [POISON]);
    assert_eq!(error.worker_exit().and_then(|exit| exit.signal_name()), Some("SIGSEGV"));
    let lost = POISON * BLOCK_ROWS..(POISON + 1) * BLOCK_ROWS;
    let twice = Array1::from_shape_fn(N_ROWS, |i| if lost.contains(&i) { once[i] } else { once[i].sqrt() });
    assert_eq!(
        y.view(),
        twice,
        "the second job's result differs: all rows but {lost:?} have the root of the root"
    );
    println!("            rows {lost:?} are as they were, all others are done\n");

    // What failed can be done by other means.
    let mut view = y.view_mut();
    view.slice_mut(s![lost]).mapv_inplace(f64::sqrt);
    pool.run(square_roots(None, &mut y).block_rows(BLOCK_ROWS))?;
    assert_eq!(
        y.view(),
        once.mapv(|x| x.sqrt().sqrt()),
        "the third job's result differs from the serial one"
    );
    println!("third job: the same pool, with {} workers, works on", pool.n_workers());
    Ok(())
}
