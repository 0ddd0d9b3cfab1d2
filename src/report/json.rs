//! `summary.json`: a finished run as one document, version 1 (docs/report.md).
//!
//! `--json` prints it, `sinks::files` writes it.
//! Invariant: durations are whole µs with suffix `_us`, counts are integers, a missing value is
//! null, and texts of targets are redacted strings.

use serde_json::{Map, Value, json};

use super::json_parts::{hide, latency, tenth};
use super::rows::{self, CheckRow, GroupRow, StepRow, WorkloadRow};
use super::{
    addresses, backends, caches, client_json, contents, cost, failures, messages_json, monitors,
    shift, traces_json,
};
use crate::event::Report;
use crate::event::{AgentAccount, AgentUse, WorkerUse};
use crate::protocol::status;
use crate::stats::delta::LoadWindow;
use crate::stats::{Calls, CpuInterval, CpuIntervals, Histogram, Iterations, Latency, Snapshot};
use crate::units::per_second;
use crate::verdict::{Judgement, Trust, judge};

/// The document.
pub fn document(report: &Report) -> Value {
    let mut document = whole(report);
    let client = client_json::document(report).into_iter();
    for (key, value) in client.chain(messages_json::document(report)) {
        document[key] = value;
    }
    document["backends"] = backends::document(report, |window| calls(&window.calls));
    document["shift"] = shift::document(report);
    document["contents"] = contents::document(report);
    document["cost"] = cost::report_document(report);
    document["caches"] = caches::document(report);
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
            "prewarmed": snapshot.connections.prewarmed,
            "prewarmed_used": snapshot.connections.prewarmed_used,
        },
        "addresses": addresses::document(report),
        "bytes": {
            "sent": snapshot.connections.bytes_sent,
            "received": snapshot.connections.bytes_received,
        },
        "rate": rate(measured.workloads.iter(), snapshot.measured_ns),
        "status": rows::statuses(report)
            .map(|row| (status::name(row.status).into_owned(), json!(row.count)))
            .collect::<Map<_, _>>(),
        "errors": rows::errors(report).map(|row| {
            json!({
                "phase": row.phase, "kind": row.kind, "count": row.count, "of": row.counted_as,
                "hint": row.hint,
            })
        }).collect::<Vec<_>>(),
        "exemplars": failures::document(report),
        "response_us": latency(&measured.response(|_| true, measured.lost())),
        "service_us": latency(&measured.service(|_| true)),
        "lag_us": latency(&sum(measured.workloads.iter().map(|load| &load.lag))),
        "blocked_us": latency(&sum(measured.workloads.iter().map(|load| &load.blocked))),
        "iteration_us": latency(&iteration(measured.workloads.iter())),
        "phases_us": rows::phases(report)
            .map(|row| (row.key.to_owned(), latency(&row.times.clone().into())))
            .into_iter()
            .collect::<Map<_, _>>(),
        "workloads": rows::workloads(report).map(|row| workload(&row)).collect::<Vec<_>>(),
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
        "usage": used(report),
        "monitors": monitors::document(report),
    })
}

/// The workers of a run on several processes.
fn workers(report: &Report) -> Vec<Value> {
    let worker = |worker: &WorkerUse| {
        let range = worker.range;
        json!({
            "first_shard": range.process, "shards": range.count(),
            "rss_bytes_peak": worker.rss_peak, "lost": worker.loss,
            "agent": worker.agent.as_ref().map(agent),
        })
    };
    report.workers.iter().map(worker).collect()
}

/// What is known of an agent.
fn agent(agent: &AgentUse) -> Value {
    let exact = match agent.account {
        AgentAccount::Open => Value::Null,
        AgentAccount::Exact => json!(true),
        AgentAccount::Differs => json!(false),
    };
    json!({
        "host": agent.host, "cores": agent.cores, "slots": agent.slots,
        "silent_s": agent.silent_ns as f64 / 1e9,
        "clock_error_us": agent.clock_error_ns as f64 / 1e3,
        "first_start_s": agent.first_start.map(|start| start.intended.ns() as f64 / 1e9),
        "first_start_lag_us": agent.first_start.map(|start| start.lag_ns as f64 / 1e3),
        "lag_us_p99_worst": agent.lag_us, "cpu_percent_max": agent.cpu_permille as f64 / 10.0,
        "sums_agree": exact,
    })
}

fn generator(report: &Report) -> Value {
    let (generator, snapshot) = (&report.info.generator, &report.snapshot);
    json!({
        "tier": generator.tier, "shards": generator.shards,
        "processes": generator.processes.max(1), "workers": workers(report),
        "start_skew_us": rows::start_skew(report).map(|skew| json!({
            "by_lag": skew.by_lag_ns.map(|ns| ns as f64 / 1e3),
            "by_clocks_max": skew.by_clocks_ns as f64 / 1e3,
        })),
        "reason": generator.reason, "remarks": generator.remarks,
        "sandbox": generator.sandbox.as_ref().map(|sandbox| json!({
            "files": true, "tcp_ports": sandbox.has_ports, "signals": sandbox.has_scopes,
            "connect_ports": sandbox.connect,
        })),
        "cpu_percent_max": tenth(snapshot.health.cpu_percent_max),
        "run_queue_share": snapshot.health.run_queue_share,
        "rss_bytes_peak": report.rss_peak,
        "unset_variables": names(&snapshot.unset),
        "failed_expressions": names(&snapshot.failed_expressions),
    })
}

/// What the run used.
fn used(report: &Report) -> Value {
    let used = rows::usage::usage(report);
    let seconds = |ns: u64| ns as f64 / 1e9;
    let left_out = report.usage.left_out.iter();
    json!({
        "cpu_s": used.cpu.map(|cpu| json!({
            "user": seconds(cpu.user_ns), "system": seconds(cpu.system_ns),
            "total": seconds(cpu.total_ns()),
            "before_load": report.usage.cpu_before.map(|cpu| seconds(cpu.total_ns())),
        })),
        "cores_mean": used.cores.map(thousandth),
        "cpu_intervals": cpu_intervals(&report.snapshot.health.cpu),
        "memory_bytes": { "mean": used.memory_mean, "peak": used.memory_peak },
        "network_bytes": { "sent": used.sent, "received": used.received },
        "written_bytes": used.written,
        "max_disk_bytes": report.usage.max_disk,
        "not_written": left_out.map(|one| json!({
            "output": one.output, "from_s": seconds(one.from.ns()),
        })).collect::<Vec<_>>(),
    })
}

/// CPU time of the shards over the run, with the calls and new connections of each interval.
fn cpu_intervals(cpu: &CpuIntervals) -> Value {
    let list = |figure: fn(&CpuInterval) -> Value| cpu.list.iter().map(figure).collect::<Value>();
    json!({
        "length_s": cpu.seconds,
        "cpu_s": list(|one| json!(one.cpu_ns as f64 / 1e9)),
        "calls": list(|one| json!(one.calls)),
        "opened": list(|one| json!(one.opened)),
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
        "unserved": iterations.unserved,
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

fn workload(row: &WorkloadRow<'_>) -> Value {
    let (window, measured) = (row.window, row.measured());
    json!({
        "name": row.info.name,
        "model": row.info.model(),
        "iterations": iterations(row.iterations, row.info.open),
        "calls": calls(row.calls),
        "response_us": latency(&measured.response),
        "service_us": latency(&measured.service),
        "iteration_us": latency(&window.iteration),
        "lag_us": latency(&window.lag.clone().into()),
        "blocked_us": latency(&window.blocked.clone().into()),
        "users": users(row),
        "rate": rate(std::iter::once(window), row.measured_ns),
    })
}

/// Users that were there, and users that the load asked for; null if it sets no level of users.
fn users(row: &WorkloadRow<'_>) -> Option<Value> {
    let share = row.users_share()?;
    let worst = row
        .worst_users
        .map(|worst| json!({ "at_s": worst.second, "achieved_percent": worst.share * 100.0 }));
    Some(json!({
        "target_user_s": seconds(row.window.target_user_ns),
        "achieved_percent": share * 100.0,
        "worst_second": worst,
        "start_failed": row.departures.start_failed,
        "out_of_rows": row.departures.out_of_rows,
    }))
}

fn steps(report: &Report) -> Vec<Value> {
    let step = |row: StepRow<'_>| {
        json!({
            "id": row.id.index() + 1,
            "name": row.name,
            "archetype": row.archetype,
            "workload": row.workload,
            "tags": tags(row.tags),
            "calls": calls(row.calls()),
            "rate_per_s": row.calls_per_s,
            "calls_in_drain": row.window.in_drain,
            "response_us": latency(&row.window.response),
            "service_us": latency(&row.window.service),
            "messages": messages_json::of_step(row.window.messages.as_deref()),
            "slowest_traced_calls": traces_json::of_step(report, row.id),
        })
    };
    rows::steps(report).map(step).collect()
}

fn groups(report: &Report) -> Vec<Value> {
    let group = |row: GroupRow<'_>| {
        json!({
            "name": row.name,
            "archetype": row.archetype,
            "workload": row.workload,
            "duration_us": latency(row.duration),
        })
    };
    rows::groups(report).map(group).collect()
}

fn tags(tags: &[(String, String)]) -> Value {
    tags.iter().map(|(key, value)| (key.clone(), Value::from(value.as_str()))).collect()
}

fn checks(report: &Report) -> Vec<Value> {
    let check = |row: CheckRow<'_>| {
        json!({
            "step": row.step, "workload": row.workload, "name": row.name,
            "passed": row.passed, "failed": row.failed,
        })
    };
    rows::checks(report).map(check).collect()
}

fn threshold(judgement: &Judgement) -> Value {
    let observed = judgement.observed.filter(|_| !judgement.is_unknown());
    json!({
        "rule": judgement.threshold.rule, "observed": observed,
        "limit": judgement.threshold.limit, "passed": judgement.passed,
        "at_least": judgement.at_least, "thin": judgement.thin,
        "margin": judgement.margin(), "worst_at_s": judgement.worst_at_s,
        "bound_reason": rows::bound_reason(judgement),
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
