//! Goal: reductions give the answers of NumPy on files that NumPy saved: every element type, operation and axis, empty
//! arrays and arrays of rank 0, NaN and infinities, and data on which a plain sum loses all digits.
//!
//! Method: `numpy/make_cases.py` lets NumPy write arrays, and says of each what NumPy finds, or, where rounding plays a part,
//! between which bounds the answer must lie: those of NumPy's own algorithms about the exact value. Every case runs in worker processes.
//! The Python is that of `NDPOOL_TEST_PYTHON`, or `python3`; without NumPy the test says so and passes, unless
//! `NDPOOL_TEST_REQUIRE_NUMPY` is 1.

#[path = "numpy/agreement.rs"]
mod agreement;

use agreement::{Case, Cases, make_cases};
use ndpool::ops::NormOrd;
use ndpool::ops::dynamic::{AnyArray, AnyValue, Number, Op, Options, Runner, Values};
use ndpool::{ErrorKind, Pool};
use ndpool_tests::watchdog;

/// Where the script lies, from the manifest.
const SCRIPT: &str = "tests/numpy/make_cases.py";

fn options(case: &Case) -> Options {
    let default = Options::default();
    Options {
        axis: case.axis,
        ddof: case.ddof.unwrap_or(default.ddof),
        ord: match case.ord.as_deref() {
            Some("one") => NormOrd::One,
            Some("inf") => NormOrd::Inf,
            _ => NormOrd::Two,
        },
        bins: case.bins.unwrap_or(default.bins),
        range: case.range.as_ref().map(|ends| (ends[0].parse().unwrap(), ends[1].parse().unwrap())),
        min_length: case.minlength.unwrap_or(default.min_length),
        limit: default.limit,
    }
}

fn run(pool: &Pool, arrays: &[AnyArray], case: &Case) -> ndpool::Result<Values> {
    let op: Op = case.op.parse()?;
    let x = &arrays[case.array];
    match case.other {
        Some(other) => Runner::new(pool).run_two(x, &arrays[other], op),
        None => Runner::new(pool).run(x, op, &options(case)),
    }
}

fn texts(value: &AnyValue) -> Vec<String> {
    let numbers = value.numbers();
    let text = |number: &Number| match *number {
        Number::Complex32(re, im) => vec![format!("{re:?}"), format!("{im:?}")],
        Number::Complex(re, im) => vec![format!("{re:?}"), format!("{im:?}")],
        number => vec![number.to_string()],
    };
    numbers.iter().flat_map(text).collect()
}

/// What is wrong with an answer.
fn differs(case: &Case, found: &ndpool::Result<Values>) -> Option<String> {
    match (&case.values, found) {
        (Some(wanted), Ok(found)) if wanted.len() == found.len() => {
            wanted.iter().zip(found).find_map(|(wanted, (name, value))| match wanted.name == *name {
                true => wanted.differs(value.dtype().name(), value.shape(), &texts(value)),
                false => Some(format!("`{name}`, wanted `{}`", wanted.name)),
            })
        }
        (None, Err(error)) => {
            let is_right =
                matches!(error.kind(), ErrorKind::InvalidArgument | ErrorKind::Shape | ErrorKind::Task);
            (!is_right).then(|| format!("the wrong kind of error: {error:?}"))
        }
        (Some(_), found) => Some(format!("{found:?}")),
        (None, found) => Some(format!("{found:?}, but NumPy raises {:?}", case.raises)),
    }
}

/// A folder for the files of a test, removed with everything in it.
struct Folder(std::path::PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("ndpool-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn load(pool: &Pool, folder: &Folder, cases: &Cases) -> Vec<AnyArray> {
    let load = |array: &agreement::Array| {
        let x = AnyArray::load_npy(pool, folder.0.join(&array.file)).unwrap();
        assert_eq!((x.dtype().name(), x.shape()), (&*array.dtype, &*array.shape));
        x
    };
    cases.arrays.iter().map(load).collect()
}

#[ndpool::test]
fn answers_are_those_of_numpy() {
    let _watchdog = watchdog();
    let folder = Folder::new("agreement");
    let Some(cases) = make_cases("make", &folder.0) else { return };
    let pool = Pool::builder().workers(2).build().unwrap();
    let arrays = load(&pool, &folder, &cases);
    let mut wrong = Vec::new();
    for case in &cases.cases {
        if let Some(difference) = differs(case, &run(&pool, &arrays, case)) {
            wrong.push(format!("{}: {difference}", case.title(&cases.arrays)));
        }
    }
    let shown = wrong.iter().take(40).map(|line| format!("  {line}\n")).collect::<String>();
    assert!(wrong.is_empty(), "{} of {} cases differ:\n{shown}", wrong.len(), cases.cases.len());
    assert_eq!(pool.stats().workers_lost, 0);

    for refused in &cases.refused {
        let error = AnyArray::load_npy(&pool, folder.0.join(&refused.file)).unwrap_err();
        let told = format!("{error:?}");
        for word in &refused.words {
            assert!(told.contains(word), "{}: no {word:?} in: {told}", refused.file.display());
        }
    }
}

#[ndpool::test]
fn the_number_of_workers_changes_no_bit() {
    let _watchdog = watchdog();
    let folder = Folder::new("bits");
    let Some(cases) = make_cases("bits", &folder.0) else { return };
    let answers = |workers: usize| {
        let pool = Pool::builder().workers(workers).build().unwrap();
        let arrays = load(&pool, &folder, &cases);
        cases.cases.iter().map(|case| run(&pool, &arrays, case).ok()).collect::<Vec<_>>()
    };
    let alone = answers(1);
    assert!(alone.iter().flatten().count() > 100);
    for workers in [2, 3, 8] {
        for ((one, several), case) in alone.iter().zip(answers(workers)).zip(&cases.cases) {
            let is_same = match (one, &several) {
                (Some(x), Some(y)) => x.iter().zip(y).all(|((_, x), (_, y))| x.same_bits(y)),
                (x, y) => x.is_none() && y.is_none(),
            };
            assert!(is_same, "{workers} workers: {}\n{one:?}\n{several:?}", case.title(&cases.arrays));
        }
    }
}
