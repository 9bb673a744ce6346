//! A figure as it grows, in a plot with logarithmic axes.

use plotters::prelude::*;

pub(crate) struct Line {
    pub(crate) name: &'static str,
    pub(crate) points: Vec<(f64, f64)>,
}

/// The text of an SVG. What is 0 is drawn at 1, for logarithms have no zero.
pub(crate) fn plot(title: &str, what: &str, lines: &[Line]) -> String {
    let mut svg = String::new();
    draw(&mut svg, title, what, lines).unwrap();
    svg
}

fn draw(svg: &mut String, title: &str, what: &str, lines: &[Line]) -> Result<(), Box<dyn std::error::Error>> {
    let area = SVGBackend::with_string(svg, (720, 420)).into_drawing_area();
    area.fill(&WHITE)?;
    let all = || lines.iter().flat_map(|line| &line.points);
    let bounds = |of: fn(&(f64, f64)) -> f64| {
        let values = || all().map(of).map(|value| value.max(1.0));
        (
            values().fold(f64::MAX, f64::min) / 1.3,
            values().fold(1.0, f64::max) * 1.3,
        )
    };
    let (left, right) = bounds(|point| point.0);
    let (bottom, top) = bounds(|point| point.1);
    let mut chart = ChartBuilder::on(&area)
        .caption(title, ("sans-serif", 20))
        .margin(16)
        .x_label_area_size(44)
        .y_label_area_size(72)
        .build_cartesian_2d((left..right).log_scale(), (bottom..top).log_scale())?;
    chart
        .configure_mesh()
        .x_desc(what)
        .y_desc("CPU-ns per ack")
        .x_label_formatter(&|value| format!("{value:.0}"))
        .y_label_formatter(&|value| format!("{value:.0}"))
        .light_line_style(WHITE)
        .draw()?;
    let colours = [RGBColor(0, 90, 181), RGBColor(220, 50, 32), RGBColor(90, 140, 30)];
    for (line, colour) in lines.iter().zip(colours) {
        let points = || line.points.iter().map(|(x, y)| (x.max(1.0), *y));
        chart
            .draw_series(LineSeries::new(points(), colour.stroke_width(2)))?
            .label(line.name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], colour.stroke_width(2)));
        chart.draw_series(points().map(|point| Circle::new(point, 3, colour.filled())))?;
    }
    chart
        .configure_series_labels()
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK)
        .draw()?;
    area.present()?;
    Ok(())
}
