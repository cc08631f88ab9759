//! Costs as a straight line of something that grows.

use crate::row::Row;

/// The line `at_zero + slope * x`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Line {
    pub(super) at_zero: f64,
    pub(super) slope: f64,
    /// The largest distance of a point from the line, by the point's cost.
    pub(super) worst: f64,
}

impl Line {
    /// The line that has the least squares of distances by the points' costs, so that cheap points count as much as dear ones;
    /// `None` for fewer than two points.
    pub(super) fn through(points: &[(f64, f64)]) -> Option<Self> {
        let (mut w, mut x, mut y, mut xx, mut xy) = (0.0, 0.0, 0.0, 0.0, 0.0);
        for &(px, py) in points {
            let weight = 1.0 / (py * py);
            w += weight;
            x += weight * px;
            y += weight * py;
            xx += weight * px * px;
            xy += weight * px * py;
        }
        let determinant = w * xx - x * x;
        if points.len() < 2 || determinant == 0.0 {
            return None;
        }
        let slope = (w * xy - x * y) / determinant;
        let at_zero = (y - slope * x) / w;
        let distance = |&(px, py): &(f64, f64)| ((at_zero + slope * px - py) / py).abs();
        Some(Self { at_zero, slope, worst: points.iter().map(distance).fold(0.0, f64::max) })
    }
}

/// What the rows of sizes and of workers say when a line is laid through them.
pub(super) fn sentences(rows: &[Row]) -> String {
    let sizes: Vec<_> = rows
        .iter()
        .filter(|row| row.name.starts_with("sum_by_size_"))
        .map(|row| (row.peer, row.ndpool))
        .collect();
    let workers: Vec<_> = rows
        .iter()
        .filter_map(|row| {
            let number = row.name.strip_prefix("job_of_")?.split_once("_worker")?.0;
            Some((number.parse().ok()?, row.ndpool))
        })
        .collect();
    let mut text = String::new();
    if let Some(Line { at_zero, slope, worst }) = Line::through(&sizes) {
        text += &format!(
            "\nBy size, as a line through rayon's cost for the same memory: {at_zero:.1} µs + {slope:.3} × rayon's; no point is farther \
             from it than {:.0} %.\n",
            worst * 100.0
        );
    }
    if let Some(Line { at_zero, slope, worst }) = Line::through(&workers) {
        text += &format!(
            "\nBy workers: {at_zero:.1} µs + {slope:.2} µs for each; no point is farther from it than {:.0} %.\n",
            worst * 100.0
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::Line;

    #[test]
    fn a_line_is_found_through_its_own_points() {
        let points: Vec<_> = [1.0, 10.0, 100.0].map(|x| (x, 20.0 + 3.0 * x)).into();
        let line = Line::through(&points).expect("three points make a line");
        assert!((line.at_zero - 20.0).abs() < 1e-9 && (line.slope - 3.0).abs() < 1e-9, "{line:?}");
        assert!(line.worst < 1e-9, "{line:?}");
    }

    #[test]
    fn one_point_makes_no_line() {
        assert_eq!(Line::through(&[(1.0, 2.0)]), None);
        assert_eq!(Line::through(&[(1.0, 2.0), (1.0, 3.0)]), None);
    }
}
