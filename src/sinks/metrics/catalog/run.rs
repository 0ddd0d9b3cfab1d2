//! Metrics of the run as a whole.
//!
//! Invariant: a level that is not known has no sample.

use super::samples::{family, gauge, label, level, unique};
use super::view::ReportView;
use crate::sinks::metrics::family::{MetricFamily, MetricKind, MetricUnit};
use crate::stats::{MonitorOwner, MonitorUnit};
use crate::verdict::threshold::MetricForm;
use crate::verdict::trust::TrustLevel;

/// The run, described by labels.
pub(super) fn info(view: ReportView<'_>) -> MetricFamily<'_> {
    let plan = &view.report.info.plan;
    let labels = vec![
        label("scenario", &plan.scenario),
        label("run_id", &plan.run_id),
        label("seed", plan.seed.value().to_string()),
        label("client", &plan.client.kind),
        label("version", env!("CARGO_PKG_VERSION")),
    ];
    gauge("manada.run.info", "The run, described by labels; the value is 1.", [level(labels, 1.0)])
}

/// The state of the run at this moment.
pub(super) fn state(view: ReportView<'_>) -> [MetricFamily<'_>; 6] {
    let (report, snapshot) = (view.report, &view.report.snapshot);
    let one = |value: u64| [level(Vec::new(), value as f64)];
    let is_trusted = f64::from(u8::from(report.trust.level == TrustLevel::Yes));
    [
        gauge(
            "manada.run.active",
            "Whether the run is going on.",
            one(u64::from(report.is_running)),
        ),
        gauge(
            "manada.run.trusted",
            "Whether the figures so far can be trusted: 1 if the trust verdict is `yes`.",
            [level(Vec::new(), is_trusted)],
        ),
        gauge("manada.users", "Virtual users at work.", one(snapshot.users)),
        gauge(
            "manada.users.peak",
            "Maximum concurrent virtual users so far.",
            one(snapshot.users_peak),
        ),
        gauge(
            "manada.iterations.running",
            "Iterations that have begun and not ended.",
            one(snapshot.running_iterations),
        ),
        gauge("manada.calls.running", "Calls in flight.", one(snapshot.running_calls)),
    ]
}

/// Health of the generator, and readings of monitors.
pub(super) fn generator(view: ReportView<'_>) -> Vec<MetricFamily<'_>> {
    let health = &view.report.snapshot.health;
    let seconds = |name, help, value| {
        let samples = [level(Vec::new(), value)];
        family(name, help, MetricKind::Gauge, MetricUnit::Seconds, samples)
    };
    let readings = view.report.timeline.gauges.last().map(|gauges| &*gauges.monitors);
    let readings = view.report.info.monitors.iter().zip(readings.unwrap_or_default());
    let readings = readings.filter_map(|(monitor, reading)| Some((monitor, (*reading)?)));
    let memory = readings
        .clone()
        .find(|(monitor, _)| monitor.owner == MonitorOwner::Generator && monitor.name == "memory");
    vec![
        family(
            "manada.generator.cpu.peak",
            "The busiest second of the busiest shard, as a share of one core.",
            MetricKind::Gauge,
            MetricUnit::Ratio,
            [level(Vec::new(), health.cpu_percent_max / 100.0)],
        ),
        seconds(
            "manada.generator.stall.longest",
            "The longest stall of an event loop.",
            health.longest_stall_ns as f64 / 1e9,
        ),
        family(
            "manada.process.memory",
            "Resident memory of this process and its workers.",
            MetricKind::Gauge,
            MetricUnit::Bytes,
            memory.map(|(_, bytes)| level(Vec::new(), bytes)),
        ),
        gauge(
            "manada.monitor",
            "Readings of monitors, in the unit of the label.",
            unique(readings.map(|(monitor, reading)| {
                let owner = match monitor.owner {
                    MonitorOwner::Generator => "generator",
                    MonitorOwner::Target => "target",
                };
                let unit = match monitor.unit {
                    MonitorUnit::Percent => "percent",
                    MonitorUnit::Bytes => "bytes",
                    MonitorUnit::Count => "count",
                    MonitorUnit::Micros => "microseconds",
                    MonitorUnit::Plain => "",
                };
                let name = label("monitor", &monitor.name);
                level(vec![label("owner", owner), name, label("unit", unit)], reading)
            })),
        ),
    ]
}

/// Thresholds so far. A rule that stands twice is judged once.
pub(super) fn thresholds<'r>(view: ReportView<'r>) -> [MetricFamily<'r>; 2] {
    let judged = view.report.judgements.iter();
    let rule = |rule: &'r str| vec![label("rule", rule)];
    [
        gauge(
            "manada.threshold.passed",
            "Whether a threshold holds so far.",
            unique(
                judged
                    .clone()
                    .filter(|one| one.observed.is_some())
                    .map(|one| level(rule(&one.threshold.rule), f64::from(u8::from(one.passed)))),
            ),
        ),
        gauge(
            "manada.threshold.observed",
            "The value that a threshold judges: seconds, bytes, a share, a count, or per second.",
            unique(judged.filter_map(|one| {
                let observed = one.observed?;
                let is_time = one.threshold.metric.form() == MetricForm::Duration;
                let observed = if is_time { observed / 1e6 } else { observed };
                Some(level(rule(&one.threshold.rule), observed))
            })),
        ),
    ]
}
