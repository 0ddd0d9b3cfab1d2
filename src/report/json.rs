//! `summary.json`: a finished run as one document, version 1 (docs/report.md).
//!
//! `--json` prints it, `sinks::files` writes it.
//! Invariant: durations are whole µs with suffix `_us`, counts are integers, a missing value is
//! null, and texts of targets are redacted strings.

use serde_json::{Map, Value, json};

use super::json_parts::{hide, latency, tenth};
use super::{addresses, client, failures, monitors, threshold_text};
use crate::event::Report;
use crate::ids::{StepId, WorkloadId};
use crate::plan::Series;
use crate::stats::delta::{LoadWindow, StepWindow};
use crate::stats::{Calls, Histogram, Iterations, Latency, Snapshot, outcome};
use crate::units::per_second;
use crate::verdict::{Judgement, Trust, judge};

/// The document.
pub fn document(report: &Report) -> Value {
    let mut document = whole(report);
    for (key, value) in client::document(report) {
        document[key] = value;
    }
    // The former name of `monitors`.
    document["dials"] = document["monitors"].clone();
    hide(&mut document);
    document
}

fn whole(report: &Report) -> Value {
    let (plan, snapshot) = (&report.info.plan, &*report.snapshot);
    let (measured, warmup) = (&snapshot.measured, &snapshot.warmup);
    let open = plan.workloads.iter().all(|load| load.open);
    json!({
        "version": 1,
        "scenario": plan.scenario,
        "description": plan.description,
        "run_id": plan.run_id,
        "seed": plan.seed.value(),
        "started_at": humantime::format_rfc3339_seconds(report.info.started_at).to_string(),
        "duration_s": seconds(snapshot.elapsed_ns),
        "verdict": report.status.verdict(),
        "reason": report.why,
        "stopped": report.stopped,
        "exit_code": report.status.code(),
        "trust": trust(&report.trust),
        "iterations": iterations(&snapshot.iterations(), open),
        "calls": calls(&snapshot.calls()),
        "attempts": attempts(snapshot),
        "users": {
            "peak": snapshot.users_peak,
            "achieved_percent": judge::achieved_users(snapshot).map(|share| share * 100.0),
        },
        "connections": {
            "opened": snapshot.connections.opened, "reused": snapshot.connections.reused,
            "failed": snapshot.connections.failed, "peak": snapshot.connections_peak,
            "at_load_end": report.connections_at_load_end(),
        },
        "addresses": addresses::document(report),
        "bytes": {
            "sent": snapshot.connections.bytes_sent,
            "received": snapshot.connections.bytes_received,
        },
        "rate": rate(measured.workloads.iter(), snapshot.measured_ns),
        "status": snapshot.statuses.iter()
            .map(|(status, count)| (status.to_string(), json!(count)))
            .collect::<Map<_, _>>(),
        "errors": snapshot.errors.iter().map(|(index, count)| {
            let (phase, kind, hint) = outcome::error_at(*index);
            let of = outcome::counted_as(*index);
            json!({ "phase": phase, "kind": kind, "count": count, "of": of, "hint": hint })
        }).collect::<Vec<_>>(),
        "exemplars": failures::document(report),
        "response_us": latency(&measured.response(|_| true, measured.lost())),
        "service_us": latency(&measured.service(|_| true)),
        "lag_us": latency(&sum(measured.workloads.iter().map(|load| &load.lag))),
        "blocked_us": latency(&sum(measured.workloads.iter().map(|load| &load.blocked))),
        "iteration_us": latency(&iteration(measured.workloads.iter())),
        "phases_us": {
            "dns": latency(&measured.phases[0].clone().into()),
            "connect": latency(&measured.phases[1].clone().into()),
            "tls": latency(&measured.phases[2].clone().into()),
            "first_byte": latency(&measured.phases[3].clone().into()),
            "body": latency(&measured.phases[4].clone().into()),
        },
        "workloads": workloads(report),
        "data_ran_out": names(&snapshot.ran_out),
        "steps": steps(report),
        "groups": groups(report),
        "checks": checks(report),
        "thresholds": report.judgements.iter().map(threshold).collect::<Vec<_>>(),
        "warmup": {
            "duration_s": plan.warmup.as_secs_f64(),
            "calls": calls(&warmup.calls()),
            "response_us": latency(&warmup.response(|_| true, warmup.lost())),
        },
        "generator": generator(report),
        "monitors": monitors::document(report),
    })
}

fn generator(report: &Report) -> Value {
    let (generator, snapshot) = (&report.info.generator, &report.snapshot);
    json!({
        "tier": generator.tier, "shards": generator.shards, "processes": 1,
        "reason": generator.reason, "remarks": generator.remarks,
        "cpu_percent_max": tenth(snapshot.health.cpu_percent_max),
        "run_queue_share": snapshot.health.run_queue_share,
        "rss_bytes_peak": report.rss_peak,
        "unset_variables": names(&snapshot.unset),
        "failed_expressions": names(&snapshot.failed_expressions),
    })
}

/// Counts by name.
fn names(counts: &[(String, u64)]) -> Map<String, Value> {
    counts.iter().map(|(name, count)| (name.clone(), json!(count))).collect()
}

fn trust(trust: &Trust) -> Value {
    let reasons = trust.reasons.iter().map(|reason| {
        json!({
            "check": reason.check, "verdict": reason.level.name(), "observed": reason.observed,
            "limit": reason.limit, "unit": reason.unit, "affects": reason.affects(),
            "hint": reason.hint,
        })
    });
    json!({ "verdict": trust.level.name(), "reasons": reasons.collect::<Vec<_>>() })
}

fn iterations(iterations: &Iterations, has_schedule: bool) -> Value {
    json!({
        "due": has_schedule.then_some(iterations.due),
        "started": iterations.started, "completed": iterations.completed,
        "ended_early": iterations.ended_early, "interrupted": iterations.interrupted,
        "dropped": iterations.dropped, "suppressed": iterations.suppressed,
        "not_reached": iterations.not_reached,
    })
}

fn calls(calls: &Calls) -> Value {
    json!({
        "made": calls.made, "ok": calls.ok, "failed": calls.failed, "timeout": calls.timeout,
        "suppressed": calls.suppressed, "muted": calls.muted, "cancelled": calls.cancelled,
        "generator_errors": calls.generator_errors, "unfinished": calls.unfinished,
    })
}

fn attempts(snapshot: &Snapshot) -> Value {
    let attempts = &snapshot.attempts;
    json!({
        "started": attempts.started, "sent": attempts.sent, "first": attempts.first,
        "retries": attempts.retries, "hedges": attempts.hedges, "redirects": attempts.redirects,
        "stale_resends": attempts.stale_resends, "cancelled": attempts.cancelled,
        "denied": attempts.denied, "amplification": attempts.amplification().map(thousandth),
    })
}

/// Iterations scheduled and started on time, over the measured time; null without a schedule.
fn rate<'a>(loads: impl Iterator<Item = &'a LoadWindow>, measured_ns: u64) -> Value {
    let (mut due, mut on_time, mut started) = (0, 0, 0);
    for load in loads {
        started += load.started;
        if load.due > 0 {
            due += load.due;
            on_time += load.on_time;
        }
    }
    let per_s = |count: u64| per_second(count, measured_ns);
    json!({
        "due_per_s": (due > 0).then(|| per_s(due)).flatten(),
        "achieved_per_s": if due > 0 { per_s(on_time) } else { None },
        "achieved_percent": (due > 0).then(|| on_time as f64 * 100.0 / due as f64),
        "started_per_s": per_s(started),
    })
}

fn workloads(report: &Report) -> Vec<Value> {
    let all = WorkloadId::first(report.info.plan.workloads.len());
    all.map(|at| workload(report, at)).collect()
}

fn workload(report: &Report, at: WorkloadId) -> Value {
    let (plan, snapshot) = (&report.info.plan, &*report.snapshot);
    let load = &plan.workloads[at];
    let (whole, made) = &snapshot.workloads[at];
    let window = &snapshot.measured.workloads[at];
    let own = |step: StepId| plan.steps[step].workload == at;
    json!({
        "name": load.name,
        "model": load.model(),
        "iterations": iterations(whole, load.open),
        "calls": calls(made),
        "response_us": latency(&snapshot.measured.response(own, window.lost_starts())),
        "service_us": latency(&snapshot.measured.service(own)),
        "iteration_us": latency(&window.iteration),
        "lag_us": latency(&window.lag.clone().into()),
        "blocked_us": latency(&window.blocked.clone().into()),
        "users": users(snapshot, at),
        "rate": rate(std::iter::once(window), plan.measured_ns(at, snapshot.until_ns)),
    })
}

/// Users that were there, and users that the load asked for; null if it sets no level of users.
fn users(snapshot: &Snapshot, at: WorkloadId) -> Option<Value> {
    let window = &snapshot.measured.workloads[at];
    let departures = &snapshot.departures[at];
    let target = window.target_user_ns;
    let worst = snapshot.worst_users[at.index()];
    (target > 0).then(|| {
        json!({
            "target_user_s": seconds(target),
            "achieved_percent": window.present_user_ns as f64 * 100.0 / target as f64,
            "worst_second": worst.map(|worst| {
                json!({ "at_s": worst.second, "achieved_percent": worst.share * 100.0 })
            }),
            "start_failed": departures.start_failed,
            "out_of_rows": departures.out_of_rows,
        })
    })
}

fn steps(report: &Report) -> Vec<Value> {
    let (plan, snapshot) = (&report.info.plan, &*report.snapshot);
    let nothing = StepWindow::default();
    let steps = StepId::number(plan.steps.iter().zip(&snapshot.measured.steps));
    steps
        .map(|(id, (series, step))| {
            let step = step.as_deref().unwrap_or(&nothing);
            json!({
                "id": id.index() + 1,
                "name": series.name,
                "archetype": plan.archetypes[series.archetype.index()],
                "workload": plan.workloads[series.workload].name,
                "tags": tags(&series.tags),
                "calls": calls(&step.calls),
                "rate_per_s": report.calls_per_s(id),
                "calls_in_drain": step.in_drain,
                "response_us": latency(&step.response),
                "service_us": latency(&step.service),
            })
        })
        .collect()
}

fn groups(report: &Report) -> Vec<Value> {
    let plan = &report.info.plan;
    let groups = plan.groups.iter().zip(&report.snapshot.measured.groups);
    let group = |(series, duration): (&Series, &Latency)| {
        json!({
            "name": series.name,
            "archetype": plan.archetypes[series.archetype.index()],
            "workload": plan.workloads[series.workload].name,
            "duration_us": latency(duration),
        })
    };
    groups.map(group).collect()
}

fn tags(tags: &[(String, String)]) -> Value {
    tags.iter().map(|(key, value)| (key.clone(), Value::from(value.as_str()))).collect()
}

fn checks(report: &Report) -> Vec<Value> {
    let (plan, measured) = (&report.info.plan, &report.snapshot.measured);
    let mut checks = Vec::new();
    for ((names, series), step) in plan.checks.iter().zip(&plan.steps).zip(&measured.steps) {
        for (at, name) in names.iter().enumerate() {
            let counts = step.as_ref().and_then(|step| step.checks.get(at));
            let [passed, failed] = counts.copied().unwrap_or_default();
            checks.push(json!({
                "step": series.name, "workload": plan.workloads[series.workload].name,
                "name": name, "passed": passed, "failed": failed,
            }));
        }
    }
    checks
}

fn threshold(judgement: &Judgement) -> Value {
    let observed = judgement.observed.filter(|_| !judgement.is_unknown());
    json!({
        "rule": judgement.threshold.rule, "observed": observed,
        "limit": judgement.threshold.limit, "passed": judgement.passed,
        "at_least": judgement.at_least, "thin": judgement.thin,
        "margin": judgement.margin(), "worst_at_s": judgement.worst_at_s,
        "bound_reason": threshold_text::bound(judgement),
        "without_own_delay": judgement.without_own_delay,
        "stopped_run": judgement.stopped.map(|stopped| json!({
            "at_s": stopped.at_s, "observed_at_end": stopped.observed_at_end,
            "at_least_at_end": stopped.at_least_at_end,
        })),
    })
}

fn sum<'a>(parts: impl Iterator<Item = &'a Histogram>) -> Latency {
    let mut sum = Histogram::default();
    parts.for_each(|part| sum.merge(part));
    sum.into()
}

fn iteration<'a>(loads: impl Iterator<Item = &'a LoadWindow>) -> Latency {
    let mut sum = Latency::default();
    loads.for_each(|load| sum.merge(&load.iteration));
    sum
}

fn seconds(ns: u64) -> f64 {
    (ns as f64 / 1e6).round() / 1e3
}

fn thousandth(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}
