//! Series for charts, taken from the timeline: one reading per second, merged into columns.
//!
//! Views call it; `chart` draws the result.
//! Invariant: of several seconds in a column a rate is averaged, while of percentiles and gauges
//! the worst is shown: percentiles are never averaged.

use std::time::Duration;

use crate::event::Report;
use crate::stats::Quantile;
use crate::stats::timeline::{GaugeSample, PercentileBand, Point};

/// A reading.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct SeriesReading {
    /// Second of the reading, from the start of the run.
    pub(super) second: u32,
    /// The value, in the unit of the series.
    pub(super) value: f64,
    /// Whether the value is a lower bound.
    pub(super) at_least: bool,
}

/// How several readings in a column are merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ColumnMerge {
    /// Mean, for rates.
    Mean,
    /// Maximum, for percentiles and gauges.
    Worst,
}

/// A range of seconds: the first one included, the last one excluded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct TimeSpan {
    /// First second.
    pub(super) from: f64,
    /// End.
    pub(super) to: f64,
}

/// The visible part of the time axis.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Zoom {
    /// The whole run.
    #[default]
    Whole,
    /// The last five minutes.
    Minutes,
    /// The last minute.
    Minute,
}

impl Zoom {
    /// Returns the next closer zoom; after the closest one the whole run.
    pub(super) const fn next(self) -> Self {
        match self {
            Self::Whole => Self::Minutes,
            Self::Minutes => Self::Minute,
            Self::Minute => Self::Whole,
        }
    }

    /// Returns its name.
    pub(super) const fn says(self) -> &'static str {
        match self {
            Self::Whole => "the whole run",
            Self::Minutes => "the last 5 minutes",
            Self::Minute => "the last minute",
        }
    }
}

/// Runs up to this length have an axis of their full planned length from the start.
const SHORT: Duration = Duration::from_mins(2);

impl TimeSpan {
    /// Returns the seconds that a zoom shows of a run.
    pub(super) fn of(report: &Report, zoom: Zoom) -> Self {
        let now = (report.snapshot.elapsed_ns as f64 / 1e9).ceil().max(1.0);
        let planned = report.info.plan.load_end().filter(|end| *end <= SHORT);
        let least = planned.map_or(60.0, |end| end.as_secs_f64().ceil());
        let window = match zoom {
            Zoom::Whole => return Self { from: 0.0, to: now.max(least) },
            Zoom::Minutes => 300.0,
            Zoom::Minute => 60.0,
        };
        let to = now.max(window);
        Self { from: to - window, to }
    }

    /// Returns the column of a time among `columns`; `None` if it is not visible.
    pub(super) fn column(self, second: f64, columns: usize) -> Option<usize> {
        let at = (second - self.from) / (self.to - self.from) * columns as f64;
        (at >= 0.0 && at < columns as f64).then_some(at as usize)
    }

    /// Returns the time at which a column begins.
    pub(super) fn time(self, column: usize, columns: usize) -> f64 {
        self.from + (self.to - self.from) * column as f64 / columns.max(1) as f64
    }
}

/// Merges readings, each of `width_s` seconds, into columns.
pub(super) fn columns(
    readings: &[SeriesReading],
    width_s: u32,
    span: TimeSpan,
    columns: usize,
    many: ColumnMerge,
) -> Vec<Option<(f64, bool)>> {
    let mut found: Vec<(f64, bool, u32)> = vec![(0.0, false, 0); columns];
    for one in readings {
        // A second may cover several columns, or share one with others.
        let (from, to) = (f64::from(one.second), f64::from(one.second + width_s));
        let scale = columns as f64 / (span.to - span.from);
        let first = ((from - span.from) * scale).floor().max(0.0) as usize;
        let last = ((to - span.from) * scale - 1e-9).floor();
        if last < 0.0 || to <= span.from {
            continue;
        }
        for (value, at_least, count) in
            found.iter_mut().take(last as usize + 1).skip(first.min(last as usize))
        {
            match many {
                ColumnMerge::Mean => *value += one.value,
                ColumnMerge::Worst if *count == 0 || one.value >= *value => {
                    (*value, *at_least) = (one.value, one.at_least);
                }
                ColumnMerge::Worst => {}
            }
            *count += 1;
        }
    }
    let one = |(value, at_least, count): (f64, bool, u32)| match (count, many) {
        (0, _) => None,
        (_, ColumnMerge::Mean) => Some((value / f64::from(count), at_least)),
        (_, ColumnMerge::Worst) => Some((value, at_least)),
    };
    found.into_iter().map(one).collect()
}

/// Returns how many whole seconds of a point have passed.
fn passed(report: &Report, second: u32) -> Option<f64> {
    // Shards send their deltas shortly after each full second.
    let now = (report.snapshot.elapsed_ns as f64 / 1e9 + 0.1).floor();
    let passed = (now - f64::from(second)).min(f64::from(report.timeline.width_s));
    (passed >= 1.0).then_some(passed)
}

/// Returns a rate per second, from counts.
pub(super) fn rate(report: &Report, count: impl Fn(&Point) -> u64) -> Vec<SeriesReading> {
    let one = |point: &Point| {
        let value = count(point) as f64 / passed(report, point.second)?;
        Some(SeriesReading { second: point.second, value, at_least: false })
    };
    report.timeline.points().filter_map(one).collect()
}

/// Returns a percentile, µs; `at` is an index into `stats::timeline::BAND`.
pub(super) fn percentile(
    report: &Report,
    band: impl Fn(&Point) -> &PercentileBand,
    at: usize,
) -> Vec<SeriesReading> {
    let one = |point: &Point| {
        let found = band(point)[at]?;
        Some(SeriesReading { second: point.second, value: height(found), at_least: found.at_least })
    };
    report.timeline.points().filter_map(one).collect()
}

/// Returns the value of a percentile. A call without a response ranks above all times.
fn height(found: Quantile) -> f64 {
    if found.at_least && found.us == 0 { f64::INFINITY } else { found.us as f64 }
}

/// Returns a gauge.
pub(super) fn gauge(
    report: &Report,
    read: impl Fn(&GaugeSample) -> Option<f64>,
) -> Vec<SeriesReading> {
    let one = |moment: &GaugeSample| {
        let value = read(moment)?;
        Some(SeriesReading { second: moment.second, value, at_least: false })
    };
    report.timeline.gauges.iter().filter_map(|moment| one(moment)).collect()
}

/// Returns the scheduled load of all workloads of a model: starts per second (open), or users
/// (closed).
pub(super) fn asked(report: &Report, open: bool) -> Vec<SeriesReading> {
    let strands = &report.info.plan.workloads;
    gauge(report, |moment| {
        let asked = strands.iter().zip(&moment.target).filter(|(load, _)| load.open == open);
        Some(asked.map(|(_, asked)| asked).sum())
    })
}

/// Returns the iterations started by all open workloads, per second.
pub(super) fn started(report: &Report) -> Vec<SeriesReading> {
    let strands = &report.info.plan.workloads;
    rate(report, |point| {
        let loads = strands.iter().zip(&point.loads).filter(|(load, _)| load.open);
        loads.map(|(_, load)| load.started).sum()
    })
}

/// Returns the last reading.
pub(super) fn last(readings: &[SeriesReading]) -> Option<SeriesReading> {
    readings.last().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(second: u32, value: f64) -> SeriesReading {
        SeriesReading { second, value, at_least: value >= 9.0 }
    }

    #[test]
    fn rates_are_averaged_and_of_percentiles_the_worst_stays() {
        let readings: Vec<SeriesReading> =
            [1.0, 3.0, 9.0, 1.0].iter().zip(0..).map(|(value, at)| reading(at, *value)).collect();
        let span = TimeSpan { from: 0.0, to: 4.0 };
        let mean = columns(&readings, 1, span, 2, ColumnMerge::Mean);
        assert_eq!(mean, [Some((2.0, false)), Some((5.0, false))]);
        let worst = columns(&readings, 1, span, 2, ColumnMerge::Worst);
        assert_eq!(worst, [Some((3.0, false)), Some((9.0, true))]);
    }

    #[test]
    fn no_answer_at_all_ranks_above_every_answer() {
        let quantile = |us, at_least| Quantile { us, at_least, thin: false };
        assert!(height(quantile(0, true)) > height(quantile(u64::MAX, true)));
        assert!(height(quantile(0, false)) < height(quantile(1, true)));
    }

    #[test]
    fn a_second_fills_all_its_columns_and_none_beyond() {
        let one = [reading(1, 5.0)];
        let span = TimeSpan { from: 0.0, to: 4.0 };
        let wide = columns(&one, 1, span, 8, ColumnMerge::Worst);
        let five = Some((5.0, false));
        assert_eq!(wide, [None, None, five, five, None, None, None, None]);
        let late = columns(&one, 1, TimeSpan { from: 2.0, to: 4.0 }, 2, ColumnMerge::Worst);
        assert_eq!(late, [None, None]);
        let folded = columns(&one, 2, span, 4, ColumnMerge::Worst);
        assert_eq!(folded, [None, five, five, None]);
        assert!(columns(&one, 1, span, 0, ColumnMerge::Mean).is_empty());
    }
}
