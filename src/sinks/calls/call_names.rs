//! A kept call as one JSON object, with the names that its numbers have in the plan.
//!
//! `samples` writes it; `run_log` takes parts of it.
//! Invariant: an object is one line; its keys and their order do not depend on the call.

use std::time::{Duration, SystemTime};

use serde::Serialize;

use crate::event::RunInfo;
use crate::ids::StepId;
use crate::protocol::status::ShownStatus;
use crate::stats::{AttemptOutcome, CallRecord, TraceIds};

/// A call, as a file shows it. Times are µs with three digits, so that they are exact to the ns.
#[derive(Serialize)]
pub(in crate::sinks) struct CallLine<'a> {
    pub(in crate::sinks) time: String,
    pub(in crate::sinks) intended_us: f64,
    pub(in crate::sinks) workload: &'a str,
    pub(in crate::sinks) archetype: &'a str,
    pub(in crate::sinks) step: &'a str,
    pub(in crate::sinks) user: u64,
    pub(in crate::sinks) item: u64,
    pub(in crate::sinks) iteration: u64,
    pub(in crate::sinks) result: &'static str,
    pub(in crate::sinks) status: Option<ShownStatus>,
    pub(in crate::sinks) error: Option<String>,
    pub(in crate::sinks) response_us: f64,
    pub(in crate::sinks) service_us: f64,
    pub(in crate::sinks) lag_us: f64,
    pub(in crate::sinks) blocked_us: f64,
    pub(in crate::sinks) dns_us: Option<f64>,
    pub(in crate::sinks) connect_us: Option<f64>,
    pub(in crate::sinks) tls_us: Option<f64>,
    pub(in crate::sinks) first_byte_us: Option<f64>,
    pub(in crate::sinks) attempts: u32,
    pub(in crate::sinks) bytes_sent: u64,
    pub(in crate::sinks) bytes_received: u64,
    pub(in crate::sinks) trace_id: String,
    pub(in crate::sinks) span_id: String,
}

/// The names of a run, and its ids.
#[derive(Debug)]
pub(in crate::sinks) struct CallNames {
    started_at: SystemTime,
    ids: TraceIds,
    /// Of each series: workload, archetype and step.
    series: Vec<[String; 3]>,
}

impl CallNames {
    /// The names of a run.
    pub(in crate::sinks) fn new(info: &RunInfo) -> Self {
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

    /// A call with its names.
    pub(in crate::sinks) fn line(&self, call: &CallRecord) -> CallLine<'_> {
        let [workload, archetype, step] = &self.series[call.step.index()];
        let at = self.started_at + Duration::from_nanos(call.intended.ns());
        let us = |ns: u64| ns as f64 / 1e3;
        let phase = |ns: u64| (ns > 0).then(|| us(ns));
        let (status, error) = match call.outcome {
            AttemptOutcome::Responded(status) => (Some(ShownStatus(status)), None),
            AttemptOutcome::Done => (None, None),
            outcome => (None, Some(outcome.to_string())),
        };
        let ids = self.ids.of(call.key);
        CallLine {
            time: humantime::format_rfc3339_nanos(at).to_string(),
            intended_us: us(call.intended.ns()),
            workload,
            archetype,
            step,
            user: call.user,
            item: call.iteration.item,
            iteration: call.iteration.iteration,
            result: call.result.name(),
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
        }
    }

    /// The ids of the iteration with this key: its trace, and the span of the whole iteration.
    pub(in crate::sinks) fn iteration_ids(&self, key: u64) -> (String, String) {
        let ids = self.ids.of(key);
        (format!("{:032x}", ids.trace()), format!("{:016x}", ids.span()))
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
        serde_json::to_writer(&mut *out, &self.line(call))?;
        out.push(b'\n');
        Ok(())
    }
}
