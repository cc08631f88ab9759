//! `ndpool describe`: everything at a glance.

use ndpool::ops::dynamic::{Op, Options};
use serde::Serialize;

use crate::args::DescribeArgs;
use crate::failure::Failure;
use crate::measure::{Measured, Work, measure};
use crate::number::{Fields, finite_or_text, text};
use crate::output::{Table, print, print_json, shape_text};

#[derive(Serialize)]
struct Report<'a> {
    file: String,
    shape: &'a [usize],
    dtype: &'static str,
    #[serde(flatten)]
    found: Fields<'a>,
    workers: usize,
    #[serde(serialize_with = "finite_or_text")]
    seconds: f64,
    #[serde(serialize_with = "finite_or_text")]
    bytes_per_second: f64,
}

pub fn run(args: &DescribeArgs) -> Result<(), Failure> {
    let options = Options::default();
    let work = Work { file: &args.file, with: None, op: Op::Describe, options: &options, attempts: None };
    let measured = measure(&work, &args.run)?;
    let file = args.file.display().to_string();
    if args.run.json {
        return print_json(&Report {
            file,
            shape: &measured.shape,
            dtype: measured.dtype.name(),
            found: Fields(&measured.values),
            workers: measured.n_workers,
            seconds: measured.seconds,
            bytes_per_second: measured.bytes_per_second(),
        });
    }
    print(&table(file, &measured, args.run.repeat.get()))
}

fn table(file: String, measured: &Measured, repeat: usize) -> String {
    let mut table = Table::new();
    table.row(["file".into(), file]);
    table.row(["shape".into(), shape_text(&measured.shape)]);
    table.row(["dtype".into(), measured.dtype.to_string()]);
    for (name, value) in &measured.values {
        let mut found = text(value);
        // An index into the flattened array says little about one of several axes.
        if name.starts_with("arg")
            && measured.shape.len() > 1
            && let Ok(flat) = found.parse()
        {
            found = format!("{found}  {}", shape_text(&place(flat, &measured.shape)));
        }
        table.row([(*name).into(), found]);
    }
    table.row(["time".into(), measured.timing(repeat)]);
    table.to_string()
}

/// The indices of an element from its index in C order.
fn place(mut flat: usize, shape: &[usize]) -> Vec<usize> {
    let mut indices = vec![0; shape.len()];
    for (index, n) in indices.iter_mut().zip(shape).rev() {
        *index = flat % n;
        flat /= n;
    }
    indices
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_in_c_order() {
        assert_eq!(place(0, &[2, 3]), [0, 0]);
        assert_eq!(place(4, &[2, 3]), [1, 1]);
        assert_eq!(place(23, &[2, 3, 4]), [1, 2, 3]);
    }
}
