//! How long do mean, standard deviation and largest element of 1 GB of `f64` take, beside NumPy?
//!
//! A Python process maps the very same segment with `np.load(path, mmap_mode="r")` and computes `mean`, `std` and `max`
//! in turn, as one does there. ndpool's `describe` finds all of them, and more, in one pass.

use crate::measure::{Pair, in_turns};
use crate::row::{Goal, Question, Skipped, Unit};
use crate::sum_shared::numbers;
use ndpool::{Pool, ops};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

pub(crate) const QUESTION: Question = Question {
    name: "describe_1gb",
    peer_name: "numpy mean, std, max in turn",
    goal: Goal::Ratio(1.0 / 14.0),
    unit: Unit::Milliseconds,
    measure,
};

const N: usize = 125_000_000;
const N_RUNS: usize = 9;
const PROGRAM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/python/describe.py");
const PYTHON: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/benches-python/bin/python");

fn measure() -> Result<Pair, Skipped> {
    let pool = Pool::new()?;
    let x = pool.from_shape_fn(N, numbers)?;
    let mut numpy = Numpy::start(&x.path())?;
    let (mean, std, max, _) = numpy.describe()?;
    in_turns(
        N_RUNS,
        || {
            let start = Instant::now();
            let found = pool.run(ops::describe(&x))?;
            let took = start.elapsed();
            let is_same =
                (found.mean - mean).abs() < 1e-12 && (found.std - std).abs() < 1e-12 && found.max == max;
            assert!(is_same, "{found:?} is not NumPy's answer ({mean}, {std}, {max})");
            Ok(took)
        },
        || Ok(numpy.describe()?.3),
    )
}

/// A Python process that has the array mapped.
struct Numpy {
    child: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Numpy {
    fn start(array: &Path) -> Result<Self, Skipped> {
        let python = if Path::new(PYTHON).exists() { PYTHON } else { "python3" };
        let has_numpy = Command::new(python)
            .args(["-c", "import numpy"])
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success());
        if !has_numpy {
            return Err(Skipped("no Python with NumPy; run benches/python/setup.sh".into()));
        }
        let mut child = Command::new(python)
            .arg(PROGRAM)
            .arg(array)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let requests = child.stdin.take().expect("stdin is piped");
        let answers = BufReader::new(child.stdout.take().expect("stdout is piped"));
        Ok(Self { child, requests, answers })
    }

    /// Mean, standard deviation, largest element, and how long NumPy took for them.
    fn describe(&mut self) -> Result<(f64, f64, f64, Duration), Skipped> {
        writeln!(self.requests)?;
        let mut answer = String::new();
        self.answers.read_line(&mut answer)?;
        let numbers: Vec<f64> = answer.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        match numbers[..] {
            [mean, std, max, seconds] => Ok((mean, std, max, Duration::from_secs_f64(seconds))),
            _ => Err(Skipped(format!("Python answered {answer:?}"))),
        }
    }
}

impl Drop for Numpy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
