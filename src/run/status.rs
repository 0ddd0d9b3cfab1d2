//! The reply to the control command `status`: one line of JSON.
//!
//! `dispatch` gives it the snapshot of each second, `control` asks for the line.
//! Invariant: counts are those of the last full second; only the scheduled load is of this moment.

use serde_json::{Value, json};

use super::workload_override::{WorkloadOverride, is_open};
use crate::clock::RunOffset;
use crate::ids::WorkloadId;
use crate::plan::Plan;
use crate::stats::{Calls, Iterations, Snapshot};
use crate::units::Rate;

/// The numbers of the last two seconds.
#[derive(Default)]
pub(super) struct StatusTracker {
    last: Second,
    before: Second,
}

#[derive(Default)]
struct Second {
    elapsed_ns: u64,
    users: u64,
    workloads: Vec<(Iterations, Calls)>,
}

impl StatusTracker {
    /// Takes the numbers of a second that is over.
    pub(super) fn second(&mut self, snapshot: &Snapshot) {
        let workloads = snapshot.workloads.clone();
        let Snapshot { elapsed_ns, users, .. } = *snapshot;
        self.before = std::mem::replace(&mut self.last, Second { elapsed_ns, users, workloads });
    }

    /// The iterations of a workload that were started or dropped until the last full second.
    pub(super) fn made(&self, workload: WorkloadId) -> u64 {
        let all =
            self.last.workloads.get(workload.index()).map(|(all, _)| *all).unwrap_or_default();
        all.started + all.dropped + all.suppressed
    }

    /// The line of JSON.
    pub(super) fn json(
        &self,
        plan: &Plan,
        asks: &[WorkloadOverride],
        muted: &[&str],
        now: RunOffset,
    ) -> String {
        let (mut asked, mut started, mut calls) = (0.0, 0.0, Calls::default());
        let loads = WorkloadId::number(plan.workloads.iter().zip(asks));
        let workloads: Vec<Value> = loads
            .map(|(id, (load, asks))| {
                let (iterations, own) =
                    self.last.workloads.get(id.index()).copied().unwrap_or_default();
                calls.add(&own);
                let level = asks.curve.level(now.in_workload(load.zero()).ns());
                let begun = now >= load.zero();
                let level = if begun { level } else { 0 };
                let per_s = self.per_second(id);
                started += per_s;
                let open = is_open(&load.load);
                let rate = open.then_some(Rate::from_units(level).as_f64());
                asked += rate.unwrap_or(0.0);
                json!({
                    "name": load.name,
                    "model": load.model(),
                    "override": asks.load.to_string(),
                    // Its name before version 0.2.
                    "course": asks.load.to_string(),
                    "factor": f64::from(asks.load.permille) / 1e3,
                    "paused": asks.load.paused,
                    "asked_users": (!open).then_some(level),
                    "asked_per_s": rate,
                    "started_per_s": per_s,
                    "due": open.then_some(iterations.due),
                    "started": iterations.started,
                    "running": iterations.running(),
                    "calls": own.made,
                    "errors": own.ended() - own.ok - own.cancelled,
                })
            })
            .collect();
        json!({
            "scenario": plan.scenario,
            "elapsed_s": now.ns() as f64 / 1e9,
            "counted_s": self.last.elapsed_ns as f64 / 1e9,
            "users": self.last.users,
            "paused": asks.iter().all(|asks| asks.load.paused),
            "rate": { "asked_per_s": asked, "started_per_s": started },
            "calls": calls.made,
            "errors": calls.ended() - calls.ok - calls.cancelled,
            "error_share": calls.error_share(),
            "muted": muted,
            "workloads": workloads,
        })
        .to_string()
    }

    /// Iterations that were started in the last second.
    fn per_second(&self, workload: WorkloadId) -> f64 {
        let started = |second: &Second| {
            second.workloads.get(workload.index()).map_or(0, |(all, _)| all.started)
        };
        let ns = self.last.elapsed_ns.saturating_sub(self.before.elapsed_ns);
        let begun = started(&self.last) - started(&self.before);
        if ns == 0 { 0.0 } else { begun as f64 * 1e9 / ns as f64 }
    }
}
