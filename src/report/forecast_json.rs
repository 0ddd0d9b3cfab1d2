//! The forecast of a plan, and the findings of `doctor`, as JSON.
//!
//! `cli plan --json` and `cli doctor --json` print it.
//! Invariant: version 1; durations in seconds (`_s`), sizes in bytes; an unknown value is null.

use serde_json::{Value, json};

use super::forecast::ForecastContext;
use crate::forecast::needs::PortNeed;
use crate::forecast::streams::StreamForecast;
use crate::forecast::{Basis, MachineNeeds, SeriesForecast, WorkloadForecast};
use crate::host::Finding;

/// The document of `plan --json`.
pub fn document(outlook: &ForecastContext<'_>) -> Value {
    let (plan, forecast) = (outlook.plan, outlook.forecast);
    let (iterations, calls) = forecast.totals();
    let feeds = forecast.feeds.iter().map(|feed| {
        json!({
            "name": feed.name, "archetype": feed.archetype, "workload": feed.workload,
            "pick": feed.pick, "per": if feed.per_iteration { "iteration" } else { "user" },
            "rows": feed.rows, "needed": feed.needed, "out_s": feed.out_s, "at_end": feed.at_end,
        })
    });
    let refused = outlook.refused.iter().map(|one| {
        json!({
            "what": one.what, "needed": one.needed, "limit": one.limit, "cure": one.cure,
        })
    });
    let generator = &outlook.generator;
    let mut document = json!({
        "version": 1,
        "scenario": plan.scenario,
        "seed": plan.seed.value(),
        "client": { "kind": plan.policies.kind(), "parts": plan.policies.parts() },
        "possible": outlook.refused.is_empty(),
        "end_s": forecast.end_s,
        "latest_s": forecast.latest_s,
        "iterations": iterations,
        "calls": calls,
        "workloads": forecast.workloads.iter().map(workload).collect::<Vec<_>>(),
        "steps": forecast.steps.iter().map(step).collect::<Vec<_>>(),
        "data": feeds.collect::<Vec<_>>(),
        "streams": forecast.streams.iter().map(stream).collect::<Vec<_>>(),
        "messages": forecast.messages.map(|messages| json!({
            "sent_per_s": messages.sent_per_s, "awaited_per_s": messages.awaited_per_s,
            "delivered_per_s": messages.delivered_per_s,
        })),
        "generator": {
            "tier": generator.tier, "shards": generator.shards,
            "processes": generator.processes, "reason": generator.reason,
        },
        "expected": needs(&forecast.expected.in_processes(outlook.limits.processes)),
        "most": needs(&forecast.most.in_processes(outlook.limits.processes)),
        "limits": {
            "descriptors": outlook.limits.descriptors,
            "ports": outlook.limits.ports,
            "memory_bytes": outlook.limits.memory,
        },
        "report_bytes": forecast.report_bytes,
        "assumptions": forecast.assumptions,
        "warnings": forecast.warnings,
        "refused": refused.collect::<Vec<_>>(),
    });
    super::json_parts::hide(&mut document);
    document
}

fn workload(one: &WorkloadForecast) -> Value {
    json!({
        "name": one.name, "model": one.model, "start_s": one.start_s, "end_s": one.end_s,
        "peak": one.peak, "levels": one.levels,
        "iterations": one.iterations, "spread": one.spread, "exact": one.exact,
        "calls": one.calls, "users": one.users, "max_users": one.max_users,
        "dropped": one.dropped, "iteration_s": one.iteration_s,
    })
}

fn step(one: &SeriesForecast) -> Value {
    let basis = match one.basis {
        Basis::Exact => "exact",
        Basis::Guess => "guess",
        Basis::AtMost => "at_most",
    };
    json!({
        "name": one.name, "archetype": one.archetype, "workload": one.workload,
        "calls": one.calls, "per_iteration": one.per_iteration, "basis": basis,
    })
}

fn stream(one: &StreamForecast) -> Value {
    json!({
        "step": one.step, "archetype": one.archetype, "workload": one.workload,
        "expected": one.expected, "most": one.most,
    })
}

fn needs(needs: &MachineNeeds) -> Value {
    let port =
        |port: &PortNeed| json!({ "address": port.address, "connections": port.connections });
    let ports: Vec<Value> = needs.ports.iter().map(port).collect();
    json!({
        "users": needs.users, "connections": needs.connections,
        "descriptors": needs.descriptors, "memory_bytes": needs.memory, "ports": ports,
    })
}

/// The document of `doctor --json`.
pub fn findings(found: &[Finding]) -> Value {
    let one = |one: &Finding| {
        json!({
            "name": one.name, "value": one.value, "ok": one.ok, "means": one.means,
            "cure": one.cure,
        })
    };
    let ok = found.iter().all(|one| one.ok);
    let list: Vec<Value> = found.iter().map(one).collect();
    json!({ "version": 1, "ok": ok, "findings": list })
}
