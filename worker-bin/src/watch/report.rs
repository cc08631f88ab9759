//! A look as a table and as JSON.

use std::time::{Duration, SystemTime};

use indicatif::HumanDuration;
use ndpool::ops::dynamic::Number;
use ndpool::server::analytics::{Pass, Seen};
use serde::{Serialize, Serializer};

use crate::number::Scalar;
use crate::output::{Table, shape_text};

/// What is told of one array.
#[derive(Debug, Clone, Serialize)]
pub struct Line {
    /// As `server/item`.
    pub name: String,
    pub column: Option<String>,
    pub version: u64,
    /// Versions per second.
    pub rate: Option<f64>,
    dtype: &'static str,
    shape: Vec<usize>,
    count: usize,
    nan_count: Option<usize>,
    #[serde(serialize_with = "number")]
    mean: Option<Number>,
    #[serde(serialize_with = "number")]
    std: Option<Number>,
    #[serde(serialize_with = "number")]
    min: Option<Number>,
    #[serde(serialize_with = "number")]
    max: Option<Number>,
    age_seconds: Option<f64>,
    time: Option<f64>,
}

impl Line {
    pub fn new(server: &str, seen: &Seen, time: SystemTime) -> Self {
        let since = |earlier: SystemTime| time.duration_since(earlier).ok().map(|time| time.as_secs_f64());
        let figures = seen.figures.as_ref();
        Self {
            name: format!("{server}/{}", seen.item),
            column: seen.column.clone(),
            version: seen.version,
            rate: None,
            dtype: seen.dtype.name(),
            shape: seen.shape.clone(),
            count: seen.shape.iter().product(),
            nan_count: figures.map(|figures| figures.nan_count),
            mean: figures.map(|figures| figures.mean),
            std: figures.map(|figures| figures.std),
            min: figures.map(|figures| figures.min),
            max: figures.map(|figures| figures.max),
            age_seconds: seen.written.and_then(since),
            time: since(SystemTime::UNIX_EPOCH),
        }
    }

    /// Item and column.
    pub fn key(&self) -> String {
        match &self.column {
            None => self.name.clone(),
            Some(column) => format!("{}.{column}", self.name),
        }
    }
}

fn number<S: Serializer>(number: &Option<Number>, serializer: S) -> Result<S::Ok, S::Error> {
    number.map(Scalar).serialize(serializer)
}

/// A table for people, of all items or of one.
pub fn table(pass: &Pass, only: Option<&str>, lines: &[Line]) -> String {
    if lines.is_empty() {
        let item = only.map(|item| format!("/{item}")).unwrap_or_default();
        let why = match (pass.is_alive, pass.failed.is_empty(), only) {
            (_, false, _) => "cannot be read",
            (false, true, _) => "no server",
            (true, true, None) => "nothing is published",
            (true, true, Some(_)) => "not published",
        };
        return format!("{}{item}: {why}\n", pass.server);
    }
    let mut table = Table::new();
    table.row(["NAME", "MEAN", "STD", "MIN", "MAX", "VERSION", "RATE", "AGE", "ARRAY"].map(String::from));
    for line in lines {
        let age = line.age_seconds.map(|seconds| HumanDuration(Duration::from_secs_f64(seconds)).to_string());
        table.row([
            line.key(),
            short(line.mean),
            short(line.std),
            short(line.min),
            short(line.max),
            line.version.to_string(),
            line.rate.map_or("-".into(), |rate| format!("{}/s", digits(rate))),
            age.unwrap_or_else(|| "-".into()),
            format!("{} {}", line.dtype, shape_text(&line.shape)),
        ]);
    }
    let dead = if pass.is_alive { "" } else { "\n(the server is gone)\n" };
    format!("{table}{dead}")
}

/// A number with six digits, integers with all.
fn short(number: Option<Number>) -> String {
    match number {
        None => "-".into(),
        Some(Number::Float(x)) => digits(x),
        Some(Number::Float32(x)) => digits(x.into()),
        Some(Number::Complex(re, im)) => complex(re, im),
        Some(Number::Complex32(re, im)) => complex(re.into(), im.into()),
        Some(other) => other.to_string(),
    }
}

fn complex(re: f64, im: f64) -> String {
    let sign = if im.is_sign_negative() && !im.is_nan() { "-" } else { "+" };
    format!("{}{sign}{}j", digits(re), digits(im.abs()))
}

fn digits(x: f64) -> String {
    if x == 0.0 || !x.is_finite() {
        return format!("{x}");
    }
    let exponent = x.abs().log10().floor();
    if !(-4.0..6.0).contains(&exponent) {
        return format!("{x:.5e}");
    }
    let decimals = (5.0 - exponent).max(0.0) as usize;
    let text = format!("{x:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        for (x, text) in [
            (0.0, "0"),
            (1.0, "1"),
            (-2.5, "-2.5"),
            (1.0 / 3.0, "0.333333"),
            (123_456.7, "123457"),
            (100_000.0, "100000"),
            (1_234_567.0, "1.23457e6"),
            (0.000_012_345_67, "1.23457e-5"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-inf"),
        ] {
            assert_eq!(digits(x), text);
        }
        assert_eq!(short(Some(Number::UInt(u64::MAX))), "18446744073709551615");
        assert_eq!(short(Some(Number::Complex(1.0, -0.5))), "1-0.5j");
        assert_eq!(short(None), "-");
    }
}
