//! The metrics of thresholds: counts, shares, times and their statistics.
//!
//! `threshold` parses rules with it, `judge` observes the metrics.
//! Invariant: a printed metric parses to the same metric.

use std::fmt;

use super::cache_metric::CacheMetric;
use super::message_metric::{MessageCount, MessageSpan, SPANS};
use super::metric_form::MetricForm;
use super::rule_error::{RuleError, short};
use crate::foreign;
use crate::protocol::status::{self, ShownStatus};
use crate::suggest::nearest;

/// The metric of a threshold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Metric {
    /// A statistic of a time, in µs.
    Time(MetricTime, Statistic),
    /// `(made − ok − cancelled) / (made − cancelled)` of the calls.
    Errors,
    /// Starts within 1 s of their due time / starts due.
    Achieved,
    /// Time of users present / time of users that the load required.
    AchievedUsers,
    /// The share of checks that passed.
    Checks,
    /// Starts that found no free user.
    Dropped,
    /// Calls that failed.
    Failed,
    /// Calls that timed out.
    Timeouts,
    /// Calls not made through an error of the generator.
    GeneratorErrors,
    /// Calls that ended.
    Calls,
    /// Iterations started.
    Iterations,
    /// Bytes read, of the whole run.
    Bytes,
    /// Number of responses with a status from the first to the second, both included; a class of
    /// HTTP has the statuses of other protocols that are treated as such.
    Statuses(u16, u16),
    /// Responses with a status from the first to the second, both included, as a share of all
    /// calls.
    StatusShare(u16, u16),
    /// Iterations started per second.
    Rate,
    /// From the end of the load until all services with health checks are healthy, µs.
    Recovery,
    /// A count of messages.
    Messages(MessageCount),
    /// The share of token streams that met the limits of `good`, among those that have some.
    Good,
    /// A count or share of a cache, of the whole run.
    Cache(CacheMetric),
}

/// The times of a call or iteration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricTime {
    /// From the intended start of a call to the end of its last attempt.
    Response,
    /// As `Response`, of ok calls only.
    OkResponse,
    /// From dispatch to the last byte of an attempt.
    Service,
    /// As `Service`, of ok calls only.
    OkService,
    /// The generator's own lateness.
    Lag,
    /// Blocked time: waits required by policy.
    Blocked,
    /// From an iteration's due time to its end, without the thinks drawn.
    Iteration,
    /// A time of messages.
    Messages(MessageSpan),
}

/// A statistic of a time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Statistic {
    /// The minimum.
    Min,
    /// The mean.
    Mean,
    /// The value that this percentage does not exceed: above 0 and below 100.
    Percentile(f64),
    /// The maximum.
    Max,
}

const TIMES: &[(&str, MetricTime)] = &[
    ("response", MetricTime::Response),
    ("response(ok)", MetricTime::OkResponse),
    ("service", MetricTime::Service),
    ("service(ok)", MetricTime::OkService),
    ("lag", MetricTime::Lag),
    ("blocked", MetricTime::Blocked),
    ("iteration", MetricTime::Iteration),
];

const SCALARS: &[(&str, Metric)] = &[
    ("errors", Metric::Errors),
    ("achieved", Metric::Achieved),
    ("achieved.users", Metric::AchievedUsers),
    ("checks", Metric::Checks),
    ("dropped", Metric::Dropped),
    ("failed", Metric::Failed),
    ("timeouts", Metric::Timeouts),
    ("rate", Metric::Rate),
    ("calls", Metric::Calls),
    ("iterations", Metric::Iterations),
    ("generator_errors", Metric::GeneratorErrors),
    ("bytes", Metric::Bytes),
    ("good", Metric::Good),
    ("recovery", Metric::Recovery),
];

const STATS: &[&str] = &["min", "mean", "p50", "p90", "p95", "p99", "p99.9", "max"];

impl Metric {
    /// The form of its values.
    pub fn form(self) -> MetricForm {
        match self {
            Self::Time(..) | Self::Recovery => MetricForm::Duration,
            Self::Errors
            | Self::Achieved
            | Self::AchievedUsers
            | Self::Checks
            | Self::Good
            | Self::StatusShare(..) => MetricForm::Share,
            Self::Cache(metric) if metric.is_share() => MetricForm::Share,
            Self::Bytes => MetricForm::Size,
            Self::Rate => MetricForm::Rate,
            Self::Dropped
            | Self::Failed
            | Self::Timeouts
            | Self::Calls
            | Self::Iterations
            | Self::GeneratorErrors
            | Self::Messages(_)
            | Self::Cache(_)
            | Self::Statuses(..) => MetricForm::Count,
        }
    }

    /// Parses a limit in the metric's unit.
    pub(super) fn parse_limit(self, value: &str, is_k6: bool) -> Option<f64> {
        if let Self::Time(..) = self
            && is_k6
            && let Ok(ms) = value.parse::<f64>()
        {
            return ms.is_finite().then_some(ms * 1e3);
        }
        self.form().parse(value)
    }

    /// Whether the metric is a share of one, whose limit needs its sign.
    pub fn is_share(self) -> bool {
        self.form() == MetricForm::Share && self != Self::AchievedUsers
    }

    pub(super) fn expected_limit(self) -> &'static str {
        match self.form() {
            MetricForm::Count if self.as_share() != self => {
                "a share such as 1%, or a whole number such as 0 or 10"
            }
            form => form.expected(),
        }
    }

    /// Whether the metric is recorded per series; the others are recorded per workload, bytes for
    /// the run only.
    pub fn is_of_calls(self) -> bool {
        match self {
            Self::Time(time, _) => {
                !matches!(time, MetricTime::Lag | MetricTime::Blocked | MetricTime::Iteration)
            }
            Self::Achieved
            | Self::AchievedUsers
            | Self::Dropped
            | Self::Rate
            | Self::Iterations
            | Self::Recovery
            | Self::Cache(_)
            | Self::Bytes => false,
            _ => true,
        }
    }

    /// Whether the metric is recorded per backend.
    pub(super) fn is_of_backends(self) -> bool {
        match self {
            Self::Time(time, _) => matches!(
                time,
                MetricTime::Response
                    | MetricTime::OkResponse
                    | MetricTime::Service
                    | MetricTime::OkService
            ),
            Self::Errors
            | Self::Failed
            | Self::Timeouts
            | Self::Calls
            | Self::Statuses(..)
            | Self::StatusShare(..) => true,
            _ => false,
        }
    }

    /// Returns the same statuses as a share of all calls.
    pub(super) fn as_share(self) -> Self {
        match self {
            Self::Statuses(low, high) => Self::StatusShare(low, high),
            Self::Cache(metric) => Self::Cache(metric.as_share()),
            other => other,
        }
    }

    /// Formats a value of this metric: `250 ms`, `1%`, `12`, `200/s`.
    pub fn show(self, value: f64) -> String {
        self.form().show(value)
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Time(time, stat) => {
                let name = match time {
                    MetricTime::Messages(span) => span.name(),
                    _ => TIMES.iter().find(|(_, known)| known == time).map_or("", |(n, _)| n),
                };
                match stat {
                    Statistic::Min => write!(f, "{name}.min"),
                    Statistic::Mean => write!(f, "{name}.mean"),
                    Statistic::Max => write!(f, "{name}.max"),
                    Statistic::Percentile(percent) => write!(f, "{name}.p{percent}"),
                }
            }
            Self::Statuses(low, high) | Self::StatusShare(low, high) if low == high => {
                write!(f, "status({})", ShownStatus(*low))
            }
            Self::Statuses(low, _) | Self::StatusShare(low, _) => {
                write!(f, "status({}xx)", low / 100)
            }
            Self::Messages(count) => f.write_str(count.name()),
            Self::Cache(metric) => f.write_str(metric.name()),
            scalar => {
                let name = SCALARS.iter().find(|(_, known)| known == scalar);
                f.write_str(name.map_or("", |(name, _)| name))
            }
        }
    }
}

/// Parses a metric.
pub(super) fn parse_metric(text: &str) -> Result<Metric, RuleError> {
    let text = text.strip_prefix("http_req_duration.").unwrap_or(text);
    if let Some(stat) = text.strip_prefix("http_req_duration{expected_response:true}.") {
        return parse_metric(&format!("response(ok).{stat}"));
    }
    if let Some(inner) = text.strip_prefix("status(").and_then(|rest| rest.strip_suffix(')')) {
        return parse_statuses(inner.trim()).ok_or_else(|| RuleError {
            message: format!("`{}` is not a status", short(inner)),
            expected: "a status such as 404 or \"redis OOM\", or a class such as 5xx".to_owned(),
            help: several_statuses(inner.trim()),
        });
    }
    if let Some((_, scalar)) = SCALARS.iter().find(|(name, _)| *name == text) {
        return Ok(*scalar);
    }
    if let Some(count) = MessageCount::parse(text) {
        return Ok(Metric::Messages(count));
    }
    if CacheMetric::named(text).is_some() {
        return Err(RuleError {
            message: format!("`{text}` is recorded for a cache"),
            expected: "the selector of a cache before the metric".to_owned(),
            help: Some(format!("write `cache(\"NAME\").{text}`")),
        });
    }
    if let Some(stat) = parse_statistic(text) {
        // k6 lists thresholds below the metric's name; there response time is the usual one.
        return Ok(Metric::Time(MetricTime::Response, stat));
    }
    let (name, rest) = text.split_once('.').map_or((text, None), |(name, rest)| (name, Some(rest)));
    let span = SPANS.iter().find(|(known, _)| *known == name);
    let span = span.map(|(_, span)| MetricTime::Messages(*span));
    let time = TIMES.iter().find(|(known, _)| *known == name).map(|(_, time)| *time);
    let Some(time) = time.or(span) else {
        let known = SCALARS.iter().map(|(name, _)| *name).chain(TIMES.iter().map(|(n, _)| *n));
        let known = known.chain(SPANS.iter().map(|(name, _)| *name)).chain(MessageCount::names());
        return Err(RuleError {
            message: format!("unknown metric `{}`", short(name)),
            expected: known_metrics(),
            help: foreign::metric(text)
                .or_else(|| nearest(name, known).map(|near| format!("did you mean `{near}`?"))),
        });
    };
    let Some(written) = rest else {
        return Err(RuleError {
            message: format!("`{name}` needs a statistic"),
            expected: format!("`{name}.` and one of {}", STATS.join(", ")),
            help: Some(format!("for example `{name}.p95`")),
        });
    };
    parse_statistic(written).map(|stat| Metric::Time(time, stat)).ok_or_else(|| RuleError {
        message: format!("unknown statistic `{}`", short(written)),
        expected: format!("one of {} or another percentile", STATS.join(", ")),
        help: nearest(written, STATS.iter().copied())
            .map(|near| format!("did you mean `{name}.{near}`?")),
    })
}

fn parse_statuses(text: &str) -> Option<Metric> {
    let known = |status: u16| (100..1_000).contains(&status);
    if let Some(class) = text.strip_suffix("xx") {
        let low = class.parse::<u16>().ok().filter(|class| (1..=9).contains(class))? * 100;
        return Some(Metric::Statuses(low, low + 99));
    }
    let number = text.parse().ok().filter(|status| known(*status));
    let named = || match *status::of_name(text.trim_matches('"')) {
        [status] => Some(status),
        _ => None,
    };
    let status = number.or_else(named)?;
    Some(Metric::Statuses(status, status))
}

/// How to name one of the statuses of this word in several protocols.
fn several_statuses(text: &str) -> Option<String> {
    let found = status::of_name(text);
    let names: Vec<_> = found.into_iter().map(status::name).collect();
    (!names.is_empty()).then(|| format!("write one of: {}", names.join(", ")))
}

fn parse_statistic(text: &str) -> Option<Statistic> {
    match text {
        "min" => return Some(Statistic::Min),
        "mean" | "avg" => return Some(Statistic::Mean),
        "med" => return Some(Statistic::Percentile(50.0)),
        "max" => return Some(Statistic::Max),
        _ => {}
    }
    let number = text.strip_prefix('p')?;
    let number = match number.strip_prefix('(') {
        Some(inner) => inner.strip_suffix(')')?.trim(),
        None => number,
    };
    let digits = number.bytes().all(|b| b.is_ascii_digit() || b == b'.') && number.len() <= 9;
    let percent: f64 = digits.then(|| number.parse().ok()).flatten()?;
    (percent > 0.0 && percent < 100.0).then_some(Statistic::Percentile(percent))
}

/// Whether a metric is in k6's spelling, where a bare number is milliseconds.
pub(super) fn is_k6(metric: &str) -> bool {
    // `p(95)` as the last part, not the `p(` of `step("home")`.
    let percentile = metric
        .rfind("p(")
        .is_some_and(|at| (at == 0 || metric[..at].ends_with('.')) && !metric[at..].contains('"'));
    percentile
        || metric.starts_with("http_req_duration")
        || metric.ends_with("avg")
        || metric.ends_with("med")
        // Without a metric, as k6 lists thresholds below the metric's name.
        || metric == "max"
        || metric == "min"
}

pub(super) fn known_metrics() -> String {
    "response, service, lag, blocked or iteration with a statistic (`response.p95`, \
     of ok calls alone `response(ok).p95`), \
     or errors, achieved, achieved.users, checks, dropped, failed, timeouts, rate, calls, \
     iterations, bytes, recovery, \
     generator_errors, status(5xx); of messages delivery, transit, gap, first, first_text, tpot or \
     life with a statistic, or sent, received, lost, missed, duplicated, reordered, tokens, good"
        .to_owned()
}
