//! What is made of a run's lines of JSON: the table and the plots. Nothing is measured here, so anybody can repeat it.

/// Costs by something that grows, as curves.
mod curves;
/// Costs as a straight line of something that grows.
mod fit;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ROWS, WHEN_NOT};

    /// A line of JSON for each question, as if it had been measured.
    fn lines() -> Vec<String> {
        let line = |(i, (number, question)): (usize, &(&str, crate::Question))| {
            let cost = (i + 1) as f64;
            format!(
                r#"{{"name":"{}","ndpool":{cost},"peer":2,"peer_name":"{}","ratio":{},"goal":1.1,"unit":"ms","runs":5,"row":"{number}","limit":null,"bare":null,"is_good":true,"ndpool_spread":0,"peer_spread":0}}"#,
                question.name,
                question.peer_name,
                cost / 2.0,
            )
        };
        ROWS.iter().chain(WHEN_NOT).enumerate().map(line).collect()
    }

    #[test]
    fn every_row_is_in_the_table_once_and_the_last_measurement_counts() {
        let directory = std::env::temp_dir().join(format!("ndpool-report-{}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a directory can be made");
        let mut lines = lines();
        lines.reverse();
        lines.push(lines[0].replace("\"ndpool\":", "\"ndpool\":7654"));
        write_report(&lines.join("\n"), &directory).expect("lines of JSON are understood");
        let table = std::fs::read_to_string(directory.join("RESULTS.md")).expect("the table was written");
        for (_, question) in ROWS.iter().chain(WHEN_NOT) {
            assert_eq!(table.matches(&format!("| `{}` |", question.name)).count(), 1, "{}", question.name);
        }
        assert_eq!(table.matches("| 7654").count(), 1, "the later line does not replace the earlier one");
        for plot in ["goals.svg", "blocks.svg", "sizes.svg", "workers.svg"] {
            let svg =
                std::fs::read_to_string(directory.join("plots").join(plot)).expect("the plot was written");
            assert!(svg.contains("</svg>"), "{plot} is not whole");
        }
        std::fs::remove_dir_all(&directory).expect("the directory can be removed");
    }

    #[test]
    fn what_is_no_row_is_refused() {
        assert!(write_report("{\"name\":\"x\"}", Path::new("/nowhere")).is_err());
    }

    #[test]
    fn names_are_unique() {
        let mut names: Vec<_> = ROWS.iter().chain(WHEN_NOT).map(|(_, question)| question.name).collect();
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{names:?}");
    }
}
