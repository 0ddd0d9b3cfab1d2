//! A finding as text for a terminal.
//!
//! `cli` prints it.
//! Invariant: each figure stands with its uncertainty; what was not found out is said.

use std::fmt::Write;

use super::agreement::Agreement;
use super::bounds::Bounds;
use super::connections::ConnectionFinding;
use super::finding::{LimitScope, ProbeFinding, ProbeStop, RateFinding, ScopeDimension};
use crate::printable::printable;
use crate::units::counted;

/// Lays a finding out as text.
pub fn text(finding: Option<&ProbeFinding>, connections: Option<&ConnectionFinding>) -> String {
    let mut out = String::new();
    if let Some(finding) = finding {
        rate_limit(&mut out, finding);
    }
    if let Some(connections) = connections {
        connection_limits(&mut out, connections);
    }
    out
}

fn line(out: &mut String, name: &str, text: &str) {
    let _ = writeln!(out, "{name:>12}  {}", printable(text));
}

fn rate_limit(out: &mut String, finding: &ProbeFinding) {
    match finding.limit {
        RateFinding::Unknown => {
            let responses = finding.statuses.iter().filter(|(status, _)| **status > 0);
            let text = match responses.map(|(_, count)| count).sum::<u64>() {
                0 => "not found out".to_owned(),
                some => format!("not found out; {} had a response", counted(some, "request")),
            };
            line(out, "limit", &text);
        }
        RateFinding::NoLimit { fastest } => {
            let requests = finding.requests;
            line(out, "limit", &format!("none up to {requests} requests at {}/s", short(fastest)));
        }
        RateFinding::Bucket { rate, burst } => {
            line(out, "limit", &format!("{}/s", figure(rate)));
            line(out, "burst", &format!("{} at once after a pause", requests(burst)));
        }
        RateFinding::Window { requests, window, kind } => {
            let length = if window.high.is_finite() {
                format!("{} s", figure(window))
            } else {
                format!("more than {} s", short(window.low))
            };
            line(out, "limit", &format!("{} in {length}", self::requests(requests)));
            line(out, "window", kind.words());
            if let Some(rate) = finding.rate() {
                line(out, "rate", &format!("{}/s in the long run", figure(rate)));
            }
        }
        RateFinding::Delay { rate, waiting } => {
            line(out, "limit", &format!("{}/s; requests above it wait", figure(rate)));
            let waiting = match waiting {
                Some(count) => format!("{count} requests may wait; more are refused"),
                None => "none was refused".to_owned(),
            };
            line(out, "queue", &waiting);
        }
        RateFinding::Concurrency { requests } => {
            line(out, "limit", &format!("{requests} requests at the same time, at any rate"));
        }
        RateFinding::Unrelated => {
            line(out, "limit", "refusals do not follow a limit: they do not depend on the rate");
        }
        RateFinding::Closed => {
            line(out, "limit", "unknown: all requests were refused, also after a pause");
        }
    }
    match finding.confirmed {
        Some(true) => line(out, "confirmed", "no refusal below the limit, refusals above it"),
        Some(false) => line(out, "confirmed", "no"),
        None => {}
    }
    scope(out, finding);
    if let Some(status) = finding.refusal {
        line(out, "refusals", &format!("status {status}"));
    }
    headers(out, finding);
    let seconds = short(finding.seconds);
    line(out, "used", &format!("{} in {seconds} s", counted(finding.requests, "request")));
    if let Some(why) = &finding.stopped {
        line(out, "stopped", &stopped(why));
    }
    if let Some(limits) = suggestion(finding) {
        let _ = writeln!(out, "\nTo keep within it, in a scenario:\n  {limits}");
    }
}

fn scope(out: &mut String, finding: &ProbeFinding) {
    for (dimension, scope) in &finding.scope {
        let what = match dimension {
            ScopeDimension::Endpoint => "another path",
            ScopeDimension::User => "another user",
            ScopeDimension::Address => "another address",
        };
        let how = match scope {
            LimitScope::Shared => "shares the limit",
            LimitScope::Separate => "has a limit of its own, or none",
            LimitScope::Unknown => "not found out",
        };
        line(out, "scope", &format!("{what}: {how}"));
    }
    let is_shared = finding.scope.values().all(|scope| *scope == LimitScope::Shared);
    if is_shared && finding.scope.len() == 3 {
        line(out, "scope", "global");
    }
}

fn headers(out: &mut String, finding: &ProbeFinding) {
    let checks = finding.header_checks();
    for check in &checks {
        let agrees = match check.agrees {
            Agreement::Yes => "agrees",
            Agreement::No => "does not agree with what was measured",
            Agreement::Unknown => "could not be compared",
        };
        line(out, "header", &format!("{}: {}; {agrees}", check.header, check.says));
    }
    if checks.is_empty() {
        line(out, "headers", "none about limits");
    }
}

fn connection_limits(out: &mut String, found: &ConnectionFinding) {
    let open = found.open();
    match found.per_address() {
        Some(limit) => line(out, "connections", &format!("{limit} from an address")),
        None if matches!(found.stopped, Some(ProbeStop::Unreachable(_))) => {
            line(out, "connections", &format!("not found out; {open} were open"));
        }
        None if found.in_all().is_none() => {
            let sources = found.sources.len();
            let addresses =
                if sources == 1 { "1 address" } else { &format!("{sources} addresses") };
            line(out, "connections", &format!("no limit up to {open} from {addresses}"));
        }
        None => {}
    }
    if let Some(limit) = found.in_all() {
        line(out, "connections", &format!("{limit} in all"));
    }
    if let Some(how) = found.sources.iter().find_map(|source| source.refusal.as_ref()) {
        line(out, "refusals", how);
    }
    line(out, "used", &format!("{}, each with one request", counted(found.requests, "connection")));
    if let Some(why) = &found.stopped {
        line(out, "stopped", &stopped(why));
    }
}

fn stopped(why: &ProbeStop) -> String {
    match why {
        ProbeStop::Requests => {
            "the number of requests was used up; raise --max-requests".to_owned()
        }
        ProbeStop::Time => "the time was over; raise --max-time".to_owned(),
        ProbeStop::Interrupted => "by a signal".to_owned(),
        ProbeStop::Unreachable(why) => why.clone(),
    }
}

/// The key `limits` of a scenario that stays within the limit; `None` if none was found.
pub(super) fn suggestion(finding: &ProbeFinding) -> Option<String> {
    let rate = finding.rate().filter(|rate| rate.low > 0.0)?.low;
    let key = match finding.scope.get(&ScopeDimension::User) {
        Some(LimitScope::Separate) => "per_user",
        _ => "global",
    };
    let rate = if rate >= 1.0 {
        format!("{}/s", trimmed(rate))
    } else if rate * 60.0 >= 1.0 {
        format!("{}/min", trimmed(rate * 60.0))
    } else {
        format!("{}/h", trimmed(rate * 3_600.0))
    };
    Some(format!("limits: {{ {key}: {rate} }}"))
}

/// Rounded down to two digits after the point, without zeros at the end.
fn trimmed(number: f64) -> String {
    let text = format!("{:.2}", (number * 100.0).floor() / 100.0);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A figure with three digits.
fn short(number: f64) -> String {
    match number.abs() {
        large if large >= 100.0 => format!("{number:.0}"),
        large if large >= 10.0 => format!("{number:.1}"),
        _ => format!("{number:.2}"),
    }
}

/// A figure with its uncertainty.
fn figure(bounds: Bounds) -> String {
    let share = bounds.uncertainty() * 100.0;
    if share == 0.0 {
        return trimmed(bounds.middle());
    }
    format!("{} ± {} %", short(bounds.middle()), share.ceil().max(1.0))
}

/// A number of requests: one, or from one to another.
fn requests(bounds: Bounds) -> String {
    let low = bounds.low.round() as u64;
    if bounds.high.is_infinite() {
        return format!("at least {}", counted(low, "request"));
    }
    let high = bounds.high.round() as u64;
    if low == high { counted(low, "request") } else { format!("{low} to {high} requests") }
}
