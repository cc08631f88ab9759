//! Goal: what `ndpool describe` and `ndpool reduce` print and save is what NumPy finds in files that NumPy saved, and a file that is
//! not an array in C order of a known type is refused with a word on what to do.
//!
//! Method: as `tests/numpy_agreement.rs` at the workspace's root, whose script makes the files, but few cases of every kind, each by a
//! process of the real program. NumPy reads what the program saved, which is judged as what it printed.

#[path = "../../tests/numpy/agreement.rs"]
mod agreement;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use agreement::{Case, Cases, Value, make_cases, read_files};
use serde_json::Value as Json;

/// Where the script lies, from the manifest.
const SCRIPT: &str = "../tests/numpy/make_cases.py";

fn ndpool(arguments: &[String]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ndpool")).args(arguments).output().unwrap()
}

/// The command line of a case.
fn arguments(case: &Case, folder: &Path, cases: &Cases, out: &Path) -> Vec<String> {
    let path = |array: usize| folder.join(&cases.arrays[array].file).display().to_string();
    let mut arguments: Vec<String> = match case.op.as_str() {
        "describe" => vec!["describe".into(), path(case.array)],
        op => {
            let out = out.display().to_string();
            vec!["reduce".into(), path(case.array), "--op".into(), op.into(), "--output".into(), out]
        }
    };
    arguments.extend(["--json", "--workers", "2"].map(String::from));
    let mut option = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            arguments.extend([name.into(), value]);
        }
    };
    option("--axis", case.axis.map(|k| k.to_string()));
    option("--ddof", case.ddof.map(|ddof| ddof.to_string()));
    option("--bins", case.bins.map(|n| n.to_string()));
    option("--with", case.other.map(path));
    arguments
}

/// Where a value of a case is saved.
fn saved(case: &Case, value: &Value, out: &Path) -> PathBuf {
    match case.values.as_ref().is_some_and(|values| values.len() > 1) {
        true => out.with_extension(format!("{}.npy", value.name)),
        false => out.to_owned(),
    }
}

/// The numbers of nested lists; two of a complex number.
fn flatten(value: &Json, numbers: &mut Vec<String>) {
    match value {
        Json::Array(parts) => parts.iter().for_each(|part| flatten(part, numbers)),
        Json::Object(parts) => ["re", "im"].iter().for_each(|part| flatten(&parts[*part], numbers)),
        Json::String(text) => numbers.push(text.clone()),
        number => numbers.push(number.to_string()),
    }
}

/// What is wrong with what the program printed.
fn printed_differs(case: &Case, printed: &Json) -> Option<String> {
    let values = case.values.as_ref()?;
    values.iter().find_map(|wanted| {
        let (value, shape) = match (case.op.as_str(), values.len()) {
            ("describe", _) => (&printed[&wanted.name], &Json::Array(Vec::new())),
            (_, 1) => (&printed["value"], &printed["shape"]),
            _ => (&printed["value"][&wanted.name], &printed["shape"][&wanted.name]),
        };
        let mut numbers = Vec::new();
        flatten(value, &mut numbers);
        let shape: Vec<usize> = serde_json::from_value(shape.clone()).unwrap();
        // JSON does not tell element types; the saved file does.
        wanted.differs(&wanted.dtype, &shape, &numbers)
    })
}

#[test]
fn answers_are_those_of_numpy() {
    let folder = tempfile::tempdir().unwrap();
    let Some(cases) = make_cases("sample", folder.path()) else { return };
    let (mut wrong, mut files) = (Vec::new(), Vec::new());
    for (i, case) in cases.cases.iter().enumerate() {
        let out = folder.path().join(format!("out{i}.npy"));
        let output = ndpool(&arguments(case, folder.path(), &cases, &out));
        let told = String::from_utf8_lossy(&output.stderr);
        let difference = match &case.values {
            None if output.status.code() == Some(1) && told.contains("hint:") => None,
            None => Some(format!("{output:?}, but NumPy raises {:?}", case.raises)),
            Some(_) if !output.status.success() => Some(told.into_owned()),
            Some(values) => {
                if case.op != "describe" {
                    files.extend(values.iter().map(|value| (case, value, saved(case, value, &out))));
                }
                printed_differs(case, &serde_json::from_slice(&output.stdout).unwrap())
            }
        };
        wrong.extend(difference.map(|it| format!("{}: {it}", case.title(&cases.arrays))));
    }
    let read = read_files(files.iter().map(|(_, _, path)| path.as_path()));
    for ((case, wanted, _), found) in files.iter().zip(read) {
        let difference = wanted.differs(&found.dtype, &found.shape, &found.numbers);
        wrong.extend(difference.map(|it| format!("saved {}: {it}", case.title(&cases.arrays))));
    }
    assert!(wrong.is_empty(), "{} of {} cases differ:\n{}", wrong.len(), cases.cases.len(), wrong.join("\n"));
    refuses(folder.path(), &cases);
}

fn refuses(folder: &Path, cases: &Cases) {
    for refused in &cases.refused {
        let file = folder.join(&refused.file).display().to_string();
        for arguments in
            [vec!["describe".into(), file.clone()], vec!["reduce".into(), file, "--op=sum".into()]]
        {
            let output = ndpool(&arguments);
            let told = String::from_utf8_lossy(&output.stderr);
            assert_eq!((output.status.code(), &*output.stdout), (Some(1), &b""[..]), "{arguments:?}: {told}");
            for word in &refused.words {
                assert!(told.contains(word), "{arguments:?}: no {word:?} in: {told}");
            }
        }
    }
}
