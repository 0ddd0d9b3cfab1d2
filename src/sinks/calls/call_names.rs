//! A kept call as one JSON object, with the names that its numbers have in the plan.
//!
//! `samples` writes it.
//! Invariant: an object is one line; its keys and their order do not depend on the call.

use std::time::{Duration, SystemTime};

use serde::Serialize;

use crate::event::RunInfo;
use crate::ids::StepId;
use crate::stats::{AttemptOutcome, CallRecord, CallResult, TraceIds};

/// A call, as a file shows it. Times are µs with three digits, so that they are exact to the ns.
#[derive(Serialize)]
struct CallLine<'a> {
    time: String,
    intended_us: f64,
    workload: &'a str,
    archetype: &'a str,
    step: &'a str,
    user: u64,
    item: u64,
    iteration: u64,
    result: &'static str,
    status: Option<u16>,
    error: Option<String>,
    response_us: f64,
    service_us: f64,
    lag_us: f64,
    blocked_us: f64,
    dns_us: Option<f64>,
    connect_us: Option<f64>,
    tls_us: Option<f64>,
    first_byte_us: Option<f64>,
    attempts: u32,
    bytes_sent: u64,
    bytes_received: u64,
    trace_id: String,
    span_id: String,
}

/// The names of a run, and its ids.
#[derive(Debug)]
pub(super) struct CallNames {
    started_at: SystemTime,
    ids: TraceIds,
    /// Of each series: workload, archetype and step.
    series: Vec<[String; 3]>,
}

impl CallNames {
    /// The names of a run.
    pub(super) fn new(info: &RunInfo) -> Self {
        let plan = &info.plan;
        let series = StepId::first(plan.steps.len()).map(|step| {
            let series = &plan.steps[step];
            let archetype = &plan.archetypes[series.archetype.index()];
            [plan.workloads[series.workload].name.clone(), archetype.clone(), series.name.clone()]
        });
        Self {
            started_at: info.started_at,
            ids: TraceIds::new(&plan.run_id),
            series: series.collect(),
        }
    }

    /// Appends a call as a line.
    ///
    /// # Errors
    /// None that a line in memory can have.
    pub(super) fn write_line(
        &self,
        call: &CallRecord,
        out: &mut Vec<u8>,
    ) -> serde_json::Result<()> {
        let [workload, archetype, step] = &self.series[call.step.index()];
        let at = self.started_at + Duration::from_nanos(call.intended.ns());
        let us = |ns: u64| ns as f64 / 1e3;
        let phase = |ns: u64| (ns > 0).then(|| us(ns));
        let (status, error) = match call.outcome {
            AttemptOutcome::Responded(status) => (Some(status), None),
            AttemptOutcome::Done => (None, None),
            outcome => (None, Some(outcome.to_string())),
        };
        let ids = self.ids.of(call.key);
        let line = CallLine {
            time: humantime::format_rfc3339_nanos(at).to_string(),
            intended_us: us(call.intended.ns()),
            workload,
            archetype,
            step,
            user: call.user,
            item: call.iteration.item,
            iteration: call.iteration.iteration,
            result: result_name(call.result),
            status,
            error,
            response_us: us(call.response_ns),
            service_us: us(call.service_ns),
            lag_us: us(call.lag_ns),
            blocked_us: us(call.blocked_ns),
            dns_us: phase(call.phases.dns_ns),
            connect_us: phase(call.phases.connect_ns),
            tls_us: phase(call.phases.tls_ns),
            first_byte_us: phase(call.phases.first_byte_ns),
            attempts: call.attempts,
            bytes_sent: call.bytes_sent,
            bytes_received: call.bytes_received,
            trace_id: format!("{:032x}", ids.trace()),
            span_id: format!("{:016x}", ids.call_span(call.step, call.intended)),
        };
        serde_json::to_writer(&mut *out, &line)?;
        out.push(b'\n');
        Ok(())
    }
}

/// The name of a result, as in `calls` of `summary.json`.
fn result_name(result: CallResult) -> &'static str {
    match result {
        CallResult::Ok => "ok",
        CallResult::Failed => "failed",
        CallResult::Timeout => "timeout",
        CallResult::Unfinished => "unfinished",
        CallResult::Own => "generator_error",
        CallResult::Suppressed => "suppressed",
        CallResult::Muted => "muted",
    }
}
