//! Charts in SVG: each is a figure with a legend that also shows values.
//!
//! Sections describe a chart, this module renders it. The plot is stretched to the available width;
//! texts are outside of it, so they are not stretched.
//! Invariant: shapes consist of our own numbers; every text goes through `words`.

pub mod path;
pub mod scale;
pub mod time;

use maud::{Markup, PreEscaped, html};
use serde_json::Value;

use super::words::{HtmlText, embedded};
use crate::units::show_count;
use path::SvgPath;
use scale::AxisScale;

/// The width of a plot in its own units.
pub const WIDTH: f64 = 1_000.0;

/// The unit of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChartUnit {
    /// Microseconds.
    Micros,
    /// Rate per second.
    PerSecond,
    /// Count.
    Count,
    /// Percent.
    Percent,
    /// Bytes.
    Bytes,
    /// Without a unit.
    Plain,
}

/// A shape with its class in the style sheet.
#[derive(Clone, Debug)]
pub struct ChartLayer {
    class: String,
    path: SvgPath,
}

/// A plot with its axes.
#[derive(Debug)]
pub struct Plot {
    /// A description of what it shows, for screen readers.
    pub label: String,
    /// Height in pixels.
    pub height: u32,
    /// The value scale.
    pub y: AxisScale,
    /// The unit of the values.
    pub unit: ChartUnit,
    /// The shapes, from back to front.
    pub layers: Vec<ChartLayer>,
    /// Names beside the ticks: their distance from the top, and the text.
    pub names: Vec<(f64, String)>,
    /// Room above the scale, pixels.
    pub above: f64,
}

/// An entry of a legend.
#[derive(Debug)]
pub struct LegendEntry {
    /// Class of the entry in the style sheet.
    pub class: &'static str,
    /// Text of the entry.
    pub name: String,
}

impl Plot {
    /// Creates an empty plot.
    pub fn new(label: impl Into<String>, height: u32, y: AxisScale, unit: ChartUnit) -> Self {
        let (layers, names) = (Vec::new(), Vec::new());
        Self { label: label.into(), height, y, unit, layers, names, above: 6.0 }
    }

    /// Returns the distance of a value from the top.
    pub fn down(&self, value: f64) -> f64 {
        let height = f64::from(self.height);
        height - self.y.place(value) * (height - self.above)
    }

    /// Adds a shape in front.
    pub fn draw(&mut self, class: impl Into<String>, path: SvgPath) {
        if !path.is_empty() {
            self.layers.push(ChartLayer { class: class.into(), path });
        }
    }

    /// Renders the value axis: names of ticks, outside of the stretched plot.
    fn upward(&self) -> Markup {
        let height = f64::from(self.height);
        let values = self.y.ticks();
        let most = values.last().copied().unwrap_or(0.0);
        let is_linear = matches!(self.y, AxisScale::Linear { .. });
        let ticks = values.into_iter().map(|tick| {
            // A linear axis has one unit, a logarithmic one spans several.
            let name = self.unit.tick_beside(tick, if is_linear { most } else { tick });
            (self.down(tick), name)
        });
        html! {
            svg.y width="70" height=(self.height) aria-hidden="true" {
                @for (y, name) in ticks.chain(self.names.iter().cloned()) {
                    text x="67" y=(tenth((y + 4.0).clamp(9.0, height))) { (name) }
                }
            }
        }
    }

    /// Renders the plot over a grid.
    fn area(&self) -> Markup {
        let mut grid = SvgPath::default();
        self.y.ticks().into_iter().for_each(|tick| grid.add_level(self.down(tick), WIDTH));
        html! {
            svg.area viewBox={ "0 0 " (WIDTH) " " (self.height) } height=(self.height)
                preserveAspectRatio="none" role="img" aria-label=(HtmlText(&self.label)) {
                path.grid d=(grid.as_str()) {}
                @for ChartLayer { class, path } in &self.layers {
                    path class=(class) d=(path.as_str()) {}
                }
            }
        }
    }
}

/// A figure with another axis than time: `across` names places from left (0) to right (1).
pub fn figure(
    title: &str,
    note: &str,
    mut plot: Plot,
    across: &[(f64, String)],
    keys: &[LegendEntry],
) -> Markup {
    let mut uprights = SvgPath::default();
    across.iter().for_each(|(x, _)| uprights.add_upright(x * WIDTH, f64::from(plot.height)));
    plot.layers.insert(0, ChartLayer { class: "grid".to_owned(), path: uprights });
    html! {
        figure.chart {
            (caption(title, note, false))
            div.plot {
                (plot.upward())
                (plot.area())
                (below(across))
            }
            (legend(keys))
        }
    }
}

/// A figure; `over_time`: with the time under the pointer.
fn caption(title: &str, note: &str, over_time: bool) -> Markup {
    html! {
        figcaption {
            strong { (HtmlText(title)) }
            @if !note.is_empty() { " " span.note { (HtmlText(note)) } }
            @if over_time { output.when {} }
        }
    }
}

/// Renders the horizontal axis: names of places, 0 to 1.
fn below(across: &[(f64, String)]) -> Markup {
    html! {
        svg.x height="20" aria-hidden="true" {
            @for (x, name) in across {
                @let end = if *x < 0.02 { "first" } else if *x > 0.98 { "last" } else { "mid" };
                text.(end) x={ (tenth(x * 100.0)) "%" } y="14" { (name) }
            }
        }
    }
}

fn legend(keys: &[LegendEntry]) -> Markup {
    html! {
        @if !keys.is_empty() {
            ul.legend {
                @for LegendEntry { class, name } in keys {
                    li { i.(*class) {} (HtmlText(name)) " " output {} }
                }
            }
        }
    }
}

/// Values for the script, which shows those under the pointer.
fn data(value: &Value) -> Markup {
    // Not HTML: the content of a script element is taken literally and ends at its first `<`, which
    // does not occur.
    html! { script type="application/json" { (PreEscaped(embedded(value))) } }
}

/// Rounds to one decimal.
pub fn tenth(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

impl ChartUnit {
    /// Returns its name in the script.
    pub const fn name(self) -> &'static str {
        ["us", "rate", "count", "percent", "bytes", "plain"][self as usize]
    }

    /// Formats a round value for an axis.
    pub fn tick(self, value: f64) -> String {
        self.tick_beside(value, value)
    }

    /// Formats a round value for an axis, in the unit of `most`.
    fn tick_beside(self, value: f64, most: f64) -> String {
        let scaled = |(scale, unit): (f64, &str)| format!("{} {unit}", plain(value / scale));
        match self {
            _ if value <= 0.0 => "0".to_owned(),
            Self::Micros => scaled(match most {
                _ if most < 1e3 => (1.0, "µs"),
                _ if most < 1e6 => (1e3, "ms"),
                _ if most < 3.6e9 => (1e6, "s"),
                _ => (3.6e9, "h"),
            }),
            Self::Bytes => scaled(match most {
                _ if most < KIB => (1.0, "B"),
                _ if most < KIB.powi(2) => (KIB, "KiB"),
                _ if most < KIB.powi(3) => (KIB.powi(2), "MiB"),
                _ => (KIB.powi(3), "GiB"),
            }),
            Self::Percent => format!("{} %", plain(value)),
            Self::PerSecond => format!("{}/s", plain(value)),
            Self::Count | Self::Plain => plain(value),
        }
    }
}

/// Bytes of a KiB.
const KIB: f64 = 1_024.0;

fn plain(value: f64) -> String {
    if value >= 1e7 {
        return format!("{}M", plain((value / 1e4).round() / 100.0));
    }
    if value >= 100.0 || (value - value.round()).abs() < 1e-9 {
        return show_count(value.round() as u64);
    }
    let text = format!("{value:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_read_at_a_glance() {
        for (unit, value, text) in [
            (ChartUnit::Micros, 500.0, "500 µs"),
            (ChartUnit::Micros, 2_000.0, "2 ms"),
            (ChartUnit::Micros, 5e6, "5 s"),
            (ChartUnit::Count, 0.0, "0"),
            (ChartUnit::Count, 12_000.0, "12 000"),
            (ChartUnit::Count, 25e6, "25M"),
            (ChartUnit::PerSecond, 0.25, "0.25/s"),
            (ChartUnit::Percent, 150.0, "150 %"),
            (ChartUnit::Bytes, 1_048_576.0, "1 MiB"),
        ] {
            assert_eq!(unit.tick(value), text);
        }
        // One unit per axis.
        assert_eq!(ChartUnit::Micros.tick_beside(500_000.0, 2e6), "0.5 s");
        assert_eq!(ChartUnit::Bytes.tick_beside(524_288.0, 1_048_576.0), "0.5 MiB");
    }

    #[test]
    fn what_is_higher_is_drawn_higher() {
        let plot =
            Plot::new("a", 200, AxisScale::Linear { top: 10.0, step: 5.0 }, ChartUnit::Count);
        let places = [0.0, 1.0, 5.0, 10.0].map(|value| tenth(plot.down(value)).to_string());
        assert_eq!(places, ["200", "180.6", "103", "6"]);
    }

    #[test]
    fn hostile_names_are_text() {
        let keys = [LegendEntry { class: "c0", name: "</li><script>alert(1)</script>".to_owned() }];
        let plot = Plot::new(
            "\"><img src=x>",
            100,
            AxisScale::Linear { top: 1.0, step: 0.5 },
            ChartUnit::Count,
        );
        let made = figure("<b>t", "<i>n", plot, &[(0.0, "0".into())], &keys).into_string();
        for raw in ["<script", "<img", "<b>", "<i>"] {
            assert!(!made.contains(raw), "{raw}: {made}");
        }
        assert!(made.contains("&lt;/li&gt;&lt;script&gt;") && made.contains("&quot;&gt;&lt;img"));
    }
}
