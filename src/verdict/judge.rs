//! Do the rules hold? Each is looked at on the merged numbers of the whole run.
//!
//! `run` asks at the end; `sinks` show what it found.
//! Invariant: a percentile that is only a lower bound fails every upper bound; a rule with nothing
//! to look at does not pass.

use super::threshold::{Metric, Stat, Threshold, Time};
use crate::stats::{Histogram, Latency, Quantile, Snapshot};

/// A rule as it was judged.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    /// The rule.
    pub threshold: Threshold,
    /// What was observed, in the metric's unit; `None` when there was nothing to look at.
    pub observed: Option<f64>,
    /// The true value is not below `observed` and may be anything above it.
    pub at_least: bool,
    /// The percentile rests on fewer than ten calls above it.
    pub thin: bool,
    /// Whether it holds.
    pub passed: bool,
}

/// What a metric showed.
#[derive(Clone, Copy, Debug)]
struct Observed {
    value: f64,
    at_least: bool,
    thin: bool,
}

/// Judges every rule on the run.
pub fn judge(thresholds: &[Threshold], snapshot: &Snapshot) -> Vec<Judgement> {
    thresholds.iter().map(|threshold| one(threshold, snapshot)).collect()
}

fn one(threshold: &Threshold, snapshot: &Snapshot) -> Judgement {
    let observed = observe(threshold.metric, snapshot);
    let passed = observed.is_some_and(|observed| {
        let holds = threshold.op.holds(observed.value, threshold.limit);
        // "At least 2 s" proves "more than 1 s" and nothing below.
        holds && !(observed.at_least && threshold.op.is_upper_bound())
    });
    Judgement {
        threshold: threshold.clone(),
        observed: observed.map(|observed| observed.value),
        at_least: observed.is_some_and(|observed| observed.at_least),
        thin: observed.is_some_and(|observed| observed.thin),
        passed,
    }
}

fn observe(metric: Metric, snapshot: &Snapshot) -> Option<Observed> {
    let measured = &snapshot.measured;
    let calls = measured.calls();
    let exact = |value: f64| Some(Observed { value, at_least: false, thin: false });
    match metric {
        Metric::Time(time, stat) => observe_time(time, stat, snapshot),
        Metric::Errors => calls.error_share().and_then(exact),
        Metric::Achieved => achieved(snapshot).and_then(exact),
        Metric::Checks => {
            let (mut passed, mut all) = (0, 0);
            for [good, bad] in measured.steps.iter().flatten().flat_map(|step| &step.checks) {
                passed += good;
                all += good + bad;
            }
            (all > 0).then(|| passed as f64 / all as f64).and_then(exact)
        }
        Metric::Dropped => {
            let due: u64 = measured.workloads.iter().map(|workload| workload.due).sum();
            (due > 0).then(|| measured.lost() as f64).and_then(exact)
        }
        Metric::Failed => (calls.made > 0).then_some(calls.failed as f64).and_then(exact),
        Metric::Timeouts => (calls.made > 0).then_some(calls.timeout as f64).and_then(exact),
        Metric::Rate => {
            let started: u64 = measured.workloads.iter().map(|workload| workload.started).sum();
            let seconds = snapshot.measured_ns as f64 / 1e9;
            let any = started > 0 && seconds > 0.0;
            any.then(|| started as f64 / seconds).and_then(exact)
        }
    }
}

/// Starts made within 1 s of their due time over starts due, after the warm-up; `None` without a
/// schedule.
pub fn achieved(snapshot: &Snapshot) -> Option<f64> {
    let scheduled = snapshot.measured.workloads.iter().filter(|workload| workload.due > 0);
    let (made, due) =
        scheduled.fold((0, 0), |(made, due), load| (made + load.on_time, due + load.due));
    (due > 0).then(|| made as f64 / due as f64)
}

fn observe_time(time: Time, stat: Stat, snapshot: &Snapshot) -> Option<Observed> {
    let measured = &snapshot.measured;
    let all = |part: fn(&crate::stats::delta::LoadWindow) -> &Histogram| {
        let mut sum = Histogram::default();
        measured.workloads.iter().for_each(|workload| sum.merge(part(workload)));
        sum
    };
    let histogram = match time {
        Time::Response => {
            return statistic(&measured.response(|_| true, measured.lost()), stat);
        }
        Time::Service => return statistic(&measured.service(|_| true), stat),
        Time::Iteration => {
            let mut sum = Latency::default();
            measured.workloads.iter().for_each(|workload| sum.merge(&workload.iteration));
            return statistic(&sum, stat);
        }
        Time::Lag => all(|workload| &workload.lag),
        Time::Blocked => all(|workload| &workload.blocked),
    };
    statistic(&Latency::from(histogram), stat)
}

fn statistic(latency: &Latency, stat: Stat) -> Option<Observed> {
    let of = |quantile: Quantile| Observed {
        value: quantile.us as f64,
        at_least: quantile.at_least,
        thin: quantile.thin,
    };
    let known = |value: f64| Observed { value, at_least: false, thin: false };
    match stat {
        Stat::Min => latency.shortest_us().map(|us| known(us as f64)),
        // A mean over answers alone would make a run with timeouts look fast.
        Stat::Mean => latency.mean_us().map(|us| Observed {
            value: us,
            at_least: latency.censored() > 0,
            thin: false,
        }),
        Stat::Percentile(percent) => latency.quantile(percent / 100.0).map(of),
        Stat::Max => latency.longest().map(of),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::sample::Shape;
    use crate::stats::{Delta, Recorder, Tally};

    fn run(fill: impl FnOnce(&mut Recorder)) -> Snapshot {
        let shape = Shape { workloads: 1, checks: vec![0], groups: 0, warmup_ns: 0 };
        let mut recorder = Recorder::new(shape.clone(), 0, crate::clock::Time(0));
        fill(&mut recorder);
        let delta: Delta =
            recorder.shed(crate::stats::Gauges::default(), crate::clock::Time(1_000_000_000));
        let mut tally = Tally::new(&shape, 1, vec![true]);
        tally.absorb(&delta);
        tally.snapshot(None)
    }

    #[test]
    fn an_empty_run_passes_nothing() {
        let snapshot = run(|_| {});
        for rule in [
            "response.p95 < 1h",
            "errors < 100%",
            "achieved > 0%",
            "checks >= 0%",
            "rate >= 0/s",
            "rate < 1000/s",
            "failed == 0",
            "timeouts <= 0",
            "dropped == 0",
        ] {
            let threshold = Threshold::parse(rule).unwrap();
            assert!(!one(&threshold, &snapshot).passed, "{rule}");
        }
    }

    #[test]
    fn dropped_starts_rank_above_every_answer() {
        let snapshot = run(|recorder| {
            for k in 0..100 {
                recorder.due(0, k);
                recorder.dropped(0, k, 0);
            }
        });
        let threshold = Threshold::parse("response.p50 < 1h").unwrap();
        let judged = one(&threshold, &snapshot);
        assert!(judged.at_least && !judged.passed);
        assert!(!one(&Threshold::parse("achieved > 1%").unwrap(), &snapshot).passed);
        assert!(!one(&Threshold::parse("dropped < 100").unwrap(), &snapshot).passed);
        assert!(one(&Threshold::parse("dropped <= 100").unwrap(), &snapshot).passed);
    }
}
