//! A rule over a run's numbers, as written in a scenario or after `--threshold`.
//!
//! `scenario` and `cli` parse it, `verdict` judges it on a Snapshot.
//! Invariant: a rule that parsed can be judged.

use std::fmt;

use crate::units::{parse_duration, parse_rate, parse_share};

/// One rule: `METRIC OP LIMIT`.
#[derive(Clone, Debug, PartialEq)]
pub struct Threshold {
    /// As it was written.
    pub rule: String,
    /// What is looked at.
    pub metric: Metric,
    /// How it is compared.
    pub op: Op,
    /// What it is compared with, in the metric's unit: µs, a share of one, a count, or per second.
    pub limit: f64,
}

/// What a rule looks at.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Metric {
    /// A statistic of a time, in µs.
    Time(Time, Stat),
    /// `(made − ok − cancelled) / (made − cancelled)` of the calls.
    Errors,
    /// Starts made within 1 s of their due time / starts due.
    Achieved,
    /// The share of checks that passed.
    Checks,
    /// Starts that found no free user.
    Dropped,
    /// Calls that failed.
    Failed,
    /// Calls that ran out of time.
    Timeouts,
    /// Iterations started per second.
    Rate,
}

/// The times of a call or iteration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Time {
    /// From the intended start of a call to the end of its last attempt.
    Response,
    /// From dispatch to the last byte of an attempt.
    Service,
    /// Our own lateness.
    Lag,
    /// Waits that policy asked for.
    Blocked,
    /// From an iteration's due time to its end, less the thinks drawn.
    Iteration,
}

/// A statistic of a time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Stat {
    /// The least.
    Min,
    /// The mean.
    Mean,
    /// The value that so many percent do not exceed: above 0 and below 100.
    Percentile(f64),
    /// The most.
    Max,
}

/// A comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// `<`
    Less,
    /// `<=`
    AtMost,
    /// `>`
    More,
    /// `>=`
    AtLeast,
    /// `==`
    Equal,
}

/// Why a text is not a rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct RuleError {
    /// What is wrong.
    pub message: String,
    /// What belongs there: a fragment that follows "expected".
    pub expected: String,
    /// How to mend it, when that can be guessed.
    pub help: Option<String>,
}

const TIMES: &[(&str, Time)] = &[
    ("response", Time::Response),
    ("service", Time::Service),
    ("lag", Time::Lag),
    ("blocked", Time::Blocked),
    ("iteration", Time::Iteration),
];

const SCALARS: &[(&str, Metric)] = &[
    ("errors", Metric::Errors),
    ("achieved", Metric::Achieved),
    ("checks", Metric::Checks),
    ("dropped", Metric::Dropped),
    ("failed", Metric::Failed),
    ("timeouts", Metric::Timeouts),
    ("rate", Metric::Rate),
];

const STATS: &[&str] = &["min", "mean", "p50", "p90", "p95", "p99", "p99.9", "max"];

const RULE: &str = "a rule such as `response.p95 < 250ms` or `errors < 1%`";

impl Threshold {
    /// Parses a rule over the whole run, such as `response.p95 < 250ms`.
    pub fn parse(rule: &str) -> Result<Self, RuleError> {
        let rule = rule.trim();
        let error = |message: String, expected: &str, help: Option<String>| {
            Err(RuleError { message, expected: expected.to_owned(), help })
        };
        let Some(at) = rule.find(['<', '>', '=', '!']) else {
            return error("no comparison in this rule".to_owned(), RULE, None);
        };
        let (left, right) = (rule[..at].trim(), &rule[at..]);
        let symbols = right.find(|c| !"<>=!".contains(c)).unwrap_or(right.len());
        let (symbol, value) = (&right[..symbols], right[symbols..].trim());
        let Some(op) = Op::parse(symbol) else {
            let help = (symbol == "=").then(|| "write `==`".to_owned());
            return error(format!("unknown comparison `{symbol}`"), "one of < <= > >= ==", help);
        };
        if left.is_empty() {
            return error("no metric before the comparison".to_owned(), &known_metrics(), None);
        }
        let metric = metric(left)?;
        let Some(limit) = metric.limit(value, is_k6(left)) else {
            let message = if value.is_empty() {
                "no limit after the comparison".to_owned()
            } else {
                format!("`{}` is no limit for `{left}`", short(value))
            };
            return error(message, metric.limits(), None);
        };
        Ok(Self { rule: rule.to_owned(), metric, op, limit })
    }

    /// The native spelling, when the rule was written in k6's.
    pub fn native(&self) -> Option<String> {
        let at = self.rule.find(['<', '>', '='])?;
        is_k6(self.rule[..at].trim()).then(|| {
            format!("{} {} {}", self.metric, self.op.symbol(), self.metric.show(self.limit))
        })
    }
}

impl Op {
    const ALL: [(&'static str, Self); 5] = [
        ("<", Self::Less),
        ("<=", Self::AtMost),
        (">", Self::More),
        (">=", Self::AtLeast),
        ("==", Self::Equal),
    ];

    /// Parses `<`, `<=`, `>`, `>=` or `==`.
    pub fn parse(symbol: &str) -> Option<Self> {
        Self::ALL.iter().find(|(text, _)| *text == symbol).map(|(_, op)| *op)
    }

    /// As it is written.
    pub fn symbol(self) -> &'static str {
        Self::ALL.iter().find(|(_, op)| *op == self).map_or("", |(text, _)| text)
    }

    /// Whether `observed OP limit`; never with NaN.
    pub fn holds(self, observed: f64, limit: f64) -> bool {
        match self {
            Self::Less => observed < limit,
            Self::AtMost => observed <= limit,
            Self::More => observed > limit,
            Self::AtLeast => observed >= limit,
            // Shares are quotients: what prints as equal is equal.
            Self::Equal => (observed - limit).abs() <= 1e-9 * limit.abs().max(1.0),
        }
    }

    /// Whether it sets an upper bound: what is at least some value cannot pass it.
    pub fn is_upper_bound(self) -> bool {
        matches!(self, Self::Less | Self::AtMost | Self::Equal)
    }
}

impl Metric {
    /// `value` in the metric's unit.
    fn limit(self, value: &str, is_k6: bool) -> Option<f64> {
        match self {
            Self::Time(..) if is_k6 && value.parse::<f64>().is_ok() => {
                value.parse::<f64>().ok().filter(|ms| ms.is_finite()).map(|ms| ms * 1e3)
            }
            Self::Time(..) => parse_duration(value).ok().map(|d| d.as_nanos() as f64 / 1e3),
            Self::Errors | Self::Achieved | Self::Checks => {
                parse_share(value).ok().filter(|share| *share <= 1.0)
            }
            Self::Dropped | Self::Failed | Self::Timeouts => {
                value.parse::<u64>().ok().map(|count| count as f64)
            }
            Self::Rate => parse_rate(value).ok().map(crate::units::Rate::as_f64),
        }
    }

    fn limits(self) -> &'static str {
        match self {
            Self::Time(..) => "a duration such as 250ms or 1.5s",
            Self::Errors | Self::Achieved | Self::Checks => {
                "a share from 0 to 1, such as 1% or 0.01"
            }
            Self::Dropped | Self::Failed | Self::Timeouts => "a whole number such as 0 or 10",
            Self::Rate => "a rate such as 200/s",
        }
    }

    /// A value of this metric for people: `250 ms`, `1%`, `12`, `200/s`.
    pub fn show(self, value: f64) -> String {
        match self {
            Self::Time(..) if value >= 1e6 => format!("{}s", value / 1e6),
            Self::Time(..) if value >= 1e3 => format!("{}ms", value / 1e3),
            Self::Time(..) => format!("{value}us"),
            Self::Errors | Self::Achieved | Self::Checks => format!("{}%", value * 100.0),
            Self::Dropped | Self::Failed | Self::Timeouts => format!("{value}"),
            Self::Rate => format!("{value}/s"),
        }
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Time(time, stat) => {
                let name = TIMES.iter().find(|(_, known)| known == time).map_or("", |(n, _)| n);
                match stat {
                    Stat::Min => write!(f, "{name}.min"),
                    Stat::Mean => write!(f, "{name}.mean"),
                    Stat::Max => write!(f, "{name}.max"),
                    Stat::Percentile(percent) => write!(f, "{name}.p{percent}"),
                }
            }
            scalar => {
                let name = SCALARS.iter().find(|(_, known)| known == scalar);
                f.write_str(name.map_or("", |(name, _)| name))
            }
        }
    }
}

fn metric(text: &str) -> Result<Metric, RuleError> {
    let text = text.strip_prefix("http_req_duration.").unwrap_or(text);
    if let Some((_, scalar)) = SCALARS.iter().find(|(name, _)| *name == text) {
        return Ok(*scalar);
    }
    if let Some(stat) = stat(text) {
        // k6 keeps its rules under the metric's name; there response time is the usual one.
        return Ok(Metric::Time(Time::Response, stat));
    }
    let (name, rest) = text.split_once('.').map_or((text, None), |(name, rest)| (name, Some(rest)));
    let Some((_, time)) = TIMES.iter().find(|(known, _)| *known == name) else {
        let known = SCALARS.iter().map(|(name, _)| *name).chain(TIMES.iter().map(|(n, _)| *n));
        return Err(RuleError {
            message: format!("unknown metric `{}`", short(name)),
            expected: known_metrics(),
            help: nearest(name, known).map(|near| format!("did you mean `{near}`?")),
        });
    };
    let Some(written) = rest else {
        return Err(RuleError {
            message: format!("`{name}` alone is not one number"),
            expected: format!("`{name}.` and one of {}", STATS.join(", ")),
            help: Some(format!("for example `{name}.p95`")),
        });
    };
    stat(written).map(|stat| Metric::Time(*time, stat)).ok_or_else(|| RuleError {
        message: format!("unknown statistic `{}`", short(written)),
        expected: format!("one of {} or another percentile", STATS.join(", ")),
        help: nearest(written, STATS.iter().copied())
            .map(|near| format!("did you mean `{name}.{near}`?")),
    })
}

fn stat(text: &str) -> Option<Stat> {
    match text {
        "min" => return Some(Stat::Min),
        "mean" | "avg" => return Some(Stat::Mean),
        "med" => return Some(Stat::Percentile(50.0)),
        "max" => return Some(Stat::Max),
        _ => {}
    }
    let number = text.strip_prefix('p')?;
    let number = match number.strip_prefix('(') {
        Some(inner) => inner.strip_suffix(')')?.trim(),
        None => number,
    };
    let digits = number.bytes().all(|b| b.is_ascii_digit() || b == b'.') && number.len() <= 9;
    let percent: f64 = digits.then(|| number.parse().ok()).flatten()?;
    (percent > 0.0 && percent < 100.0).then_some(Stat::Percentile(percent))
}

/// Whether a metric is written as k6 writes it, where a bare number is milliseconds.
fn is_k6(metric: &str) -> bool {
    metric.contains("p(")
        || metric.starts_with("http_req_duration")
        || metric.ends_with("avg")
        || metric.ends_with("med")
}

fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > 64 {
        return None;
    }
    known
        .map(|name| (strsim::damerau_levenshtein(word, name), name))
        .filter(|(distance, name)| *distance <= 1 + name.len() / 4)
        .min()
        .map(|(_, name)| name)
}

/// A word cut to what a message can hold.
fn short(word: &str) -> String {
    word.chars().take(60).collect()
}

fn known_metrics() -> String {
    "response, service, lag, blocked or iteration with a statistic (`response.p95`), \
     or errors, achieved, checks, dropped, failed, timeouts, rate"
        .to_owned()
}

#[cfg(test)]
#[path = "threshold_tests.rs"]
mod tests;
