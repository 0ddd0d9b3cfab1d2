//! CPU time of a run as a function of its calls and seconds, from measured runs.
//!
//! `cli` fills it from reports, `cost` evaluates it for a plan.
//! Invariant: pure arithmetic over what was measured; a run that is evaluated by its own
//! measurement gives its own CPU time.
//!
//! CPU time has four parts: before the load; at its start and end, where users begin, connections
//! open, memory is touched for the first time, and all is closed; each second, for what the program
//! does beside its calls; and each call. A call at a low rate costs more, since it wakes a thread
//! that others do not share, and since a shard has work of its own each second: so calls are
//! measured at the rates of the plan, and rates between two are interpolated.

/// The share of the calls that the lower and the higher rate of a calibration leave out.
const TAIL: f64 = 0.1;

/// Between the rates of a plan, the factor from which two are measured.
const FAR: f64 = 2.0;

/// Calls per second below which a second uses the same with each call and with none.
const FEW: f64 = 2.0;

/// A measured run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MeasuredUse {
    /// Where it comes from, as text.
    pub source: String,
    /// Whether it called what the plan calls, so that its bytes per call are those of the plan.
    pub is_alike: bool,
    /// The length of the run, seconds.
    pub length_s: f64,
    /// CPU time, seconds.
    pub cpu_s: f64,
    /// The part of it before the load, seconds.
    pub before_s: f64,
    /// Calls that were sent.
    pub calls: f64,
    /// Connections that were opened.
    pub opened: f64,
    /// The most users.
    pub users: f64,
    /// Mean memory, bytes.
    pub memory: f64,
    /// Bytes of requests.
    pub sent: f64,
    /// Bytes of responses.
    pub received: f64,
    /// How long a thread was ready and waited for a core that others used, as a share of the run.
    pub waited: f64,
    /// CPU time of the shards, seconds, and calls, by intervals of equal length; empty if the run
    /// was made by an earlier version.
    pub intervals: Vec<(f64, f64)>,
}

/// What a generator uses, by the parts of a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CpuParts {
    /// Calls per second.
    pub rate: f64,
    /// CPU time before the load, seconds.
    pub before_s: f64,
    /// CPU time of the start and the end of the load, beyond that of its calls, seconds.
    pub edges_s: f64,
    /// CPU time of each second, beyond that of its calls, seconds.
    pub second_s: f64,
    /// CPU time of a call, seconds.
    pub call_s: f64,
    /// The lowest and the highest CPU time of a call of all rounds, seconds.
    pub call_range_s: (f64, f64),
    /// How many runs were measured.
    pub rounds: usize,
    /// How long a thread was ready and waited for a core that others used, as a share of the run.
    pub waited: f64,
}

impl MeasuredUse {
    /// The parts of its CPU time.
    pub fn parts(&self) -> CpuParts {
        let shards: f64 = self.intervals.iter().map(|one| one.0).sum();
        let load = (self.cpu_s - self.before_s).max(0.0);
        let rate = self.calls / self.length_s.max(1e-9);
        let calls = |list: &[(f64, f64)]| list.iter().map(|one| one.1).sum::<f64>();
        // The first interval has the start, the last one of three has the end.
        let last = self.intervals.len().saturating_sub(usize::from(self.intervals.len() > 2));
        let steady = self.intervals.get(1..last);
        let Some(steady) = steady.filter(|steady| calls(steady) > 0.0) else {
            let call_s = load / self.calls.max(1.0);
            let (before_s, call_range_s) = (self.before_s, (call_s, call_s));
            let waited = self.waited;
            return CpuParts {
                waited,
                rate,
                before_s,
                call_s,
                call_range_s,
                rounds: 1,
                ..CpuParts::default()
            };
        };
        let of_steady = steady.iter().map(|one| one.0).sum::<f64>() / calls(steady);
        let edges = self.intervals[..1].iter().chain(&self.intervals[last..]);
        let edges_s: f64 = edges.map(|one| (one.0 - of_steady * one.1).max(0.0)).sum();
        let call_s = (shards - edges_s) / calls(&self.intervals);
        // Intervals with few calls tell little of a call.
        let most = steady.iter().map(|one| one.1).fold(0.0, f64::max);
        let full = steady.iter().filter(|one| one.1 >= most / 2.0).map(|one| one.0 / one.1);
        let range =
            full.fold((f64::MAX, 0.0_f64), |(low, high), one| (low.min(one), high.max(one)));
        CpuParts {
            rate,
            before_s: self.before_s,
            edges_s,
            second_s: (load - shards).max(0.0) / self.length_s.max(1e-9),
            call_s,
            call_range_s: (range.0.min(call_s), range.1.max(call_s)),
            rounds: 1,
            waited: self.waited,
        }
    }
}

impl CpuParts {
    /// The medians of several rounds; `None` without any.
    pub fn median(rounds: &[Self]) -> Option<Self> {
        let of = |figure: fn(&Self) -> f64| median(rounds.iter().map(figure).collect());
        let all = || rounds.iter().map(|one| one.call_s);
        Some(Self {
            rate: of(|one| one.rate)?,
            before_s: of(|one| one.before_s)?,
            edges_s: of(|one| one.edges_s)?,
            second_s: of(|one| one.second_s)?,
            call_s: of(|one| one.call_s)?,
            call_range_s: (all().fold(f64::MAX, f64::min), all().fold(0.0, f64::max)),
            rounds: rounds.len(),
            waited: of(|one| one.waited)?,
        })
    }
}

/// The median; `None` of nothing.
fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let (low, high) =
        (values.get(values.len().checked_sub(1)? / 2)?, values.get(values.len() / 2)?);
    Some(f64::midpoint(*low, *high))
}

/// The load of a plan, as far as CPU time depends on it.
#[derive(Clone, Debug, PartialEq)]
pub struct CallProfile {
    /// The length of a column, seconds.
    pub column_s: f64,
    /// Calls in each column of the run.
    pub calls: Vec<f64>,
}

impl CallProfile {
    /// The rates at which a calibration measures: one, or a lower and a higher one if the rates of
    /// the plan differ; empty without calls.
    pub fn rates(&self) -> Vec<f64> {
        let mut rates: Vec<f64> =
            self.calls.iter().map(|calls| calls / self.column_s.max(1e-9)).collect();
        rates.retain(|rate| *rate > 0.0);
        rates.sort_by(f64::total_cmp);
        let all: f64 = rates.iter().sum();
        // The rate below which this share of all calls is made.
        let quantile = |share: f64| {
            let mut sum = 0.0;
            rates.iter().copied().find(|rate| {
                sum += rate;
                sum >= share * all
            })
        };
        let (Some(low), Some(high)) = (quantile(TAIL), quantile(1.0 - TAIL)) else {
            return Vec::new();
        };
        if high > low * FAR {
            return vec![low, high];
        }
        // The mean of a call, not of a second.
        vec![rates.iter().map(|rate| rate * rate).sum::<f64>() / all]
    }

    /// The length of the run, seconds.
    pub fn length_s(&self) -> f64 {
        self.column_s * self.calls.len() as f64
    }
}

/// What runs use, by rate.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CpuModel {
    /// What was measured at each rate, the lowest first.
    pub points: Vec<CpuParts>,
}

impl CpuModel {
    /// Creates a model from what was measured at each rate.
    pub fn new(mut points: Vec<CpuParts>) -> Self {
        points.sort_by(|a, b| a.rate.total_cmp(&b.rate));
        Self { points }
    }

    /// CPU time of the calls of a second at a rate, seconds: on the lines from one measured rate to
    /// the next. Below the lowest one it is on the first line, but never below zero; with one rate
    /// it is proportional, unless that had so few calls that they do not matter. Above the highest
    /// one CPU time of a call is the same as there.
    pub fn calls_s(&self, rate: f64, figure: fn(&CpuParts) -> f64) -> f64 {
        let used = |point: &CpuParts| point.rate * figure(point);
        let line = |from: (f64, f64), to: (f64, f64)| {
            from.1 + (to.1 - from.1) * (rate - from.0) / (to.0 - from.0).max(1e-9)
        };
        let Some(first) = self.points.first() else { return 0.0 };
        match self.points.iter().position(|point| point.rate >= rate) {
            None => self.points.last().map_or(0.0, figure) * rate,
            Some(0) => {
                let at_zero = match self.points.get(1) {
                    Some(next) => {
                        let slope = (used(next) - used(first)) / (next.rate - first.rate).max(1e-9);
                        used(first) - slope * first.rate
                    }
                    None if first.rate <= FEW => used(first),
                    None => 0.0,
                };
                line((0.0, at_zero.clamp(0.0, used(first))), (first.rate, used(first)))
            }
            Some(at) => {
                let (low, high) = (&self.points[at - 1], &self.points[at]);
                line((low.rate, used(low)), (high.rate, used(high)))
            }
        }
    }

    /// CPU time of a run, seconds, with what a figure gives for a call; `users`: how many times the
    /// users of the measured runs.
    fn with(&self, load: &CallProfile, users: f64, figure: fn(&CpuParts) -> f64) -> f64 {
        let rates = load.calls.iter().map(|calls| calls / load.column_s.max(1e-9));
        let of_calls: f64 = rates.map(|rate| load.column_s * self.calls_s(rate, figure)).sum();
        of_calls + self.fixed_s(load.length_s(), users)
    }

    /// The part that does not depend on calls, seconds.
    fn fixed_s(&self, length_s: f64, users: f64) -> f64 {
        let count = self.points.len().max(1) as f64;
        let fixed = |point: &CpuParts| {
            point.before_s + point.edges_s * users.max(1.0) + point.second_s * length_s
        };
        self.points.iter().map(fixed).sum::<f64>() / count
    }

    /// CPU time of a run, seconds: as expected, by the lowest round, and by the highest.
    pub fn cpu_s(&self, load: &CallProfile, users: f64) -> (f64, f64, f64) {
        let of = |figure| self.with(load, users, figure);
        (
            of(|point| point.call_s),
            of(|point| point.call_range_s.0),
            of(|point| point.call_range_s.1),
        )
    }
}

#[cfg(test)]
#[path = "cost_model_tests.rs"]
mod tests;
