//! Thresholds as conditions of PromQL: when a threshold fails, by the metrics of the run.
//!
//! `alerts` makes alerts of them.
//! Invariant: a condition is built only of metrics that have what the threshold judges; what is
//! left out of them, or interpolated, stands with the condition.

use super::names::MetricName;
use super::promql::{BucketForm, CountedTime, Matchers, QueriedTimes, seconds};
use crate::plan::RunManifest;
use crate::sinks::metrics::{BOUNDS_US, label_name};
use crate::verdict::message_metric::MessageSpan;
use crate::verdict::scope::Selector;
use crate::verdict::threshold::{Metric, MetricTime, Statistic};
use crate::verdict::{Comparison, Threshold};

/// Labels that stay in sums: those of a run.
pub(super) const RUN: &str = "job, instance";

/// The shortest window that has enough scrapes, s.
const MIN_WINDOW_S: u32 = 10;

/// When a threshold fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Condition {
    /// True if it fails.
    pub(super) expr: String,
    /// How near it is to the judgement of the report.
    pub(super) precision: String,
}

/// The condition of a threshold, or why metrics have none.
pub(super) fn condition(
    threshold: &Threshold,
    plan: &RunManifest,
    form: BucketForm,
) -> Result<Condition, &'static str> {
    let range = threshold.over_s.map(seconds);
    if threshold.scope.backend().is_some() {
        return Err("metrics have no label for backends");
    }
    if threshold.scope.cache().is_some() {
        return Err("metrics have no counts of caches");
    }
    let time = match (&range, threshold.over_s) {
        (Some(range), Some(over_s)) if over_s >= MIN_WINDOW_S => CountedTime::Last(range),
        (Some(_), _) => return Err("a window below 10 s has too few scrapes"),
        (None, _) if threshold.after_s > 0 => {
            return Err("counters include the calls before `after`");
        }
        (None, _) => CountedTime::WholeRun,
    };
    let parts = Parts { threshold, plan, form, time };
    let mut found = match threshold.metric {
        Metric::Time(of, statistic) => parts.of_time(of, statistic)?,
        metric => Condition {
            expr: format!("{} {} {}", parts.value(metric)?, failing(threshold.op), threshold.limit),
            precision: "exact: from the counters of the whole run".to_owned(),
        },
    };
    if time != CountedTime::WholeRun {
        found.precision = String::from(
            "approximate: windows of Prometheus end at scrapes, and have calls by when they ended, \
             not by when they were due",
        );
    }
    for guard in parts.guards() {
        found.expr = format!("{} and on ({RUN}) ({guard})", found.expr);
    }
    Ok(found)
}

/// The comparison of a value that fails.
const fn failing(op: Comparison) -> &'static str {
    match op {
        Comparison::Less => ">=",
        Comparison::AtMost => ">",
        Comparison::More => "<=",
        Comparison::AtLeast => "<",
        Comparison::Equal => "!=",
    }
}

/// What a condition is made of.
#[derive(Clone, Copy)]
struct Parts<'a> {
    threshold: &'a Threshold,
    plan: &'a RunManifest,
    form: BucketForm,
    time: CountedTime<'a>,
}

impl Parts<'_> {
    /// The selected series.
    fn matchers(self) -> Matchers {
        let selectors = self.threshold.scope.selectors.iter();
        selectors.fold(Matchers::default(), |all, selector| match selector {
            Selector::Step(name) => all.is("step", name),
            Selector::Workload(name) => all.is("workload", name),
            Selector::Archetype(name) => all.is("archetype", name),
            Selector::Tag(key, value) => all.is(&format!("tag_{}", label_name(key)), value),
            Selector::Check(name) => all.is("check", name),
            // `condition` has none for it.
            Selector::Backend(_) | Selector::Cache(_) => all,
        })
    }

    fn measured(self) -> Matchers {
        self.matchers().is("period", "measured")
    }

    fn sum(self, metric: MetricName, matchers: &Matchers) -> String {
        format!("sum by ({RUN}) ({})", self.time.count(&matchers.of(metric)))
    }

    /// A value that is no time.
    fn value(self, metric: Metric) -> Result<String, &'static str> {
        let calls = |result: Matchers| self.sum(MetricName::CALLS, &result);
        let with_result = |result: &str| calls(self.measured().is("result", result));
        let judged = self.measured().unlike("result", "cancelled|muted|unfinished");
        let statuses = |low: u16, high: u16| {
            if low == high {
                return Err("responses are counted by class of their status");
            }
            let class = format!("{}xx", low / 100);
            Ok(self.sum_or_zero(MetricName::RESPONSES, &self.measured().is("status_class", &class)))
        };
        Ok(match metric {
            Metric::Errors => {
                format!("1 - {} / {}", with_result("ok"), calls(judged))
            }
            Metric::Checks => {
                let passed = self.measured().is("result", "passed");
                let all = self.sum(MetricName::CHECKS, &self.measured());
                format!("{} / {all}", self.sum(MetricName::CHECKS, &passed))
            }
            Metric::Failed => with_result("failed"),
            Metric::Timeouts => with_result("timeout"),
            Metric::GeneratorErrors => with_result("generator_error"),
            Metric::Calls => calls(self.measured()),
            Metric::Statuses(low, high) => statuses(low, high)?,
            Metric::StatusShare(low, high) => {
                format!("{} / {}", statuses(low, high)?, calls(self.measured()))
            }
            Metric::Cache(_) => return Err("metrics have no counts of caches"),
            Metric::Recovery => return Err("it is measured after the load"),
            Metric::Bytes => self.sum(MetricName::BYTES_RECEIVED, &Matchers::default()),
            Metric::Iterations => self.of_workloads(MetricName::ITERATIONS_STARTED, None)?,
            Metric::Dropped => {
                self.of_workloads(MetricName::STARTS_LOST, Some("dropped|suppressed"))?
            }
            Metric::Rate => {
                let CountedTime::Last(_) = self.time else {
                    return Err("no metric has the length of the measured time");
                };
                let started = self.of_workloads(MetricName::ITERATIONS_STARTED, None)?;
                format!("{started} / {}", self.threshold.over_s.unwrap_or(1))
            }
            Metric::Messages(count) => {
                let name = count.name();
                if name == "lost" || name == "missed" {
                    return Err("messages that come later are taken off again");
                }
                let entry = name.strip_prefix("messages.").unwrap_or(name);
                self.sum_or_zero(MetricName::MESSAGES, &self.measured().is("entry", entry))
            }
            Metric::Good => {
                let entry = |name| {
                    self.sum_or_zero(MetricName::MESSAGES, &self.measured().is("entry", name))
                };
                format!("{} / {}", entry("good"), entry("judged"))
            }
            Metric::Achieved => return Err("no metric has the starts within 1 s"),
            Metric::AchievedUsers => return Err("no metric has the time of users"),
            Metric::Time(..) => return Err("it is a time"),
        })
    }

    /// A count of workloads, which has no `period`.
    fn of_workloads(
        self,
        metric: MetricName,
        reasons: Option<&str>,
    ) -> Result<String, &'static str> {
        if self.time == CountedTime::WholeRun && !self.plan.warmup.is_zero() {
            return Err("the counter includes the warm-up");
        }
        let matchers = self.matchers();
        let matchers = match reasons {
            Some(reasons) => matchers.like("reason", reasons),
            None => matchers,
        };
        Ok(self.sum(metric, &matchers))
    }

    /// A statistic of a time.
    fn of_time(self, of: MetricTime, statistic: Statistic) -> Result<Condition, &'static str> {
        let metric = match of {
            MetricTime::Response => MetricName::RESPONSE_DURATION,
            MetricTime::Service => MetricName::SERVICE_DURATION,
            MetricTime::Iteration => MetricName::ITERATION_DURATION,
            MetricTime::Lag => MetricName::GENERATOR_LAG,
            MetricTime::Blocked => MetricName::BLOCKED_DURATION,
            MetricTime::Messages(MessageSpan::First) => MetricName::MESSAGE_FIRST,
            MetricTime::Messages(MessageSpan::Gap) => MetricName::MESSAGE_GAP,
            MetricTime::OkResponse | MetricTime::OkService => {
                return Err("no metric has the times of ok calls alone");
            }
            MetricTime::Messages(MessageSpan::Delivery) => {
                return Err("lost messages rank above all, and are not in the histogram");
            }
            MetricTime::Messages(_) => return Err("no metric has this time"),
        };
        let Threshold { op, limit, .. } = *self.threshold;
        let matchers = self.measured();
        let times = QueriedTimes { metric, matchers: &matchers, time: self.time, by: RUN };
        let compare = |value: String| format!("{value} {} {}", failing(op), limit / 1e6);
        match statistic {
            Statistic::Min | Statistic::Max => Err("histograms have no minimum and no maximum"),
            Statistic::Mean if matches!(of, MetricTime::Lag | MetricTime::Blocked) => {
                let precision = "exact: the sum of all times by their number".to_owned();
                Ok(Condition { expr: compare(times.mean(self.form)), precision })
            }
            Statistic::Mean => Err("calls without a response have no exact time"),
            Statistic::Percentile(_) if op == Comparison::Equal => {
                Err("quantiles of a histogram are interpolated")
            }
            Statistic::Percentile(_) if limit >= BOUNDS_US[BOUNDS_US.len() - 1] as f64 => {
                Err("the limit is above the bounds of the histogram")
            }
            Statistic::Percentile(percent) => {
                let share = percent / 100.0;
                let bound = BOUNDS_US.into_iter().find(|bound| (*bound as f64 - limit).abs() < 0.5);
                let (expr, precision) = match (bound, self.form) {
                    (Some(bound), BucketForm::Classic) => {
                        let op = if op.is_upper_bound() { "<" } else { ">=" };
                        (format!("{} {op} {share}", times.share_up_to(bound)), AT_BOUND)
                    }
                    (None, BucketForm::Classic) => {
                        (compare(times.quantile(share, self.form)), INTERPOLATED)
                    }
                    (_, BucketForm::Native) => {
                        (compare(times.quantile(share, self.form)), EXPONENTIAL)
                    }
                };
                let lost = if self.has_lost_starts(of) { LOST_STARTS } else { "" };
                Ok(Condition { expr, precision: format!("{precision}{lost}") })
            }
        }
    }

    /// Whether the threshold also judges starts that were lost, which no histogram has.
    fn has_lost_starts(self, of: MetricTime) -> bool {
        of == MetricTime::Response
            && !self.threshold.scope.is_within_workloads()
            && self.plan.workloads.iter().any(|load| load.open)
    }

    /// A sum that is zero in a run without such a series.
    fn sum_or_zero(self, metric: MetricName, matchers: &Matchers) -> String {
        let info = MetricName::RUN_INFO.text();
        format!("({} or 0 * sum by ({RUN}) ({info}))", self.sum(metric, matchers))
    }

    /// What else must hold, so that a condition is not true too early or too late.
    fn guards(self) -> Vec<String> {
        let threshold = self.threshold;
        let is_lower = matches!(threshold.op, Comparison::More | Comparison::AtLeast);
        let grows = matches!(
            threshold.metric,
            Metric::Failed
                | Metric::Timeouts
                | Metric::GeneratorErrors
                | Metric::Calls
                | Metric::Statuses(..)
                | Metric::Bytes
                | Metric::Iterations
                | Metric::Dropped
                | Metric::Messages(_)
        );
        let counts = grows || threshold.metric == Metric::Rate;
        let Some(over_s) = threshold.over_s else {
            // A count that must stay at zero fails at once.
            let is_equal = threshold.op == Comparison::Equal && threshold.limit > 0.0;
            let at_end = grows && (is_lower || is_equal);
            return Vec::from_iter(at_end.then(ended));
        };
        let warmup_s = u32::try_from(self.plan.warmup.as_secs()).unwrap_or(u32::MAX);
        let since = warmup_s.max(threshold.after_s).saturating_add(over_s);
        let info = MetricName::RUN_INFO.text();
        let mut all = vec![format!("{info} and {info} offset {}", seconds(since))];
        if counts && is_lower {
            all.push(format!("sum by ({RUN}) ({}) > 0", MetricName::LOAD_TARGET.text()));
        }
        all
    }
}

/// True when the run has ended.
pub(super) fn ended() -> String {
    format!("{} == 0", MetricName::RUN_ACTIVE.text())
}

const AT_BOUND: &str = "exact to 0.1 %: the limit is a bound of the histogram, so the condition is \
                        the share of times up to it";
const INTERPOLATED: &str =
    "approximate: the quantile is interpolated between two bounds of the histogram";
const EXPONENTIAL: &str = "approximate: the quantile is interpolated within an exponential bucket";
const LOST_STARTS: &str = "; lost starts are not in it";
