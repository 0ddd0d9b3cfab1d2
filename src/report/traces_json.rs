//! Calls with traces in `summary.json`.
//!
//! `json` and `failures` ask for them.
//! Invariant: without traces all of it is null.

use serde_json::{Value, json};

use super::rows::{self, SlowCallRow, TraceRow};
use crate::event::Report;
use crate::ids::StepId;
use crate::protocol::status::ShownStatus;

/// The slowest calls of a step that have a trace.
pub(super) fn of_step(report: &Report, step: StepId) -> Option<Vec<Value>> {
    let us = |ns: u64| ns as f64 / 1e3;
    let one = |row: SlowCallRow<'_>| {
        let call = row.call;
        json!({
            "at_s": at_s(call.intended.ns()), "user": call.user,
            "result": call.result.name(), "status": row.status.map(ShownStatus), "error": row.error,
            "response_us": us(call.response_ns), "service_us": us(call.service_ns),
            "lag_us": us(call.lag_ns), "blocked_us": us(call.blocked_ns),
            "attempts": call.attempts,
            "trace_id": row.trace.trace_id, "span_id": row.trace.span_id,
            "trace_url": row.trace.url,
        })
    };
    rows::has_traces(report).then(|| rows::slowest_traced(report, step).map(one).collect())
}

/// Adds the trace of a failure.
pub(super) fn add(to: &mut Value, trace: Option<&TraceRow>) {
    to["trace_id"] = json!(trace.map(|trace| &trace.trace_id));
    to["span_id"] = json!(trace.map(|trace| &trace.span_id));
    to["trace_url"] = json!(trace.and_then(|trace| trace.url.as_ref()));
}

/// A time of the run, s with three digits.
fn at_s(ns: u64) -> f64 {
    (ns / 1_000_000) as f64 / 1e3
}
