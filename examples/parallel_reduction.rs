//! Statistics of a real table, and of an array of gigabytes at the speed of threads.
//!
//! Shows: loading a `.npy` file into shared memory, the built-in reductions, a task of one's own whose results
//! merge, and how fast worker processes go through memory beside rayon's threads on the same data.
//!
//! Run: `cargo run --release --example parallel_reduction [-- --gigabytes N]` (default 0.25; 0 for the table only).
//!
//! Prints: a row of statistics for each column of the RAND Health Insurance Experiment; how often people saw a
//! doctor, by the share of the bill that they paid; then the sum of N GB of numbers, in GB/s for ndpool and for
//! rayon, measured in turns, with the ratio of the medians. Every answer is checked against a serial one.
//!
//! Data: examples/data/rand_hie.npy, 20,190 person-years, from the package statsmodels; in the public domain. See
//! examples/data/README.md.

use ndarray::prelude::*;
use ndpool::{Merge, Pool, SharedArray, ops, task};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Instant;

const TABLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/rand_hie.npy");
const COLUMNS: [&str; 10] =
    ["mdvis", "lncoins", "idp", "lpi", "fmde", "physlm", "disea", "hlthg", "hlthf", "hlthp"];

/// Person-years and visits to a doctor, by the share of the bill that the person paid, in per cent.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Visits(BTreeMap<u32, (u32, u32)>);

impl Merge for Visits {
    fn merge(&mut self, later: Self) {
        for (share, (n, visits)) in later.0 {
            let group = self.0.entry(share).or_default();
            *group = (group.0 + n, group.1 + visits);
        }
    }
}

/// Groups one block of rows; `Merge` says how the groups of two blocks become one.
#[task]
fn visits_by_share(table: ArrayView2<f64>) -> Visits {
    group(table)
}

fn group(table: ArrayView2<f64>) -> Visits {
    let mut visits = Visits::default();
    for person in table.rows() {
        let share = person[1].exp_m1().round() as u32;
        let group = visits.0.entry(share).or_default();
        *group = (group.0 + 1, group.1 + person[0] as u32);
    }
    visits
}

fn main() -> ndpool::Result<()> {
    ndpool::init(); // a worker serves here and never returns
    let gigabytes = gigabytes();
    let pool = Pool::new()?;
    let table = pool.load_npy::<f64, Ix2>(TABLE)?;
    describe_columns(&pool, &table)?;

    let visits = pool.run(visits_by_share(&table))?;
    println!("\nvisits to a doctor in a year, by the share of the bill that people paid themselves");
    for (share, (n, visits)) in &visits.0 {
        println!("  {share:>3} %  {:.3}  ({n} person-years)", f64::from(*visits) / f64::from(*n));
    }
    assert_eq!(visits, group(table.view()), "the groups differ from those found serially");

    if gigabytes > 0.0 { race(&pool, gigabytes) } else { Ok(()) }
}

fn describe_columns(pool: &Pool, table: &SharedArray<f64, Ix2>) -> ndpool::Result<()> {
    let down = Axis(0);
    let mean = pool.run(ops::mean_axis(table, down))?;
    let std = pool.run(ops::std_axis(table, down, 1.0))?;
    let (min, max) = pool.join(ops::min_axis(table, down), ops::max_axis(table, down))?;
    let overall = pool.run(ops::describe(table))?;

    println!("{} person-years of the RAND Health Insurance Experiment", table.n_rows());
    println!("  {:<8} {:>10} {:>10} {:>10} {:>10}", "column", "mean", "std", "min", "max");
    for (i, name) in COLUMNS.iter().enumerate() {
        println!("  {name:<8} {:>10.4} {:>10.4} {:>10.4} {:>10.4}", mean[i], std[i], min[i], max[i]);
    }
    println!("  {} numbers, {} of them NaN, sum {:.3}", overall.count, overall.nan_count, overall.sum);

    for (i, column) in table.view().columns().into_iter().enumerate() {
        let same = close(mean[i], column.sum() / column.len() as f64)
            && close(std[i], column.std(1.0))
            && min[i] == column.fold(f64::INFINITY, |a, b| a.min(*b))
            && max[i] == column.fold(f64::NEG_INFINITY, |a, b| a.max(*b));
        assert!(same, "column {} differs from what a serial pass finds", COLUMNS[i]);
    }
    assert!(close(overall.sum, table.view().sum()), "the overall sum differs from the serial one");
    Ok(())
}

/// Sums a large array with worker processes and with threads, in turns.
fn race(pool: &Pool, gigabytes: f64) -> ndpool::Result<()> {
    let n = (gigabytes * 1e9 / 8.0) as usize;
    // Multiples of 2⁻²⁰ below 1: every order of adding them gives the same, exact sum.
    let x = pool
        .from_shape_fn(n, |i| ((i as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 44) as f64 / 1_048_576.0)?;
    let view = x.view();
    let slice = view.as_slice().expect("arrays lie in C order");
    let serial: f64 = slice.iter().sum();

    let (mut ours, mut rayons) = (Vec::new(), Vec::new());
    for _ in 0..9 {
        let start = Instant::now();
        let sum = pool.run(ops::sum(&x))?;
        ours.push(start.elapsed().as_secs_f64());
        assert_eq!(sum, serial, "the workers' sum differs from the serial one");

        let start = Instant::now();
        let sum: f64 = slice.par_chunks(1 << 16).map(|chunk| ArrayView1::from(chunk).sum()).sum();
        rayons.push(start.elapsed().as_secs_f64());
        assert_eq!(sum, serial, "rayon's sum differs from the serial one");
    }
    let (ours, rayons) = (median(ours), median(rayons));
    let rate = |seconds: f64| n as f64 * 8.0 / 1e9 / seconds;
    println!("\nsum of {:.2} GB of f64 in shared memory: {serial}", n as f64 * 8.0 / 1e9);
    println!("  ndpool, {:>2} processes  {:>7.2} GB/s", pool.n_workers(), rate(ours));
    println!("  rayon,  {:>2} threads    {:>7.2} GB/s", rayon::current_num_threads(), rate(rayons));
    println!("  time of ndpool / time of rayon = {:.2}", ours / rayons);
    Ok(())
}

fn gigabytes() -> f64 {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => 0.25,
        ["--gigabytes", n] => n.parse().expect("--gigabytes takes a number, such as 1 or 0.5"),
        _ => panic!("usage: parallel_reduction [--gigabytes N]"),
    }
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-12 * b.abs().max(1.0)
}

fn median(mut seconds: Vec<f64>) -> f64 {
    seconds.sort_by(f64::total_cmp);
    seconds[seconds.len() / 2]
}
