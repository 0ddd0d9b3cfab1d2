//! Documents of a run: seconds of its steps and workloads, failures by kind, events.
//!
//! The sink calls it with the events of the run.
//! Invariant: a document has an id of its own; secrets in its texts are masked; the counts of all
//! documents of a kind add up to the report.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde_json::{Map, Value, json};

use super::bulk::BulkBody;
use super::template::{EVENTS, FAILURES, SECONDS};
use crate::clock::{self, RunOffset};
use crate::event::{Report, RunInfo, StopCause};
use crate::ids::{StepId, WorkloadId};
use crate::protocol::status::{self, ShownStatus};
use crate::report::json_parts::{hide, latency};
use crate::report::{events, rows};
use crate::stats::delta::StepWindow;
use crate::stats::{CompletedSecond, StateChange};
use crate::verdict::trust::TrustLevel;

/// Makes the documents of a run.
#[derive(Debug)]
pub(super) struct DocumentWriter {
    info: Arc<RunInfo>,
    /// How many failures of a step and kind have documents.
    failures: HashMap<(StepId, String), u64>,
    /// The number of reports whose failures have documents, of events, and of late seconds.
    reports: u64,
    events: u64,
    late: u64,
}

impl DocumentWriter {
    /// Begins a run.
    pub(super) fn new(info: Arc<RunInfo>) -> Self {
        Self { info, failures: HashMap::new(), reports: 0, events: 0, late: 0 }
    }

    /// Adds a document. `id`: unique in its index and run, and the same whenever the document is
    /// sent.
    fn add(&self, index: &str, id: &str, at: SystemTime, parts: Value, body: &mut BulkBody) {
        let plan = &self.info.plan;
        let mut document = json!({
            "@timestamp": humantime::format_rfc3339_millis(at).to_string(),
            "run_id": plan.run_id,
            "scenario": plan.scenario,
        });
        if let (Value::Object(all), Value::Object(parts)) = (&mut document, parts) {
            all.extend(parts);
        }
        hide(&mut document);
        body.add(index, &format!("{}-{id}", plan.run_id), &document);
    }

    /// The wall clock at an offset of the run.
    fn time(&self, at: RunOffset) -> SystemTime {
        self.info.started_at + Duration::from_nanos(at.ns())
    }

    /// Adds a second: a document for each workload and each step with something in it.
    pub(super) fn second(&mut self, second: &CompletedSecond, body: &mut BulkBody) {
        let (plan, window) = (Arc::clone(&self.info.plan), &second.window);
        let at = self.info.started_at + Duration::from_secs(window.second.into());
        // A second has one window of the warm-up and one of the measured time; what comes late for
        // one of them is a further document.
        let mut id = format!("{}-{}", window.second, if window.measured { "m" } else { "w" });
        if second.late {
            self.late += 1;
            id = format!("{id}-late{}", self.late);
        }
        let common = |kind: &str, parts: Value| {
            let mut all = json!({
                "kind": kind,
                "second": window.second,
                "measured": window.measured,
                "late": second.late,
            });
            if let (Value::Object(all), Value::Object(parts)) = (&mut all, parts) {
                all.extend(parts);
            }
            all
        };
        for (workload, load) in WorkloadId::number(&plan.workloads) {
            let counts = &window.workloads[workload];
            if counts.due + counts.started + counts.lost == 0 {
                continue;
            }
            let parts = json!({
                "workload": load.name,
                "starts": { "due": counts.due, "started": counts.started, "lost": counts.lost },
                "iteration_us": latency(&counts.iteration),
            });
            let id = format!("{id}-workload{}", workload.index() + 1);
            self.add(SECONDS, &id, at, common("workload", parts), body);
        }
        for (step, series) in StepId::number(&plan.steps) {
            let Some(window) = &window.steps[step] else { continue };
            let tags = series.tags.iter().map(|(name, value)| (name.clone(), json!(value)));
            let parts = json!({
                "workload": plan.workloads[series.workload].name,
                "archetype": plan.archetypes[series.archetype.index()],
                "step": series.name,
                "tags": tags.collect::<Map<_, _>>(),
                "calls": calls(window),
                "responses": responses(window),
                "response_us": latency(&window.response),
                "service_us": latency(&window.service),
            });
            let id = format!("{id}-step{}", step.index() + 1);
            self.add(SECONDS, &id, at, common("step", parts), body);
        }
    }

    /// Adds the failures since the last report, by step and kind. The first one of a kind has the
    /// failing call.
    pub(super) fn failures(&mut self, report: &Report, body: &mut BulkBody) {
        self.reports += 1;
        let at = RunOffset::from_ns(report.snapshot.elapsed_ns);
        for (number, row) in rows::failures(report).enumerate() {
            let known = self.failures.entry((row.call.step, row.kind.clone())).or_default();
            let before = std::mem::replace(known, row.count);
            let count = row.count.saturating_sub(before);
            if count == 0 {
                continue;
            }
            let mut parts = json!({
                "second": at.ns() / 1_000_000_000,
                "workload": row.workload,
                "archetype": row.archetype,
                "step": row.step,
                "kind": row.kind,
                "count": count,
            });
            if before == 0 {
                parts["example"] = json!({
                    "curl": row.call.curl,
                    "status": row.call.status.map(ShownStatus),
                    "error": row.call.error_text,
                    "failed_checks": row.call.failed,
                    "head": row.call.head,
                    "body": row.call.body,
                });
            }
            let id = format!("{}-{number}", self.reports);
            self.add(FAILURES, &id, self.time(at), parts, body);
        }
    }

    fn event(&mut self, kind: &str, at: SystemTime, text: &str, parts: Value, body: &mut BulkBody) {
        self.events += 1;
        let id = self.events.to_string();
        let mut all = json!({ "kind": kind, "text": text });
        if let (Value::Object(all), Value::Object(parts)) = (&mut all, parts) {
            all.extend(parts);
        }
        self.add(EVENTS, &id, at, all, body);
    }

    /// Adds the start of the run.
    pub(super) fn started(&mut self, info: &RunInfo, body: &mut BulkBody) {
        let text = format!("run of {} started: {}", info.plan.scenario, info.generator.size());
        self.event("started", info.started_at, &text, json!({}), body);
    }

    /// Adds a note for the user.
    pub(super) fn note(&mut self, text: &str, body: &mut BulkBody) {
        self.event("note", clock::wall(), text, json!({}), body);
    }

    /// Adds a state change, or a command of live control.
    pub(super) fn changed(&mut self, change: &StateChange, body: &mut BulkBody) {
        let parts = json!({ "change": events::entry(change) });
        let (kind, at) = (change.kind().name(), self.time(change.at));
        self.event(kind, at, &change.to_string(), parts, body);
    }

    /// Adds the number of state changes that the run did not keep.
    pub(super) fn left_out(&mut self, count: u64, body: &mut BulkBody) {
        if count > 0 {
            let text = format!("{count} more state changes were left out");
            self.event("left_out", clock::wall(), &text, json!({ "count": count }), body);
        }
    }

    /// Adds that the run stops before its load is over.
    pub(super) fn stopped(&mut self, cause: &StopCause, at: RunOffset, body: &mut BulkBody) {
        let text = format!("stopping before the load is over: {cause}");
        self.event("stopped", self.time(at), &text, json!({}), body);
    }

    /// Adds the end of the run with its verdict.
    pub(super) fn ended(&mut self, report: &Report, body: &mut BulkBody) {
        let verdict = report.status.verdict().unwrap_or("broken");
        let parts = json!({
            "verdict": verdict,
            "exit_code": report.status.code(),
            "trusted": report.trust.level == TrustLevel::Yes,
        });
        let text = format!("run of {} ended: {verdict}", report.info.plan.scenario);
        let at = self.time(RunOffset::from_ns(report.snapshot.elapsed_ns));
        self.event("ended", at, &text, parts, body);
    }
}

/// The calls of a step, by the names of `summary.json`.
fn calls(window: &StepWindow) -> Value {
    let calls = &window.calls;
    json!({
        "made": calls.made,
        "ok": calls.ok,
        "failed": calls.failed,
        "timeout": calls.timeout,
        "suppressed": calls.suppressed,
        "muted": calls.muted,
        "cancelled": calls.cancelled,
        "generator_errors": calls.generator_errors,
        "unfinished": calls.unfinished,
    })
}

/// The responses of a step by the class of their status.
fn responses(window: &StepWindow) -> BTreeMap<String, u64> {
    let mut classes = BTreeMap::new();
    for (status, count) in &window.statuses {
        *classes.entry(format!("{}xx", status::as_http(*status) / 100)).or_default() += count;
    }
    classes
}
