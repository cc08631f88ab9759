//! Loading, running as often as asked, timing.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use ndpool::ops::dynamic::{AnyArray, Op, Options, Runner, Values};

use ndpool::{Death, Pool};

use crate::args::RunArgs;
use crate::failure::Failure;
use crate::progress::Bar;

/// Deaths that are told in full.
const SHOWN_DEATHS: usize = 5;

/// What is to be run.
#[derive(Debug)]
pub struct Work<'a> {
    pub file: &'a Path,
    /// The second array of an operation that takes two.
    pub with: Option<&'a Path>,
    pub op: Op,
    pub options: &'a Options,
    /// Workers that a block may kill; `None` for the library's default.
    pub attempts: Option<u32>,
}

/// What came of it.
#[derive(Debug)]
pub struct Measured {
    pub values: Values,
    pub shape: Vec<usize>,
    pub dtype: ndpool::DType,
    pub n_workers: usize,
    pub workers_lost: u64,
    pub blocks_redone: u64,
    /// How workers died, the last ones if they are many.
    pub deaths: Vec<Arc<Death>>,
    /// Median over the runs, without loading.
    pub seconds: f64,
    /// Bytes of the arrays that were read.
    pub n_bytes: usize,
}

impl Measured {
    pub fn bytes_per_second(&self) -> f64 {
        self.n_bytes as f64 / self.seconds
    }

    /// One line for people.
    pub fn timing(&self, repeat: usize) -> String {
        let time = std::time::Duration::from_secs_f64(self.seconds);
        let rate = indicatif::DecimalBytes(self.bytes_per_second() as u64);
        let median = if repeat > 1 { format!(", median of {repeat} runs") } else { String::new() };
        let lost = match self.workers_lost {
            0 => String::new(),
            n => format!(", {n} lost and {} blocks redone", self.blocks_redone),
        };
        let s = if self.n_workers == 1 { "" } else { "s" };
        format!("{time:.2?} ({rate}/s{median}), {} worker{s}{lost}", self.n_workers)
    }
}

/// Runs it `args.repeat` times on a pool of its own.
pub fn measure(work: &Work<'_>, args: &RunArgs) -> Result<Measured, Failure> {
    // Before any process is started for it.
    for path in [Some(work.file), work.with].into_iter().flatten() {
        ndpool::npy_header(path)?;
    }
    let bar = Bar::start();
    let mut builder = Pool::builder().handle_signals(true);
    if let Some(n) = args.workers {
        builder = builder.workers(n.get());
    }
    let pool = builder.build()?;
    let measured = measure_on(&pool, work, args, &bar);
    drop(bar);
    // Whether it ended well or not.
    report_deaths(&pool.deaths(), pool.stats().workers_lost);
    measured
}

/// Tells on stderr how workers died, if any did.
fn report_deaths(deaths: &[Arc<Death>], n_lost: u64) {
    let shown = &deaths[deaths.len().saturating_sub(SHOWN_DEATHS)..];
    let mut text = String::new();
    let n_more = n_lost.saturating_sub(shown.len() as u64);
    if n_more > 0 {
        text += &format!("{n_more} workers died before these:\n");
    }
    for death in shown {
        text += &format!("{death}\n");
    }
    // If stderr is gone, there is nobody to tell.
    let _ = std::io::stderr().write_all(text.as_bytes());
}

fn measure_on(pool: &Pool, work: &Work<'_>, args: &RunArgs, bar: &Bar) -> Result<Measured, Failure> {
    let load = |path: &Path| {
        bar.begin(format!("loading {}", path.display()));
        AnyArray::load_npy(pool, path)
    };
    let x = load(work.file)?;
    let y = work.with.map(load).transpose()?;

    let mut runner = Runner::new(pool).on_progress(bar.reporter());
    if let Some(n) = work.attempts {
        runner = runner.attempts(n);
    }
    let mut first: Option<Values> = None;
    let mut seconds = Vec::new();
    for run in 1..=args.repeat.get() {
        bar.begin(match args.repeat.get() {
            1 => work.op.to_string(),
            repeat => format!("{} {run}/{repeat}", work.op),
        });
        let start = Instant::now();
        let values = match &y {
            Some(y) => runner.run_two(&x, y, work.op)?,
            None => runner.run(&x, work.op, work.options)?,
        };
        seconds.push(start.elapsed().as_secs_f64());
        match &first {
            None => first = Some(values),
            Some(first) => same_bits(first, &values).map_err(|what| Failure::Differs { what, run })?,
        }
    }
    let stats = pool.stats();
    Ok(Measured {
        values: first.expect("it ran at least once"),
        shape: x.shape().to_vec(),
        dtype: x.dtype(),
        n_workers: pool.n_workers(),
        workers_lost: stats.workers_lost,
        blocks_redone: stats.blocks_redone,
        deaths: pool.deaths(),
        seconds: median(seconds),
        n_bytes: x.len_bytes() + y.map_or(0, |y| y.len_bytes()),
    })
}

/// The name of the first value that differs, if one does.
fn same_bits(first: &Values, other: &Values) -> Result<(), &'static str> {
    let differs = first.iter().zip(other).find(|((_, x), (_, y))| !x.same_bits(y));
    differs.map_or(Ok(()), |((name, _), _)| Err(name))
}

fn median(mut seconds: Vec<f64>) -> f64 {
    seconds.sort_unstable_by(f64::total_cmp);
    let middle = seconds.len() / 2;
    if seconds.len() % 2 == 1 { seconds[middle] } else { f64::midpoint(seconds[middle - 1], seconds[middle]) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndpool::ndarray::arr0;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(vec![3.0]), 3.0);
        assert_eq!(median(vec![3.0, 1.0]), 2.0);
        assert_eq!(median(vec![3.0, 1.0, 10.0]), 3.0);
    }

    #[test]
    fn the_value_that_differs_is_named() {
        let values =
            |x: f64| vec![("count", arr0(1_u64).into_dyn().into()), ("sum", arr0(x).into_dyn().into())];
        assert_eq!(same_bits(&values(f64::NAN), &values(f64::NAN)), Ok(()));
        assert_eq!(same_bits(&values(0.0), &values(-0.0)), Err("sum"));
    }
}
