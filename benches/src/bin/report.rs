//! Makes the table and the plots of a run's lines of JSON.
//!
//! `cargo run --release -p ndpool-benches --bin report -- [results.jsonl [DIRECTORY]]`

use std::error::Error;
use std::path::Path;

const DIRECTORY: &str = env!("CARGO_MANIFEST_DIR");

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let directory = Path::new(args.get(1).map_or(DIRECTORY, String::as_str));
    let lines = match args.first() {
        Some(path) => std::fs::read_to_string(path)?,
        None => std::fs::read_to_string(directory.join("results.jsonl"))?,
    };
    ndpool_benches::write_report(&lines, directory)
}
