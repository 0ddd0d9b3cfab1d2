//! The rows of the dashboard: what it shows, and by which queries.
//!
//! `dashboard` lays them out.
//! Invariant: a row for something that the scenario does not have is left out.

use super::panel::{Panel, PanelKind, PanelRow};
use crate::dashboards::names::MetricName;
use crate::dashboards::promql::{BucketForm, CountedTime, Matchers, QueriedTimes};
use crate::plan::RunManifest;
use crate::verdict::Threshold;
use crate::verdict::threshold::MetricForm;

/// The range of rates: what Grafana thinks fit for the time shown.
const RANGE: &str = "$__rate_interval";

/// Makes the rows of a scenario.
pub(super) fn rows(plan: &RunManifest, form: BucketForm) -> Vec<PanelRow> {
    let mut all =
        vec![verdict(), load(), calls(), times(form), thresholds(plan), connections(form)];
    if !plan.backends.is_empty() {
        all.push(backends(form));
    }
    if plan.client.breakers.iter().any(|one| one.is_configured) {
        all.push(breakers());
    }
    if plan.has_streams {
        all.push(streams(form));
    }
    all.push(generator(form));
    all
}

fn of_run() -> Matchers {
    Matchers::default().like("instance", "$run")
}

fn of_workloads() -> Matchers {
    of_run().like("workload", "$workload")
}

fn of_steps() -> Matchers {
    of_workloads().like("step", "$step")
}

fn last(metric: MetricName, matchers: &Matchers) -> String {
    matchers.of(metric)
}

fn rate(metric: MetricName, matchers: &Matchers, by: &str) -> String {
    format!("sum by (instance, {by}) (rate({}[{RANGE}]))", matchers.of(metric))
}

fn rate_of_run(metric: MetricName, matchers: &Matchers) -> String {
    format!("sum by (instance) (rate({}[{RANGE}]))", matchers.of(metric))
}

fn quantiles(title: &str, metric: MetricName, matchers: &Matchers, form: BucketForm) -> Panel {
    let times = QueriedTimes { metric, matchers, time: CountedTime::Last(RANGE), by: "instance" };
    let shares = [("p50", 0.5), ("p95", 0.95), ("p99", 0.99)];
    Panel::lines(
        title,
        "s",
        shares
            .map(|(name, share)| (times.quantile(share, form), format!("{name} {{{{instance}}}}"))),
    )
    .about("Quantiles by Prometheus are interpolated within buckets; the report has exact ones.")
}

fn verdict() -> PanelRow {
    let run = of_run();
    let is = |title: &str, metric, name: &str| {
        Panel::lines(title, "none", [(last(metric, &run), name)]).kind(PanelKind::YesNo)
    };
    PanelRow {
        title: "Verdict and trust",
        panels: vec![
            is("Run goes on", MetricName::RUN_ACTIVE, "{{instance}}"),
            is("Figures are trusted so far", MetricName::RUN_TRUSTED, "{{instance}}"),
            is("Thresholds hold so far", MetricName::THRESHOLD_PASSED, "{{rule}}"),
        ],
    }
}

fn load() -> PanelRow {
    let (run, loads) = (of_run(), of_workloads());
    PanelRow {
        title: "Load",
        panels: vec![
            Panel::lines(
                "Users and target load",
                "short",
                [
                    (last(MetricName::USERS, &run), "users {{instance}}"),
                    (
                        last(MetricName::LOAD_TARGET, &loads),
                        "target {{workload}} ({{model}}) {{instance}}",
                    ),
                ],
            )
            .about("The target is users in the closed model, and starts per second in the open."),
            Panel::lines(
                "Starts per second",
                "cps",
                [
                    (rate(MetricName::STARTS_DUE, &loads, "workload"), "due {{workload}}"),
                    (
                        rate(MetricName::ITERATIONS_STARTED, &loads, "workload"),
                        "started {{workload}}",
                    ),
                    (
                        rate(MetricName::STARTS_LOST, &loads, "workload, reason"),
                        "lost {{workload}} {{reason}}",
                    ),
                ],
            ),
            Panel::lines(
                "Running",
                "short",
                [
                    (last(MetricName::ITERATIONS_RUNNING, &run), "iterations {{instance}}"),
                    (last(MetricName::CALLS_RUNNING, &run), "calls {{instance}}"),
                ],
            ),
        ],
    }
}

fn calls() -> PanelRow {
    let steps = of_steps();
    let judged = steps.clone().unlike("result", "cancelled|muted|unfinished");
    let ok = steps.clone().is("result", "ok");
    let ratio = format!(
        "1 - {} / {}",
        rate(MetricName::CALLS, &ok, "step"),
        rate(MetricName::CALLS, &judged, "step")
    );
    let failed = steps.clone().is("result", "failed");
    PanelRow {
        title: "Calls",
        panels: vec![
            Panel::lines(
                "Calls by result",
                "cps",
                [(rate(MetricName::CALLS, &steps, "result"), "{{result}}")],
            ),
            Panel::lines(
                "Calls by step",
                "cps",
                [(rate(MetricName::CALLS, &steps, "step"), "{{step}}")],
            ),
            Panel::lines("Share of errors by step", "percentunit", [(ratio, "{{step}}")]),
            Panel::lines(
                "Responses by status",
                "cps",
                [(rate(MetricName::RESPONSES, &steps, "status_class"), "{{status_class}}")],
            ),
            Panel::lines(
                "Attempts without a response",
                "cps",
                [(rate(MetricName::ERRORS, &of_run(), "phase, kind"), "{{phase}} {{kind}}")],
            ),
            Panel::lines(
                "Checks that failed",
                "cps",
                [(rate(MetricName::CHECKS, &failed, "step, check"), "{{step}}: {{check}}")],
            ),
        ],
    }
}

fn times(form: BucketForm) -> PanelRow {
    let steps = of_steps();
    let by_step = QueriedTimes {
        metric: MetricName::RESPONSE_DURATION,
        matchers: &steps,
        time: CountedTime::Last(RANGE),
        by: "instance, step",
    };
    PanelRow {
        title: "Times",
        panels: vec![
            quantiles("Response time", MetricName::RESPONSE_DURATION, &steps, form),
            quantiles("Service time", MetricName::SERVICE_DURATION, &steps, form),
            Panel::lines("Response p95 by step", "s", [(by_step.quantile(0.95, form), "{{step}}")]),
            quantiles(
                "Iterations, without thinks",
                MetricName::ITERATION_DURATION,
                &of_workloads(),
                form,
            ),
        ],
    }
}

fn thresholds(plan: &RunManifest) -> PanelRow {
    let panels = plan.thresholds.iter().enumerate();
    PanelRow {
        title: "Thresholds",
        panels: panels.map(|(index, one)| threshold(index + 1, one)).collect(),
    }
}

/// The value that a threshold judges, and its limit.
fn threshold(number: usize, threshold: &Threshold) -> Panel {
    let rule = &threshold.rule;
    // Grafana replaces variables everywhere, and has no way to write a dollar sign as itself.
    let is_plain = !rule.contains('$') && !rule.contains("[[");
    let matchers =
        if is_plain { of_run().is("rule", rule) } else { of_run().like("rule", &pattern(rule)) };
    let unit = match threshold.metric.form() {
        MetricForm::Duration => "s",
        MetricForm::Share => "percentunit",
        MetricForm::Size => "bytes",
        MetricForm::Count => "short",
        MetricForm::Rate => "cps",
    };
    let title = if is_plain { rule.clone() } else { format!("Threshold {number}") };
    let observed = last(MetricName::THRESHOLD_OBSERVED, &matchers);
    // The metric has seconds, a rule µs.
    let is_time = threshold.metric.form() == MetricForm::Duration;
    let scale = if is_time { 1e6 } else { 1.0 };
    Panel {
        limit: Some((threshold.limit / scale, threshold.op.is_upper_bound())),
        ..Panel::lines(&title, unit, [(observed, "{{instance}}")])
    }
}

/// A regular expression that matches this text, without `$` before a name and without `[[`.
fn pattern(text: &str) -> String {
    let mut all = String::new();
    for c in text.chars() {
        match c {
            '$' => all.push_str("[$]"),
            c if r"\.+*?()|[]{}^".contains(c) => all.extend(['\\', c]),
            c => all.push(c),
        }
    }
    all
}

fn connections(form: BucketForm) -> PanelRow {
    let run = of_run();
    PanelRow {
        title: "Connections",
        panels: vec![
            Panel::lines(
                "Open connections",
                "short",
                [(last(MetricName::CONNECTIONS_OPEN, &run), "{{instance}}")],
            ),
            Panel::lines(
                "Connections by result",
                "cps",
                [(rate(MetricName::CONNECTIONS, &run, "result"), "{{result}}")],
            ),
            Panel::lines(
                "Bytes",
                "Bps",
                [
                    (rate_of_run(MetricName::BYTES_SENT, &run), "sent {{instance}}"),
                    (rate_of_run(MetricName::BYTES_RECEIVED, &run), "received {{instance}}"),
                ],
            ),
            Panel::lines(
                "Attempts by reason",
                "cps",
                [(rate(MetricName::ATTEMPTS, &run, "reason"), "{{reason}}")],
            ),
            quantiles(
                "Waits for connections and policies",
                MetricName::BLOCKED_DURATION,
                &of_workloads(),
                form,
            ),
        ],
    }
}

fn backends(form: BucketForm) -> PanelRow {
    let steps = of_steps();
    let by = "service, backend";
    let p95 = QueriedTimes {
        metric: MetricName::BACKEND_RESPONSE_DURATION,
        matchers: &steps,
        time: CountedTime::Last(RANGE),
        by,
    };
    PanelRow {
        title: "Backends",
        panels: vec![
            Panel::lines(
                "Calls by backend",
                "cps",
                [(rate(MetricName::BACKEND_CALLS, &steps, by), "{{service}} {{backend}}")],
            ),
            Panel::lines(
                "Attempts that a backend failed",
                "cps",
                [(
                    rate(MetricName::BACKEND_ATTEMPTS_FAILED, &steps, by),
                    "{{service}} {{backend}}",
                )],
            ),
            Panel::lines(
                "Response time by backend, p95",
                "s",
                [(p95.quantile(0.95, form), "{{service}} {{backend}}")],
            ),
        ],
    }
}

fn breakers() -> PanelRow {
    let run = of_run();
    PanelRow {
        title: "Circuit breakers",
        panels: vec![
            Panel::lines(
                "Open breakers",
                "none",
                [(last(MetricName::BREAKER_OPEN, &run), "{{breaker}}")],
            ),
            Panel::lines(
                "Attempts refused by breakers",
                "cps",
                [(rate(MetricName::BREAKER_REFUSED, &run, "breaker"), "{{breaker}}")],
            ),
        ],
    }
}

fn streams(form: BucketForm) -> PanelRow {
    let steps = of_steps();
    PanelRow {
        title: "Streams",
        panels: vec![
            Panel::lines(
                "Open streams",
                "short",
                [(last(MetricName::STREAMS, &of_run()), "{{instance}}")],
            ),
            Panel::lines(
                "Messages",
                "cps",
                [(rate(MetricName::MESSAGES, &steps, "entry"), "{{entry}}")],
            ),
            quantiles("Delivery", MetricName::MESSAGE_DELIVERY, &steps, form),
            quantiles("First content", MetricName::MESSAGE_FIRST, &steps, form),
            quantiles("Gaps", MetricName::MESSAGE_GAP, &steps, form),
        ],
    }
}

fn generator(form: BucketForm) -> PanelRow {
    let run = of_run();
    let one = |title: &str, unit, metric| {
        Panel::lines(title, unit, [(last(metric, &run), "{{instance}}")])
    };
    PanelRow {
        title: "Health of the generator",
        panels: vec![
            quantiles("Lag", MetricName::GENERATOR_LAG, &of_workloads(), form)
                .about("How late the generator itself made calls."),
            one("Busiest second of a core so far", "percentunit", MetricName::GENERATOR_CPU),
            one("Longest stall so far", "s", MetricName::GENERATOR_STALL),
            one("Memory", "bytes", MetricName::MEMORY),
            Panel::lines(
                "Monitors",
                "short",
                [(last(MetricName::MONITOR, &run), "{{owner}} {{monitor}} {{unit}}")],
            )
            .about("Readings of the generator and of `--monitor`, each in its own unit."),
        ],
    }
}
