//! Arrays made, dropped, made again of the same memory, saved and loaded.

use std::path::Path;

use ndpool::ndarray::Ix1;
use ndpool::{Pool, SharedArray};

use super::Scene;
use super::updates::Cut;
use crate::stress::chance::Chance;
use crate::stress::report::{Held, Report, Verdict};

/// Many arrays of many sizes; those that are to be zero are, whatever was in their memory before, and no reaper takes those
/// that live.
pub fn churn(scene: &mut Scene<'_>, pool: &Pool) {
    const KIND: &str = "arrays";
    let mut living: Vec<(Cut, SharedArray<i64, Ix1>)> = Vec::new();
    for _ in 0..scene.chance.index(5..60) {
        let chance = &mut scene.chance;
        let n_rows = if chance.one_in(8) { chance.index(1..500_000) } else { chance.index(1..4_000) };
        let cut = Cut::of(chance, n_rows, n_rows);
        let verdict = if chance.one_in(2) {
            let Some(zeros) = scene.made(KIND, pool.zeros::<i64, _>(n_rows)) else { continue };
            if zeros.view().iter().all(|&v| v == 0) {
                Verdict::Right
            } else {
                Verdict::wrong("new zeros are not zero")
            }
        } else {
            let Some(x) = scene.made(KIND, cut.array(pool)) else { continue };
            living.push((cut, x));
            Verdict::Right
        };
        scene.tell(KIND, 0, verdict);
        if living.len() > 6 {
            let (cut, x) = living.swap_remove(scene.chance.index(0..living.len()));
            scene.tell(KIND, 0, look_at(&cut, &x));
        }
    }
    for (cut, x) in living {
        // An anonymous one has a path through this process, which leads somewhere as well.
        if std::fs::metadata(x.path()).is_ok() {
            scene.desk.tell(&Report::Held(Held::Names));
        } else {
            scene
                .desk
                .tell(&Report::Leak(format!("the file of a living array is gone: {}", x.path().display())));
        }
        scene.tell(KIND, 0, look_at(&cut, &x));
    }
}

fn look_at(cut: &Cut, x: &SharedArray<i64, Ix1>) -> Verdict {
    match x.view().iter().enumerate().find(|&(i, &v)| v != cut.before(i)) {
        None => Verdict::Right,
        Some((i, v)) => {
            Verdict::wrong(format!("element {i} of an array that nobody wrote is {v}, not {}", cut.before(i)))
        }
    }
}

/// A file for a supervisor, of which there must be all or nothing whenever it is killed.
const FILE: &str = "saved.npy";

pub fn saved_and_loaded(scene: &mut Scene<'_>, pool: &Pool) {
    const KIND: &str = "saved and loaded";
    let (seed, n_rows) = (scene.chance.next(), scene.chance.index(2..60_000));
    let Some(x) = scene.made(KIND, pool.from_shape_fn(n_rows, |i| saved_value(seed, n_rows, i))) else {
        return;
    };
    // Threads of one supervisor save at the same time.
    let path = scene.directory.join(FILE);
    if let Err(error) = x.save_npy(&path) {
        return scene.tell(KIND, 0, Verdict::wrong(format!("cannot save: {error}")));
    }
    let Some(y) = scene.made(KIND, pool.load_npy::<u64, Ix1>(&path)) else { return };
    let verdict = look_at_saved(&y);
    scene.tell(KIND, 0, verdict);
}

/// Seed, length, then numbers that follow from both.
fn saved_value(seed: u64, len: usize, i: usize) -> u64 {
    match i {
        0 => seed,
        1 => len as u64,
        _ => Chance::new(seed, &[i as u64]).next(),
    }
}

fn look_at_saved(x: &SharedArray<u64, Ix1>) -> Verdict {
    let x = x.view();
    let seed = x[0];
    match x.iter().enumerate().find(|&(i, &v)| v != saved_value(seed, x.len(), i)) {
        None => Verdict::Right,
        Some((i, _)) => Verdict::wrong(format!("element {i} of {} that were saved is another", x.len())),
    }
}

/// Looks at what an earlier process saved last; `None` if there is nothing, or no room to load it.
pub fn check_saved(pool: &Pool, directory: &Path) -> Option<Verdict> {
    let path = directory.join(FILE);
    if !path.exists() {
        return None;
    }
    match pool.load_npy::<u64, Ix1>(&path) {
        Ok(x) => Some(look_at_saved(&x)),
        Err(error) if error.kind() == ndpool::ErrorKind::OutOfSpace => None,
        Err(error) => Some(Verdict::wrong(format!("what was saved cannot be loaded: {error}"))),
    }
}
