//! k6's layout: its end-of-test summary.
//!
//! Invariant: `http_req_duration` is the service time, as k6 measures it, and `iteration_duration`
//! the response time from the scheduled start.

use std::fmt::Display;

use super::figures::{line, quantile_us, response};
use crate::event::Report;
use crate::report::rows::{self, ThresholdState};
use crate::stats::{Calls, Histogram, Latency};

/// The width of a name with its dots, columns.
const NAME: usize = 35;

pub(super) fn render(report: &Report) -> String {
    let (plan, snapshot) = (&report.info.plan, &report.snapshot);
    let mut out = String::new();
    thresholds(&mut out, report);
    line(&mut out, "\n  █ TOTAL RESULTS\n");
    let calls = snapshot.measured.calls();
    let rate = report.all_calls_per_s().unwrap_or(0.0);
    line(&mut out, "    HTTP");
    let service = snapshot.measured.service(|_| true);
    metric(&mut out, "http_req_duration", trend(&service));
    let [_, connect, tls, _, waiting, receiving] = rows::phases(report).map(|phase| phase.times);
    let parts = [
        ("http_req_connecting", connect),
        ("http_req_tls_handshaking", tls),
        ("http_req_waiting", waiting),
        ("http_req_receiving", receiving),
    ];
    for (name, times) in parts {
        metric(&mut out, name, trend(&Latency::from(Histogram::clone(times))));
    }
    let failed = failed(&calls);
    let share = failed as f64 * 100.0 / calls.made.max(1) as f64;
    metric(&mut out, "http_req_failed", format_args!("{share:.2}% {failed} out of {}", calls.made));
    metric(&mut out, "http_reqs", counter(calls.made, rate));
    line(&mut out, "\n    EXECUTION");
    metric(&mut out, "iteration_duration", trend(&response(report)));
    metric(&mut out, "iterations", counter(calls.made, rate));
    let dropped = snapshot.iterations().dropped;
    let seconds = (snapshot.elapsed_ns as f64 / 1e9).max(1e-9);
    if dropped > 0 {
        metric(&mut out, "dropped_iterations", counter(dropped, dropped as f64 / seconds));
    }
    let peak = snapshot.users_peak;
    let load_end_s = snapshot.until_ns / 1_000_000_000;
    let samples = report.timeline.gauges.iter();
    let in_load = samples.filter(|sample| u64::from(sample.second) + 1 < load_end_s);
    let least = in_load.map(|sample| sample.users).min().unwrap_or(peak);
    metric(&mut out, "vus", format_args!("{peak:<6} min={least:<7} max={peak}"));
    let most: u64 = plan.workloads.iter().map(|load| load.max_users).sum();
    metric(&mut out, "vus_max", format_args!("{most:<6} min={most:<7} max={most}"));
    line(&mut out, "\n    NETWORK");
    let bytes = &snapshot.connections;
    for (name, bytes) in [("data_received", bytes.bytes_received), ("data_sent", bytes.bytes_sent)]
    {
        let bytes = bytes as f64;
        let (all, per_s) = (size(bytes), size(bytes / seconds));
        metric(&mut out, name, format_args!("{all} {per_s}/s"));
    }
    out
}

fn thresholds(out: &mut String, report: &Report) {
    if report.judgements.is_empty() {
        return;
    }
    line(out, "\n  █ THRESHOLDS\n");
    for rule in rows::thresholds(report) {
        let mark = if rule.state == ThresholdState::Holds { '✓' } else { '✗' };
        line(out, format_args!("    {mark} '{}' observed={}", rule.rule, rule.observed));
    }
}

/// Calls that k6 would count as failed: all that were sent and are not ok.
fn failed(calls: &Calls) -> u64 {
    calls.made - calls.ok - calls.muted - calls.cancelled
}

fn metric(out: &mut String, name: &str, value: impl Display) {
    line(out, format_args!("    {name:.<NAME$}: {value}"));
}

fn counter(count: u64, per_s: f64) -> String {
    format!("{count:<7}{per_s:.6}/s")
}

/// `avg=140.36ms min=… med=… max=… p(90)=… p(95)=…`.
fn trend(times: &Latency) -> String {
    let average = duration(times.mean_us().unwrap_or(0.0));
    let least = duration(times.shortest_us().unwrap_or(0) as f64);
    let [median, longest, p90, p95] =
        [0.5, 1.0, 0.9, 0.95].map(|p| duration(quantile_us(times, p) as f64));
    format!("avg={average} min={least} med={median} max={longest} p(90)={p90} p(95)={p95}")
}

/// A duration in µs: `0s`, `635.91µs`, `12.92ms`, `1.2s`, `1m30s`.
fn duration(us: f64) -> String {
    let short = |value: f64, unit: &str| {
        let text = format!("{value:.2}");
        format!("{}{unit}", text.trim_end_matches('0').trim_end_matches('.'))
    };
    match us {
        0.0 => "0s".to_owned(),
        us if us < 1e3 => short(us, "µs"),
        us if us < 1e6 => short(us / 1e3, "ms"),
        us if us < 60e6 => short(us / 1e6, "s"),
        us => format!("{}m{}", (us / 60e6).floor(), short(us % 60e6 / 1e6, "s")),
    }
}

/// A size: `519 kB`, of 1,000 B.
fn size(bytes: f64) -> String {
    match bytes {
        bytes if bytes < 1e3 => format!("{bytes:.0} B"),
        bytes if bytes < 1e4 => format!("{:.1} kB", bytes / 1e3),
        bytes if bytes < 1e6 => format!("{:.0} kB", bytes / 1e3),
        bytes if bytes < 1e9 => format!("{:.1} MB", bytes / 1e6),
        bytes => format!("{:.1} GB", bytes / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_the_units_of_k6() {
        let times = [0.0, 635.91, 12_920.0, 1_200_000.0, 90e6].map(duration);
        assert_eq!(times, ["0s", "635.91µs", "12.92ms", "1.2s", "1m30s"]);
        let sizes = [718.0, 4_900.0, 519_000.0, 2.8e6].map(size);
        assert_eq!(sizes, ["718 B", "4.9 kB", "519 kB", "2.8 MB"]);
    }
}
