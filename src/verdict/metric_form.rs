//! The forms of values and limits: times, shares, sizes, counts, rates.
//!
//! `metric` has a form for each metric; reports, the history and dashboards show values by it.
//! Invariant: a shown value parses to the same value.

use crate::units::{Rate, parse_duration, parse_rate, parse_share, parse_size};

/// The form of a metric's values and limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricForm {
    /// A time in µs.
    Duration,
    /// A share of one.
    Share,
    /// Bytes.
    Size,
    /// A whole number.
    Count,
    /// Per second.
    Rate,
}

impl MetricForm {
    /// Parses a limit; `None` if it has another form.
    pub(super) fn parse(self, value: &str) -> Option<f64> {
        match self {
            Self::Duration => parse_duration(value).ok().map(|d| d.as_nanos() as f64 / 1e3),
            Self::Share => parse_share(value).ok().filter(|share| *share <= 1.0),
            Self::Size => parse_size(value).ok().map(|bytes| bytes as f64),
            Self::Count => value.parse::<u64>().ok().map(|count| count as f64),
            Self::Rate => parse_rate(value).ok().map(Rate::as_f64),
        }
    }

    /// What a limit looks like.
    pub(super) fn expected(self) -> &'static str {
        match self {
            Self::Duration => "a duration such as 250ms or 1.5s",
            Self::Share => "a share from 0 to 1, such as 1% or 0.01",
            Self::Size => "a size such as 10MB",
            Self::Count => "a whole number such as 0 or 10",
            Self::Rate => "a rate such as 200/s",
        }
    }

    /// Formats a value: `250ms`, `1%`, `10B`, `12`, `200/s`.
    pub(super) fn show(self, value: f64) -> String {
        match self {
            Self::Duration if value >= 1e6 => format!("{}s", value / 1e6),
            Self::Duration if value >= 1e3 => format!("{}ms", value / 1e3),
            Self::Duration => format!("{value}us"),
            Self::Share => format!("{}%", value * 100.0),
            Self::Size => format!("{value}B"),
            Self::Count => format!("{value}"),
            Self::Rate => format!("{value}/s"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shown_values_parse_to_themselves() {
        for (form, value, text) in [
            (MetricForm::Duration, 250.0, "250us"),
            (MetricForm::Duration, 250_000.0, "250ms"),
            (MetricForm::Duration, 1_500_000.0, "1.5s"),
            (MetricForm::Share, 0.25, "25%"),
            (MetricForm::Size, 1_000.0, "1000B"),
            (MetricForm::Count, 12.0, "12"),
            (MetricForm::Rate, 200.0, "200/s"),
        ] {
            assert_eq!((&*form.show(value), form.parse(text)), (text, Some(value)));
        }
    }
}
