//! A run over time: what was intended in each second, and the gauges at its end.
//!
//! `run::dispatch` extends it; screens and reports draw it.
//! Invariant: it is bounded. When it is full, two neighbours become one: counts add up, of times
//! and gauges the worse is kept. A percentile is never averaged.

use std::sync::Arc;

use super::counts::Calls;
use super::delta::{LoadWindow, StepWindow, Window};
use super::heat::HeatColumn;
use super::latency::{Latency, Quantile};
use super::messages::MessageCounts;
use super::monitor::keep_most;

/// Maximum points kept of complete seconds: an hour is shown second by second.
pub const POINTS: usize = 3_600;

/// The percentiles of a band, by name.
pub const BAND: [(&str, f64); 4] = [("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("max", 1.0)];

/// The percentiles of [`BAND`]; `None` if there was no call.
pub type PercentileBand = [Option<Quantile>; BAND.len()];

/// The whole run so far.
#[derive(Clone, Debug, PartialEq)]
pub struct Timeline {
    /// Seconds that a point covers: 1, 2, 4…
    pub width_s: u32,
    closed: Vec<Arc<Point>>,
    open: Vec<Arc<Point>>,
    /// By second, oldest first.
    pub gauges: Vec<Arc<GaugeSample>>,
}

/// Everything intended in a second, or in the `width_s` seconds from it on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Point {
    /// Seconds since the run's start.
    pub second: u32,
    /// Whether everything in the point was due after the warm-up.
    pub measured: bool,
    /// By workload.
    pub loads: Vec<StartCounts>,
    /// Calls that have ended; calls still running are not included yet.
    pub calls: Calls,
    /// From intended to the last byte; for several seconds, the worst.
    pub response: PercentileBand,
    /// From dispatch to the last byte; for several seconds, the worst.
    pub service: PercentileBand,
    /// Response times, by magnitude.
    pub heat: HeatColumn,
    /// Messages of all steps.
    pub messages: MessageCounts,
    /// From the intended send of a message to its receipt; for several seconds, the worst.
    pub delivery: PercentileBand,
}

/// A workload's starts in a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StartCounts {
    /// Due; zero in the closed model.
    pub due: u64,
    /// Begun within one second of their due time.
    pub on_time: u64,
    /// Begun.
    pub started: u64,
    /// Dropped or suppressed.
    pub lost: u64,
}

/// The gauges at the end of a second; for several seconds, the highest values.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GaugeSample {
    /// Seconds since the run's start.
    pub second: u32,
    /// By workload: the target, users or starts per second.
    pub target: Vec<f64>,
    /// Users at work.
    pub users: u64,
    /// Calls in flight.
    pub running: u64,
    /// Connections open.
    pub connections: u64,
    /// Streams open.
    pub streams: u64,
    /// Streams that users want open.
    pub streams_wanted: u64,
    /// Readings of the run's monitors, in their order; `None` if a reading is missing.
    pub monitors: Vec<Option<f64>>,
}

impl Default for Timeline {
    fn default() -> Self {
        Self { width_s: 1, closed: Vec::new(), open: Vec::new(), gauges: Vec::new() }
    }
}

impl Timeline {
    /// All points, oldest first.
    pub fn points(&self) -> impl DoubleEndedIterator<Item = &Point> {
        self.closed.iter().chain(&self.open).map(|point| &**point)
    }

    /// Adds a complete second, or data that arrived too late for one.
    pub fn close(&mut self, point: Point) {
        self.make_room(point.second);
        let second = point.second / self.width_s * self.width_s;
        match self.closed.binary_search_by_key(&second, |known| known.second) {
            Ok(at) => Arc::make_mut(&mut self.closed[at]).add(&point),
            Err(at) => self.closed.insert(at, Arc::new(Point { second, ..point })),
        }
    }

    /// Sets the seconds that are not complete yet, oldest first.
    pub fn open(&mut self, points: Vec<Arc<Point>>) {
        self.open = points;
    }

    /// Adds the gauges at the end of a second.
    pub fn record_gauges(&mut self, sample: GaugeSample) {
        self.make_room(sample.second);
        let second = sample.second / self.width_s * self.width_s;
        match self.gauges.last_mut() {
            Some(last) if last.second >= second => Arc::make_mut(last).raise_to(&sample),
            _ => self.gauges.push(Arc::new(GaugeSample { second, ..sample })),
        }
    }

    fn make_room(&mut self, second: u32) {
        while second / self.width_s >= POINTS as u32 {
            self.width_s *= 2;
            merge_neighbours(&mut self.closed, self.width_s, |point| &mut point.second, Point::add);
            merge_neighbours(
                &mut self.gauges,
                self.width_s,
                |sample| &mut sample.second,
                GaugeSample::raise_to,
            );
        }
    }
}

/// Merges neighbours that now are one point.
fn merge_neighbours<T: Clone>(
    all: &mut Vec<Arc<T>>,
    width_s: u32,
    second: fn(&mut T) -> &mut u32,
    add: fn(&mut T, &T),
) {
    let mut folded: Vec<Arc<T>> = Vec::with_capacity(all.len() / 2 + 1);
    let mut last_place = None;
    for mut one in all.drain(..) {
        let place = second(Arc::make_mut(&mut one));
        *place = *place / width_s * width_s;
        match folded.last_mut() {
            Some(last) if last_place == Some(*place) => add(Arc::make_mut(last), &one),
            _ => {
                last_place = Some(*place);
                folded.push(one);
            }
        }
    }
    *all = folded;
}

impl Point {
    /// Creates the point of a second, over all workloads and steps.
    pub fn of(window: &Window) -> Self {
        let starts = |load: &LoadWindow| StartCounts {
            due: load.due,
            on_time: load.on_time,
            started: load.started,
            lost: load.lost,
        };
        let mut whole = StepWindow::default();
        for step in window.steps.iter().flatten() {
            whole.calls.add(&step.calls);
            whole.response.merge(&step.response);
            whole.service.merge(&step.service);
        }
        window.lost().rank_in(&mut whole.response);
        let messages = window.messages(|_| true);
        Self {
            second: window.second,
            measured: window.measured,
            loads: window.workloads.iter().map(starts).collect(),
            calls: whole.calls,
            response: band(&whole.response),
            service: band(&whole.service),
            heat: HeatColumn::of(&whole.response),
            messages: messages.counts,
            delivery: band(&messages.delivery_of_all()),
        }
    }

    /// Adds another point to this one.
    pub fn add(&mut self, other: &Self) {
        self.measured &= other.measured;
        self.loads.resize(self.loads.len().max(other.loads.len()), StartCounts::default());
        for (mine, theirs) in self.loads.iter_mut().zip(&other.loads) {
            mine.due += theirs.due;
            mine.on_time += theirs.on_time;
            mine.started += theirs.started;
            mine.lost += theirs.lost;
        }
        self.calls.add(&other.calls);
        worst(&mut self.response, &other.response);
        worst(&mut self.service, &other.service);
        self.heat.add(&other.heat);
        self.messages.add(&other.messages);
        worst(&mut self.delivery, &other.delivery);
    }

    /// Starts of all workloads.
    pub fn starts(&self) -> StartCounts {
        self.loads.iter().fold(StartCounts::default(), |all, one| StartCounts {
            due: all.due + one.due,
            on_time: all.on_time + one.on_time,
            started: all.started + one.started,
            lost: all.lost + one.lost,
        })
    }
}

impl GaugeSample {
    fn raise_to(&mut self, other: &Self) {
        let more = |mine: &mut f64, theirs: &f64| *mine = mine.max(*theirs);
        self.target.iter_mut().zip(&other.target).for_each(|(mine, theirs)| more(mine, theirs));
        self.users = self.users.max(other.users);
        self.running = self.running.max(other.running);
        self.connections = self.connections.max(other.connections);
        self.streams = self.streams.max(other.streams);
        self.streams_wanted = self.streams_wanted.max(other.streams_wanted);
        let monitors = self.monitors.iter_mut().zip(&other.monitors);
        monitors.for_each(|(mine, theirs)| keep_most(mine, *theirs));
    }
}

/// The percentiles of a distribution.
pub fn band(latency: &Latency) -> PercentileBand {
    BAND.map(|(_, p)| if p < 1.0 { latency.quantile(p) } else { latency.longest() })
}

fn worst(mine: &mut PercentileBand, theirs: &PercentileBand) {
    for (mine, theirs) in mine.iter_mut().zip(theirs) {
        let height = |one: &Option<Quantile>| one.map(|one| (one.us, one.at_least));
        if height(theirs) > height(mine) {
            *mine = *theirs;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(second: u32, made: u64, us: u64) -> Point {
        let quantile = Some(Quantile { us, at_least: false, thin: false });
        Point {
            second,
            measured: true,
            loads: vec![StartCounts { started: made, ..StartCounts::default() }],
            calls: Calls { made, ok: made, ..Calls::default() },
            response: [quantile; 4],
            heat: HeatColumn(vec![(3, 1)]),
            ..Point::default()
        }
    }

    #[test]
    fn long_run_is_merged_and_loses_only_detail() {
        let mut timeline = Timeline::default();
        let seconds = POINTS as u32 * 3;
        for second in 0..seconds {
            timeline.close(point(second, 2, u64::from(second % 7)));
            let users = u64::from(second % 5);
            timeline.record_gauges(GaugeSample { second, users, ..GaugeSample::default() });
        }
        assert_eq!(timeline.width_s, 4);
        assert!(timeline.points().count() <= POINTS && timeline.gauges.len() <= POINTS);
        let calls: u64 = timeline.points().map(|point| point.calls.made).sum();
        assert_eq!(calls, u64::from(seconds) * 2);
        let first = timeline.points().next().unwrap();
        assert_eq!(first.response[0].unwrap().us, 3, "the worst of the seconds 0 to 3");
        assert_eq!(first.heat.0, [(3, 4)]);
        assert!(timeline.points().is_sorted_by_key(|point| point.second));
        assert_eq!(timeline.gauges[1].users, 4);
    }

    #[test]
    fn open_seconds_are_replaced_and_late_data_is_added() {
        let mut timeline = Timeline::default();
        timeline.close(point(0, 1, 5));
        timeline.open(vec![Arc::new(point(1, 1, 5))]);
        timeline.open(vec![Arc::new(point(1, 3, 5))]);
        timeline.close(point(0, 1, 9));
        let made: Vec<u64> = timeline.points().map(|point| point.calls.made).collect();
        assert_eq!(made, [2, 3]);
        assert_eq!(timeline.points().next().unwrap().response[3].unwrap().us, 9);
    }
}
