//! Calls and iterations of a second: which of them a log has, and their entries.
//!
//! The sink gives it the deltas of shards, and takes the entries of each second.
//! Invariant: the numbers of calls and iterations come from the counts of deltas, which a report
//! adds up as well; what is not an entry is left out, and counted.

use std::collections::HashMap;
use std::mem::take;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::entry::RunLogEntry;
use super::kind_counts::KindCounts;
use super::options::LogLevel;
use crate::clock::RunOffset;
use crate::event::RunInfo;
use crate::ids::StepId;
use crate::protocol::status::{ShownStatus, is_error};
use crate::sinks::calls::call_names::{CallLine, CallNames};
use crate::stats::sample::IterationEnd;
use crate::stats::{AttemptOutcome, CallRecord, CallResult, Delta, IterationRecord};
use crate::units::show_us;

/// The kinds of entries.
const FAILED: &str = "failed_call";
const CALL: &str = "call";
const ITERATION: &str = "iteration";

/// Maximum calls, and iterations, of a second from which the entries are chosen.
const MAX_CANDIDATES: usize = 16_384;

/// The calls and iterations of the current second.
#[derive(Debug)]
pub(super) struct CallEntries {
    names: CallNames,
    info: Arc<RunInfo>,
    level: LogLevel,
    failed: Vec<CallRecord>,
    calls: Vec<CallRecord>,
    iterations: Vec<IterationRecord>,
    /// Those that ended since the last entries, in the order of the kinds.
    ended: [u64; 3],
}

impl CallEntries {
    /// Begins a run.
    pub(super) fn new(info: &Arc<RunInfo>, level: LogLevel) -> Self {
        Self {
            names: CallNames::new(info),
            info: Arc::clone(info),
            level,
            failed: Vec::new(),
            calls: Vec::new(),
            iterations: Vec::new(),
            ended: [0; 3],
        }
    }

    /// Takes what a shard measured.
    pub(super) fn add(&mut self, delta: &Delta) {
        for (iterations, calls) in &delta.workloads {
            self.ended[0] +=
                calls.failed + calls.timeout + calls.suppressed + calls.generator_errors;
            self.ended[1] += calls.ok + calls.muted + calls.cancelled + calls.unfinished;
            self.ended[2] += iterations.completed + iterations.ended_early + iterations.interrupted;
        }
        let is_detailed = self.level >= LogLevel::Debug;
        for call in &delta.kept.calls {
            if has_failed(call.result) {
                keep(&mut self.failed, call);
            } else if is_detailed {
                keep(&mut self.calls, call);
            }
        }
        if is_detailed {
            delta.kept.iterations.iter().for_each(|one| keep(&mut self.iterations, one));
        }
    }

    /// Returns the entries of the second, and counts all others as left out.
    pub(super) fn end_second(&mut self, counts: &mut KindCounts) -> Vec<RunLogEntry> {
        let (mut failed, mut calls) = (take(&mut self.failed), take(&mut self.calls));
        let mut iterations = take(&mut self.iterations);
        let [all_failed, all_calls, all_iterations] = take(&mut self.ended);
        one_of_each_kind_first(&mut failed);
        // Those with the lowest keys: iterations with all of their calls.
        calls.sort_by_key(|call| (call.key, call.intended));
        iterations.sort_by_key(|one| (one.key, one.intended));
        let mut entries = Vec::new();
        let mut choose = |kind: &'static str, all: u64, kept: Vec<RunLogEntry>| {
            // Never more than there were, or the sums would not hold.
            let most = usize::try_from(all).unwrap_or(usize::MAX).min(counts.per_second());
            let chosen = kept.into_iter().take(most);
            let before = entries.len();
            entries.extend(chosen);
            counts.leave_out(kind, all - (entries.len() - before) as u64);
        };
        choose(FAILED, all_failed, failed.iter().map(|call| self.call(call)).collect());
        if self.level >= LogLevel::Debug {
            choose(CALL, all_calls, calls.iter().map(|call| self.call(call)).collect());
            let iterations = iterations.iter().map(|one| self.iteration(one)).collect();
            choose(ITERATION, all_iterations, iterations);
        }
        entries
    }

    fn wall(&self, at: RunOffset, more_ns: u64) -> SystemTime {
        self.info.started_at + Duration::from_nanos(at.ns().saturating_add(more_ns))
    }

    fn call(&self, call: &CallRecord) -> RunLogEntry {
        let line = self.names.line(call);
        let has_failed = has_failed(call.result);
        RunLogEntry {
            at: self.wall(call.intended, call.response_ns),
            level: if has_failed { LogLevel::Error } else { LogLevel::Debug },
            kind: if has_failed { FAILED } else { CALL },
            text: sentence(call, line.step),
            fields: fields(&line),
        }
    }

    fn iteration(&self, one: &IterationRecord) -> RunLogEntry {
        let (result, what) = match one.end {
            IterationEnd::Completed => ("completed", "completed"),
            IterationEnd::Early => ("ended_early", "ended early"),
            IterationEnd::Interrupted => ("interrupted", "was interrupted"),
        };
        let ns = one.done.ns().saturating_sub(one.intended.ns());
        let workload = &self.info.plan.workloads[one.iteration.workload].name;
        let (trace_id, span_id) = self.names.iteration_ids(one.key);
        let fields = vec![
            ("workload", json!(workload)),
            ("user", json!(one.user)),
            ("item", json!(one.iteration.item)),
            ("iteration", json!(one.iteration.iteration)),
            ("result", json!(result)),
            ("intended_us", json!(one.intended.ns() as f64 / 1e3)),
            ("iteration_us", json!(ns as f64 / 1e3)),
            ("trace_id", json!(trace_id)),
            ("span_id", json!(span_id)),
        ];
        RunLogEntry {
            at: self.wall(one.done, 0),
            level: LogLevel::Debug,
            kind: ITERATION,
            text: format!("an iteration of {workload} {what} after {}", show_us(ns / 1_000)),
            fields,
        }
    }
}

fn keep<T: Clone>(list: &mut Vec<T>, one: &T) {
    if list.len() < MAX_CANDIDATES {
        list.push(one.clone());
    }
}

/// Whether a call counts as an error. What the end of the run cuts off has not failed.
fn has_failed(result: CallResult) -> bool {
    match result {
        CallResult::Failed | CallResult::Timeout | CallResult::Own | CallResult::Suppressed => true,
        CallResult::Ok | CallResult::Muted | CallResult::Unfinished => false,
    }
}

/// Orders failed calls: the first of each step and kind of failure, then the second of each.
fn one_of_each_kind_first(failed: &mut Vec<CallRecord>) {
    failed.sort_by_key(|call| call.intended);
    let mut known: HashMap<(StepId, String), usize> = HashMap::new();
    let rank = |call: &CallRecord| {
        let rank = known.entry((call.step, call.outcome.to_string())).or_default();
        *rank += 1;
        *rank
    };
    let ranks: Vec<usize> = failed.iter().map(rank).collect();
    let mut ranked: Vec<(usize, CallRecord)> = ranks.into_iter().zip(take(failed)).collect();
    // Stable: calls of a rank stay in the order of time.
    ranked.sort_by_key(|(rank, _)| *rank);
    failed.extend(ranked.into_iter().map(|(_, call)| call));
}

/// What became of a call.
fn sentence(call: &CallRecord, step: &str) -> String {
    let what = match (call.result, call.outcome) {
        (CallResult::Ok, AttemptOutcome::Responded(status)) => {
            format!("got status {}", ShownStatus(status))
        }
        (CallResult::Ok, _) => "succeeded".to_owned(),
        (CallResult::Muted, _) => return format!("call of {step} was not sent: the step is muted"),
        (CallResult::Suppressed, outcome) => return format!("call of {step} was {outcome}"),
        (CallResult::Failed, AttemptOutcome::Responded(status)) if !is_error(status) => {
            format!("failed: status {}, but not the expected response", ShownStatus(status))
        }
        (CallResult::Failed, AttemptOutcome::Responded(status)) => {
            format!("failed: status {}", ShownStatus(status))
        }
        (CallResult::Failed | CallResult::Timeout, outcome) => format!("failed: {outcome}"),
        (CallResult::Own, outcome) => {
            return format!("call of {step} was not made, by an error of the generator: {outcome}");
        }
        (CallResult::Unfinished, _) => "was cancelled by the end of the run".to_owned(),
    };
    format!("call of {step} {what}, after {}", show_us(call.response_ns / 1_000))
}

/// The fields of a call, by the names of `--samples`.
fn fields(line: &CallLine<'_>) -> Vec<(&'static str, Value)> {
    vec![
        ("workload", json!(line.workload)),
        ("archetype", json!(line.archetype)),
        ("user", json!(line.user)),
        ("item", json!(line.item)),
        ("iteration", json!(line.iteration)),
        ("step", json!(line.step)),
        ("result", json!(line.result)),
        ("status", json!(line.status)),
        ("error", json!(line.error)),
        ("intended_us", json!(line.intended_us)),
        ("response_us", json!(line.response_us)),
        ("service_us", json!(line.service_us)),
        ("lag_us", json!(line.lag_us)),
        ("blocked_us", json!(line.blocked_us)),
        ("attempts", json!(line.attempts)),
        ("bytes_sent", json!(line.bytes_sent)),
        ("bytes_received", json!(line.bytes_received)),
        ("trace_id", json!(line.trace_id)),
        ("span_id", json!(line.span_id)),
    ]
}
