//! Kept calls and iterations as spans.
//!
//! `cli` adds the sink, if a run has traces.
//! Invariant: a span of a call has the id that its request carries in `traceparent`; a call whose
//! iteration is not sampled is the root of its trace.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use super::call_attributes::{call_attributes, error_type, whole};
use super::exporter::OtlpIntake;
use super::messages::{
    AttributeMessage, OtlpSpan, SpanEvent, SpanKind, SpanStatus, StatusCodeNumber,
};
use super::metrics::unix_ns;
use crate::clock::RunOffset;
use crate::event::{RunEvent, RunInfo};
use crate::protocol::status;
use crate::sinks::Sink;
use crate::stats::call_record::{AttemptPhases, EarlierAttempt};
use crate::stats::sample::IterationEnd;
use crate::stats::trace_ids::IterationIds;
use crate::stats::{AttemptOutcome, CallRecord, Delta, IterationRecord, TraceIds, TraceSelection};

/// The sink of a run's spans.
#[derive(Debug)]
pub struct OtlpSpanSink {
    intake: OtlpIntake,
    selection: TraceSelection,
    run: Option<RunSpans>,
    left_out: LeftOutSpans,
}

/// Calls that have no span although they were sampled, or failed.
#[derive(Clone, Debug, Default)]
pub struct LeftOutSpans(Arc<[AtomicU64; 2]>);

impl LeftOutSpans {
    /// The number of sampled calls, and of failed ones.
    pub fn get(&self) -> (u64, u64) {
        (self.0[0].load(Relaxed), self.0[1].load(Relaxed))
    }
}

/// What spans of a run need.
#[derive(Debug)]
struct RunSpans {
    info: Arc<RunInfo>,
    ids: TraceIds,
    /// The start of the run, nanoseconds since 1970.
    start: u64,
}

impl OtlpSpanSink {
    /// A sink of this exporter for calls of this selection.
    pub fn new(intake: OtlpIntake, selection: TraceSelection) -> Self {
        Self { intake, selection, run: None, left_out: LeftOutSpans::default() }
    }

    /// The counts of what was left out, also after the sink was added.
    pub fn left_out(&self) -> LeftOutSpans {
        self.left_out.clone()
    }

    fn add(&self, run: &RunSpans, delta: &Delta) {
        let kept = &delta.kept;
        let mut spans = Vec::new();
        for one in kept.iterations.iter().filter(|one| one.key < self.selection.below) {
            spans.push(run.iteration(one));
        }
        for call in kept.calls.iter().filter(|call| self.selection.has_span(call)) {
            run.call(call, self.selection.is_sampled(call), &mut spans);
        }
        self.left_out.0[0].fetch_add(kept.sampled_left_out, Relaxed);
        self.left_out.0[1].fetch_add(kept.failed_left_out, Relaxed);
        self.intake.push_spans(spans);
    }
}

impl RunSpans {
    fn new(info: &Arc<RunInfo>) -> Self {
        let ids = TraceIds::new(&info.plan.run_id);
        Self { ids, start: unix_ns(info.started_at), info: Arc::clone(info) }
    }

    fn iteration(&self, one: &IterationRecord) -> OtlpSpan {
        let workload = &self.info.plan.workloads[one.iteration.workload].name;
        let failed = one.end == IterationEnd::Early;
        let end = match one.end {
            IterationEnd::Completed => "completed",
            IterationEnd::Early => "ended_early",
            IterationEnd::Interrupted => "interrupted",
        };
        OtlpSpan {
            trace_id: self.ids.of(one.key).trace().to_be_bytes().to_vec(),
            span_id: self.ids.of(one.key).span().to_be_bytes().to_vec(),
            name: format!("iteration of {workload}"),
            kind: SpanKind::Internal.into(),
            start: self.start + one.intended.ns(),
            end: self.start + one.done.ns(),
            attributes: vec![
                AttributeMessage::new("manada.workload", workload.as_str()),
                AttributeMessage::new("manada.user", whole(one.user)),
                AttributeMessage::new("manada.iteration", whole(one.iteration.iteration)),
                AttributeMessage::new("manada.iteration.end", end),
            ],
            status: Some(span_status(failed.then_some(end))),
            flags: 1,
            ..OtlpSpan::default()
        }
    }

    /// The span of a call, and those of its attempts.
    fn call(&self, call: &CallRecord, is_sampled: bool, spans: &mut Vec<OtlpSpan>) {
        let plan = &self.info.plan;
        let series = &plan.steps[call.step];
        let ids = self.ids.of(call.key);
        let trace_id = ids.trace().to_be_bytes().to_vec();
        let id = ids.call_span(call.step, call.intended);
        let parent = ids.span().to_be_bytes().to_vec();
        let begun = self.start + call.intended.ns();
        let end = begun + call.response_ns;
        let error = error_type(call);
        let flags = u32::from(is_sampled);
        let attributes = call_attributes(plan, call);
        spans.push(OtlpSpan {
            trace_id: trace_id.clone(),
            span_id: id.to_be_bytes().to_vec(),
            parent_span_id: if is_sampled { parent } else { Vec::new() },
            name: series.name.clone(),
            kind: SpanKind::Client.into(),
            start: begun,
            end,
            attributes,
            status: Some(span_status(error.as_deref())),
            flags,
            ..OtlpSpan::default()
        });
        let attempts = attempts(call);
        spans.extend(attempts.iter().zip(1..).map(|(attempt, number)| {
            let begun = self.start + attempt.begun.ns();
            let error = attempt_error(attempt.outcome);
            OtlpSpan {
                trace_id: trace_id.clone(),
                span_id: IterationIds::attempt_span(id, number).to_be_bytes().to_vec(),
                parent_span_id: id.to_be_bytes().to_vec(),
                name: format!("attempt {number}"),
                kind: SpanKind::Internal.into(),
                start: begun,
                end: begun + attempt.service_ns,
                events: phases(&attempt.phases, begun),
                status: Some(span_status(error.as_deref())),
                flags,
                ..OtlpSpan::default()
            }
        }));
    }
}

/// The attempts of a call in the order in which they ended; none if it was never sent.
fn attempts(call: &CallRecord) -> Vec<EarlierAttempt> {
    let mut all = call.earlier.clone();
    if call.attempts > 0 {
        let end = call.intended.ns() + call.response_ns;
        all.push(EarlierAttempt {
            begun: RunOffset::from_ns(end.saturating_sub(call.service_ns)),
            service_ns: call.service_ns,
            phases: call.phases,
            outcome: call.outcome,
        });
    }
    all
}

/// Why an attempt has failed; `None` if it got a response whose status is no error.
fn attempt_error(outcome: AttemptOutcome) -> Option<String> {
    let is_ok = match outcome {
        AttemptOutcome::Responded(code) => !status::is_error(code),
        outcome => outcome == AttemptOutcome::Done,
    };
    (!is_ok).then(|| outcome.to_string())
}

fn span_status(error: Option<&str>) -> SpanStatus {
    let code = if error.is_some() { StatusCodeNumber::Error } else { StatusCodeNumber::Unset };
    SpanStatus { message: error.unwrap_or_default().to_owned(), code: code.into() }
}

/// The ends of the phases of an attempt that began at `begun`.
fn phases(phases: &AttemptPhases, begun: u64) -> Vec<SpanEvent> {
    let mut at = begun;
    let mut events = Vec::new();
    for (name, ns) in
        [("dns", phases.dns_ns), ("connect", phases.connect_ns), ("tls", phases.tls_ns)]
    {
        if ns > 0 {
            at += ns;
            events.push(SpanEvent { at, name: name.to_owned(), attributes: Vec::new() });
        }
    }
    if phases.first_byte_ns > 0 {
        let (at, name) = (begun + phases.first_byte_ns, "first_byte".to_owned());
        events.push(SpanEvent { at, name, attributes: Vec::new() });
    }
    events
}

impl Sink for OtlpSpanSink {
    fn wants(event: &RunEvent) -> bool {
        matches!(event, RunEvent::Started(_) | RunEvent::Delta(_))
    }

    fn take(&mut self, event: &RunEvent) -> io::Result<()> {
        match event {
            RunEvent::Started(info) => self.run = Some(RunSpans::new(info)),
            RunEvent::Delta(delta) => {
                if let Some(run) = &self.run {
                    self.add(run, delta);
                }
            }
            _ => {}
        }
        Ok(())
    }
}
