//! wrk's layout (wrk 4, `--latency`).
//!
//! Invariant: `Latency` is the response time, as of wrk2: without a rate it is wrk's, too.

use super::figures::{Spread, in_binary_unit, line, quantile_us, response, values};
use crate::event::Report;
use crate::plan::RunManifest;
use crate::protocol::status;
use crate::stats::AttemptOutcome;
use crate::stats::outcome::{self, AttemptPhase};

pub(super) fn render(report: &Report) -> String {
    let (plan, snapshot) = (&report.info.plan, &report.snapshot);
    let shards = report.info.generator.shards;
    let mut out = String::new();
    let took = duration(snapshot.elapsed_ns as f64 / 1e3);
    line(
        &mut out,
        format_args!("Running {} test @ {}", whole_seconds(snapshot.until_ns), url(plan)),
    );
    let connections = snapshot.connections_peak;
    line(&mut out, format_args!("  {shards} threads and {connections} connections"));
    line(&mut out, "  Thread Stats   Avg      Stdev     Max   +/- Stdev");
    let latency = response(report);
    let times = Spread::of(&values(latency.responses()));
    stats(&mut out, "Latency", times, duration);
    stats(&mut out, "Req/Sec", per_thread(report, shards), metric);
    line(&mut out, "  Latency Distribution");
    for percent in [50, 75, 90, 99] {
        let us = quantile_us(&latency, f64::from(percent) / 100.0);
        line(&mut out, format_args!("{percent:>7}%{:>10}", duration(us as f64)));
    }
    let calls = snapshot.measured.calls();
    let requests = calls.ok + calls.failed;
    let read = binary(snapshot.connections.bytes_received as f64);
    line(&mut out, format_args!("  {requests} requests in {took}, {read} read"));
    errors(&mut out, report);
    let rate = report.all_calls_per_s().unwrap_or(0.0);
    line(&mut out, format_args!("Requests/sec: {rate:>9.2}"));
    let seconds = snapshot.elapsed_ns as f64 / 1e9;
    let received = snapshot.connections.bytes_received as f64 / seconds.max(1e-9);
    line(&mut out, format_args!("Transfer/sec: {:>10}", binary(received)));
    out
}

fn stats(out: &mut String, name: &str, spread: Spread, show: fn(f64) -> String) {
    let Spread { mean, deviation, max, within } = spread;
    let [mean, deviation, max] = [mean, deviation, max].map(|value| in_column(&show(value)));
    let within = within * 100.0;
    line(out, format_args!("    {name:<10}{mean:>8}{deviation:>10}{max:>9}{within:>8.2}%"));
}

/// A figure whose unit takes two columns, so that the digits of a column stand below each other.
fn in_column(figure: &str) -> String {
    let unit = figure.len() - figure.trim_end_matches(|c: char| c.is_alphabetic()).len();
    format!("{figure}{:1$}", "", 2_usize.saturating_sub(unit))
}

/// The address, with the path if there is only one.
fn url(plan: &RunManifest) -> String {
    let origin = plan.services.first().map_or("", |(_, location)| location.as_str());
    let path = match &plan.steps[..] {
        [step] => step.name.split_once(' ').map_or("", |(_, path)| path),
        _ => "",
    };
    format!("{origin}{path}")
}

/// A duration as wrk's command line takes it: `30s`, `2m`.
fn whole_seconds(ns: u64) -> String {
    match (ns as f64 / 1e9).round() as u64 {
        seconds if seconds >= 60 && seconds.is_multiple_of(60) => format!("{}m", seconds / 60),
        seconds => format!("{seconds}s"),
    }
}

/// Calls per second and thread, over the whole seconds of the measured load.
fn per_thread(report: &Report, threads: usize) -> Spread {
    let timeline = &report.timeline;
    let width = u64::from(timeline.width_s.max(1));
    let end = report.snapshot.until_ns / 1_000_000_000;
    let whole =
        timeline.points().filter(|point| point.measured && u64::from(point.second) + width <= end);
    let per_s = |made: u64| made as f64 / (width * threads.max(1) as u64) as f64;
    let rates: Vec<_> = whole.map(|point| (per_s(point.calls.made), 1)).collect();
    Spread::of(&rates)
}

/// Failed attempts by what failed, and responses that are no success; nothing if there are none.
fn errors(out: &mut String, report: &Report) {
    let [mut connect, mut read, mut write, mut timeout] = [0; 4];
    for &(index, count) in &report.snapshot.errors {
        match outcome::outcome_at(index) {
            Some(AttemptOutcome::Timeout(_)) => timeout += count,
            Some(AttemptOutcome::Failed(phase, _)) => match phase {
                AttemptPhase::Dns | AttemptPhase::Connect | AttemptPhase::Tls => connect += count,
                AttemptPhase::Send => write += count,
                _ => read += count,
            },
            _ => {}
        }
    }
    if connect + read + write + timeout > 0 {
        line(
            out,
            format_args!(
                "  Socket errors: connect {connect}, read {read}, write {write}, timeout {timeout}"
            ),
        );
    }
    let statuses = report.snapshot.statuses.iter();
    let other: u64 =
        statuses.filter(|(code, _)| status::is_error(*code)).map(|(_, count)| count).sum();
    if other > 0 {
        line(out, format_args!("  Non-2xx or 3xx responses: {other}"));
    }
}

/// A duration in µs: `635.91us`, `12.92ms`, `1.20s`, `2.00m`.
fn duration(us: f64) -> String {
    match us {
        us if us < 1e3 => format!("{us:.2}us"),
        us if us < 1e6 => format!("{:.2}ms", us / 1e3),
        us if us < 60e6 => format!("{:.2}s", us / 1e6),
        us => format!("{:.2}m", us / 60e6),
    }
}

/// A number: `56.20k`.
fn metric(value: f64) -> String {
    match value {
        value if value < 1e3 => format!("{value:.2}"),
        value if value < 1e6 => format!("{:.2}k", value / 1e3),
        value => format!("{:.2}M", value / 1e6),
    }
}

/// A size: `606.33MB`, of 1,024 KB.
fn binary(bytes: f64) -> String {
    const UNITS: [&str; 5] = ["B", "KB", "MB", "GB", "TB"];
    let (value, unit) = in_binary_unit(bytes, &UNITS);
    format!("{value:.2}{unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_the_units_of_wrk() {
        let times = [91.0, 12_920.0, 1_204_000.0, 120e6].map(duration);
        assert_eq!(times, ["91.00us", "12.92ms", "1.20s", "2.00m"]);
        assert_eq!([265.99, 6_040.0, 2e6].map(metric), ["265.99", "6.04k", "2.00M"]);
        assert_eq!([12.0, 1_536.0, 3_344_957.0].map(binary), ["12.00B", "1.50KB", "3.19MB"]);
        assert_eq!(["6.04k", "265.99", "3.31ms"].map(in_column), ["6.04k ", "265.99  ", "3.31ms"]);
        assert_eq!([3_010_000_000, 120_000_000_000].map(whole_seconds), ["3s", "2m"]);
    }

    #[test]
    fn a_line_of_wrk_is_the_same_character_by_character() {
        // Printed by wrk 4.1.0.
        let mut out = String::new();
        let times = Spread { mean: 3_800.0, deviation: 3_310.0, max: 29_580.0, within: 0.7951 };
        stats(&mut out, "Latency", times, duration);
        assert_eq!(out, "    Latency     3.80ms    3.31ms  29.58ms   79.51%\n");
        out.clear();
        let rates = Spread { mean: 6_040.0, deviation: 265.99, max: 6_730.0, within: 0.7097 };
        stats(&mut out, "Req/Sec", rates, metric);
        assert_eq!(out, "    Req/Sec     6.04k   265.99     6.73k    70.97%\n");
    }
}
