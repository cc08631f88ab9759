//! Costs by something that grows, as curves.

use crate::row::Row;
use plotters::prelude::*;
use std::error::Error;
use std::path::Path;

const SIZE: (u32, u32) = (760, 480);
const NDPOOL: RGBColor = RGBColor(0x1f, 0x77, 0xb4);
const PEER: RGBColor = RGBColor(0xff, 0x7f, 0x0e);
const LIMIT: RGBColor = RGBColor(0x99, 0x99, 0x99);

/// Points of one curve.
type Points = Vec<(f64, f64)>;

/// A plot of costs by the number in the names of rows.
struct Curves {
    file: &'static str,
    caption: &'static str,
    x: &'static str,
    y: &'static str,
    /// Rows are those whose name is this, a number, and `after`.
    before: &'static str,
    after: &'static [&'static str],
    /// The goal, given the number and the peer's cost.
    limit: fn(f64, f64) -> f64,
    limit_name: &'static str,
    legend: SeriesLabelPosition,
}

const ALL: &[Curves] = &[
    Curves {
        file: "blocks.svg",
        caption: "a million rows of 64 doubles, by rows of a block",
        x: "rows of a block",
        y: "ms for all",
        before: "tiny_blocks_of_",
        after: &[""],
        limit: |rows, peer| {
            peer * if rows < 2.0 {
                1.3
            } else if rows < 100.0 {
                1.1
            } else {
                1.05
            }
        },
        limit_name: "goal",
        legend: SeriesLabelPosition::UpperRight,
    },
    Curves {
        file: "sizes.svg",
        caption: "sum of an array, by its size",
        x: "MB",
        y: "µs",
        before: "sum_by_size_",
        after: &["mb"],
        limit: |_, peer| 1.08 * peer + 22.0,
        limit_name: "goal: 1.08 rayon + 22 µs",
        legend: SeriesLabelPosition::UpperLeft,
    },
    Curves {
        file: "workers.svg",
        caption: "a job of as many blocks that do nothing as workers, 2 cores",
        x: "workers",
        y: "µs",
        before: "job_of_",
        after: &["_worker", "_workers"],
        limit: |workers, _| 20.0 + workers,
        limit_name: "goal: 20 µs + 1 µs per worker",
        legend: SeriesLabelPosition::UpperLeft,
    },
];

pub(super) fn draw_all(rows: &[Row], directory: &Path) -> Result<(), Box<dyn Error>> {
    ALL.iter().try_for_each(|curves| curves.draw(rows, directory))
}

impl Curves {
    /// The number in a row's name, if the row belongs to the plot.
    fn number(&self, name: &str) -> Option<f64> {
        let rest = name.strip_prefix(self.before)?;
        self.after.iter().find_map(|after| rest.strip_suffix(after)?.parse().ok())
    }

    fn draw(&self, rows: &[Row], directory: &Path) -> Result<(), Box<dyn Error>> {
        let mut points: Vec<(f64, f64, f64)> = rows
            .iter()
            .filter_map(|row| {
                let x = self.number(&row.name)?;
                Some((x, row.ndpool, row.peer))
            })
            .collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (Some(first), Some(last)) = (points.first(), points.last()) else { return Ok(()) };
        let curves: [(&str, RGBColor, Points); 3] = [
            (self.limit_name, LIMIT, points.iter().map(|&(x, _, peer)| (x, (self.limit)(x, peer))).collect()),
            ("rayon", PEER, points.iter().map(|&(x, _, peer)| (x, peer)).collect()),
            ("ndpool", NDPOOL, points.iter().map(|&(x, ndpool, _)| (x, ndpool)).collect()),
        ];
        let costs = || curves.iter().flat_map(|(_, _, points)| points.iter().map(|&(_, y)| y));
        let (least, most) = (costs().fold(f64::INFINITY, f64::min), costs().fold(0.0, f64::max));

        let path = directory.join(self.file);
        let root = SVGBackend::new(&path, SIZE).into_drawing_area();
        root.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&root)
            .caption(self.caption, ("sans-serif", 18))
            .margin(14)
            .x_label_area_size(40)
            .y_label_area_size(70)
            .build_cartesian_2d(
                (first.0 / 1.2..last.0 * 1.2).log_scale(),
                (least / 1.3..most * 1.3).log_scale(),
            )?;
        let plain = |x: &f64| format!("{x}");
        chart
            .configure_mesh()
            .x_desc(self.x)
            .y_desc(self.y)
            .x_label_formatter(&plain)
            .y_label_formatter(&plain)
            .light_line_style(WHITE)
            .draw()?;
        for (name, color, points) in curves {
            chart
                .draw_series(LineSeries::new(points.iter().copied(), color.stroke_width(2)))?
                .label(name)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], color.stroke_width(2)));
            chart.draw_series(points.iter().map(|&point| Circle::new(point, 3, color.filled())))?;
        }
        chart
            .configure_series_labels()
            .position(self.legend.clone())
            .background_style(WHITE)
            .border_style(LIMIT)
            .draw()?;
        Ok(root.present()?)
    }
}
