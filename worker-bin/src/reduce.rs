//! `ndpool reduce`: one reduction.

use std::path::{Path, PathBuf};

use ndpool::Death;
use ndpool::ops::dynamic::Values;
use serde::Serialize;

use crate::args::ReduceArgs;
use crate::failure::Failure;
use crate::measure::{Work, measure};
use crate::number::{Shapes, Value, finite_or_text, text};
use crate::output::{Table, print, print_json, shape_text};

#[derive(Serialize)]
struct Report<'a> {
    op: &'static str,
    axis: Option<isize>,
    shape: Shapes<'a>,
    value: Value<'a>,
    #[serde(serialize_with = "finite_or_text")]
    seconds: f64,
    #[serde(serialize_with = "finite_or_text")]
    bytes_per_second: f64,
    workers: usize,
    workers_lost: u64,
    blocks_redone: u64,
    deaths: Vec<&'a Death>,
}

pub fn run(args: &ReduceArgs) -> Result<(), Failure> {
    let options = args.options().map_err(Failure::Usage)?;
    let op = args.op.op;
    let work = Work {
        file: &args.file,
        with: args.with.as_deref(),
        op,
        options: &options,
        attempts: Some(args.attempts),
    };
    let measured = measure(&work, &args.run)?;
    let saved = match &args.output {
        Some(path) => save(&measured.values, path)?,
        None => Vec::new(),
    };
    if args.run.json {
        let rank = measured.shape.len() as isize;
        return print_json(&Report {
            op: op.name(),
            axis: options.axis.map(|k| if k < 0 { k + rank } else { k }),
            shape: Shapes(&measured.values),
            value: Value(&measured.values),
            seconds: measured.seconds,
            bytes_per_second: measured.bytes_per_second(),
            workers: measured.n_workers,
            workers_lost: measured.workers_lost,
            blocks_redone: measured.blocks_redone,
            deaths: measured.deaths.iter().map(|death| &**death).collect(),
        });
    }
    let mut table = Table::new();
    for (name, value) in &measured.values {
        table.row([(*name).into(), text(value)]);
        if !value.shape().is_empty() {
            table.row(["".into(), format!("{} of {}", shape_text(value.shape()), value.dtype())]);
        }
    }
    for path in saved {
        table.row(["saved".into(), path.display().to_string()]);
    }
    table.row(["time".into(), measured.timing(args.run.repeat.get())]);
    print(&table.to_string())
}

/// Saves one value at the path, several beside it, and returns where.
fn save(values: &Values, path: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut saved = Vec::new();
    for (name, value) in values {
        let path = if values.len() == 1 { path.to_owned() } else { part_path(path, name) };
        value.save_npy(&path)?;
        saved.push(path);
    }
    Ok(saved)
}

/// `out.npy` → `out.counts.npy`
fn part_path(path: &Path, part: &str) -> PathBuf {
    match path.extension() {
        Some(extension) => path.with_extension(part).with_added(extension),
        None => path.with_added(part.as_ref()),
    }
}

trait WithAdded {
    fn with_added(&self, extension: &std::ffi::OsStr) -> PathBuf;
}

impl WithAdded for Path {
    /// Adds an extension, where `with_extension` replaces one.
    fn with_added(&self, extension: &std::ffi::OsStr) -> PathBuf {
        let mut path = self.as_os_str().to_owned();
        path.push(".");
        path.push(extension);
        path.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_have_their_name_before_the_extension() {
        assert_eq!(part_path(Path::new("a/out.npy"), "counts"), Path::new("a/out.counts.npy"));
        assert_eq!(part_path(Path::new("out.v2.npy"), "edges"), Path::new("out.v2.edges.npy"));
        assert_eq!(part_path(Path::new("out"), "edges"), Path::new("out.edges"));
    }
}
