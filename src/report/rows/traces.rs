//! Rows of traces: the slowest calls of each step that have one, and the traces of failures.
//!
//! Invariant: a row names a trace only if its ids were sent to the target or to a receiver of
//! spans.

use std::time::Duration;

use super::StepRow;
use crate::clock::RunOffset;
use crate::event::Report;
use crate::ids::StepId;
use crate::plan::ShownTrace;
use crate::stats::{AttemptOutcome, CallRecord, TraceIds};

/// The trace of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TraceRow {
    /// 32 hexadecimal digits.
    pub(crate) trace_id: String,
    /// 16 hexadecimal digits.
    pub(crate) span_id: String,
    /// Where it is shown; `None` if that is not known.
    pub(crate) url: Option<String>,
}

/// A slow call of a step.
pub(crate) struct SlowCallRow<'r> {
    /// The call itself.
    pub(crate) call: &'r CallRecord,
    /// The status of its response.
    pub(crate) status: Option<u16>,
    /// Why there is no complete response.
    pub(crate) error: Option<String>,
    pub(crate) trace: TraceRow,
}

/// Whether the run has traces.
pub(crate) fn has_traces(report: &Report) -> bool {
    report.info.plan.traces.is_some()
}

/// The slowest calls of a step that have a trace and were due after the warm-up.
pub(crate) fn slowest_traced(
    report: &Report,
    step: StepId,
) -> impl Iterator<Item = SlowCallRow<'_>> {
    report.snapshot.traced.slowest(step).iter().map(move |call| {
        let (status, error) = match call.outcome {
            AttemptOutcome::Responded(status) => (Some(status), None),
            AttemptOutcome::Done => (None, None),
            outcome => (None, Some(outcome.to_string())),
        };
        let trace = trace(report, (call.key, step), call.intended, call.response_ns);
        SlowCallRow { call, status, error, trace }
    })
}

/// All steps that have such calls.
pub(crate) fn steps_with_traces(report: &Report) -> impl Iterator<Item = StepRow<'_>> {
    super::steps(report).filter(|row| !report.snapshot.traced.slowest(row.id).is_empty())
}

/// The trace of the call of a step and an iteration with this key, which was due at a time and took
/// so long, ns.
pub(super) fn trace(
    report: &Report,
    (key, step): (u64, StepId),
    intended: RunOffset,
    response_ns: u64,
) -> TraceRow {
    let plan = &report.info.plan;
    let ids = TraceIds::new(&plan.run_id).of(key);
    let (trace_id, span_id) = (ids.trace(), ids.call_span(step, intended));
    let url = plan.traces.as_ref().and_then(|traces| traces.url.as_ref());
    let url = url.and_then(|url| {
        let start = report.info.started_at.checked_add(Duration::from_nanos(intended.ns()))?;
        let end = start.checked_add(Duration::from_nanos(response_ns))?;
        Some(url.fill(&ShownTrace { trace_id, span_id, run_id: &plan.run_id, start, end }))
    });
    TraceRow { trace_id: format!("{trace_id:032x}"), span_id: format!("{span_id:016x}"), url }
}
