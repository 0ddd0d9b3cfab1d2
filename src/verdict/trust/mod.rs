//! Can the measurement be believed? Checks of the generator on itself.
//!
//! `run` asks at the end; the answer heads every report and may outweigh a threshold.
//! Invariant: only our own lateness, lack or mistakes cost trust; what the target does never does.

mod effects;
mod lateness;

use super::judge::Judgement;
use super::threshold::{Comparison, Metric};
use crate::stats::Snapshot;
use crate::stats::outcome::error_at;
use Moves::{Any, Down, Up};
use effects::{ALL, BOUND, LOST_STARTS, NOT_MADE, figure};
pub use effects::{Effect, Moves};
use lateness::{lag_of, late_users, run_queue, stalls_of, wake_ups, worst};

/// How far the numbers can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TrustLevel {
    /// As they stand.
    Yes,
    /// With the reasons in mind.
    Degraded,
    /// Not those that a reason names.
    No,
}

/// A verdict on the measurement, with its reasons.
#[derive(Clone, Debug, PartialEq)]
pub struct Trust {
    /// The worst of the reasons.
    pub level: TrustLevel,
    /// What was seen; empty when all is well.
    pub reasons: Vec<TrustReason>,
}

/// One thing that was seen.
#[derive(Clone, Debug, PartialEq)]
pub struct TrustReason {
    /// Which check.
    pub check: &'static str,
    /// How bad.
    pub level: TrustLevel,
    /// What was observed, in the check's unit.
    pub observed: f64,
    /// The limit that was passed.
    pub limit: f64,
    /// The unit of both: `us`, `share`, `count` or `seconds`.
    pub unit: &'static str,
    /// The figures it makes doubtful, and to which side it moves them.
    pub effects: &'static [Effect],
    /// What to do about it.
    pub hint: String,
}

/// What trust needs to know of the plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustContext {
    /// By workload: it is open, or some archetype of it is paced, so its lateness counts.
    pub scheduled: Vec<bool>,
    /// By series: its workload.
    pub workload_of: Vec<usize>,
    /// Some workload is closed and unpaced: it takes what it can get.
    pub has_unpaced: bool,
    /// By workload: it is closed and its users neither think nor pace, so it asks for as much as
    /// the generator can make.
    pub unthrottled: Vec<bool>,
}

/// Lag p99, µs and as a share of response p99: degraded, no.
pub const LAG: [(f64, f64); 2] = [(2_000.0, 0.05), (20_000.0, 0.25)];
/// Starts lost to us and generator errors, as a share of all: any is degraded, more than this: no.
pub const LOST: f64 = 0.01;
/// Run-queue wait of the worst shard, as a share of the run.
pub const RUN_QUEUE: f64 = 0.10;
/// Seconds with a shard at full CPU, as a share of the run, from which a closed run is bound by us.
pub const SATURATED: f64 = 0.10;
/// Little's law, relative error.
pub const LITTLE: f64 = 0.001;

/// Mean wait of a shard's thread for a core each time it wakes, µs.
pub const WAKE_UP_US: f64 = 1_000.0;
/// Users that the generator let in late or held back, as a share of the users' time: degraded, no.
pub const LATE_USERS: [f64; 2] = [0.01, 0.10];

impl Trust {
    /// Looks at a run.
    pub fn of(snapshot: &Snapshot, kind: &TrustContext) -> Self {
        let mut reasons = Vec::new();
        reasons.extend(worst(snapshot, kind, lag_of));
        reasons.extend(worst(snapshot, kind, stalls_of));
        reasons.extend(late_users(snapshot, kind));
        reasons.extend(lost(snapshot));
        reasons.extend(own_errors(snapshot));
        reasons.extend(run_queue(snapshot));
        reasons.extend(wake_ups(snapshot));
        reasons.extend(kind.has_unpaced.then(|| saturated(snapshot)).flatten());
        reasons.extend(ledger(snapshot));
        reasons.extend(little(snapshot));
        reasons.sort_by_key(|reason| std::cmp::Reverse(reason.level));
        let level = reasons.first().map_or(TrustLevel::Yes, |reason| reason.level);
        Self { level, reasons }
    }

    /// Whether the generator's own faults may have decided a rule: it passed or failed on a figure
    /// that a reason with the verdict `no` may have moved to that side of the limit, or it fails
    /// only because of the generator's own delays.
    pub fn doubts(&self, judgement: &Judgement) -> bool {
        let rule = &judgement.threshold;
        // To which side the figure was moved if the rule would have been decided otherwise.
        let moved = match (rule.op, judgement.passed) {
            (Comparison::Less | Comparison::AtMost, false)
            | (Comparison::More | Comparison::AtLeast, true) => Up,
            (Comparison::Less | Comparison::AtMost, true)
            | (Comparison::More | Comparison::AtLeast, false) => Down,
            (Comparison::Equal, _) => Any,
        };
        let figure = figure(rule.metric);
        let is_moved = |(name, moves): &Effect| {
            (*name == figure || *name == "all")
                && (*moves == Any || moved == Any || *moves == moved)
        };
        let no = self.reasons.iter().filter(|reason| reason.level == TrustLevel::No);
        judgement.rests_on_own_delay || no.flat_map(|reason| reason.effects).any(is_moved)
    }

    /// Whether a figure is doubtful at least at `level`.
    pub fn spoils(&self, metric: Metric, level: TrustLevel) -> bool {
        let figure = figure(metric);
        self.reasons.iter().any(|reason| {
            let named = |(name, _): &Effect| *name == figure || *name == "all";
            reason.level >= level && reason.effects.iter().any(named)
        })
    }
}

impl TrustReason {
    /// The names of the figures it makes doubtful.
    pub fn affects(&self) -> Vec<&'static str> {
        self.effects.iter().map(|(name, _)| *name).collect()
    }
}

impl TrustLevel {
    /// The word in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::Degraded => "degraded",
            Self::No => "no",
        }
    }
}

/// Starts that we were too late for.
fn lost(snapshot: &Snapshot) -> Option<TrustReason> {
    let workloads = &snapshot.measured.workloads;
    let lost: u64 = workloads.iter().map(|workload| workload.lost_to_us).sum();
    let due: u64 = workloads.iter().map(|workload| workload.due).sum();
    share("lost_starts", lost, due, LOST_STARTS, || {
        "starts found no user because we came late: more cores, or more `max_users`".to_owned()
    })
}

fn own_errors(snapshot: &Snapshot) -> Option<TrustReason> {
    let calls = snapshot.calls();
    // Also those between calls: a condition that reads an unset variable makes no call at all.
    let ours = |(index, _): &&(usize, u64)| error_at(*index).0 == "generator";
    let own: u64 = snapshot.errors.iter().filter(ours).map(|(_, count)| count).sum();
    let own = own.max(calls.generator_errors);
    let all = calls.made + own - calls.generator_errors;
    share("generator_errors", own, all, NOT_MADE, || {
        let unset: Vec<&str> = snapshot.unset.iter().map(|(name, _)| name.as_str()).collect();
        let failed = snapshot.failed_expressions.iter().max_by_key(|(_, count)| *count);
        if let (true, Some((text, _))) = (unset.is_empty(), failed) {
            format!("expressions failed: {text}")
        } else if unset.is_empty() {
            "see the errors of phase `generator`: each says what to do".to_owned()
        } else {
            format!("calls needed variables that were not set: {}", unset.join(", "))
        }
    })
}

fn share(
    check: &'static str,
    bad: u64,
    all: u64,
    effects: &'static [Effect],
    hint: impl FnOnce() -> String,
) -> Option<TrustReason> {
    if bad == 0 {
        return None;
    }
    let observed = bad as f64 / all.max(1) as f64;
    let (level, limit) =
        if observed > LOST { (TrustLevel::No, LOST) } else { (TrustLevel::Degraded, 0.0) };
    Some(TrustReason { check, level, observed, limit, unit: "share", effects, hint: hint() })
}

/// A closed, unpaced run that had a shard at full CPU measured itself as much as the target.
fn saturated(snapshot: &Snapshot) -> Option<TrustReason> {
    let seconds = snapshot.elapsed_ns as f64 / 1e9;
    let observed = snapshot.health.saturated_seconds as f64 / seconds.max(1.0);
    (observed > SATURATED).then(|| TrustReason {
        check: "generator_bound",
        level: TrustLevel::Degraded,
        observed,
        limit: SATURATED,
        unit: "share",
        effects: BOUND,
        hint: "generator-bound: read it as throughput, not as latency".to_owned(),
    })
}

fn ledger(snapshot: &Snapshot) -> Option<TrustReason> {
    let broken = &snapshot.health.ledger;
    (!broken.is_empty()).then(|| TrustReason {
        check: "ledger",
        level: TrustLevel::No,
        observed: broken.len() as f64,
        limit: 0.0,
        unit: "count",
        effects: ALL,
        hint: format!("this is a bug of ours, please report it: {}", broken.join("; ")),
    })
}

fn little(snapshot: &Snapshot) -> Option<TrustReason> {
    let observed = snapshot.health.little_error.abs();
    (observed > LITTLE).then(|| TrustReason {
        check: "littles_law",
        level: TrustLevel::No,
        observed,
        limit: LITTLE,
        unit: "share",
        effects: ALL,
        hint: "calls in flight and their times disagree: a bug of ours, please report it"
            .to_owned(),
    })
}
