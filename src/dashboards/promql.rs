//! Expressions of PromQL: selectors, sums, shares, quantiles.
//!
//! `alerts` and `recorded` build rules of them, `panels` the queries of a dashboard.
//! Invariant: a text of the scenario is in an expression as a quoted string alone.

use std::fmt::Write as _;

use super::names::MetricName;

/// The form in which histograms reach Prometheus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BucketForm {
    /// A series for each bound.
    Classic,
    /// One series with exponential buckets.
    Native,
}

/// Labels that a series must have.
#[derive(Clone, Debug, Default)]
pub(super) struct Matchers {
    text: String,
}

impl Matchers {
    /// Demands that a label has this value.
    #[must_use]
    pub(super) fn is(self, label: &str, value: &str) -> Self {
        self.with(label, "=", &quoted(value))
    }

    /// Demands that the whole value of a label matches this regular expression.
    #[must_use]
    pub(super) fn like(self, label: &str, pattern: &str) -> Self {
        self.with(label, "=~", &quoted(pattern))
    }

    /// Demands that the value of a label does not match this regular expression.
    #[must_use]
    pub(super) fn unlike(self, label: &str, pattern: &str) -> Self {
        self.with(label, "!~", &quoted(pattern))
    }

    fn with(mut self, label: &str, op: &str, value: &str) -> Self {
        let comma = if self.text.is_empty() { "" } else { "," };
        // Writing to a string does not fail.
        let _ = write!(self.text, "{comma}{label}{op}{value}");
        self
    }

    /// The series of a metric that have these labels.
    pub(super) fn of(&self, metric: MetricName) -> String {
        self.of_part(metric, "")
    }

    fn of_part(&self, metric: MetricName, part: &str) -> String {
        let name = metric.text();
        if self.text.is_empty() {
            return format!("{name}{part}");
        }
        format!("{name}{part}{{{}}}", self.text)
    }
}

/// A text as PromQL quotes it. JSON's escapes are a part of those of Go, which PromQL has.
pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// The time of a counter that an expression is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CountedTime<'a> {
    /// From the start of the run on.
    WholeRun,
    /// The last time of this length, such as `30s`.
    Last(&'a str),
}

impl CountedTime<'_> {
    /// What was counted in this time.
    pub(super) fn count(self, selector: &str) -> String {
        match self {
            Self::WholeRun => selector.to_owned(),
            Self::Last(range) => format!("increase({selector}[{range}])"),
        }
    }
}

/// A distribution of times of a run.
#[derive(Clone, Copy, Debug)]
pub(super) struct QueriedTimes<'a> {
    pub(super) metric: MetricName,
    pub(super) matchers: &'a Matchers,
    pub(super) time: CountedTime<'a>,
    /// Labels that stay, such as `job, instance`.
    pub(super) by: &'a str,
}

impl QueriedTimes<'_> {
    /// The value that this share of the times does not exceed, s.
    pub(super) fn quantile(self, share: f64, form: BucketForm) -> String {
        let Self { metric, matchers, time, by } = self;
        match form {
            BucketForm::Classic => {
                let counts = time.count(&matchers.of_part(metric, "_bucket"));
                format!("histogram_quantile({share}, sum by ({by}, le) ({counts}))")
            }
            BucketForm::Native => {
                let counts = time.count(&matchers.of(metric));
                format!("histogram_quantile({share}, sum by ({by}) ({counts}))")
            }
        }
    }

    /// The share of times up to a bound of classic histograms.
    pub(super) fn share_up_to(self, bound_us: u64) -> String {
        let Self { metric, matchers, time, by } = self;
        let part = |matchers: Matchers| {
            format!("sum by ({by}) ({})", time.count(&matchers.of_part(metric, "_bucket")))
        };
        // Prometheus 3 writes 1 as 1.0.
        let seconds = (bound_us as f64 / 1e6).to_string().replace('.', "\\.");
        let seconds = if seconds.contains('.') { seconds } else { format!("{seconds}(\\.0)?") };
        let up_to = matchers.clone().like("le", &seconds);
        format!("{} / {}", part(up_to), part(matchers.clone().is("le", "+Inf")))
    }

    /// The mean of the times, s.
    pub(super) fn mean(self, form: BucketForm) -> String {
        let Self { metric, matchers, time, by } = self;
        let sum = |selector: String| format!("sum by ({by}) ({})", time.count(&selector));
        match form {
            BucketForm::Classic => {
                let part = |name| sum(matchers.of_part(metric, name));
                format!("{} / {}", part("_sum"), part("_count"))
            }
            BucketForm::Native => {
                let all = sum(matchers.of(metric));
                format!("histogram_sum({all}) / histogram_count({all})")
            }
        }
    }
}

/// A duration as PromQL writes it, whole seconds.
pub(super) fn seconds(count: u32) -> String {
    format!("{count}s")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_quoted_and_bounds_match_both_spellings() {
        let matchers = Matchers::default().is("step", "a\"}\\ \n\u{1}é");
        assert_eq!(
            matchers.of(MetricName::CALLS),
            r#"manada_calls_total{step="a\"}\\ \n\u0001é"}"#
        );
        let times = QueriedTimes {
            metric: MetricName::RESPONSE_DURATION,
            matchers: &Matchers::default(),
            time: CountedTime::Last("30s"),
            by: "job",
        };
        let share = times.share_up_to(2_500_000);
        assert!(share.contains(r#"{le=~"2\\.5"}[30s]"#), "{share}");
        assert!(times.share_up_to(1_000_000).contains(r#"{le=~"1(\\.0)?"}"#));
        assert!(times.share_up_to(100).contains(r#"{le=~"0\\.0001"}"#));
    }
}
