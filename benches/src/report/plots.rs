//! The plots: bar charts with one panel per workload; shorter bars are better.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::tables::number;
use crate::run::{Outcome, Run, WorkloadOutcome};

/// A plot, its title, and the name of its file.
pub(crate) struct Plot {
    pub(crate) name: &'static str,
    pub(crate) title: String,
    pub(crate) svg: String,
}

/// One bar of a panel.
pub(super) struct Bar<'r> {
    pub(super) name: &'r str,
    pub(super) value: f64,
}

/// Bars that are compared with each other, the shortest one first.
pub(super) struct Panel<'r> {
    pub(super) title: String,
    pub(super) bars: Vec<Bar<'r>>,
}

impl Plot {
    /// Draws panels, each with its own scale. `None` if no panel has a bar.
    pub(super) fn draw(name: &'static str, title: &str, panels: &[Panel<'_>]) -> Option<Self> {
        if panels.iter().all(|panel| panel.bars.is_empty()) {
            return None;
        }
        let mut svg = String::new();
        draw_panels(&mut svg, title, panels).ok()?;
        Some(Self { name, title: title.to_owned(), svg })
    }
}

/// Returns the figure that is drawn for a contender of a workload.
type Value = fn(&WorkloadOutcome, &Outcome) -> Option<f64>;

/// Draws the plots of a run. A plot without bars is left out.
pub(super) fn all(run: &Run) -> Vec<Plot> {
    let kinds: [(&str, &str, Value); 7] = [
        ("hit", "Hit, everything cached: multiples of one dependent random read", |w, o| {
            o.hit_ns.map(|hit| hit / w.floor.read_ns)
        }),
        ("miss", "Absent key: nanoseconds", |_, o| o.miss_ns),
        ("small-cache", "Hit, cache that holds a tenth: nanoseconds", |_, o| o.small_cache_hit_ns),
        ("multi-get", "multi_get of 1,000 keys: nanoseconds per key", |_, o| o.multi_get_ns),
        ("scan", "Full scan: nanoseconds per entry", |_, o| o.scan_ns),
        ("build", "Building: nanoseconds of processor time per entry", |_, o| o.build_ns),
        ("disk", "Bytes on disk: megabytes", |_, o| o.disk_bytes.map(megabytes)),
    ];
    let draw = |(name, title, value): (&'static str, &str, Value)| {
        let panel = |workload| panel(workload, value);
        Plot::draw(name, title, &run.workloads.iter().map(panel).collect::<Vec<_>>())
    };
    kinds.into_iter().filter_map(draw).collect()
}

#[expect(clippy::cast_precision_loss, reason = "for display")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

fn panel<'r>(workload: &'r WorkloadOutcome, value: Value) -> Panel<'r> {
    let bar =
        |outcome: &'r Outcome| Some(Bar { name: &outcome.name, value: value(workload, outcome)? });
    let mut bars: Vec<_> = workload.outcomes.iter().filter_map(bar).collect();
    sort(&mut bars);
    Panel { title: format!("({}) {}", workload.name, workload.about), bars }
}

/// Sorts the bars, the shortest one first.
pub(super) fn sort(bars: &mut [Bar<'_>]) {
    bars.sort_by(|a, b| a.value.total_cmp(&b.value));
}

const WIDTH: i32 = 960;
const HEADING: i32 = 44;
const PANEL_HEADING: i32 = 30;
const BAR: i32 = 20;
const GAP: i32 = 18;
/// Distance of the bars from the left edge of a panel.
const NAMES: i32 = 124;
/// Space for the figure to the right of a bar.
const FIGURES: i32 = 76;

const INK: &RGBColor = &RGBColor(31, 41, 55);
const PALE_INK: &RGBColor = &RGBColor(107, 114, 128);
const OURS: RGBColor = RGBColor(217, 95, 14);
const OTHERS: RGBColor = RGBColor(148, 163, 184);
const REFERENCE: RGBColor = RGBColor(203, 213, 225);

fn colour(name: &str) -> RGBColor {
    match name {
        "HashMap" => REFERENCE,
        name if name.starts_with("sst ") || name.starts_with("sst,") => OURS,
        _ => OTHERS,
    }
}

/// The error cannot occur: the drawing is written to a string.
type Drawn = Result<(), Box<dyn std::error::Error>>;

fn draw_panels(svg: &mut String, title: &str, panels: &[Panel<'_>]) -> Drawn {
    let columns = if panels.len() > 1 { 2 } else { 1 };
    let width = WIDTH / columns;
    let rows: Vec<i32> = panels
        .chunks(usize::try_from(columns)?)
        .map(|row| {
            let tallest = row.iter().map(|panel| panel.bars.len()).max().unwrap_or(0);
            i32::try_from(tallest).map(|bars| PANEL_HEADING + bars * BAR + GAP)
        })
        .collect::<Result<_, _>>()?;
    let height = HEADING + rows.iter().sum::<i32>();
    let root = SVGBackend::with_string(svg, (u32::try_from(WIDTH)?, u32::try_from(height)?))
        .into_drawing_area();
    root.fill(&WHITE)?;
    root.draw(&text(title, (16, 26), 17.0, INK, HPos::Left))?;
    let mut at = (0, HEADING);
    for (i, Panel { title, bars }) in panels.iter().enumerate() {
        let column = i32::try_from(i)? % columns;
        at.0 = column * width;
        root.draw(&text(title, (at.0 + 16, at.1 + 12), 13.0, PALE_INK, HPos::Left))?;
        for (n, bar) in bars.iter().enumerate() {
            let top = at.1 + PANEL_HEADING + i32::try_from(n)? * BAR;
            draw_bar(&root, bar, limit(bars), (at.0, top), width)?;
        }
        if column == columns - 1 {
            at.1 += rows.get(i / usize::try_from(columns)?).copied().unwrap_or(0);
        }
    }
    root.present()?;
    Ok(())
}

fn draw_bar(
    root: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>,
    bar: &Bar<'_>,
    limit: f64,
    (left, top): (i32, i32),
    width: i32,
) -> Drawn {
    let room = f64::from(width - NAMES - FIGURES);
    #[expect(clippy::cast_possible_truncation, reason = "within the width of the plot")]
    let len = (room * (bar.value / limit).min(1.0)).round().max(1.0) as i32;
    let start = left + NAMES;
    let shape = [(start, top), (start + len, top + BAR - 5)];
    root.draw(&Rectangle::new(shape, colour(bar.name).filled()))?;
    let middle = top + BAR / 2 - 2;
    root.draw(&text(bar.name, (start - 8, middle), 12.0, INK, HPos::Right))?;
    let more = if bar.value > limit { " →" } else { "" };
    let figure = format!("{}{more}", number(Some(bar.value)));
    root.draw(&text(&figure, (start + len + 6, middle), 12.0, INK, HPos::Left))?;
    Ok(())
}

/// Returns the value at which bars are cut off: one very long bar must not make all others short.
fn limit(bars: &[Bar<'_>]) -> f64 {
    let longest = bars.last().map_or(1.0, |bar| bar.value);
    let middle = bars.get(bars.len() / 2).map_or(1.0, |bar| bar.value);
    longest.min(middle * 4.0).max(f64::MIN_POSITIVE)
}

fn text<'t>(
    text: &'t str,
    at: (i32, i32),
    size: f64,
    colour: &'t RGBColor,
    side: HPos,
) -> Text<'t, (i32, i32), &'t str> {
    let style = TextStyle::from(("sans-serif", size).into_font())
        .color(colour)
        .pos(Pos::new(side, VPos::Center));
    Text::new(text, at, style)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_long_bar_does_not_shorten_the_others() {
        let bars = |values: &[f64]| {
            values.iter().map(|&value| Bar { name: "x", value }).collect::<Vec<_>>()
        };
        assert_eq!((limit(&bars(&[1.0, 2.0, 3.0])), limit(&bars(&[1.0, 2.0, 100.0]))), (3.0, 8.0));
    }

    #[test]
    fn names_and_figures_are_in_the_plot() {
        let mut svg = String::new();
        let bars = vec![Bar { name: "sst LZ4", value: 2.5 }, Bar { name: "other <x>", value: 4.0 }];
        let panel = Panel { title: "(a)".to_owned(), bars };
        draw_panels(&mut svg, "Title", &[panel]).unwrap();
        for part in ["Title", "(a)", "sst LZ4", "2.50", "other &lt;x&gt;", "4.00"] {
            assert!(svg.contains(part), "{part}");
        }
    }
}
