//! The run second by second, merged over its shards: which seconds are complete.
//!
//! `run::dispatch` feeds it the deltas of all shards; complete seconds come out in order.
//! Invariant: nothing is lost and memory is bounded: a second stays open for a limited time, and
//! data that arrives later becomes a second of its own, marked `late`.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::delta::{Delta, Window};
use super::timeline::Point;

/// How many seconds stay open for calls that were intended in them and end later.
pub const OPEN: u32 = 10;

/// Seconds that are not complete yet.
#[derive(Debug, Default)]
pub struct Seconds {
    open: BTreeMap<(u32, bool), OpenSecond>,
    newest: u32,
}

#[derive(Debug)]
struct OpenSecond {
    window: Window,
    /// The point of the window as it is; `None` if the window has changed since.
    point: Option<Arc<Point>>,
}

/// A second as it is written: complete, or the data that arrived too late for it.
#[derive(Clone, Debug)]
pub struct CompletedSecond {
    /// Everything that was intended in it.
    pub window: Window,
    /// Whether the second was written before.
    pub late: bool,
}

impl Seconds {
    /// Adds a delta. Returns the seconds that it completes, oldest first.
    pub fn absorb(&mut self, delta: &Delta) -> Vec<CompletedSecond> {
        let mut closed = Vec::new();
        for window in &delta.windows {
            let key = (window.second, window.measured);
            if let Some(open) = self.open.get_mut(&key) {
                open.window.merge(window);
                open.point = None;
            } else if window.second.saturating_add(OPEN) < self.newest {
                closed.push(CompletedSecond { window: window.clone(), late: true });
            } else {
                self.open.insert(key, OpenSecond { window: window.clone(), point: None });
            }
            self.newest = self.newest.max(window.second);
        }
        while let Some(oldest) = self.open.first_entry()
            && oldest.key().0.saturating_add(OPEN) < self.newest
        {
            closed.push(CompletedSecond { window: oldest.remove().window, late: false });
        }
        closed
    }

    /// The seconds that are not complete, as they are now, oldest first.
    pub fn points(&mut self) -> Vec<Arc<Point>> {
        let point = |open: &mut OpenSecond| {
            let window = &open.window;
            Arc::clone(open.point.get_or_insert_with(|| Arc::new(Point::of(window))))
        };
        self.open.values_mut().map(point).collect()
    }

    /// Takes all remaining seconds, at the end of the run.
    pub fn finish(&mut self) -> Vec<CompletedSecond> {
        let all = std::mem::take(&mut self.open).into_values();
        all.map(|open| CompletedSecond { window: open.window, late: false }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{RunOffset, Time};
    use crate::ids::WorkloadId;
    use crate::stats::sample::SeriesLayout;
    use crate::stats::{Gauges, Recorder};

    const S: u64 = 1_000_000_000;

    #[test]
    fn seconds_complete_in_order_and_late_data_is_separate() {
        let shape =
            SeriesLayout { workloads: 1, checks: vec![0], pools: 0, ..SeriesLayout::default() };
        let mut recorder = Recorder::new(shape, 0, Time(0));
        let mut seconds = Seconds::default();
        let (mut written, mut starts) = (Vec::new(), 0);
        let mut keep = |closed: Vec<CompletedSecond>| {
            for closed in closed {
                starts += closed.window.workloads[0].started;
                written.push((closed.window.second, closed.late));
            }
        };
        for second in 0..30u64 {
            let begins = |recorder: &mut Recorder, second: u64| {
                let due = RunOffset::from_ns(second * S);
                recorder.begin_iteration(WorkloadId::default(), due, 0);
            };
            begins(&mut recorder, second);
            begins(&mut recorder, second.saturating_sub(3));
            if second == 25 {
                begins(&mut recorder, 2);
            }
            let delta = recorder.take_interval(Gauges::default(), Time((second + 1) * S));
            keep(seconds.absorb(&delta));
        }
        keep(seconds.finish());
        assert_eq!(starts, 61, "nothing is lost");
        let late: Vec<u32> = written.iter().filter(|row| row.1).map(|row| row.0).collect();
        assert_eq!(late, [2]);
        let in_time: Vec<u32> = written.iter().filter(|row| !row.1).map(|row| row.0).collect();
        assert_eq!(in_time, (0..30).collect::<Vec<_>>());
    }
}
