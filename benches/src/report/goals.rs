//! How far each row is from its goal.

use crate::row::Row;
use plotters::prelude::*;
use std::error::Error;
use std::path::Path;

const WIDTH: u32 = 900;
const ROW_HEIGHT: u32 = 19;
const LABELS: u32 = 300;
const MARGIN: u32 = 60;
const REACHED: RGBColor = RGBColor(0x1f, 0x77, 0xb4);
const MISSED: RGBColor = RGBColor(0xd6, 0x27, 0x28);

/// Draws the ratio of every row by its goal on a logarithmic axis; what is left of 1 has reached it.
pub(super) fn draw(rows: &[Row], path: &Path) -> Result<(), Box<dyn Error>> {
    let by_goal = |row: &Row| row.ratio / row.goal;
    let (least, most) =
        rows.iter().map(by_goal).fold((0.5, 2.0), |(least, most): (f64, f64), x| (least.min(x), most.max(x)));
    let n = rows.len() as f64;
    let root =
        SVGBackend::new(path, (WIDTH, MARGIN * 2 + ROW_HEIGHT * rows.len() as u32)).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .caption("cost by goal (left of 1: reached)", ("sans-serif", 18))
        .margin(10)
        .x_label_area_size(40)
        .y_label_area_size(LABELS)
        .build_cartesian_2d((least / 1.2..most * 1.2).log_scale(), 0.0..n)?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .disable_y_axis()
        .y_labels(0)
        .x_desc("ratio / goal")
        .x_label_formatter(&|x| format!("{x}"))
        .draw()?;
    chart.draw_series(LineSeries::new([(1.0, 0.0), (1.0, n)], BLACK.stroke_width(2)))?;
    let font = ("sans-serif", 13).into_font();
    for (i, row) in rows.iter().enumerate() {
        let y = n - i as f64 - 0.5;
        let color = if row.is_good { REACHED } else { MISSED };
        chart.draw_series(LineSeries::new([(1.0, y), (by_goal(row), y)], color.stroke_width(3)))?;
        chart.draw_series([Circle::new((by_goal(row), y), 5, color.filled())])?;
        let (_, y) = chart.backend_coord(&(1.0, y));
        root.draw_text(&format!("{}  {}", row.row, row.name), &font.clone().color(&BLACK), (12, y - 7))?;
    }
    Ok(root.present()?)
}
