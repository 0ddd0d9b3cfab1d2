//! The figures of a run: the metrics of thresholds, for the run, its workloads and its steps.
//!
//! `entry` stores them.
//! Invariant: a figure is what a threshold on it would observe; there is no second way to compute
//! it.

use crate::event::Report;
use crate::verdict::judge::judge;
use crate::verdict::threshold::{Metric, MetricForm, Threshold};

/// The times that are stored, with all statistics of [`STATISTICS`].
const TIMES_OF_CALLS: [&str; 2] = ["response", "service"];
const TIMES_OF_LOADS: [&str; 3] = ["lag", "blocked", "iteration"];
const TIMES_OF_MESSAGES: [&str; 7] =
    ["delivery", "transit", "first", "first_text", "tpot", "life", "confirm"];
const STATISTICS: [&str; 8] = ["min", "mean", "p50", "p90", "p95", "p99", "p99.9", "max"];
const COUNTS_OF_CALLS: [&str; 6] =
    ["errors", "checks", "failed", "timeouts", "calls", "generator_errors"];
const COUNTS_OF_LOADS: [&str; 5] = ["achieved", "achieved.users", "dropped", "rate", "iterations"];
const COUNTS_OF_MESSAGES: [&str; 4] = ["sent", "received", "lost", "good"];

/// A figure of a run.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Figure {
    /// The selectors of its scope, as in a threshold; empty: the whole run.
    pub(super) scope: String,
    /// The metric, as in a threshold.
    pub(super) metric: String,
    /// The value in the metric's unit; `None` if not even a bound is known.
    pub(super) value: Option<f64>,
    /// The unit: `us`, `share`, `count`, `bytes` or `per_s`.
    pub(super) unit: &'static str,
    /// Whether the value is only a lower bound.
    pub(super) at_least: bool,
}

/// Returns all figures of a report.
pub(super) fn figures(report: &Report) -> Vec<Figure> {
    let plan = &report.info.plan;
    let mut thresholds = Vec::new();
    let mut add = |scope: &str, metrics: &[String]| {
        let rules = metrics.iter().filter_map(|metric| observed(&format!("{scope}{metric}")));
        thresholds.extend(rules.map(|rule| (scope.trim_end_matches('.').to_owned(), rule)));
    };
    let times = |names: &[&str]| -> Vec<String> {
        let all = names.iter().flat_map(|name| STATISTICS.map(|one| format!("{name}.{one}")));
        all.collect()
    };
    let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
    let mut of_steps = [times(&TIMES_OF_CALLS), owned(&COUNTS_OF_CALLS)].concat();
    if plan.has_streams {
        of_steps.extend(times(&TIMES_OF_MESSAGES));
        of_steps.extend(owned(&COUNTS_OF_MESSAGES));
    }
    let of_loads = [of_steps.clone(), times(&TIMES_OF_LOADS), owned(&COUNTS_OF_LOADS)].concat();
    add("", &[of_loads.clone(), owned(&["bytes"])].concat());
    for load in &plan.workloads {
        add(&format!("workload({}).", quoted(&load.name)), &of_loads);
    }
    for step in &plan.steps {
        let workload = quoted(&plan.workloads[step.workload.index()].name);
        let archetype = quoted(&plan.archetypes[step.archetype.index()]);
        let step = quoted(&step.name);
        add(&format!("workload({workload}).archetype({archetype}).step({step})."), &of_steps);
    }
    let rules: Vec<Threshold> = thresholds.iter().map(|(_, rule)| rule.clone()).collect();
    let judged = judge(&rules, &plan.subjects(), &report.snapshot);
    let figure = |((scope, rule), judged): (_, crate::verdict::Judgement)| {
        let rule: Threshold = rule;
        let observed = judged.observed?;
        Some(Figure {
            scope,
            metric: rule.metric.to_string(),
            value: (!judged.is_unknown()).then_some(observed),
            unit: unit(rule.metric),
            at_least: judged.at_least,
        })
    };
    thresholds.into_iter().zip(judged).filter_map(figure).collect()
}

/// Returns a rule that observes a metric with its scope; `None` if the text is no such metric.
pub(super) fn observed(metric: &str) -> Option<Threshold> {
    let zeros = ["0", "0us", "0/s"];
    zeros.iter().find_map(|zero| Threshold::parse(&format!("{metric} >= {zero}")).ok())
}

/// A name in a selector.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""))
}

/// The unit of a metric's values.
pub(super) fn unit(metric: Metric) -> &'static str {
    match metric.form() {
        MetricForm::Duration => "us",
        MetricForm::Share => "share",
        MetricForm::Size => "bytes",
        MetricForm::Count => "count",
        MetricForm::Rate => "per_s",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::json;
    use crate::report::page::tests::made_up;

    #[test]
    fn figures_of_run_and_steps_equal_the_summary() {
        let report = made_up(5, "shop");
        let summary = json::document(&report);
        let figures = figures(&report);
        let value = |scope: &str, metric: &str| {
            let found = figures.iter().find(|one| one.scope == scope && one.metric == metric);
            found.unwrap_or_else(|| panic!("{scope} {metric} of {figures:?}")).value
        };
        for percentile in ["p50", "p95", "p99", "max"] {
            let expected = summary["response_us"][percentile].as_f64();
            assert_eq!(value("", &format!("response.{percentile}")), expected);
        }
        let steps = summary["steps"].as_array().unwrap();
        let calls = steps.iter().filter_map(|step| step["calls"]["made"].as_f64());
        assert_eq!(value("", "calls"), Some(calls.sum()));
        for step in steps {
            let name = |key: &str| quoted(step[key].as_str().unwrap());
            let scope = format!(
                "workload({}).archetype({}).step({})",
                name("workload"),
                name("archetype"),
                name("name")
            );
            if step["calls"]["made"].as_u64() > Some(0) {
                assert_eq!(value(&scope, "calls"), step["calls"]["made"].as_f64());
                let expected = step["service_us"]["p99"].as_f64();
                assert_eq!(value(&scope, "service.p99"), expected);
            }
        }
    }

    #[test]
    fn names_with_quotes_are_selectors_again() {
        let name = "a \"b\" \\ c";
        let rule = observed(&format!("step({}).calls", quoted(name))).unwrap();
        let selector = crate::verdict::scope::Selector::Step(name.to_owned());
        assert_eq!(rule.scope.selectors, [selector]);
    }
}
