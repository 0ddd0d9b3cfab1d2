//! Histograms over the time of a run: at most [`MAX_INTERVALS`] intervals, of equal length.
//!
//! `cli` adds the sink to the run's others and takes the sums when all have ended.
//! Invariant: the sums of all intervals are what latency.hlog counts; intervals become twice as
//! long when there would be more, and nothing is left out.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use hdrhistogram::serialization::{Serializer, V2DeflateSerializer};

use crate::event::RunEvent;
use crate::sinks::Sink;
use crate::sinks::hlog::to_hdr;
use crate::stats::{CompletedSecond, Latency};

/// Maximum intervals of a run.
pub const MAX_INTERVALS: u32 = 60;
/// Maximum histograms of a run: with more steps, its intervals are fewer.
const MAX_HISTOGRAMS: u32 = 6_000;
/// Minimum intervals of a run with many steps.
const MIN_INTERVALS: u32 = 4;

/// The kinds of time that are kept.
const KINDS: [&str; 2] = ["response", "service"];

/// A histogram of an interval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct IntervalHistogram {
    /// Number of the step, as in summary.json.
    pub(super) step: usize,
    /// `response` or `service`.
    pub(super) kind: &'static str,
    /// Start of the interval, seconds after that of the run.
    pub(super) start_s: u32,
    /// Length of the interval.
    pub(super) length_s: u32,
    /// HdrHistogram's V2 encoding, compressed, of values in µs.
    pub(super) histogram: Vec<u8>,
}

/// The sums so far.
#[derive(Clone, Debug)]
pub struct IntervalSums {
    length_s: u32,
    most: u32,
    /// By number of the interval, step and kind.
    parts: BTreeMap<(u32, usize, usize), Latency>,
}

/// Sums up the seconds of a run.
#[derive(Clone, Debug, Default)]
pub struct IntervalSink {
    sums: Arc<Mutex<IntervalSums>>,
}

impl Default for IntervalSums {
    fn default() -> Self {
        Self { length_s: 1, most: MAX_INTERVALS, parts: BTreeMap::new() }
    }
}

impl IntervalSink {
    /// Returns what was summed up.
    pub fn sums(&self) -> IntervalSums {
        self.sums.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Sink for IntervalSink {
    fn wants(event: &RunEvent) -> bool {
        matches!(event, RunEvent::Started(_) | RunEvent::SecondsCompleted(_))
    }

    fn take(&mut self, event: &RunEvent) -> io::Result<()> {
        let mut sums = self.sums.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            RunEvent::Started(info) => sums.begin(info.plan.steps.len()),
            RunEvent::SecondsCompleted(seconds) => seconds.iter().for_each(|one| sums.add(one)),
            _ => {}
        }
        Ok(())
    }
}

impl IntervalSums {
    /// Chooses how many intervals a plan with this number of steps has at most.
    fn begin(&mut self, steps: usize) {
        let each = u32::try_from(steps * KINDS.len()).unwrap_or(u32::MAX).max(1);
        self.most = (MAX_HISTOGRAMS / each).clamp(MIN_INTERVALS, MAX_INTERVALS);
    }

    fn add(&mut self, second: &CompletedSecond) {
        let window = &second.window;
        if !window.measured {
            return;
        }
        while window.second / self.length_s >= self.most {
            self.fold();
        }
        let interval = window.second / self.length_s;
        for (step, window) in window.steps.iter().enumerate() {
            let Some(window) = window else { continue };
            for (kind, latency) in [&window.response, &window.service].into_iter().enumerate() {
                if latency.responses().count() + latency.timeouts().count() > 0 {
                    self.parts.entry((interval, step, kind)).or_default().merge(latency);
                }
            }
        }
    }

    /// Makes one interval of each two.
    fn fold(&mut self) {
        self.length_s = self.length_s.saturating_mul(2);
        for ((interval, step, kind), latency) in std::mem::take(&mut self.parts) {
            self.parts.entry((interval / 2, step, kind)).or_default().merge(&latency);
        }
    }

    /// Encodes all histograms.
    pub(super) fn encoded(&self) -> Vec<IntervalHistogram> {
        let mut serializer = V2DeflateSerializer::new();
        let part = |(&(interval, step, kind), latency): (&(u32, usize, usize), &Latency)| {
            let mut histogram = Vec::new();
            serializer.serialize(&to_hdr(latency).ok()?, &mut histogram).ok()?;
            Some(IntervalHistogram {
                step: step + 1,
                kind: KINDS[kind],
                start_s: interval * self.length_s,
                length_s: self.length_s,
                histogram,
            })
        };
        self.parts.iter().filter_map(part).collect()
    }
}

#[cfg(test)]
mod tests {
    use hdrhistogram::serialization::Deserializer;

    use super::*;
    use crate::report::page::tests::made_up;
    use crate::stats::delta::StepWindow;

    fn second(second: u32, us: u64) -> CompletedSecond {
        let mut step = StepWindow::default();
        step.response.record_response(us * 1_000);
        step.response.record_at_least(us * 2_000);
        let mut window = made_up(1, "x").snapshot.measured.clone();
        (window.second, window.measured) = (second, true);
        window.steps = vec![Some(Box::new(step))];
        CompletedSecond { window, late: false }
    }

    #[test]
    fn intervals_are_folded_and_lose_nothing() {
        for (length, length_s, intervals) in [(1, 1, 1), (60, 1, 60), (61, 2, 31), (1_000, 32, 32)]
        {
            let mut sums = IntervalSums::default();
            (0..length).for_each(|at| sums.add(&second(at, 1_000 + u64::from(at))));
            let encoded = sums.encoded();
            assert_eq!(encoded.len(), intervals);
            assert!(encoded.iter().all(|one| one.length_s == length_s), "{encoded:?}");
            let mut count = 0;
            for one in &encoded {
                let mut bytes = one.histogram.as_slice();
                let found = Deserializer::new().deserialize::<u64, _>(&mut bytes).unwrap();
                assert!((1_000..=4_100).contains(&found.max()), "{}", found.max());
                count += found.len();
            }
            assert_eq!(count, u64::from(length) * 2);
        }
    }

    #[test]
    fn plans_with_many_steps_have_fewer_intervals() {
        let mut sums = IntervalSums::default();
        for (steps, most) in [(0, 60), (50, 60), (100, 30), (10_000, 4)] {
            sums.begin(steps);
            assert_eq!(sums.most, most);
        }
    }
}
