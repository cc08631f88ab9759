//! Jobs whose handles are dropped, forgotten or cancelled, more jobs than there are places, and pools that end under them.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use ndpool::{ErrorKind, Pool};

use super::Scene;
use super::updates::{Cut, linger};
use crate::stress::exact::{Expected, Rows, judge_value};
use crate::stress::report::Verdict;
use crate::stress::tasks::{mangle, mangled, update};

/// More small jobs than the board has places, joined in any order; some are dropped or cancelled.
pub fn many_at_once(scene: &mut Scene<'_>, pool: &Pool) {
    const KIND: &str = "many jobs at once";
    let n = scene.chance.index(65..160);
    let seed = scene.chance.next();
    let mut jobs = Vec::with_capacity(n);
    for i in 0..n as u64 {
        let Some(job) = scene.made(KIND, pool.submit(mangle(seed ^ i, None))) else { continue };
        jobs.push((i, job));
    }
    while !jobs.is_empty() {
        let (i, job) = jobs.swap_remove(scene.chance.index(0..jobs.len()));
        let mut expected = Expected { n_blocks: 1, ..Expected::default() };
        match scene.chance.within(0..12) {
            0 => drop(job),
            1 => {
                job.cancel();
                expected.kinds.push(ErrorKind::Cancelled);
                let verdict = judge_value(&expected, &job.join(), || mangled(seed ^ i), scene.has_pressure);
                scene.tell(KIND, 1, verdict);
            }
            _ => {
                let verdict = judge_value(&expected, &job.join(), || mangled(seed ^ i), scene.has_pressure);
                scene.tell(KIND, 1, verdict);
            }
        }
    }
}

/// Without a handle nobody is told how a job ended; but each block is applied whole or not at all.
fn judge_unseen(cut: &Cut, x: &ndpool::SharedArray<i64, ndpool::ndarray::Ix1>) -> Verdict {
    // Waits for the job.
    let view = x.view();
    match (0..cut.n_blocks()).find(|&block| !matches!(cut.look(&view, block), Rows::Old | Rows::New)) {
        None => Verdict::Right,
        Some(block) => Verdict::wrong(format!("the rows of block {block} are {:?}", cut.look(&view, block))),
    }
}

/// A handle that is dropped cancels its job.
pub fn dropped(scene: &mut Scene<'_>, pool: &Pool) {
    const KIND: &str = "dropped handle";
    let cut = Cut::any(&mut scene.chance);
    let deeds = linger(&mut scene.chance);
    let Some(mut x) = scene.made(KIND, cut.array(pool)) else { return };
    let job = pool.submit(update(&deeds, cut.k, &mut x).block_rows(cut.block_rows));
    let Some(job) = scene.made(KIND, job) else { return };
    std::thread::sleep(scene.chance.millis(0..6));
    drop(job);
    scene.tell(KIND, cut.n_blocks(), judge_unseen(&cut, &x));
}

/// A handle that is forgotten leaves its job to the pool.
pub fn forgotten(scene: &mut Scene<'_>, pool: &Pool) {
    const KIND: &str = "forgotten handle";
    let cut = Cut::any(&mut scene.chance);
    // Its pool's memory stays until this process ends: not too often.
    if !scene.chance.one_in(4) {
        return dropped(scene, pool);
    }
    let deeds = linger(&mut scene.chance);
    let Some(mut x) = scene.made(KIND, cut.array(pool)) else { return };
    let job = pool.submit(update(&deeds, cut.k, &mut x).block_rows(cut.block_rows));
    let Some(job) = scene.made(KIND, job) else { return };
    scene.has_forgotten.store(true, Ordering::Relaxed);
    std::mem::forget(job);
    scene.tell(KIND, cut.n_blocks(), judge_unseen(&cut, &x));
}

/// A cancellation at any moment, the last included.
pub fn cancelled(scene: &mut Scene<'_>, pool: &Pool) {
    const KIND: &str = "cancelled job";
    let cut = Cut::any(&mut scene.chance);
    let deeds = linger(&mut scene.chance);
    let Some(mut x) = scene.made(KIND, cut.array(pool)) else { return };
    let job = pool.submit(update(&deeds, cut.k, &mut x).block_rows(cut.block_rows));
    let Some(job) = scene.made(KIND, job) else { return };
    let spins = scene.chance.within(0..200_000);
    for _ in 0..spins {
        if job.is_finished() {
            break;
        }
    }
    job.cancel();
    let result = job.join();
    let expected = Expected { kinds: vec![ErrorKind::Cancelled], ..cut.expected() };
    let verdict = expected.judge(&result, |block| cut.look(&x.view(), block), scene.has_pressure);
    scene.tell(KIND, cut.n_blocks(), verdict);
}

/// The pool ends while jobs are in flight, open and queued; their handles say what was applied.
pub fn pool_dropped(mut scene: Scene<'_>, pool: Arc<Pool>) {
    const KIND: &str = "pool dropped";
    let cuts: Vec<Cut> = (0..3).map(|_| Cut::any(&mut scene.chance)).collect();
    let deeds = linger(&mut scene.chance);
    let mut arrays = Vec::new();
    for cut in &cuts {
        let Some(x) = scene.made(KIND, cut.array(&pool)) else { return };
        arrays.push(x);
    }
    let n_small = scene.chance.index(0..100);
    let seed = scene.chance.next();
    let mut small = Vec::new();
    for i in 0..n_small as u64 {
        small.extend(scene.made(KIND, pool.submit(mangle(seed ^ i, None))).map(|job| (i, job)));
    }
    let mut results = Vec::new();
    {
        let mut jobs = Vec::new();
        for (cut, x) in cuts.iter().zip(&mut arrays) {
            jobs.push(pool.submit(update(&deeds, cut.k, x).block_rows(cut.block_rows)));
        }
        std::thread::sleep(scene.chance.millis(0..10));
        // Nobody else holds it: this ends it.
        let pool = Arc::into_inner(pool);
        if pool.is_none() {
            scene.tell(KIND, 0, Verdict::wrong("the soak holds its pool twice"));
        }
        drop(pool);
        for job in jobs {
            results.push(job.and_then(ndpool::Job::join));
        }
    }
    for ((cut, x), result) in cuts.iter().zip(&arrays).zip(&results) {
        let expected = Expected { kinds: vec![ErrorKind::Shutdown], ..cut.expected() };
        let verdict = expected.judge(result, |block| cut.look(&x.view(), block), scene.has_pressure);
        scene.tell(KIND, cut.n_blocks(), verdict);
    }
    for (i, job) in small {
        let expected = Expected { n_blocks: 1, kinds: vec![ErrorKind::Shutdown], ..Expected::default() };
        let verdict = judge_value(&expected, &job.join(), || mangled(seed ^ i), scene.has_pressure);
        scene.tell(KIND, 1, verdict);
    }
}
