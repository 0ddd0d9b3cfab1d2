//! The time axis of all charts of a page: its length, its columns, its events.
//!
//! Built from a Report; every section with a chart over time takes its columns from it.
//! Invariant: a column is never narrower than a point of the timeline, and there are at most
//! [`COLUMNS`]; in a column counts are averaged, while of percentiles and gauges the worst is kept.

use crate::event::Report;
use crate::stats::timeline::PercentileBand;
use crate::stats::{ChangeKind, GaugeSample, Point, Quantile, StateChange};

/// Maximum columns of a chart: more than a screen shows.
pub const COLUMNS: usize = 1_000;

/// Maximum columns of a small chart or heat map.
pub const FEW: usize = 500;

/// The time axis of a run, divided into columns.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TimeAxis {
    /// Length of the time axis, in whole points.
    pub seconds: u32,
    /// The number of columns (equal intervals of time); the last one may extend beyond the end of
    /// the run.
    pub columns: usize,
    /// Seconds per column.
    pub step_s: u32,
    /// Seconds per point of the timeline.
    pub width_s: u32,
    /// End of the warm-up, seconds.
    pub warmup_s: f64,
}

impl TimeAxis {
    /// Returns the axis of a run, with at most `columns` columns.
    pub fn of(report: &Report, most: usize) -> Self {
        let timeline = &report.timeline;
        let width_s = timeline.width_s.max(1);
        let points = timeline.points().map(|point| point.second + width_s).max();
        let moments = timeline.gauges.iter().map(|moment| moment.second + width_s).max();
        // A run ends some ms after its last second; that is not a further second.
        let elapsed = (report.snapshot.elapsed_ns + 500_000_000) / 1_000_000_000;
        let elapsed = u32::try_from(elapsed).unwrap_or(u32::MAX / 2);
        let seconds = elapsed.max(points.unwrap_or(0)).max(moments.unwrap_or(0)).max(1);
        let per_column = seconds.div_ceil(width_s).div_ceil(most as u32).max(1);
        let step_s = per_column * width_s;
        let seconds = seconds.div_ceil(width_s) * width_s;
        Self {
            seconds,
            columns: seconds.div_ceil(step_s) as usize,
            step_s,
            width_s,
            warmup_s: report.info.plan.warmup.as_secs_f64(),
        }
    }

    /// Returns the place of a time, 0 to `width`.
    pub fn place(&self, second: f64, width: f64) -> f64 {
        (second / f64::from(self.seconds)).clamp(0.0, 1.0) * width
    }

    /// Returns the width of a column.
    pub fn span(&self, width: f64) -> f64 {
        width * f64::from(self.step_s) / f64::from(self.seconds)
    }

    /// Returns the middle of a column, 0 to `width`.
    pub fn middle(&self, column: usize, width: f64) -> f64 {
        ((column as f64 + 0.5) * self.span(width)).min(width)
    }

    /// Returns the column of a second.
    pub fn column(&self, second: u32) -> usize {
        ((second / self.step_s) as usize).min(self.columns - 1)
    }

    /// Returns counts per second by column; `None`: the column has no point. The last second of the
    /// run counts with its actual length, at least 10 ms.
    pub fn rates(&self, report: &Report, count: impl Fn(&Point) -> u64) -> Vec<Option<f64>> {
        let mut sums: Vec<Option<(u64, f64)>> = vec![None; self.columns];
        let elapsed_s = report.snapshot.elapsed_ns as f64 / 1e9;
        let width_s = f64::from(self.width_s);
        for point in report.timeline.points() {
            let (sum, seconds) = sums[self.column(point.second)].get_or_insert((0, 0.0));
            *sum += count(point);
            *seconds += (elapsed_s - f64::from(point.second)).clamp(0.01, width_s.max(0.01));
        }
        let rate = |sum: Option<(u64, f64)>| sum.map(|(sum, seconds)| sum as f64 / seconds);
        sums.into_iter().map(rate).collect()
    }

    /// Returns the worst value of a percentile by column.
    pub fn worst(
        &self,
        report: &Report,
        of: impl Fn(&Point) -> PercentileBand,
    ) -> Vec<PercentileBand> {
        let height = |one: &Option<Quantile>| one.map(|one| (one.us, one.at_least));
        let mut worst: Vec<PercentileBand> = vec![PercentileBand::default(); self.columns];
        for point in report.timeline.points() {
            let mine = worst[self.column(point.second)].iter_mut();
            for (mine, theirs) in mine.zip(of(point)) {
                if height(&theirs) > height(mine) {
                    *mine = theirs;
                }
            }
        }
        worst
    }

    /// Returns the maximum of a gauge by column.
    pub fn most(
        &self,
        report: &Report,
        of: impl Fn(&GaugeSample) -> Option<f64>,
    ) -> Vec<Option<f64>> {
        let mut most: Vec<Option<f64>> = vec![None; self.columns];
        for moment in &report.timeline.gauges {
            let mine = &mut most[self.column(moment.second)];
            *mine = match (*mine, of(moment)) {
                (Some(mine), Some(theirs)) => Some(mine.max(theirs)),
                (mine, theirs) => mine.or(theirs),
            };
        }
        most
    }
}

/// Returns the state changes, oldest first.
pub fn events(report: &Report) -> Vec<&StateChange> {
    let mut all: Vec<&StateChange> = report.snapshot.changes.list.iter().collect();
    all.sort_by_key(|notice| notice.at);
    all
}

/// The kinds of marks: live control, resilience, generator errors.
pub const MARKS: [(&str, &str); 3] =
    [("control", "live control"), ("client", "client"), ("trouble", "generator")];

/// Returns the kind of mark of a state change, an index into [`MARKS`].
pub const fn mark(topic: ChangeKind) -> usize {
    match topic {
        ChangeKind::Control | ChangeKind::Shift => 0,
        ChangeKind::Breaker | ChangeKind::Pool | ChangeKind::Connect | ChangeKind::Degradation => 1,
        ChangeKind::Healing
        | ChangeKind::Memory
        | ChangeKind::Admission
        | ChangeKind::Worker
        | ChangeKind::Backend => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::made_up;
    use super::*;

    fn axis(seconds: u32, step_s: u32) -> TimeAxis {
        let columns = seconds.div_ceil(step_s) as usize;
        TimeAxis { seconds, columns, step_s, width_s: 1, warmup_s: 0.0 }
    }

    #[test]
    fn how_a_second_ended_stands_where_its_calls_are() {
        let report = made_up(7, "seconds");
        for most in [1_000, 3] {
            let axis = TimeAxis::of(&report, most);
            let seconds = f64::from(axis.step_s);
            let points = axis.rates(&report, |point| u64::from(point.second / axis.step_s));
            let moments = axis.most(&report, |moment| Some(f64::from(moment.second)));
            for (at, (point, moment)) in points.iter().zip(&moments).enumerate() {
                let (point, moment) = (point.unwrap(), moment.unwrap());
                assert!((point - at as f64).abs() < 1e-9, "{points:?}");
                assert_eq!((moment / seconds).floor() as usize, at, "{moments:?}");
            }
            assert_eq!(axis.seconds, 7, "{axis:?}");
        }
    }

    #[test]
    fn a_last_second_that_was_cut_short_is_no_dip() {
        let mut report = made_up(7, "short");
        let mut snapshot = (*report.snapshot).clone();
        snapshot.elapsed_ns = 6_500_000_000;
        report.snapshot = std::sync::Arc::new(snapshot);
        let rates = TimeAxis::of(&report, 1_000).rates(&report, |_| 10);
        assert_eq!(rates[5..7], [Some(10.0), Some(20.0)]);
    }

    #[test]
    fn a_moment_is_at_the_same_place_on_every_axis() {
        for (seconds, step) in [(10, 1), (3_601, 4), (3_601, 8), (7, 3)] {
            let axis = axis(seconds, step);
            for second in 0..seconds {
                let place = axis.place(f64::from(second), 1_000.0);
                let from = axis.column(second) as f64 * axis.span(1_000.0);
                assert!((from - 1e-9..from + axis.span(1_000.0)).contains(&place), "{axis:?}");
            }
            assert!((0..axis.columns).all(|column| axis.middle(column, 1_000.0) <= 1_000.0));
        }
    }
}
