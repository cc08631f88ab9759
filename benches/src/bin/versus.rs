//! Measures ndpool against its peers and prints a table, or one JSON object per line.
//!
//! `cargo run --release -p ndpool-benches --bin versus -- [--only NAME]… [--when-not] [--json]`

use ndpool_benches::{Question, ROWS, WHEN_NOT, play_role};
use std::process::ExitCode;

const USAGE: &str = "usage: versus [--only NAME]... [--when-not] [--json]

--only NAME  measure this row, or all rows whose name begins so
--when-not   measure what ndpool is not faster at
--json       print one JSON object per line";

fn main() -> ExitCode {
    if let Some(code) = play_role() {
        return code;
    }
    ndpool::init();
    procspawn::init();
    let Options { rows, as_json } = match options() {
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

/// What the arguments ask for.
struct Options {
    rows: Vec<&'static (&'static str, Question)>,
    as_json: bool,
}

fn options() -> Result<Options, String> {
    let (mut rows, mut as_json) = (Vec::new(), false);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--json" => as_json = true,
            "--when-not" => rows.extend(WHEN_NOT),
            "--only" => {
                let name = args.next().ok_or("--only takes the name of a row")?;
                let all = || ROWS.iter().chain(WHEN_NOT);
                let before = rows.len();
                rows.extend(all().filter(|(_, row)| row.name == name));
                if rows.len() == before {
                    rows.extend(all().filter(|(_, row)| row.name.starts_with(&name)));
                }
                if rows.len() == before {
                    let names: Vec<_> = all().map(|(_, row)| row.name).collect();
                    return Err(format!("no row is named {name:?}; there are {}", names.join(", ")));
                }
            }
            other => return Err(format!("unknown argument {other:?}")),
        }
    }
    if rows.is_empty() {
        rows.extend(ROWS);
    }
    Ok(Options { rows, as_json })
}
