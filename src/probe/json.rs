//! A finding as JSON, in the shape that docs/probe-limits.md describes.
//!
//! `cli` prints it for `--json`.
//! Invariant: keys are only added; what was not measured is null.

use serde_json::{Value, json as value};

use super::bounds::Bounds;
use super::connections::ConnectionFinding;
use super::finding::{ProbeFinding, ProbeStop, RateFinding};
use super::text::suggestion;

/// Lays a finding out as JSON.
pub fn json(finding: Option<&ProbeFinding>, connections: Option<&ConnectionFinding>) -> Value {
    let mut out = value!({ "version": 1 });
    if let Some(finding) = finding {
        out["rate_limit"] = rate_limit(finding);
    }
    if let Some(connections) = connections {
        out["connections"] = value!({
            "per_address": connections.per_address(),
            "in_all": connections.in_all(),
            "open": connections.open(),
            "sent": connections.requests,
            "stopped": connections.stopped.as_ref().map(stop),
            "reason": connections.stopped.as_ref().and_then(reason),
            "sources": connections.sources.iter().map(|source| value!({
                "open": source.open,
                "full": source.is_full,
                "refusal": source.refusal,
            })).collect::<Vec<_>>(),
        });
    }
    out
}

fn rate_limit(finding: &ProbeFinding) -> Value {
    let (kind, mut out) = match finding.limit {
        RateFinding::Unknown => ("unknown", value!({})),
        RateFinding::NoLimit { fastest } => ("none", value!({ "admitted_per_s": fastest })),
        RateFinding::Bucket { burst, .. } => ("bucket", value!({ "burst": bounds(burst) })),
        RateFinding::Window { requests, window, kind } => {
            (kind.name(), value!({ "requests": bounds(requests), "window_s": bounds(window) }))
        }
        RateFinding::Delay { waiting, .. } => ("delay", value!({ "waiting": waiting })),
        RateFinding::Concurrency { requests } => {
            ("concurrency", value!({ "concurrent": requests }))
        }
        RateFinding::Unrelated => ("unrelated", value!({})),
        RateFinding::Closed => ("all_refused", value!({})),
    };
    out["kind"] = value!(kind);
    out["rate_per_s"] = value!(finding.rate().map(bounds));
    out["confirmed"] = value!(finding.confirmed);
    out["refusal_status"] = value!(finding.refusal);
    out["reopened_s"] = value!(finding.reopened.map(bounds));
    out["scope"] = finding.scope.iter().map(|(what, how)| (what.name(), how.name())).collect();
    let statuses = finding.statuses.iter();
    out["statuses"] = statuses.map(|(status, count)| (status.to_string(), *count)).collect();
    out["headers"] = finding
        .header_checks()
        .iter()
        .map(|check| {
            value!({
                "header": check.header,
                "says": check.says,
                "agrees": check.agrees.name(),
            })
        })
        .collect();
    out["sent"] = value!(finding.requests);
    out["seconds"] = value!(finding.seconds);
    out["stopped"] = value!(finding.stopped.as_ref().map(stop));
    out["reason"] = value!(finding.stopped.as_ref().and_then(reason));
    out["limits"] = value!(suggestion(finding));
    out
}

fn bounds(bounds: Bounds) -> Value {
    let finite = |number: f64| number.is_finite().then_some(number);
    value!({
        "value": finite(bounds.middle()),
        "low": finite(bounds.low),
        "high": finite(bounds.high),
    })
}

/// Why the target did not respond.
fn reason(why: &ProbeStop) -> Option<&str> {
    match why {
        ProbeStop::Unreachable(why) => Some(why),
        _ => None,
    }
}

fn stop(why: &ProbeStop) -> &str {
    match why {
        ProbeStop::Requests => "requests",
        ProbeStop::Time => "time",
        ProbeStop::Interrupted => "interrupted",
        ProbeStop::Unreachable(_) => "unreachable",
    }
}
