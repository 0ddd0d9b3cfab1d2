//! Rules on one side of a comparison: a threshold on the new side, or a ratio to the old one.
//!
//! `scenario` parses them for a shift, `run::shift` judges them.
//! Invariant: a side without data passes no rule.

use super::judge::{JudgedPart, judge_part};
use super::judgement::Judgement;
use super::metric::{Metric, MetricTime};
use super::rule_error::RuleError;
use super::scope::Subjects;
use super::threshold::{Comparison, Threshold};
use super::watch::blank;
use crate::stats::delta::StepWindow;

/// A rule on the new side.
#[derive(Clone, Debug, PartialEq)]
pub enum SideRule {
    /// A threshold, such as `errors < 5%`.
    Limit(Threshold),
    /// A threshold whose limit is a multiple of the old side's value, such as
    /// `response.p95 < 1.2 * old`.
    Ratio {
        /// The rule as it was written.
        rule: String,
        /// Metric and comparison; its limit has no meaning.
        of: Threshold,
        /// The multiple.
        factor: f64,
    },
}

/// A judged rule.
#[derive(Clone, Debug, PartialEq)]
pub struct SideJudgement {
    /// Whether it holds.
    pub passed: bool,
    /// The rule and the value, as text.
    pub text: String,
}

impl SideRule {
    /// Parses a rule.
    ///
    /// # Errors
    /// If it is no rule, or its metric is not recorded for each backend.
    pub fn parse(rule: &str) -> Result<Self, RuleError> {
        let rule = rule.trim();
        let wrong = |message: String, expected: &str| RuleError {
            message,
            expected: expected.to_owned(),
            help: None,
        };
        let parsed = match rule.strip_suffix("old").map(str::trim_end) {
            Some(rest) if rest.ends_with(['*', '×']) => {
                let rest = rest.trim_end_matches(['*', '×']).trim_end();
                let at = rest.rfind(|c: char| !(c.is_ascii_digit() || c == '.'));
                let (left, factor) = rest.split_at(at.map_or(0, |at| at + 1));
                let factor = factor.parse().ok().filter(|factor: &f64| *factor > 0.0);
                let factor = factor.ok_or_else(|| {
                    wrong(
                        "this rule has no number before `* old`".to_owned(),
                        "a multiple such as `response.p95 < 1.2 * old`",
                    )
                })?;
                // The metric decides which form a limit has.
                let with = |limit: &str| Threshold::parse(&format!("{left}{limit}"));
                let of = with("1s").or_else(|_| with("10%")).or_else(|_| with("1"))?;
                Self::Ratio { rule: rule.to_owned(), of, factor }
            }
            _ => Self::Limit(Threshold::parse(rule)?),
        };
        let threshold = parsed.threshold();
        let is_plain = threshold.scope.selectors.is_empty()
            && threshold.over_s.is_none()
            && threshold.after_s == 0
            && !threshold.abort;
        if !is_plain || !threshold.metric.is_of_backends() {
            return Err(wrong(
                format!("`{rule}` cannot be judged for one target in one step"),
                "errors, failed, timeouts, calls, status(5xx), or a statistic of response or \
                 service, without selector, `over`, `after` and `abort`",
            ));
        }
        Ok(parsed)
    }

    /// The rule as it was written.
    pub fn rule(&self) -> &str {
        match self {
            Self::Limit(threshold) => &threshold.rule,
            Self::Ratio { rule, .. } => rule,
        }
    }

    fn threshold(&self) -> &Threshold {
        match self {
            Self::Limit(threshold) | Self::Ratio { of: threshold, .. } => threshold,
        }
    }

    /// Judges the rule on the calls of both sides.
    pub fn judge(&self, old: &StepWindow, new: &StepWindow) -> SideJudgement {
        let (rule, metric) = (self.rule(), self.threshold().metric);
        let judged =
            |passed, found: String| SideJudgement { passed, text: format!("{rule}: {found}") };
        let threshold = match self {
            Self::Limit(threshold) => threshold.clone(),
            Self::Ratio { of, factor, .. } => match observe(of, old).observed {
                Some(value) => Threshold { limit: value * factor, ..of.clone() },
                None => return judged(false, "no calls on the old target".to_owned()),
            },
        };
        let judgement = observe(&threshold, new);
        let Some(value) = judgement.observed else {
            return judged(false, "no calls on the new target".to_owned());
        };
        let shown = metric.show(rounded(value));
        let without = judgement.at_least.then(|| without_time(metric, new));
        let found = match without {
            None => shown,
            Some(share) if value > 0.0 => format!("at least {shown}, {share}"),
            Some(share) => share,
        };
        let text = match self {
            Self::Limit(_) => found,
            Self::Ratio { .. } => {
                format!("{found}, limit {}", metric.show(rounded(threshold.limit)))
            }
        };
        judged(judgement.passed || equals(&threshold, &judgement), text)
    }
}

/// How many calls of a side have no time, in words.
fn without_time(metric: Metric, side: &StepWindow) -> String {
    let (times, name) = match metric {
        Metric::Time(MetricTime::Service | MetricTime::OkService, _) => (&side.service, "service"),
        _ => (&side.response, "response"),
    };
    let percent = 100.0 * times.censored() as f64 / times.count().max(1) as f64;
    format!("{} % of the calls have no {name} time", rounded(percent))
}

/// Whether nothing is not less than nothing: without errors on either side, a ratio holds.
fn equals(threshold: &Threshold, judgement: &Judgement) -> bool {
    threshold.limit == 0.0
        && judgement.observed == Some(0.0)
        && matches!(threshold.op, Comparison::Less | Comparison::AtMost)
}

fn observe(threshold: &Threshold, side: &StepWindow) -> Judgement {
    let mut window = blank();
    window.steps[0] = Some(Box::new(side.clone()));
    let part = JudgedPart { window: &window, seconds: 0.0, bytes: 0, recovery: None, caches: None };
    judge_part(threshold, &Subjects::default(), part)
}

/// Three digits behind the point are enough for a text.
fn rounded(value: f64) -> f64 {
    (value * 1_000.0).round() / 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::latency::Untimed;

    /// `failed` of `calls` calls of `ms` each.
    fn side(calls: u64, failed: u64, ms: u64) -> StepWindow {
        let mut side = StepWindow::default();
        side.calls.made = calls;
        side.calls.failed = failed;
        side.calls.ok = calls - failed;
        for _ in 0..calls {
            side.response.record_response(ms * 1_000_000);
        }
        side
    }

    #[test]
    fn limits_and_ratios_are_judged_on_the_new_side() {
        let (fast, slow) = (side(100, 0, 10), side(100, 6, 30));
        for (rule, old, new, passed) in [
            ("errors < 5%", &slow, &fast, true),
            ("errors < 5%", &fast, &slow, false),
            ("response.p95 < 20ms", &fast, &fast, true),
            ("response.p95 < 1.2 * old", &fast, &fast, true),
            ("response.p95 < 1.2 * old", &fast, &slow, false),
            ("response.p95 <= 4 × old", &fast, &slow, true),
            ("errors <= 2 * old", &fast, &fast, true),
            ("errors <= 2 * old", &fast, &slow, false),
            ("errors <= 2 * old", &slow, &slow, true),
            ("calls > 0.5 * old", &fast, &side(60, 0, 1), true),
            ("errors < 5%", &fast, &side(0, 0, 0), false),
            ("errors < 2 * old", &side(0, 0, 0), &fast, false),
        ] {
            let judged = SideRule::parse(rule).unwrap().judge(old, new);
            assert_eq!(judged.passed, passed, "{rule} {judged:?}");
        }
        // Calls without a response: the text tells their share, and what is known at least.
        let mut refused = side(83, 0, 4);
        refused.calls.made += 17;
        refused.response.record_untimed_n(Untimed::NoResponse, 17);
        let judge = |rule: &str, new| SideRule::parse(rule).unwrap().judge(&fast, new);
        let judged = judge("response.p95 <= 5s", &refused);
        assert!(!judged.passed);
        let text = "response.p95 <= 5s: at least 4ms, 17 % of the calls have no response time";
        assert_eq!(judged.text, text);
        let judged = judge("response.p95 < 2 * old", &refused);
        assert!(judged.text.contains("17 % of the calls have no response time, limit "));
        let mut none = StepWindow::default();
        none.calls.made = 5;
        none.response.record_untimed_n(Untimed::NoResponse, 5);
        let text = "response.p95 <= 5s: 100 % of the calls have no response time";
        assert_eq!(judge("response.p95 <= 5s", &none).text, text);
        for wrong in [
            "step(\"x\").errors < 1%",
            "errors < 1% over 10s",
            "iterations > 5",
            "errors < x * old",
            "old",
            "response.p95 < * old",
        ] {
            assert!(SideRule::parse(wrong).is_err(), "{wrong}");
        }
    }
}
