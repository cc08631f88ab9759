//! Reductions and blocks without processes, counted by `valgrind --tool=callgrind`.
//!
//! A program does its work some times or some more times, and what is counted is the difference, so that its beginning and its end are not.

use crate::Path;
use ndarray::ArrayView1;
use ndpool::merge::Sum;
use ndpool::{Pool, Result, ops, task};
use std::hint::black_box;
use std::process::{Command, Stdio};

/// How often the work is done in the short run.
const SHORT: usize = 2;
/// How often more in the long run.
const MORE: usize = 8;
/// Blocks of the job that is counted.
const N_BLOCKS: usize = 1024;
/// What reductions go through: eight blocks of 512 KiB.
const N_BYTES: usize = 4 << 20;

/// Does the work so often.
type Work = fn(&Pool, usize) -> Result<()>;

/// The programs: name, what is counted, and the work.
const PROGRAMS: &[(&str, &str, Work)] = &[
    ("in_process.blocks", "a job of 1024 blocks in process", blocks),
    ("kernel.sum_f64", "sum of 4 MiB of f64", |pool, n| {
        let x = pool.full(N_BYTES / 8, 0.5_f64)?;
        repeat(n, || pool.run(ops::sum(&x)))
    }),
    ("kernel.sum_f32", "sum of 4 MiB of f32", |pool, n| {
        let x = pool.full(N_BYTES / 4, 0.5_f32)?;
        repeat(n, || pool.run(ops::sum(&x)))
    }),
    ("kernel.sum_i64", "sum of 4 MiB of i64", |pool, n| {
        let x = pool.full(N_BYTES / 8, 5_i64)?;
        repeat(n, || pool.run(ops::sum(&x)))
    }),
    ("kernel.max_f64", "largest of 4 MiB of f64", |pool, n| {
        let x = pool.full(N_BYTES / 8, 0.5_f64)?;
        repeat(n, || pool.run(ops::max(&x)))
    }),
    ("kernel.max_u8", "largest of 4 MiB of u8", |pool, n| {
        let x = pool.full(N_BYTES, 5_u8)?;
        repeat(n, || pool.run(ops::max(&x)))
    }),
    ("kernel.describe_f64", "describe of 4 MiB of f64", |pool, n| {
        let x = pool.full(N_BYTES / 8, 0.5_f64)?;
        repeat(n, || pool.run(ops::describe(&x)))
    }),
];

#[task]
fn first(x: ArrayView1<f64>) -> Sum<f64> {
    Sum(x[0])
}

fn blocks(pool: &Pool, n: usize) -> Result<()> {
    let x = pool.full(N_BLOCKS, 1.0_f64)?;
    repeat(n, || pool.run(first(&x).block_rows(1)))
}

fn repeat<R>(n: usize, mut work: impl FnMut() -> Result<R>) -> Result<()> {
    for _ in 0..n {
        black_box(work()?);
    }
    Ok(())
}

pub(crate) fn paths() -> impl Iterator<Item = Path> {
    PROGRAMS.iter().map(|&(name, what, _)| Path { name, what, count })
}

/// In the counted process: does a program's work so often.
pub(crate) fn play(name: &str, n: usize) {
    let (.., work) = PROGRAMS.iter().find(|program| program.0 == name).expect("a program of this name");
    let pool = Pool::builder().in_process().build().expect("nothing is started");
    work(&pool, n).expect("the work is possible");
}

fn count(name: &str) -> std::result::Result<u64, String> {
    if !std::arch::is_x86_feature_detected!("avx2") {
        return Err("the counts on record are those with AVX2, the widest vectors that valgrind knows".into());
    }
    let [short, long] = [SHORT, SHORT + MORE].map(|n| total(name, n));
    Ok((long? - short?) / MORE as u64)
}

/// Instructions of a whole program.
fn total(name: &str, n: usize) -> std::result::Result<u64, String> {
    let file = tempfile::NamedTempFile::new().map_err(|error| error.to_string())?;
    let this = std::env::current_exe().map_err(|error| error.to_string())?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", &format!("--callgrind-out-file={}", file.path().display())])
        .arg(this)
        .args(["play", name, &n.to_string()])
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("cannot run valgrind: {error}"))?;
    let text = std::fs::read_to_string(file.path()).unwrap_or_default();
    let total = text.lines().find_map(|line| line.strip_prefix("totals: ")?.trim().parse().ok());
    total.filter(|_| output.status.success()).ok_or_else(|| {
        format!("{name} under valgrind: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr))
    })
}
