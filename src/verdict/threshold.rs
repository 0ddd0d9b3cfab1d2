//! A threshold on a run's numbers, as written in a scenario or after `--threshold`.
//!
//! `scenario` and `cli` parse it, `judge` judges it on a Snapshot.
//! Invariant: a threshold that parsed can be judged.

use super::cache_metric::CacheMetric;
pub use super::metric::{Metric, MetricTime, Statistic};
use super::metric::{is_k6, known_metrics, parse_metric};
pub use super::metric_form::MetricForm;
use super::rule_error::short;
pub use super::rule_error::{RuleError, UnmatchedRule};
use super::scope::{Scope, Subjects};
use crate::suggest::nearest;
use crate::units::{nanos, parse_duration, parse_share};

/// Whether a limit is an integer where a percentage must be meant: `errors < 1` holds as long as a
/// single call succeeds, and 5 is not a valid share.
fn is_bare_percentage(value: &str, op: Comparison) -> bool {
    let is_above = matches!(op, Comparison::Less | Comparison::AtMost);
    value.parse::<u64>().is_ok_and(|number| number > 1 || number == 1 && is_above)
}

/// A threshold: `[SELECTOR.]… METRIC OP LIMIT [over D] [after D] [abort]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Threshold {
    /// The rule as it was written.
    pub rule: String,
    /// The selected series or workloads.
    pub scope: Scope,
    /// The metric.
    pub metric: Metric,
    /// The comparison with the limit.
    pub op: Comparison,
    /// The limit, in the metric's unit: µs, a share of one, a count, or per second.
    pub limit: f64,
    /// Length of a sliding window, whole seconds; `None` for the whole run.
    pub over_s: Option<u32>,
    /// Calls intended before this are not judged, seconds after the run's start.
    pub after_s: u32,
    /// Whether the threshold stops the run as soon as it fails.
    pub abort: bool,
}

/// A comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
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

const SECOND_NS: u64 = 1_000_000_000;

/// The longest window, s: each threshold stores all seconds of its window.
const MAX_WINDOW_S: u64 = 600;

const RULE: &str = "a rule such as `response.p95 < 250ms` or `errors < 1%`";

impl Threshold {
    /// Parses a threshold, such as `response.p95 < 250ms` or `step("pay").service.p99 < 2s over 10s
    /// after 30s abort`.
    pub fn parse(rule: &str) -> Result<Self, RuleError> {
        let rule = rule.trim();
        let error = |message: String, expected: &str, help: Option<String>| {
            Err(RuleError { message, expected: expected.to_owned(), help })
        };
        let (scope, rest) = Scope::parse(rule)?;
        let Some(at) = rest.find(['<', '>', '=', '!']) else {
            return error("this rule has no comparison".to_owned(), RULE, None);
        };
        let (left, right) = (rest[..at].trim(), &rest[at..]);
        let symbols = right.find(|c| !"<>=!".contains(c)).unwrap_or(right.len());
        let (symbol, value) = (&right[..symbols], right[symbols..].trim());
        let Some(op) = Comparison::parse(symbol) else {
            let help = (symbol == "=").then(|| "write `==`".to_owned());
            return error(format!("unknown comparison `{symbol}`"), "one of < <= > >= ==", help);
        };
        // Without a metric, `check("…")` can only mean its share.
        let left = if left.is_empty() && scope.has_check() { "checks" } else { left };
        if left.is_empty() {
            return error(
                "this rule has no metric before the comparison".to_owned(),
                &known_metrics(),
                None,
            );
        }
        let mut metric = match scope.cache() {
            Some(_) => Metric::Cache(CacheMetric::parse(left)?),
            None => parse_metric(left)?,
        };
        let (value, when) = value.split_once(char::is_whitespace).unwrap_or((value, ""));
        if value.ends_with('%') || value.contains('.') && parse_share(value).is_ok() {
            metric = metric.as_share();
        }
        if metric.is_share() && op != Comparison::Equal && is_bare_percentage(value, op) {
            let message = format!("`{}` without `%` means {} %", short(value), short(value) + "00");
            let help = format!("did you mean `{left} {} {value}%`?", op.symbol());
            return error(message, "a share with its sign, such as 1% or 0.01", Some(help));
        }
        let Some(limit) = metric.parse_limit(value, is_k6(left)) else {
            let message = if value.is_empty() {
                "this rule has no limit after the comparison".to_owned()
            } else {
                format!("`{}` is not a valid limit for `{left}`", short(value))
            };
            return error(message, metric.expected_limit(), None);
        };
        scope.check_metric(metric, left)?;
        let mut parsed = Self {
            rule: rule.to_owned(),
            scope,
            metric,
            op,
            limit,
            over_s: None,
            after_s: 0,
            abort: false,
        };
        parsed.parse_modifiers(when)?;
        Ok(parsed)
    }

    /// Parses the words after the limit: `over 10s after 30s abort`.
    fn parse_modifiers(&mut self, text: &str) -> Result<(), RuleError> {
        const EXPECTED: &str = "`over 10s`, `after 30s` or `abort`";
        let error = |message: String, expected: &str| {
            Err(RuleError { message, expected: expected.to_owned(), help: None })
        };
        let mut words = text.split_whitespace();
        while let Some(word) = words.next() {
            if word == "abort" {
                self.abort = true;
                continue;
            }
            if word != "over" && word != "after" {
                let near = nearest(word, ["over", "after", "abort"]);
                return Err(RuleError {
                    message: format!("unknown word `{}` after the limit", short(word)),
                    expected: EXPECTED.to_owned(),
                    help: near.map(|near| format!("did you mean `{near}`?")),
                });
            }
            let written = words.next().unwrap_or_default();
            let ns = parse_duration(written).map_or(0, nanos);
            let whole = ns > 0 && ns.is_multiple_of(SECOND_NS) && ns / SECOND_NS <= MAX_WINDOW_S;
            let at_once = word == "after" && written == "0s";
            if !whole && !at_once {
                let message = format!("`{word} {}` is not a valid time", short(written));
                return error(message, "whole seconds, from 1s to 10m");
            }
            let seconds = (ns / SECOND_NS) as u32;
            match word {
                "over" => self.over_s = Some(seconds),
                _ => self.after_s = seconds,
            }
        }
        if self.after_s > 0 && self.over_s.is_none() && !self.abort {
            let message = "`after` without `over` or `abort`".to_owned();
            return error(message, "a window such as `over 10s`, or a `warmup` in the scenario");
        }
        let whole = match self.metric {
            Metric::Bytes => Some("bytes are counted for the whole run"),
            Metric::Cache(_) => Some("caches are counted for the whole run"),
            Metric::Recovery => Some("recovery is measured after the load"),
            _ => None,
        };
        if let (Some(why), Some(_)) = (whole, self.over_s) {
            return error(why.to_owned(), "a rule without `over`");
        }
        if self.metric == Metric::Recovery
            && !matches!(self.op, Comparison::Less | Comparison::AtMost)
        {
            return error(
                "this rule would fail a service that recovers fast".to_owned(),
                "an upper limit, such as `recovery < 30s`",
            );
        }
        if self.metric == Metric::Recovery && self.abort {
            return error(
                "recovery is measured after the load".to_owned(),
                "a rule without `abort`",
            );
        }
        Ok(())
    }

    /// Checks that each rule selects something.
    ///
    /// # Errors
    /// The first rule that selects nothing.
    pub fn check_all(rules: &[Self], subjects: &Subjects) -> Result<(), UnmatchedRule> {
        let check = |rule: &Self| {
            let unmatched = |error| UnmatchedRule { rule: rule.rule.clone(), error };
            rule.scope.matches(subjects).map_err(unmatched)
        };
        rules.iter().try_for_each(check)
    }

    /// The native spelling, if the threshold was written in k6's.
    pub fn native(&self) -> Option<String> {
        let at = self.rule.find(['<', '>', '='])?;
        is_k6(self.rule[..at].trim()).then(|| {
            format!("{} {} {}", self.metric, self.op.symbol(), self.metric.show(self.limit))
        })
    }
}

impl Comparison {
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

    /// The symbol.
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
            // Shares are quotients: values that print as equal are equal.
            Self::Equal => (observed - limit).abs() <= 1e-9 * limit.abs().max(1.0),
        }
    }

    /// Whether the comparison sets an upper bound: a value that is only a lower bound cannot pass
    /// it.
    pub fn is_upper_bound(self) -> bool {
        matches!(self, Self::Less | Self::AtMost | Self::Equal)
    }
}

#[cfg(test)]
#[path = "threshold_tests.rs"]
mod tests;
