//! Suppressed, delayed and retried calls, for the terminal: a few lines at the end of the summary.
//!
//! `summary` renders it.
//! Invariant: a policy that did nothing has no line; no line is wider than 80 columns, unless a
//! word is.

use std::fmt::Write;

use super::events;
use super::quantile_text::quantile;
use super::rows::client;
use super::text_lines::wrapped;
use crate::event::Report;
use crate::plan::policy::DegradationLevel;
use crate::stats::{Attempts, BreakerState, PoolUse};
use crate::units::{counted, nanos, show_count, show_us};

/// Maximum pools and breakers that are named.
const SHOWN: usize = 8;

/// All lines; `kept` is `true` if the run leaves files behind.
pub(crate) fn render(out: &mut String, report: &Report, kept: bool) {
    suppressed(out, report);
    delayed(out, report);
    again(out, &report.snapshot.attempts);
    pools(out, report);
    breakers(out, report);
    timeouts(out, report);
    levels(out, report);
    events::render(out, report, kept);
}

fn suppressed(out: &mut String, report: &Report) {
    let (calls, starts) = (report.snapshot.calls(), report.snapshot.iterations().suppressed);
    let mut parts = Vec::new();
    if calls.suppressed > 0 {
        let by: Vec<String> = (client::suppressed_by(report).iter())
            .map(|(cause, count)| format!("{} {}", cause.name(), show_count(*count)))
            .collect();
        let (some, all) = (show_count(calls.suppressed), show_count(calls.made));
        parts.push(format!("{some} of {all} calls: {}", by.join(", ")));
    }
    if calls.muted > 0 {
        parts.push(format!("{} of muted steps not sent", counted(calls.muted, "call")));
    }
    if starts > 0 {
        let starts = counted(starts, "start");
        parts.push(format!("{starts} suppressed: the generator was overloaded"));
    }
    let mut name = "suppressed";
    for part in parts {
        wrapped(out, name, &part);
        name = "";
    }
}

/// Waits that policy caused, by cause.
fn delayed(out: &mut String, report: &Report) {
    if report.snapshot.measured.waits.is_empty() {
        return;
    }
    let by: Vec<String> = client::waits(report)
        .map(|(cause, waits)| {
            format!("{cause} {}, p95 {}", counted(waits.count(), "call"), quantile(&waits, 0.95))
        })
        .collect();
    wrapped(out, "delayed", &format!("before sending: {}", by.join("; ")));
}

fn again(out: &mut String, attempts: &Attempts) {
    let Attempts { started, first, retries, hedges, stale_resends, .. } = *attempts;
    if retries + hedges + stale_resends + attempts.denied == 0 {
        return;
    }
    let mut parts = Vec::new();
    let mut part = |count: u64, one: &str, many: &str| {
        if count > 0 {
            parts.push(format!("{} {}", show_count(count), if count == 1 { one } else { many }));
        }
    };
    part(retries, "retry", "retries");
    part(hedges, "hedge", "hedges");
    part(attempts.cancelled, "cancelled for a faster one", "cancelled for a faster one");
    part(attempts.redirects, "redirect", "redirects");
    part(stale_resends, "sent again on a fresh connection", "sent again on fresh connections");
    part(attempts.denied, "denied by the budget", "denied by the budget");
    let amplified = attempts.amplification().unwrap_or(0.0);
    let (all, calls) = (show_count(started), show_count(first));
    let text = format!("{all} attempts for {calls} calls ({amplified:.2}×): {}", parts.join(", "));
    wrapped(out, "retries", &text);
}

fn pools(out: &mut String, report: &Report) {
    let used = |(_, used): &(_, &PoolUse)| used.leases + used.gave_up > 0;
    let pools: Vec<_> = client::shared_pools(report).filter(used).collect();
    let mut name = "pools";
    for (pool, used) in pools.iter().take(SHOWN) {
        let busy = used.utilisation().unwrap_or(0.0) * 100.0;
        let wait = quantile(&used.waits.clone().into(), 0.95);
        let mut text = format!(
            "{}: {}, {busy:.0} % in use, {}, wait p95 {wait}",
            pool,
            counted(used.size, "connection"),
            counted(used.leases, "use")
        );
        if used.gave_up > 0 {
            let _ = write!(text, ", {} timed out waiting", counted(used.gave_up, "call"));
        }
        if let Some(hint) = client::hint(pool, used) {
            let _ = write!(text, " ({hint})");
        }
        wrapped(out, name, &text);
        name = "";
    }
    more(out, pools.len());
}

/// Breakers that opened, or are not closed.
fn breakers(out: &mut String, report: &Report) {
    let breakers: Vec<_> = client::breakers(report)
        .filter(|(_, used)| used.opened > 0 || used.state != Some(BreakerState::Closed))
        .collect();
    let mut label = "breakers";
    for (name, used) in breakers.iter().take(SHOWN) {
        let state = used.state.map_or("not used", BreakerState::name);
        let opened = counted(used.opened, "time");
        let refused = show_count(used.refused);
        let text = format!("{name}: opened {opened}, refused {refused}, {state} at the end");
        wrapped(out, label, &text);
        label = "";
    }
    more(out, breakers.len());
}

fn more(out: &mut String, all: usize) {
    if all > SHOWN {
        wrapped(out, "", &format!("and {} more in summary.json", show_count((all - SHOWN) as u64)));
    }
}

/// Deadlines that differ from their start.
fn timeouts(out: &mut String, report: &Report) {
    let Some(start) = report.info.plan.client.timeouts_from else { return };
    let start = nanos(start);
    let mut moved: Vec<_> = client::timeouts(report).filter(|(_, ns)| *ns != start).collect();
    moved.sort_by_key(|(_, ns)| *ns);
    let show = |(name, ns): &(String, u64)| format!("{} ({name})", show_us(ns / 1_000));
    let text = match (moved.first(), moved.last()) {
        (Some(first), Some(last)) if first.1 < last.1 => {
            format!("{} to {}", show(first), show(last))
        }
        (Some(first), _) if moved.len() == 1 => show(first),
        (Some(first), _) => format!("{} ({} endpoints)", show_us(first.1 / 1_000), moved.len()),
        (None, _) => return,
    };
    wrapped(out, "timeouts", &format!("{text} at the end"));
}

/// The time at each degradation level.
fn levels(out: &mut String, report: &Report) {
    let Some((lasted, level)) = client::levels(report) else { return };
    let down: Vec<String> = (DegradationLevel::ALL.into_iter().skip(1))
        .filter(|level| lasted[*level as usize] > 0)
        .map(|level| format!("{} for {}", level.name(), show_us(lasted[level as usize] / 1_000)))
        .collect();
    if !down.is_empty() {
        wrapped(out, "degraded", &format!("{}; {} at the end", down.join(", "), level.name()));
    }
}
