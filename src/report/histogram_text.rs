//! A histogram for the terminal on a log scale: two rows per octave would be too many, so rows
//! follow 1, 2, 5.
//!
//! `summary` renders it.
//! Invariant: each call is in exactly one row; each reason for an unknown time has its own row.

use std::fmt::Write;

use super::ansi::{BAD, BOLD, DIM, paint, width};
use crate::stats::{Calls, Latency, Untimed};
use crate::units::{show_count, show_us};

/// The width of the longest bar, columns.
const COLUMNS: u64 = 40;

/// Draws the response times; `calls` are those measured.
pub(crate) fn render(out: &mut String, latency: &Latency, calls: &Calls) {
    if latency.count() == 0 {
        return;
    }
    let _ = writeln!(out, "\n{}", paint(BOLD, "Response time histogram"));
    let mut rows: Vec<(u64, u64)> = Vec::new();
    for (us, count) in latency.responses().buckets() {
        let limit = limit_of(us);
        // Empty rows between two peaks are shown, too.
        while let Some((last, _)) = rows.last()
            && *last < limit
        {
            rows.push((next(*last), 0));
        }
        match rows.last_mut() {
            Some((_, sum)) => *sum += count,
            None => rows.push((limit, count)),
        }
    }
    let without = without_time(latency, calls);
    let counts = rows.iter().map(|(_, count)| *count).chain(without.iter().map(|row| row.1));
    let most = counts.max().unwrap_or(0);
    let all = latency.count();
    let mut line = |title: &str, count: u64, bar: &str| {
        let share = count as f64 * 100.0 / all as f64;
        let _ = writeln!(
            out,
            "  {} {bar}{:fill$} {:>5.1} %  {}",
            paint(DIM, &format!("{title:>11}")),
            "",
            share,
            show_count(count),
            fill = (COLUMNS as usize).saturating_sub(width(bar)),
        );
    };
    for (limit, count) in rows {
        line(&format!("≤ {}", show_limit(limit)), count, &bar(count, most));
    }
    for (name, count) in without {
        line(name, count, &paint(BAD, &bar(count, most)));
    }
    if calls.muted > 0 {
        let text =
            format!("{}  not in these times: their steps were muted", show_count(calls.muted));
        let _ = writeln!(out, "  {} {text}", paint(DIM, &format!("{:>11}", "muted")));
    }
}

/// A row for each reason for an unknown time.
fn without_time(latency: &Latency, calls: &Calls) -> Vec<(&'static str, u64)> {
    // Calls that rank at their age: timeouts, and calls that the end of the run cancelled.
    let aged = latency.timeouts().count();
    let cut = calls.unfinished.min(aged);
    let mut rows = vec![("timeout", aged - cut), ("cut", cut)];
    rows.extend(Untimed::ALL.map(|why| (why.name(), latency.untimed(why))));
    rows.retain(|(_, count)| *count > 0);
    rows
}

/// A bar in eighths of a column; never empty for a count that is not zero.
fn bar(count: u64, most: u64) -> String {
    let eighths = (count * COLUMNS * 8).div_ceil(most.max(1));
    let mut bar = "█".repeat((eighths / 8) as usize);
    bar.push_str(["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"][(eighths % 8) as usize]);
    bar
}

/// The upper limit of the row that a value belongs to: 1, 2 or 5 times a power of ten.
fn limit_of(us: u64) -> u64 {
    let mut limit = 1;
    while limit < us {
        limit = next(limit);
    }
    limit
}

fn next(limit: u64) -> u64 {
    let mut power = 1;
    while power * 10 <= limit {
        power *= 10;
    }
    match limit / power {
        1 => 2 * power,
        2 => 5 * power,
        _ => 10 * power,
    }
}

fn show_limit(us: u64) -> String {
    match us {
        0..1_000 => format!("{us} µs"),
        1_000..1_000_000 => format!("{} ms", us / 1_000),
        1_000_000..60_000_000 => format!("{} s", us / 1_000_000),
        _ => show_us(us),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_follow_one_two_five() {
        let limits: Vec<u64> = [0, 1, 2, 3, 5, 6, 10, 11, 999, 1_000, 1_001].map(limit_of).into();
        assert_eq!(limits, [1, 1, 2, 5, 5, 10, 10, 20, 1_000, 1_000, 2_000]);
    }

    #[test]
    fn each_reason_without_a_time_has_its_row() {
        let mut latency = Latency::default();
        latency.record_response(1_000_000);
        latency.record_at_least_n(5_000_000, 7);
        for (count, why) in (1..).zip(Untimed::ALL) {
            latency.record_untimed_n(why, count);
        }
        let calls = Calls { timeout: 5, unfinished: 2, muted: 9, ..Calls::default() };
        let mut out = String::new();
        render(&mut out, &latency, &calls);
        let shown = anstream::adapter::strip_str(&out).to_string();
        // The bars end, and the shares begin, in the same column of each row.
        let columns: Vec<_> = (shown.lines())
            .filter_map(|line| line.split_once(" %").map(|(before, _)| before.chars().count()))
            .collect();
        assert!(columns.len() == 9 && columns.iter().all(|at| *at == columns[0]), "{shown}");
        for row in ["timeout", "cut", "no response", "suppressed", "not made", "dropped", "lost"] {
            assert!(shown.contains(row), "{row}: {shown}");
        }
        let rows = without_time(&latency, &calls);
        assert_eq!(rows.iter().map(|row| row.1).collect::<Vec<_>>(), [5, 2, 1, 2, 3, 4, 5, 6]);
        assert_eq!(rows.iter().map(|row| row.1).sum::<u64>() + 1, latency.count());
    }

    #[test]
    fn a_bar_is_never_empty_for_a_call_and_never_too_long() {
        assert_eq!(bar(0, 1_000_000), "");
        assert_eq!(bar(1, 1_000_000), "▏");
        assert_eq!(bar(7, 7).chars().count(), 40);
    }
}
