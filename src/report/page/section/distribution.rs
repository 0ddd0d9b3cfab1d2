//! The distribution of times over all calls: percentiles on a scale that widens towards the
//! slowest, and a histogram.
//!
//! Invariant: beyond the responses only bounds are known, and they are drawn as bounds.

use maud::{Markup, html};

use super::super::chart::path::SvgPath;
use super::super::chart::scale::AxisScale;
use super::super::chart::{ChartUnit, LegendEntry, Plot, WIDTH, figure};
use super::super::view::PageView;
use crate::stats::heat::{BEYOND, row_us};
use crate::stats::{HeatColumn, Latency, Untimed};
use crate::units::{counted, show_count, show_us};

pub fn render(view: &PageView<'_>) -> Markup {
    if view.response.count() == 0 {
        return html! {};
    }
    html! { div.grid { (percentiles(view)) (histogram(&view.response)) } }
}

/// The calls by rank, the fastest first.
#[derive(Debug, Default, PartialEq)]
struct RankCurve {
    /// Ranks with their times, µs.
    known: Vec<(u64, u64)>,
    /// Ranks with lower bounds of their times, µs.
    bounds: Vec<(u64, u64)>,
}

impl RankCurve {
    fn of(latency: &Latency) -> Self {
        let (answers, timeouts) = (latency.responses(), latency.timeouts());
        let mut ranks = Self::default();
        let mut rank = 0;
        for (us, count) in answers.buckets() {
            rank += count;
            ranks.known.push((rank, us.min(answers.max_us())));
        }
        if latency.censored() == 0 {
            return ranks;
        }
        let mut both = answers.clone();
        both.merge(timeouts);
        let (answered, mut rank) = (rank, 0);
        for (us, count) in both.buckets() {
            rank += count;
            if rank > answered {
                ranks.bounds.push((rank, us.min(both.max_us())));
            }
        }
        if rank < latency.count() {
            ranks.bounds.push((latency.count(), both.max_us()));
        }
        ranks
    }
}

/// Returns the place of a rank: each further 9 of the percentile is one step.
fn depth(rank: u64, count: u64) -> f64 {
    // The last rank would be infinitely far; it is where half a call would be above it.
    let above = (count as f64 - rank as f64).max(0.5);
    (count as f64 / above).log10()
}

/// Draws response and service times on the same scales.
fn percentiles(view: &PageView<'_>) -> Markup {
    let all = [("response", "p99", &view.response), ("service", "c0", &view.service)];
    let walks = all.map(|(_, _, latency)| (RankCurve::of(latency), latency.count().max(1)));
    let deepest = walks.iter().map(|(_, count)| depth(*count, *count)).fold(1.0, f64::max).ceil();
    let values = walks.iter().flat_map(|(ranks, _)| ranks.known.iter().chain(&ranks.bounds));
    let scale = AxisScale::log(values.map(|(_, us)| *us as f64));
    let mut plot = Plot::new("Percentiles of all calls", 260, scale, ChartUnit::Micros);
    for ((_, class, _), (ranks, count)) in all.iter().zip(&walks) {
        for (kind, ranks) in [("line", &ranks.known), ("line open", &ranks.bounds)] {
            let path = curve(&plot, ranks, *count, deepest);
            plot.draw(format!("{kind} {class}"), path);
        }
    }
    let nines = (0..=deepest as usize).map(|nines| {
        let digits = nines.saturating_sub(2);
        let percent = (1.0 - 10f64.powi(-(nines as i32))) * 100.0;
        (nines as f64 / deepest, format!("{percent:.digits$} %"))
    });
    let across: Vec<_> = nines.collect();
    let mut keys: Vec<LegendEntry> = (all.iter())
        .map(|(name, class, _)| LegendEntry { class, name: (*name).to_owned() })
        .collect();
    if walks.iter().any(|(ranks, _)| !ranks.bounds.is_empty()) {
        keys.push(LegendEntry { class: "open", name: "lower bound".to_owned() });
    }
    let note = "all calls after the warm-up; both axes are logarithmic";
    figure("Percentiles", note, plot, &across, &keys)
}

fn curve(plot: &Plot, ranks: &[(u64, u64)], count: u64, deepest: f64) -> SvgPath {
    let mut last = f64::NEG_INFINITY;
    let points = ranks
        .iter()
        .map(|(rank, us)| (depth(*rank, count) / deepest * WIDTH, plot.down(*us as f64)));
    // At most one point per pixel, and always the last one.
    let end = ranks.len().saturating_sub(1);
    let kept = points.enumerate().filter(|(at, (x, _))| {
        let is_seen = *x - last >= 1.0 || *at == end;
        last = if is_seen { *x } else { last };
        is_seen
    });
    SvgPath::line(kept.map(|(_, point)| Some(point)).collect::<Vec<_>>().into_iter())
}

/// Draws bars, four per octave.
fn histogram(response: &Latency) -> Markup {
    let heat = HeatColumn::of(response);
    let rows: Vec<(u8, u32)> = heat.0.iter().copied().filter(|(row, _)| *row < BEYOND).collect();
    let without: Vec<(&str, u64)> = (Untimed::ALL.iter())
        .map(|why| (why.name(), response.untimed(*why)))
        .filter(|(_, count)| *count > 0)
        .collect();
    let (low, high) = match (rows.first(), rows.last()) {
        (Some(first), Some(last)) => (first.0.saturating_sub(2), last.0 + 2),
        _ => (0, 4),
    };
    // Calls without a time are to the right, one bar per reason.
    let apart = if without.is_empty() { 0.0 } else { 1.0 + 2.0 * without.len() as f64 };
    let bars = f64::from(high - low + 1) + apart;
    let width = WIDTH / bars;
    let most = rows
        .iter()
        .map(|(_, count)| f64::from(*count))
        .chain(without.iter().map(|(_, count)| *count as f64));
    let scale = AxisScale::linear(most);
    let mut plot = Plot::new("Response times of all calls", 260, scale, ChartUnit::Count);
    let base = f64::from(plot.height);
    let (mut known, mut none) = (SvgPath::default(), SvgPath::default());
    for (row, count) in &rows {
        let y = plot.down(f64::from(*count)).min(base - 1.0);
        known.add_bar(f64::from(row - low) * width, y, (width - 1.5).max(0.5), base - y);
    }
    for (place, (_, count)) in without.iter().rev().enumerate() {
        let y = plot.down(*count as f64).min(base - 1.0);
        let x = WIDTH - width * 2.0 * (place as f64 + 1.0);
        none.add_bar(x, y, width * 1.8, base - y);
    }
    plot.draw("fill c0", known);
    plot.draw("fill bad", none);
    let place = |us: f64| ((us.log2() * 4.0) - f64::from(low)) / bars;
    let scale = AxisScale::Log(row_us(low).max(1.0), row_us(high + 1).max(20.0));
    let ticks = scale.ticks();
    // Adjacent names must not touch.
    let every = ticks.len().div_ceil(6).max(1);
    let across: Vec<_> = ticks
        .into_iter()
        .step_by(every)
        .map(|us| (place(us), ChartUnit::Micros.tick(us)))
        .collect();
    let mut keys =
        vec![LegendEntry { class: "c0", name: "calls with a response or a timeout".into() }];
    // From left to right.
    for (name, count) in without {
        keys.push(LegendEntry { class: "bad", name: format!("{name}: {}", show_count(count)) });
    }
    let shortest = response.shortest_us().map_or("–".to_owned(), show_us);
    let note = format!("{}; shortest {shortest}", counted(response.count(), "call"));
    figure("Response time histogram", &note, plot, &across, &keys)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_those_of_the_percentiles() {
        let mut latency = Latency::default();
        for ms in [1, 1, 2, 3, 10] {
            latency.record_response(ms * 1_000_000);
        }
        latency.record_at_least(5_000_000);
        latency.record_at_least(20_000_000);
        latency.record_untimed_n(Untimed::NoResponse, 3);
        let ranks = RankCurve::of(&latency);
        assert_eq!(
            ranks.known,
            [(2, 1_000), (3, 2_000), (4, 3_003), (5, 10_000)].map(near(&latency))
        );
        for (rank, us) in ranks.known.iter().chain(&ranks.bounds) {
            let found = latency.quantile(*rank as f64 / 10.0).unwrap();
            assert_eq!((found.us, found.at_least), (*us, *rank > 5), "rank {rank}");
        }
        assert_eq!(ranks.bounds.last().map(|one| one.0), Some(10));
    }

    /// A bucket is named by its highest value.
    fn near(latency: &Latency) -> impl Fn((u64, u64)) -> (u64, u64) + '_ {
        |(rank, _)| (rank, latency.quantile(rank as f64 / 10.0).unwrap().us)
    }

    #[test]
    fn each_nine_is_a_step() {
        for (rank, count, steps) in [(0, 10, 0.0), (9, 10, 1.0), (990, 1_000, 2.0)] {
            assert!((depth(rank, count) - steps).abs() < 1e-9, "{rank} of {count}");
        }
        assert!(depth(1_000, 1_000).is_finite());
    }
}
