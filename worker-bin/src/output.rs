//! Writing to stdout, and tables.

use std::fmt;
use std::io::{self, BufWriter, Write};

use serde::Serialize;

use crate::failure::Failure;

/// Writes text to stdout.
///
/// # Errors
///
/// If stdout cannot be written; a reader that has gone away is an error too, which ends the program quietly.
pub fn print(text: &str) -> Result<(), Failure> {
    write(|out| out.write_all(text.as_bytes()))
}

/// Writes one JSON object and a line's end.
///
/// # Errors
///
/// As for [`print()`].
pub fn print_json(report: &impl Serialize) -> Result<(), Failure> {
    write(|out| {
        serde_json::to_writer(&mut *out, report)?;
        out.write_all(b"\n")
    })
}

fn write(f: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), Failure> {
    // Not through `print!`, which panics when nobody reads.
    let mut out = BufWriter::new(io::stdout().lock());
    f(&mut out).and_then(|()| out.flush()).map_err(Failure::Stdout)
}

/// Lengths of axes, or indices along them.
pub fn shape_text(shape: &[usize]) -> String {
    let axes: Vec<String> = shape.iter().map(ToString::to_string).collect();
    // As NumPy writes tuples.
    let comma = if axes.len() == 1 { "," } else { "" };
    format!("({}{comma})", axes.join(", "))
}

/// Rows of cells in columns; the last column is not padded, and a cell of several lines keeps its column.
#[derive(Debug)]
pub struct Table<const N: usize> {
    rows: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    pub fn new() -> Self {
        Self { rows: Vec::new() }
    }

    pub fn row(&mut self, cells: [String; N]) {
        self.rows.push(cells);
    }
}

impl<const N: usize> fmt::Display for Table<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width =
            |column: usize| self.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..N - 1).map(width).collect();
        let indent = widths.iter().map(|width| width + 2).sum();
        for row in &self.rows {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                line += &format!("{cell:width$}  ");
            }
            line += &row[N - 1].replace('\n', &format!("\n{:indent$}", ""));
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let mut table = Table::new();
        table.row(["a".into(), "1\n2".into()]);
        table.row(["long".into(), "".into()]);
        assert_eq!(table.to_string(), "a     1\n      2\nlong\n");
    }

    #[test]
    fn shapes_read_as_in_numpy() {
        assert_eq!(shape_text(&[]), "()");
        assert_eq!(shape_text(&[3]), "(3,)");
        assert_eq!(shape_text(&[3, 4]), "(3, 4)");
    }
}
