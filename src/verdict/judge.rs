//! Judges thresholds on the merged numbers of the whole run.
//!
//! `run` calls it, `report` and `sinks` show the Judgements.
//! Invariant: a percentile that is only a lower bound fails every upper bound; a threshold without
//! data does not pass.

pub use super::judgement::{Judgement, StoppedRun, UntimedRank};
use super::scope::{Scope, Subjects};
use super::threshold::{Metric, MetricTime, Statistic, Threshold};
use crate::ids::{StepId, WorkloadId};
use crate::protocol::status::as_http;
use crate::stats::caches::Caches;
use crate::stats::delta::{LoadWindow, LostStarts, StepWindow, Window};
use crate::stats::{
    Calls, Delayed, Histogram, Latency, MessageCounts, OwnDelay, Quantile, Recovery, Snapshot,
};

/// The data for a judgement: the whole run, or one window of it.
#[derive(Clone, Copy, Debug)]
pub struct JudgedPart<'a> {
    /// Everything that was intended in it.
    pub window: &'a Window,
    /// Length of the judged part, s.
    pub seconds: f64,
    /// Bytes read in the whole run.
    pub bytes: u64,
    /// How long services took to be healthy after the load.
    pub recovery: Option<Recovery>,
    /// The caches of the whole run; `None` for a window.
    pub caches: Option<&'a Caches>,
}

/// The observed value of a metric.
#[derive(Clone, Copy, Debug)]
struct Observed {
    value: f64,
    at_least: bool,
    thin: bool,
    unknown: UntimedRank,
}

/// Judges every threshold on the run; those over windows must hold in each window, which
/// [`super::Watch`] judges.
pub fn judge(thresholds: &[Threshold], subjects: &Subjects, snapshot: &Snapshot) -> Vec<Judgement> {
    let part = |threshold| JudgedPart {
        window: &snapshot.measured,
        seconds: measured_ns(threshold, subjects, snapshot) as f64 / 1e9,
        bytes: snapshot.connections.bytes_received,
        recovery: snapshot.recovery,
        caches: Some(&snapshot.caches),
    };
    thresholds.iter().map(|threshold| judge_part(threshold, subjects, part(threshold))).collect()
}

/// Returns how long the load that a threshold selects was measured, ns: from its first start or the
/// end of the warm-up to its last end, or to where the load was stopped.
fn measured_ns(threshold: &Threshold, subjects: &Subjects, snapshot: &Snapshot) -> u64 {
    let spans = WorkloadId::number(&subjects.measured_ns);
    let spans = spans.filter(|(id, _)| threshold.scope.has_workload(subjects, *id));
    let span = spans.fold(None, |span: Option<(u64, u64)>, (_, &(from, to))| {
        let to = to.min(snapshot.until_ns);
        Some(span.map_or((from, to), |(first, last)| (first.min(from), last.max(to))))
    });
    span.map_or(snapshot.measured_ns, |(from, to)| to.saturating_sub(from))
}

/// Judges a threshold on a part of the run.
pub(super) fn judge_part(
    threshold: &Threshold,
    subjects: &Subjects,
    part: JudgedPart<'_>,
) -> Judgement {
    let observed = observe(threshold, subjects, part, false);
    let holds = |observed: &Observed| {
        let holds = threshold.op.holds(observed.value, threshold.limit);
        // "At least 2 s" proves "more than 1 s" and nothing below.
        holds && !(observed.at_least && threshold.op.is_upper_bound())
    };
    let passed = observed.as_ref().is_some_and(holds);
    let less = is_delayed(threshold, part).then(|| observe(threshold, subjects, part, true));
    let less = less.flatten().filter(|less| observed.is_some_and(|one| one.value > less.value));
    Judgement {
        threshold: threshold.clone(),
        observed: observed.map(|observed| observed.value),
        at_least: observed.is_some_and(|observed| observed.at_least),
        thin: observed.is_some_and(|observed| observed.thin),
        unknown: observed.map_or(UntimedRank::default(), |observed| observed.unknown),
        worst_at_s: None,
        stopped: None,
        without_own_delay: less.map(|less| less.value),
        rests_on_own_delay: !passed && less.as_ref().is_some_and(holds),
        passed,
    }
}

/// Whether the threshold is on times of which the generator delayed some.
fn is_delayed(threshold: &Threshold, part: JudgedPart<'_>) -> bool {
    match threshold.metric {
        Metric::Time(
            MetricTime::Response
            | MetricTime::OkResponse
            | MetricTime::Service
            | MetricTime::OkService,
            _,
        ) => part.window.steps.iter().flatten().any(|step| step.own_delay.is_some()),
        Metric::Time(MetricTime::Iteration, _) => {
            part.window.workloads.iter().any(|load| load.iteration_delayed.is_some())
        }
        _ => false,
    }
}

impl Observed {
    const fn known(value: f64) -> Self {
        let unknown = UntimedRank { starts: 0, calls: 0, all: 0 };
        Self { value, at_least: false, thin: false, unknown }
    }

    /// Separates lost starts from calls without a response.
    fn without_starts(mut self, lost: u64) -> Self {
        if self.at_least {
            self.unknown.starts = lost;
            self.unknown.calls -= lost;
        }
        self
    }
}

/// Observes a threshold's metric; with `less`, calls that the generator delayed count at their
/// lower bounds.
fn observe(
    threshold: &Threshold,
    subjects: &Subjects,
    part: JudgedPart<'_>,
    less: bool,
) -> Option<Observed> {
    let scope = &threshold.scope;
    let steps = || selected(scope, subjects, part.window);
    let loads = || {
        let all = WorkloadId::number(&part.window.workloads);
        all.filter(|(id, _)| scope.has_workload(subjects, *id)).map(|(_, load)| load)
    };
    let mut calls = Calls::default();
    steps().for_each(|(_, step)| calls.add(&step.calls));
    let exact = |value: f64| Some(Observed::known(value));
    let counted = |count: u64| (calls.made > 0).then_some(count as f64).and_then(exact);
    let sum = |part: fn(&LoadWindow) -> u64| loads().map(part).sum::<u64>();
    match threshold.metric {
        Metric::Time(time, stat) => {
            let selection = Selection { steps: steps().collect(), loads: loads().collect() };
            // A lost start belongs to its workload, and to none of its steps.
            selection.observe(time, stat, !scope.is_within_workloads(), less)
        }
        Metric::Errors => calls.error_share().and_then(exact),
        Metric::Achieved => share_achieved(loads()).and_then(exact),
        Metric::AchievedUsers => share_of_users(loads()).and_then(exact),
        Metric::Checks => {
            let selection = |series, index| scope.has_check_of(subjects, series, index);
            share_passed(steps(), selection).and_then(exact)
        }
        Metric::Dropped => {
            (sum(|load| load.due) > 0).then(|| sum(|load| load.lost) as f64).and_then(exact)
        }
        Metric::Failed => counted(calls.failed),
        Metric::Timeouts => counted(calls.timeout),
        Metric::GeneratorErrors => counted(calls.generator_errors),
        Metric::Calls => counted(calls.made),
        Metric::Statuses(low, high) => counted(count_statuses(steps(), low, high)),
        Metric::StatusShare(low, high) => {
            let share = count_statuses(steps(), low, high) as f64 / calls.made.max(1) as f64;
            (calls.made > 0).then_some(share).and_then(exact)
        }
        Metric::Messages(count) => messages(steps())
            .filter(|counts| !counts.is_empty())
            .map(|counts| count.of(&counts) as f64)
            .and_then(exact),
        Metric::Good => messages(steps())
            .filter(|counts| counts.judged > 0)
            .map(|counts| counts.good as f64 / counts.judged as f64)
            .and_then(exact),
        Metric::Bytes => (part.bytes > 0).then_some(part.bytes as f64).and_then(exact),
        Metric::Recovery => part.recovery.map(|recovery| Observed {
            at_least: !recovery.is_healthy,
            ..Observed::known(recovery.us as f64)
        }),
        Metric::Cache(metric) => {
            let counts = scope.cache().and_then(|name| part.caches?.by_name.get(name));
            counts.and_then(|counts| metric.of(counts)).and_then(exact)
        }
        Metric::Iterations => {
            let started = sum(|load| load.started);
            (started > 0).then_some(started as f64).and_then(exact)
        }
        Metric::Rate => {
            let started = sum(|load| load.started);
            let any = started > 0 && part.seconds > 0.0;
            any.then(|| started as f64 / part.seconds).and_then(exact)
        }
    }
}

/// The steps that a scope selects, or what of them went to the backend that it selects.
pub(super) fn selected<'a>(
    scope: &'a Scope,
    subjects: &'a Subjects,
    window: &'a Window,
) -> impl Iterator<Item = (StepId, &'a StepWindow)> {
    let is_whole = scope.backend().is_none();
    let steps = StepId::number(&window.steps)
        .filter(move |(id, _)| is_whole && scope.has_series(subjects, *id))
        .filter_map(|(id, step)| Some((id, step.as_deref()?)));
    let backends = window.backends.iter().zip(&subjects.backends).enumerate();
    let backends = backends
        .filter(move |(place, _)| !is_whole && scope.has_backend(subjects, *place))
        .filter_map(|(_, (window, (step, _)))| Some((*step, &window.as_deref()?.calls)));
    steps.chain(backends)
}

/// The messages of the steps; `None` if none of them has some.
fn messages<'a>(steps: impl Iterator<Item = (StepId, &'a StepWindow)>) -> Option<MessageCounts> {
    let all = steps.filter_map(|(_, step)| step.messages.as_ref());
    all.fold(None, |sum: Option<MessageCounts>, messages| {
        let mut sum = sum.unwrap_or_default();
        sum.add(&messages.counts);
        Some(sum)
    })
}

/// The series and workloads that a threshold on times selects.
struct Selection<'a> {
    steps: Vec<(StepId, &'a StepWindow)>,
    loads: Vec<&'a LoadWindow>,
}

impl Selection<'_> {
    /// Computes a statistic of a time; `with_lost`: lost starts rank above every response.
    fn observe(
        &self,
        time: MetricTime,
        stat: Statistic,
        with_lost: bool,
        less: bool,
    ) -> Option<Observed> {
        match time {
            MetricTime::Response => {
                let mut all = self.calls(|step| step.response.clone());
                if less {
                    all = self.at_lower_bounds(&all, |own| &own.response);
                }
                let lost = self.loads.iter().map(|load| load.lost_starts());
                let lost = lost.fold(LostStarts::default(), LostStarts::and);
                let lost = if with_lost { lost } else { LostStarts::default() };
                lost.rank_in(&mut all);
                statistic(&all, stat).map(|observed| observed.without_starts(lost.count()))
            }
            // Delayed calls that were not ok lower these, too; the results are still lower bounds.
            MetricTime::OkResponse => {
                let all = self.calls(|step| step.ok_response().into());
                statistic(
                    &if less { self.at_lower_bounds(&all, |own| &own.response) } else { all },
                    stat,
                )
            }
            MetricTime::OkService => {
                let all = self.calls(|step| step.ok_service().into());
                statistic(
                    &if less { self.at_lower_bounds(&all, |own| &own.service) } else { all },
                    stat,
                )
            }
            MetricTime::Service => {
                let all = self.calls(|step| step.service.clone());
                statistic(
                    &if less { self.at_lower_bounds(&all, |own| &own.service) } else { all },
                    stat,
                )
            }
            MetricTime::Iteration => {
                let mut all = Latency::default();
                self.loads.iter().for_each(|load| all.merge(&load.iteration));
                if less {
                    let loads = self.loads.iter();
                    let delayed = loads.filter_map(|load| load.iteration_delayed.as_deref());
                    delayed.for_each(|delayed| all = delayed.taken_off(&all));
                }
                statistic(&all, stat)
            }
            MetricTime::Messages(span) => statistic(&self.calls(|step| span.of_step(step)), stat),
            MetricTime::Lag | MetricTime::Blocked => {
                let mut all = Histogram::default();
                let lag = time == MetricTime::Lag;
                for load in &self.loads {
                    all.merge(if lag { &load.lag } else { &load.blocked });
                }
                statistic(&Latency::from(all), stat)
            }
        }
    }

    fn calls(&self, part: impl Fn(&StepWindow) -> Latency) -> Latency {
        let mut all = Latency::default();
        self.steps.iter().for_each(|(_, step)| all.merge(&part(step)));
        all
    }

    /// All calls, those that the generator delayed at their lower bounds.
    fn at_lower_bounds(&self, all: &Latency, part: impl Fn(&OwnDelay) -> &Delayed) -> Latency {
        let mut delayed = Delayed::default();
        let own = self.steps.iter().filter_map(|(_, step)| step.own_delay.as_deref());
        own.for_each(|own| delayed.merge(part(own)));
        delayed.taken_off(all)
    }
}

fn share_passed<'a>(
    steps: impl Iterator<Item = (StepId, &'a StepWindow)>,
    selection: impl Fn(StepId, usize) -> bool,
) -> Option<f64> {
    let (mut passed, mut all) = (0, 0);
    for (series, step) in steps {
        for (index, [good, bad]) in step.checks.iter().enumerate() {
            if selection(series, index) {
                passed += good;
                all += good + bad;
            }
        }
    }
    (all > 0).then(|| passed as f64 / all as f64)
}

fn count_statuses<'a>(
    steps: impl Iterator<Item = (StepId, &'a StepWindow)>,
    low: u16,
    high: u16,
) -> u64 {
    let statuses = steps.flat_map(|(_, step)| &step.statuses);
    let counts =
        |status: u16| (low..=high).contains(&if low == high { status } else { as_http(status) });
    statuses.filter(|(status, _)| counts(*status)).map(|(_, count)| count).sum()
}

/// Starts within 1 s of their due time / starts due, after the warm-up; `None` if there is no
/// schedule.
pub fn achieved(snapshot: &Snapshot) -> Option<f64> {
    share_achieved(snapshot.measured.workloads.iter())
}

fn share_achieved<'a>(loads: impl Iterator<Item = &'a LoadWindow>) -> Option<f64> {
    let scheduled = loads.filter(|workload| workload.due > 0);
    let (made, due) =
        scheduled.fold((0, 0), |(made, due), load| (made + load.on_time, due + load.due));
    (due > 0).then(|| made as f64 / due as f64)
}

/// Time of users present / time of users that the load required, after the warm-up; `None` if no
/// load sets a number of users.
pub fn achieved_users(snapshot: &Snapshot) -> Option<f64> {
    share_of_users(snapshot.measured.workloads.iter())
}

fn share_of_users<'a>(loads: impl Iterator<Item = &'a LoadWindow>) -> Option<f64> {
    let (present, target) = loads.fold((0, 0), |(present, target), load| {
        (present + load.present_user_ns, target + load.target_user_ns)
    });
    (target > 0).then(|| present as f64 / target as f64)
}

fn statistic(latency: &Latency, stat: Statistic) -> Option<Observed> {
    let unknown = UntimedRank { starts: 0, calls: latency.censored(), all: latency.count() };
    let of = |quantile: Quantile| Observed {
        value: quantile.us as f64,
        at_least: quantile.at_least,
        thin: quantile.thin,
        unknown: if quantile.at_least { unknown } else { UntimedRank::default() },
    };
    let known = Observed::known;
    match stat {
        Statistic::Min => latency.shortest_us().map(|us| known(us as f64)),
        // A mean over responses alone would make a run with timeouts look fast.
        Statistic::Mean => latency.mean_us().map(|us| Observed {
            value: us,
            at_least: latency.censored() > 0,
            thin: false,
            unknown,
        }),
        Statistic::Percentile(percent) => latency.quantile(percent / 100.0).map(of),
        Statistic::Max => latency.longest().map(of),
    }
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
