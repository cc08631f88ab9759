//! Measures ndpool against its peers and prints a table, or one JSON object per line.
//!
//! `cargo run --release -p ndpool-benches --bin versus -- [--only NAME]… [--json]`

use ndpool_benches::{END_AT_ONCE, Question, ROWS};
use std::process::ExitCode;

const USAGE: &str = "usage: versus [--only NAME]... [--json]";

fn main() -> ExitCode {
    // The peer of a worker's start does no more than what every program does.
    if std::env::args().nth(1).is_some_and(|arg| arg == END_AT_ONCE) {
        return ExitCode::SUCCESS;
    }
    ndpool::init();
    let (rows, as_json) = match options() {
        Ok(options) => options,
        Err(message) => {
            eprintln!("{message}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    for row in rows {
        match row.answer() {
            Ok(row) if as_json => println!("{}", row.to_json()),
            Ok(row) => println!("{row}"),
            Err(why) => eprintln!("{}: skipped: {}", row.name, why.0),
        }
    }
    ExitCode::SUCCESS
}

/// The rows to measure, and whether to print JSON.
fn options() -> Result<(Vec<&'static Question>, bool), String> {
    let (mut rows, mut as_json) = (Vec::new(), false);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--json" => as_json = true,
            "--only" => {
                let name = args.next().ok_or("--only takes the name of a row")?;
                let row = ROWS.iter().find(|row| row.name == name).ok_or_else(|| {
                    let names: Vec<_> = ROWS.iter().map(|row| row.name).collect();
                    format!("no row is named {name:?}; there are {}", names.join(", "))
                })?;
                rows.push(row);
            }
            other => return Err(format!("unknown argument {other:?}")),
        }
    }
    if rows.is_empty() {
        rows.extend(ROWS);
    }
    Ok((rows, as_json))
}
