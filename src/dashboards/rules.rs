//! `rules.yml`: recording rules of a run, and an alert for each threshold of its scenario.
//!
//! `render` writes it.
//! Invariant: each threshold has one alert, which names how near it is to the report's judgement.

use serde::Serialize;

use super::condition::{Condition, RUN, condition, ended};
use super::names::MetricName;
use super::promql::{BucketForm, CountedTime, Matchers, QueriedTimes};
use crate::plan::RunManifest;
use crate::verdict::threshold::Metric;
use crate::verdict::{Comparison, Threshold};

/// The file.
#[derive(Clone, Debug, Serialize)]
pub(super) struct RuleFile {
    groups: [RuleGroup; 2],
}

#[derive(Clone, Debug, Serialize)]
struct RuleGroup {
    name: &'static str,
    rules: Vec<PrometheusRule>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
enum PrometheusRule {
    Recording { record: String, expr: String },
    Alerting { alert: &'static str, expr: String, labels: AlertLabels, annotations: Annotations },
}

#[derive(Clone, Debug, Serialize)]
struct AlertLabels {
    severity: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    threshold: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
struct Annotations {
    summary: String,
    description: String,
}

/// The range of recorded rates.
const RANGE: CountedTime<'static> = CountedTime::Last("1m");

/// Makes the rules of a scenario.
pub(super) fn rules(plan: &RunManifest, form: BucketForm) -> RuleFile {
    let thresholds = plan.thresholds.iter().enumerate();
    let mut alerts: Vec<_> =
        thresholds.map(|(index, one)| alert(index + 1, one, plan, form)).collect();
    alerts.push(not_trusted());
    RuleFile {
        groups: [
            RuleGroup { name: "manada-recorded", rules: recorded(form) },
            RuleGroup { name: "manada-thresholds", rules: alerts },
        ],
    }
}

fn recorded(form: BucketForm) -> Vec<PrometheusRule> {
    let mut all = Vec::new();
    let measured = Matchers::default().is("period", "measured");
    let judged = measured.clone().unlike("result", "cancelled|muted|unfinished");
    let ok = measured.clone().is("result", "ok");
    for (level, by) in [("instance", RUN), ("step", "job, instance, workload, step")] {
        let rate = |matchers: &Matchers| {
            format!("sum by ({by}) (rate({}[1m]))", matchers.of(MetricName::CALLS))
        };
        let mut record =
            |record: String, expr: String| all.push(PrometheusRule::Recording { record, expr });
        record(format!("{level}:manada_calls:rate1m"), rate(&measured));
        record(
            format!("{level}:manada_calls_errors:ratio_rate1m"),
            format!("1 - {} / {}", rate(&ok), rate(&judged)),
        );
        for metric in [MetricName::RESPONSE_DURATION, MetricName::SERVICE_DURATION] {
            let times = QueriedTimes { metric, matchers: &measured, time: RANGE, by };
            for (name, share) in [("p50", 0.5), ("p95", 0.95), ("p99", 0.99)] {
                let record_name = format!("{level}:{}:{name}_1m", metric.text());
                record(record_name, times.quantile(share, form));
            }
        }
    }
    all
}

fn alert(
    number: usize,
    threshold: &Threshold,
    plan: &RunManifest,
    form: BucketForm,
) -> PrometheusRule {
    let (expr, description) = match condition(threshold, plan, form) {
        Ok(Condition { expr, precision }) => (expr, format!("By PromQL, {precision}.")),
        Err(why) => {
            (judged_by_manada(threshold), format!("As Manada judges it so far, exact: {why}."))
        }
    };
    PrometheusRule::Alerting {
        alert: "ManadaThresholdFailed",
        expr,
        labels: AlertLabels { severity: "warning", threshold: Some(number.to_string()) },
        annotations: Annotations {
            summary: format!(
                "Run {{{{ $labels.instance }}}} fails the threshold {}",
                without_template(&threshold.rule)
            ),
            description,
        },
    }
}

/// The condition of a threshold that metrics cannot judge.
fn judged_by_manada(threshold: &Threshold) -> String {
    let rule = Matchers::default().is("rule", &threshold.rule);
    let failed = format!("{} == 0", rule.of(MetricName::THRESHOLD_PASSED));
    // A count reaches its limit in the course of the run.
    let waits = matches!(threshold.op, Comparison::More | Comparison::AtLeast)
        && !threshold.metric.is_share()
        && threshold.over_s.is_none()
        && !matches!(threshold.metric, Metric::Time(..) | Metric::AchievedUsers);
    if waits { format!("{failed} and on ({RUN}) ({})", ended()) } else { failed }
}

fn not_trusted() -> PrometheusRule {
    PrometheusRule::Alerting {
        alert: "ManadaRunNotTrusted",
        expr: format!("{} == 0", MetricName::RUN_TRUSTED.text()),
        labels: AlertLabels { severity: "info", threshold: None },
        annotations: Annotations {
            summary: "Figures of run {{ $labels.instance }} cannot be trusted so far".to_owned(),
            description: "The trust verdict is not `yes`; the report has the reasons.".to_owned(),
        },
    }
}

/// A text in an annotation, which Prometheus expands as a template of Go.
fn without_template(text: &str) -> String {
    text.replace("{{", r#"{{ "{{" }}"#)
}

#[cfg(test)]
mod tests {
    use super::without_template;

    #[test]
    fn annotations_are_no_templates() {
        assert_eq!(without_template("a {{ $x }}"), r#"a {{ "{{" }} $x }}"#);
    }
}
