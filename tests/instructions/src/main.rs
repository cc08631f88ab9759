//! Counts the instructions of ndpool's hot paths and compares them with those on record, `counts.json`.
//!
//! ```sh
//! cargo run --release -p ndpool-instructions              # compares; fails if a count is off by more than 5 %
//! cargo run --release -p ndpool-instructions -- --write   # puts down what is counted now
//! cargo run --release -p ndpool-instructions -- block     # paths whose names begin so
//! ```
//!
//! Two ways of counting, for what runs in one process and for what takes several: README.md says why.

/// Programs without processes, counted by valgrind.
mod callgrind;
/// What was counted before.
mod record;
/// Programs with a pool, counted by stepping through one of their threads.
mod stepped;
/// Running a thread instruction by instruction.
mod stepper;

use std::process::ExitCode;

/// A hot path.
struct Path {
    name: &'static str,
    /// What is counted.
    what: &'static str,
    count: fn(&str) -> Result<u64, String>,
}

fn main() -> ExitCode {
    ndpool::init();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["play", name, length] => {
            callgrind::play(name, length.parse().expect("a number"));
            return ExitCode::SUCCESS;
        }
        ["act", name] => {
            stepped::act(name);
            return ExitCode::SUCCESS;
        }
        _ => {}
    }
    if cfg!(debug_assertions) || !cfg!(target_arch = "x86_64") {
        eprintln!("the counts on record are those of a release build for x86-64");
        return ExitCode::FAILURE;
    }
    let must_write = words.contains(&"--write");
    let wanted = words.iter().find(|word| !word.starts_with('-')).copied().unwrap_or_default();
    let paths: Vec<Path> =
        stepped::paths().chain(callgrind::paths()).filter(|path| path.name.starts_with(wanted)).collect();
    let outcome = count(&paths).and_then(|found| record::settle(&paths, &found, must_write));
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(what) => {
            eprintln!("{what}");
            ExitCode::FAILURE
        }
    }
}

fn count(paths: &[Path]) -> Result<Vec<u64>, String> {
    paths.iter().map(|path| (path.count)(path.name)).collect()
}
