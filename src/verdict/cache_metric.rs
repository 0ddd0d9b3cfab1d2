//! The metrics of a cache: lookups that it answered or did not, and requests that failed.
//!
//! `threshold` parses them after `cache("…").`, `metric` prints them, `judge` observes them.
//! Invariant: a share is one of the lookups that ended, as in the report.

use super::rule_error::{RuleError, short};
use crate::stats::caches::CacheUse;
use crate::suggest::nearest;

/// A count or share of a cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheMetric {
    /// Lookups that any layer answered.
    Hits,
    /// The same, as a share of the lookups that ended.
    HitShare,
    /// Lookups that no layer answered: their users ran the steps.
    Misses,
    /// The same, as a share of the lookups that ended.
    MissShare,
    /// Requests to layers that failed or had no answer in time.
    Errors,
}

const NAMES: [(&str, CacheMetric); 3] =
    [("hits", CacheMetric::Hits), ("misses", CacheMetric::Misses), ("errors", CacheMetric::Errors)];

impl CacheMetric {
    /// Parses the metric after `cache("…").`.
    pub(super) fn parse(text: &str) -> Result<Self, RuleError> {
        Self::named(text).ok_or_else(|| RuleError {
            message: format!("`{}` is not recorded for a cache", short(text)),
            expected: format!("one of {}", NAMES.map(|(name, _)| name).join(", ")),
            help: nearest(text, NAMES.map(|(name, _)| name))
                .map(|near| format!("did you mean `{near}`?")),
        })
    }

    /// The count of this name; `None` if there is none.
    pub(super) fn named(text: &str) -> Option<Self> {
        NAMES.iter().find(|(name, _)| *name == text).map(|(_, metric)| *metric)
    }

    /// The name in rules.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hits | Self::HitShare => "hits",
            Self::Misses | Self::MissShare => "misses",
            Self::Errors => "errors",
        }
    }

    /// The same lookups as a share.
    pub(super) fn as_share(self) -> Self {
        match self {
            Self::Hits => Self::HitShare,
            Self::Misses => Self::MissShare,
            other => other,
        }
    }

    /// Whether it is a share of one.
    pub(super) fn is_share(self) -> bool {
        matches!(self, Self::HitShare | Self::MissShare)
    }

    /// Its value; `None` if no lookup ended.
    pub(super) fn of(self, counts: &CacheUse) -> Option<f64> {
        let misses = counts.fills + counts.failed_fills;
        let hits = counts.hit_ratio()?;
        Some(match self {
            Self::Hits => counts.hits as f64,
            Self::HitShare => hits,
            Self::Misses => misses as f64,
            Self::MissShare => misses as f64 / (counts.hits + misses) as f64,
            Self::Errors => {
                let errors = counts.layers.values().map(|layer| layer.failed + layer.timeouts);
                errors.sum::<u64>() as f64
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::threshold::{Metric, Threshold};

    #[test]
    fn counts_and_shares_are_of_the_lookups_that_ended() {
        let mut counts = CacheUse { lookups: 12, hits: 6, fills: 3, failed_fills: 1, ..none() };
        counts.layer("memory").misses = 9;
        (counts.layer("redis").failed, counts.layer("redis").timeouts) = (2, 1);
        counts.layer("sqlite").failed = 4;
        for (rule, value) in [
            ("hits >= 60%", 0.6),
            ("hits >= 0.6", 0.6),
            ("hits >= 6", 6.0),
            ("misses <= 40%", 0.4),
            ("misses == 4", 4.0),
            ("errors <= 7", 7.0),
        ] {
            let rule = Threshold::parse(&format!("cache(\"tokens\").{rule}")).unwrap();
            let Metric::Cache(metric) = rule.metric else { panic!("{rule:?}") };
            assert_eq!((metric.of(&counts), rule.limit), (Some(value), value), "{rule:?}");
            assert_eq!(metric.of(&none()), None);
            assert_eq!(CacheMetric::named(metric.name()).map(CacheMetric::as_share), {
                Some(metric.as_share())
            });
        }
    }

    fn none() -> CacheUse {
        CacheUse::default()
    }

    #[test]
    fn rules_on_caches_name_what_is_expected() {
        for (rule, message, help) in [
            (
                "cache(\"t\").hit > 99%",
                "`hit` is not recorded for a cache",
                Some("did you mean `hits`?"),
            ),
            ("cache(\"t\").response.p95 < 1s", "`response.p95` is not recorded for a cache", None),
            ("cache(\"t\").errors < 1%", "`1%` is not a valid limit for `errors`", None),
            ("cache(\"t\").hits > 99% over 10s", "caches are counted for the whole run", None),
            ("cache(\"t\").hits", "this rule has no comparison", None),
            ("cache(\"t\"). > 5", "this rule has no metric before the comparison", None),
            ("cache(t).hits > 1", "`cache(` has no name in quotes", None),
            ("workload(\"w\").cache(\"t\").hits > 1", "`hits` is recorded for the whole run", None),
            ("cache(\"t\").step(\"w\").hits > 1", "`hits` is recorded for the whole run", None),
            ("cache(\"t\").cache(\"u\").hits > 1", "`hits` is recorded for the whole run", None),
            ("hits > 99%", "`hits` is recorded for a cache", Some("write `cache(\"NAME\").hits`")),
            ("cach(\"t\").hits > 1", "unknown selector `cach`", Some("did you mean `cache`?")),
        ] {
            let error = Threshold::parse(rule).unwrap_err();
            assert_eq!(error.message, message, "{rule}");
            assert_eq!(error.help.as_deref(), help, "{rule}");
            assert!(!error.expected.is_empty());
        }
    }
}
