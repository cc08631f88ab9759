//! What NumPy said, and whether an answer agrees with it; for the tests that ask the library and the tool.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

/// Everything that `make_cases.py` wrote.
#[derive(Debug, Deserialize)]
pub struct Cases {
    pub numpy: String,
    pub arrays: Vec<Array>,
    pub cases: Vec<Case>,
    pub refused: Vec<Refused>,
}

/// A file of one array.
#[derive(Debug, Deserialize)]
pub struct Array {
    pub file: PathBuf,
    pub dtype: String,
    pub shape: Vec<usize>,
}

/// One operation on one array.
#[derive(Debug, Deserialize)]
#[allow(dead_code, reason = "one of the two tests has no use for all options")]
pub struct Case {
    /// Which array, by its place in the list.
    pub array: usize,
    /// The second one, of `dot` and `vdot`.
    pub other: Option<usize>,
    pub op: String,
    pub axis: Option<isize>,
    pub ddof: Option<f64>,
    pub ord: Option<String>,
    pub bins: Option<usize>,
    pub range: Option<[String; 2]>,
    pub minlength: Option<usize>,
    /// What NumPy raises, if it does.
    pub raises: Option<String>,
    /// What is expected otherwise.
    pub values: Option<Vec<Value>>,
}

impl Case {
    /// The case in one line.
    pub fn title(&self, arrays: &[Array]) -> String {
        let Array { file, dtype, shape } = &arrays[self.array];
        let Self { op, axis, ddof, ord, .. } = self;
        format!("{op} of {} ({dtype}, {shape:?}), axis {axis:?}, ddof {ddof:?}, ord {ord:?}", file.display())
    }
}

/// One expected array.
#[derive(Debug, Deserialize)]
pub struct Value {
    pub name: String,
    pub dtype: String,
    pub shape: Vec<usize>,
    pub numbers: Vec<Wanted>,
}

/// One expected number.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum Wanted {
    /// This one; `any` if nothing is promised.
    Exactly(String),
    /// One between these, ends included.
    Between([String; 2]),
}

/// A file that is not taken, and what the error says.
#[derive(Debug, Deserialize)]
pub struct Refused {
    pub file: PathBuf,
    pub words: Vec<String>,
}

impl Value {
    /// Says in what way an answer differs; complex numbers are two texts each.
    pub fn differs(&self, dtype: &str, shape: &[usize], numbers: &[String]) -> Option<String> {
        if dtype != self.dtype || shape != self.shape || numbers.len() != self.numbers.len() {
            let Self { name, dtype: wanted, shape: wanted_shape, .. } = self;
            return Some(format!(
                "{name}: {} numbers of {dtype} in shape {shape:?}, wanted {} of {wanted} in {wanted_shape:?}",
                numbers.len(),
                self.numbers.len(),
            ));
        }
        let wrong = |(i, wanted): (usize, &Wanted)| {
            let found = &numbers[i];
            let wrong = !wanted.meets(dtype, found);
            wrong.then(|| format!("{}[{i}]: {found}, wanted {wanted:?}", self.name))
        };
        self.numbers.iter().enumerate().find_map(wrong)
    }
}

impl Wanted {
    fn meets(&self, dtype: &str, found: &str) -> bool {
        let number = |text: &str| match dtype {
            // Texts are the shortest that read back to the same `f32`.
            "float32" | "complex64" => text.parse::<f32>().ok().map(f64::from),
            "float64" | "complex128" => text.parse::<f64>().ok(),
            _ => None,
        };
        match self {
            Self::Exactly(text) if text == found || text == "any" => true,
            Self::Exactly(text) => match (number(text), number(found)) {
                // The two zeros are equal: which one an extreme is depends on NumPy's instruction set.
                (Some(x), Some(y)) => x == y || (x.is_nan() && y.is_nan()),
                _ => false,
            },
            Self::Between([low, high]) => {
                let end = |text: &str| text.parse::<f64>().ok();
                match (end(low), number(found), end(high)) {
                    (Some(low), Some(x), Some(high)) => low <= x && x <= high,
                    _ => false,
                }
            }
        }
    }
}

/// The Python to ask: that of `NDPOOL_TEST_PYTHON`, or `python3`.
fn python() -> Command {
    let program = std::env::var_os("NDPOOL_TEST_PYTHON").unwrap_or_else(|| "python3".into());
    let mut python = Command::new(program);
    python.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join(super::SCRIPT));
    python
}

fn ask(python: &mut Command) -> String {
    let output = python.output().unwrap_or_else(|error| panic!("cannot start {python:?}: {error}"));
    assert!(output.status.success(), "{python:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Lets NumPy write the files of one kind of cases; `None`, with a word to the user, if there is no NumPy.
///
/// # Panics
/// If there is none although `NDPOOL_TEST_REQUIRE_NUMPY` is 1.
pub fn make_cases(kind: &str, folder: &Path) -> Option<Cases> {
    let probe = python().arg("version").output();
    if !probe.as_ref().is_ok_and(|output| output.status.success()) {
        let reason = match probe {
            Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            Err(error) => error.to_string(),
        };
        let is_required = std::env::var_os("NDPOOL_TEST_REQUIRE_NUMPY").is_some_and(|it| it == "1");
        assert!(!is_required, "NumPy is required, and missing: {reason}");
        println!(
            "skipped, since there is no NumPy: {reason}\n(hint: set NDPOOL_TEST_PYTHON to a Python that has it)"
        );
        return None;
    }
    ask(python().arg(kind).arg(folder));
    let cases = std::fs::read(folder.join("cases.json")).unwrap();
    let cases: Cases = serde_json::from_slice(&cases).unwrap();
    println!("{} cases on {} arrays of NumPy {}", cases.cases.len(), cases.arrays.len(), cases.numpy);
    Some(cases)
}

/// An array as NumPy read it.
#[derive(Debug, Deserialize)]
#[allow(dead_code, reason = "only one of the two tests saves files")]
pub struct Read {
    pub dtype: String,
    pub shape: Vec<usize>,
    pub numbers: Vec<String>,
}

/// Lets NumPy read `.npy` files.
#[allow(dead_code, reason = "only one of the two tests saves files")]
pub fn read_files<'a>(files: impl Iterator<Item = &'a Path>) -> Vec<Read> {
    serde_json::from_str(&ask(python().arg("read").args(files))).unwrap()
}
