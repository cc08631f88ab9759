//! Measures ndpool against its peers and prints a table, or one JSON object per line.
//!
//! `cargo run --release -p ndpool-benches --bin versus -- [--only NAME]… [--json]`

use ndpool_benches::{Question, ROWS, play_role};
use std::process::ExitCode;

const USAGE: &str = "usage: versus [--only NAME]... [--json]

--only NAME  measure this row, or all rows whose name begins so
--json       print one JSON object per line";

fn main() -> ExitCode {
    if let Some(code) = play_role() {
        return code;
    }
    ndpool::init();
    procspawn::init();
    let (rows, as_json) = match options() {
        Ok(options) => options,
        Err(message) => {
            eprintln!("{message}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    for (number, question) in rows {
        match question.answer(number) {
            Ok(row) if as_json => println!("{}", row.to_json()),
            Ok(row) => println!("{row}"),
            Err(why) => eprintln!("{}: skipped: {}", question.name, why.0),
        }
    }
    ExitCode::SUCCESS
}

/// The rows to measure, and whether to print JSON.
fn options() -> Result<(Vec<&'static (&'static str, Question)>, bool), String> {
    let (mut rows, mut as_json) = (Vec::new(), false);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--json" => as_json = true,
            "--only" => {
                let name = args.next().ok_or("--only takes the name of a row")?;
                let exact = ROWS.iter().filter(|(_, row)| row.name == name);
                let alike = ROWS.iter().filter(|(_, row)| row.name.starts_with(&name));
                let before = rows.len();
                rows.extend(exact);
                if rows.len() == before {
                    rows.extend(alike);
                }
                if rows.len() == before {
                    let names: Vec<_> = ROWS.iter().map(|(_, row)| row.name).collect();
                    return Err(format!("no row is named {name:?}; there are {}", names.join(", ")));
                }
            }
            other => return Err(format!("unknown argument {other:?}")),
        }
    }
    if rows.is_empty() {
        rows.extend(ROWS);
    }
    Ok((rows, as_json))
}
