//! What is made of a run's lines of JSON: the table and the plots. Nothing is measured here, so anybody can repeat it.

/// Costs by something that grows, as curves.
mod curves;
/// How far each row is from its goal.
mod goals;
/// The table in Markdown.
mod table;

use crate::row::Row;
use std::error::Error;
use std::path::Path;

/// The number of rows that have no goal but to be told.
const NO_GOAL: &str = "not";

/// Writes `RESULTS.md` and `plots/*.svg` into a directory, from the lines of JSON that `versus --json` printed. If a row was
/// measured several times, the last counts.
///
/// # Errors
///
/// If a line is no row, or a file cannot be written.
pub fn write_report(lines: &str, directory: &Path) -> Result<(), Box<dyn Error>> {
    let mut rows: Vec<Row> = Vec::new();
    for line in lines.lines().filter(|line| line.starts_with('{')) {
        let row: Row = serde_json::from_str(line)?;
        rows.retain(|other| other.name != row.name);
        rows.push(row);
    }
    // As the table has them, whatever order they were measured in.
    let all = || crate::ROWS.iter().chain(crate::WHEN_NOT);
    let place = |row: &Row| all().position(|(_, question)| question.name == row.name);
    rows.sort_by_key(|row| place(row).unwrap_or(usize::MAX));
    std::fs::write(directory.join("RESULTS.md"), table::markdown(&rows))?;
    let plots = directory.join("plots");
    std::fs::create_dir_all(&plots)?;
    let with_goal: Vec<Row> = rows.iter().filter(|row| row.row != NO_GOAL).cloned().collect();
    goals::draw(&with_goal, &plots.join("goals.svg"))?;
    curves::draw_all(&rows, &plots)
}
