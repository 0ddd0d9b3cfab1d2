//! oha's layout (oha 1.16).
//!
//! Invariant: the times are response times; those of `Details` are of the phases of attempts.

use super::figures::{in_binary_unit, line, quantile_us, response};
use crate::event::Report;
use crate::protocol::status::ShownStatus;
use crate::report::rows;
use crate::stats::Histogram;

/// Rows of the histogram.
const ROWS: u64 = 11;

/// The width of the longest bar, columns.
const BAR: u64 = 32;

pub(super) fn render(report: &Report) -> String {
    let snapshot = &report.snapshot;
    let (calls, latency) = (snapshot.measured.calls(), response(report));
    let unit = TimeUnit::of(quantile_us(&latency, 1.0));
    let mut out = String::new();
    let share = calls.ok as f64 * 100.0 / calls.made.max(1) as f64;
    line(&mut out, "Summary:");
    line(&mut out, format_args!("  Success rate:\t{share:.2}%"));
    let total_s = snapshot.elapsed_ns as f64 / 1e9;
    line(&mut out, format_args!("  Total:\t{}", unit.show(total_s * 1e6)));
    line(&mut out, format_args!("  Slowest:\t{}", unit.show(quantile_us(&latency, 1.0) as f64)));
    let fastest = latency.shortest_us().unwrap_or(0) as f64;
    line(&mut out, format_args!("  Fastest:\t{}", unit.show(fastest)));
    let average = latency.mean_us().unwrap_or(0.0);
    line(&mut out, format_args!("  Average:\t{}", unit.show(average)));
    let rate = report.all_calls_per_s().unwrap_or(0.0);
    line(&mut out, format_args!("  Requests/sec:\t{rate:.4}\n"));
    let received = snapshot.connections.bytes_received as f64;
    line(&mut out, format_args!("  Total data:\t{}", size(received)));
    let responses: u64 = snapshot.statuses.iter().map(|(_, count)| count).sum();
    line(&mut out, format_args!("  Size/request:\t{}", size(received / responses.max(1) as f64)));
    line(&mut out, format_args!("  Size/sec:\t{}\n", size(received / total_s.max(1e-9))));
    histogram(&mut out, latency.responses(), unit);
    line(&mut out, "\nResponse time distribution:");
    for percent in [10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 99.0, 99.9, 99.99] {
        let us = quantile_us(&latency, percent / 100.0) as f64;
        line(&mut out, format_args!("  {percent:.2}% in {}", unit.show(us)));
    }
    details(&mut out, report, unit);
    line(&mut out, "\nStatus code distribution:");
    for row in rows::statuses(report) {
        line(&mut out, format_args!("  [{}] {} responses", ShownStatus(row.status), row.count));
    }
    let mut title = "\nError distribution:\n";
    for error in rows::errors(report) {
        let (phase, kind) = (error.phase, error.kind);
        line(&mut out, format_args!("{title}  [{}] {phase}: {kind}", error.count));
        title = "";
    }
    out
}

/// Rows of equal width from the fastest to the slowest response.
fn histogram(out: &mut String, times: &Histogram, unit: TimeUnit) {
    line(out, "Response time histogram:");
    let (min, max) = (times.min_us(), times.max_us());
    let mut counts = [0; ROWS as usize];
    for (us, count) in times.buckets() {
        // A row ends with its limit; the first one is the fastest response alone.
        let above = us.min(max).saturating_sub(min);
        let row = (above * (ROWS - 1)).div_ceil((max - min).max(1));
        counts[row.min(ROWS - 1) as usize] += count;
    }
    let most = counts.iter().copied().max().unwrap_or(0).max(1);
    let widest = most.to_string().len();
    let TimeUnit { us, name } = unit;
    let limit = |row: u64| (min as f64 + (max - min) as f64 * row as f64 / (ROWS - 1) as f64) / us;
    let digits = format!("{:.3}", limit(ROWS - 1)).len();
    for (row, count) in (0..).zip(counts) {
        let (limit, label) = (limit(row), format!("[{count}]"));
        let bar = "■".repeat((count * BAR / most) as usize);
        line(out, format_args!("  {limit:>digits$.3} {name} {label:<0$} |{bar}", widest + 2));
    }
}

/// Average, fastest and slowest times to open a connection. Of several phases they are the sums of
/// each phase's own: outer bounds, but for the average.
fn details(out: &mut String, report: &Report, unit: TimeUnit) {
    let [dns, connect, tls, ..] = rows::phases(report).map(|phase| phase.times);
    line(out, "\n\nDetails (average, fastest, slowest):");
    for (name, phases) in [("DNS+dialup", &[dns, connect, tls][..]), ("DNS-lookup", &[dns])] {
        let sum = |of: fn(&Histogram) -> f64| -> f64 {
            let used = phases.iter().filter(|times| times.count() > 0);
            used.fold(0.0, |sum, times| sum + of(times))
        };
        let average = unit.show(sum(Histogram::mean_us));
        let fastest = unit.show(sum(|times| times.min_us() as f64));
        let slowest = unit.show(sum(|times| times.max_us() as f64));
        line(out, format_args!("  {name}:\t{average}, {fastest}, {slowest}"));
    }
}

/// The unit of all times, chosen by the slowest response.
#[derive(Clone, Copy, Debug, PartialEq)]
struct TimeUnit {
    /// µs per unit.
    us: f64,
    name: &'static str,
}

impl TimeUnit {
    fn of(slowest_us: u64) -> Self {
        match slowest_us {
            0..1_000 => Self { us: 1.0, name: "us" },
            1_000..1_000_000 => Self { us: 1e3, name: "ms" },
            _ => Self { us: 1e6, name: "sec" },
        }
    }

    fn show(self, us: f64) -> String {
        format!("{:.4} {}", us / self.us, self.name)
    }
}

/// A size: `490.90 MiB`.
fn size(bytes: f64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let (value, unit) = in_binary_unit(bytes, &UNITS);
    if unit == "B" { format!("{value:.0} B") } else { format!("{value:.2} {unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_response_is_in_one_row_of_the_histogram() {
        let mut times = Histogram::default();
        for us in [100, 100, 101, 200, 1_100] {
            times.record(us);
        }
        let mut out = String::new();
        histogram(&mut out, &times, TimeUnit::of(1_100));
        let rows: Vec<_> = out.lines().skip(1).map(str::trim_end).collect();
        assert_eq!(rows[0], "  0.100 ms [2] |■■■■■■■■■■■■■■■■■■■■■■■■■■■■■■■■");
        assert_eq!(rows[1], "  0.200 ms [2] |■■■■■■■■■■■■■■■■■■■■■■■■■■■■■■■■");
        assert_eq!(rows[10], "  1.100 ms [1] |■■■■■■■■■■■■■■■■");
        assert!(rows[2..10].iter().all(|row| row.contains("[0]")) && rows.len() == 11, "{rows:?}");
    }

    #[test]
    fn no_response_makes_no_number_that_is_none() {
        let mut out = String::new();
        histogram(&mut out, &Histogram::default(), TimeUnit::of(0));
        assert!(out.lines().skip(1).all(|row| row.starts_with("  0.000 us [0]")), "{out}");
    }
}
