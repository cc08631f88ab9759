//! Prints the tables of the simulation, or one JSON object per line.

use clap::Parser;
use ndpool_many_cores::tables::{Row, all};

#[derive(Debug, Parser)]
#[command(about = "What waking, claiming and placement would cost on machines with many cores")]
struct Options {
    /// One JSON object per line.
    #[arg(long)]
    json: bool,
    /// The seed of chance: the same gives the same output.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn main() {
    let options = Options::parse();
    let rows = all(options.seed);
    if options.json {
        for row in &rows {
            println!("{}", serde_json::to_string(row).expect("names and numbers"));
        }
    } else {
        rows.chunk_by(|a, b| a.table == b.table).for_each(print);
    }
}

fn print(table: &[Row]) {
    let heads: Vec<_> = table[0].figures.iter().map(|(name, _, unit)| format!("{name} [{unit}]")).collect();
    println!("## {}\n\n| nodes | workers | | {} |", table[0].table, heads.join(" | "));
    println!("|--:|--:|---|{}", "--:|".repeat(heads.len()));
    for row in table {
        let figures: Vec<_> = row.figures.iter().map(|(_, number, _)| number_text(*number)).collect();
        println!("| {} | {} | {} | {} |", row.n_nodes, row.n_workers, row.name, figures.join(" | "));
    }
    println!();
}

fn number_text(number: f64) -> String {
    if number < 10.0 { format!("{number:.2}") } else { format!("{number:.0}") }
}
