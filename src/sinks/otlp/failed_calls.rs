//! Failed calls as log records, with the ids of their traces.
//!
//! `run_log` sends them with the events of the run.
//! Invariant: a record has the trace and the span of its call; failed calls that have no record are
//! counted in one.

use std::sync::Arc;

use super::call_attributes::{call_attributes, whole};
use super::messages::{AttributeMessage, AttributeValue, LogSeverity, OtlpLogRecord};
use super::metrics::unix_ns;
use crate::clock;
use crate::event::RunInfo;
use crate::protocol::status::ShownStatus;
use crate::redact::redact_secrets;
use crate::stats::{AttemptOutcome, CallRecord, CallResult, KeptCalls, TraceIds, TraceSelection};
use crate::units::{counted, show_us};

/// The name of the event.
const FAILED: &str = "manada.call.failed";

/// Makes records of the failed calls of a run.
#[derive(Debug)]
pub(super) struct FailedCalls {
    info: Arc<RunInfo>,
    selection: TraceSelection,
    ids: TraceIds,
    /// Failed calls without a record, since the last one that said so.
    left_out: u64,
}

impl FailedCalls {
    /// For the calls of this selection of a run.
    pub(super) fn new(info: &Arc<RunInfo>, selection: TraceSelection) -> Self {
        let ids = TraceIds::new(&info.plan.run_id);
        Self { info: Arc::clone(info), selection, ids, left_out: 0 }
    }

    /// The records of the calls of an interval.
    pub(super) fn records(&mut self, kept: &KeptCalls) -> Vec<OtlpLogRecord> {
        self.left_out += kept.failed_left_out;
        // What the end of the run cuts off has not failed.
        let is_failed = |call: &&CallRecord| {
            !matches!(call.result, CallResult::Ok | CallResult::Muted | CallResult::Unfinished)
        };
        let calls = kept.calls.iter().filter(|call| self.selection.has_span(call));
        calls.filter(is_failed).map(|call| self.record(call)).collect()
    }

    /// A record of how many have none; `None` if all have.
    pub(super) fn left_out(&mut self) -> Option<OtlpLogRecord> {
        let left_out = std::mem::take(&mut self.left_out);
        (left_out > 0).then(|| {
            let observed = unix_ns(clock::wall());
            let text = format!("{} without a record", counted(left_out, "more failed call"));
            OtlpLogRecord {
                at: observed,
                severity: LogSeverity::Warn.into(),
                severity_text: LogSeverity::Warn.name().to_owned(),
                body: Some(AttributeValue::from(text)),
                attributes: vec![AttributeMessage::new("manada.left_out", whole(left_out))],
                observed,
                event_name: "manada.call.left_out".to_owned(),
                ..OtlpLogRecord::default()
            }
        })
    }

    fn record(&self, call: &CallRecord) -> OtlpLogRecord {
        let plan = &self.info.plan;
        let end = call.intended.ns().saturating_add(call.response_ns);
        let ids = self.ids.of(call.key);
        let span = ids.call_span(call.step, call.intended);
        let text = text(&plan.steps[call.step].name, call);
        OtlpLogRecord {
            at: unix_ns(self.info.started_at).saturating_add(end),
            severity: LogSeverity::Error.into(),
            severity_text: LogSeverity::Error.name().to_owned(),
            body: Some(AttributeValue::from(redact_secrets(&text).into_owned())),
            attributes: call_attributes(plan, call),
            flags: u32::from(self.selection.is_sampled(call)),
            trace_id: ids.trace().to_be_bytes().to_vec(),
            span_id: span.to_be_bytes().to_vec(),
            observed: unix_ns(clock::wall()),
            event_name: FAILED.to_owned(),
        }
    }
}

/// What became of a call, as a sentence.
fn text(step: &str, call: &CallRecord) -> String {
    let why = match call.outcome {
        AttemptOutcome::Responded(status) => {
            format!("unexpected response with status {}", ShownStatus(status))
        }
        AttemptOutcome::Done => "a check failed".to_owned(),
        outcome => outcome.to_string(),
    };
    let after = show_us(call.response_ns / 1_000);
    match call.attempts {
        0 => format!("`{step}` was not sent: {why}"),
        1 => format!("`{step}` failed after {after}: {why}"),
        attempts => format!("`{step}` failed after {after} and {attempts} attempts: {why}"),
    }
}
