//! The counts on record.
//!
//! A count that has fallen fails as well as one that has risen: unless it is put down, it could rise again by as much unseen.

use crate::Path;
use std::collections::BTreeMap;
use std::process::Command;

/// How far off a count may be: what another release of compiler or C library changes in code that is the same.
const TOLERANCE: f64 = 0.05;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/counts.json");
/// The entry that is no count: with what the counts were made.
const MADE_WITH: &str = "made with";

/// Compares what was found with the record, or puts it there; whether all is well. Prints a table.
pub(crate) fn settle(paths: &[Path], found: &[u64], must_write: bool) -> Result<bool, String> {
    let text = std::fs::read_to_string(FILE).unwrap_or_else(|_| "{}".into());
    let mut record: BTreeMap<String, serde_json::Value> =
        serde_json::from_str(&text).map_err(|error| format!("{FILE}: {error}"))?;
    let mut is_good = true;
    println!("{:<20} {:>10} {:>10} {:>8}", "path", "on record", "now", "");
    for (path, &now) in paths.iter().zip(found) {
        let before = record.get(path.name).and_then(serde_json::Value::as_u64);
        let change = before.map(|before| now as f64 / before as f64 - 1.0);
        let is_kept = change.is_some_and(|change| change.abs() <= TOLERANCE);
        is_good &= is_kept;
        println!(
            "{:<20} {:>10} {now:>10} {:>8}  {}{}",
            path.name,
            before.map_or_else(|| "-".to_owned(), |before| before.to_string()),
            change.map_or_else(|| "-".to_owned(), |change| format!("{:+.1} %", change * 100.0)),
            path.what,
            if is_kept { "" } else { "  <-- CHANGED" },
        );
        if must_write {
            record.insert(path.name.into(), now.into());
        }
    }
    if must_write {
        record.insert(MADE_WITH.into(), tools().into());
        let text = serde_json::to_string_pretty(&record).map_err(|error| error.to_string())?;
        std::fs::write(FILE, text + "\n").map_err(|error| format!("{FILE}: {error}"))?;
    } else if !is_good {
        let made_with = record.get(MADE_WITH).and_then(serde_json::Value::as_str).unwrap_or("nothing");
        println!(
            "counts are off by more than {} %\non record: {made_with}\nnow:       {}\n(hint: if that is meant, or the code is \
             the same and the tools are others, `cargo run --release -p ndpool-instructions -- --write` puts the new ones down)",
            TOLERANCE * 100.0,
            tools()
        );
    }
    Ok(is_good || must_write)
}

/// What counts depend on besides the code.
fn tools() -> String {
    let first_line = |program: &str, argument: &str| {
        let output = Command::new(program).arg(argument).output().ok();
        let text =
            output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
        text.lines().next().unwrap_or("?").to_owned()
    };
    ["rustc", "valgrind", "ldd"].map(|program| first_line(program, "--version")).join(", ")
}
