//! Can the measurement be believed? Checks of the generator on itself.
//!
//! `run` asks at the end; the answer heads every report and may outweigh a threshold.
//! Invariant: only our own lateness, lack or mistakes cost trust; what the target does never does.

use super::judge::Judgement;
use super::threshold::{Metric, Time};
use crate::stats::delta::LostStarts;
use crate::stats::outcome::error_at;
use crate::stats::{Histogram, Snapshot};

/// How far the numbers can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
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
    pub level: Level,
    /// What was seen; empty when all is well.
    pub reasons: Vec<Reason>,
}

/// One thing that was seen.
#[derive(Clone, Debug, PartialEq)]
pub struct Reason {
    /// Which check.
    pub check: &'static str,
    /// How bad.
    pub level: Level,
    /// What was observed, in the check's unit.
    pub observed: f64,
    /// The limit that was passed.
    pub limit: f64,
    /// The unit of both: `us`, `share`, `count` or `seconds`.
    pub unit: &'static str,
    /// The numbers it makes doubtful.
    pub affects: &'static [&'static str],
    /// What to do about it.
    pub hint: String,
}

/// What trust needs to know of the plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kind {
    /// By workload: it is open, or some archetype of it is paced, so its lateness counts.
    pub scheduled: Vec<bool>,
    /// By series: its workload.
    pub workload_of: Vec<usize>,
    /// Some workload is closed and unpaced: it takes what it can get.
    pub has_unpaced: bool,
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

const TIMES: &[&str] = &["response", "iteration", "lag"];

impl Trust {
    /// Looks at a run.
    pub fn of(snapshot: &Snapshot, kind: &Kind) -> Self {
        let mut reasons = Vec::new();
        reasons.extend(lag(snapshot, kind));
        reasons.extend(lost(snapshot));
        reasons.extend(own_errors(snapshot));
        reasons.extend(run_queue(snapshot));
        reasons.extend(kind.has_unpaced.then(|| saturated(snapshot)).flatten());
        reasons.extend(ledger(snapshot));
        reasons.extend(little(snapshot));
        reasons.sort_by_key(|reason| std::cmp::Reverse(reason.level));
        let level = reasons.first().map_or(Level::Yes, |reason| reason.level);
        Self { level, reasons }
    }

    /// Whether a failed rule is explained by our own fault: it looks at a number that cannot be
    /// trusted at all.
    pub fn explains(&self, judgement: &Judgement) -> bool {
        self.spoils(judgement.threshold.metric, Level::No)
    }

    /// Whether a number is doubtful at least at `level`.
    pub fn spoils(&self, metric: Metric, level: Level) -> bool {
        let name = match metric {
            Metric::Time(Time::Response | Time::OkResponse, _) => "response",
            Metric::Time(Time::Service | Time::OkService, _) => "service",
            Metric::Time(Time::Lag, _) => "lag",
            Metric::Time(Time::Blocked, _) => "blocked",
            Metric::Time(Time::Iteration, _) => "iteration",
            Metric::Errors
            | Metric::Failed
            | Metric::Timeouts
            | Metric::Checks
            | Metric::GeneratorErrors
            | Metric::Statuses(..)
            | Metric::StatusShare(..) => "errors",
            Metric::Achieved
            | Metric::Dropped
            | Metric::Rate
            | Metric::Calls
            | Metric::Iterations
            | Metric::Bytes => "rate",
        };
        self.reasons.iter().any(|reason| {
            reason.level >= level
                && (reason.affects.contains(&name) || reason.affects.contains(&"all"))
        })
    }
}

impl Level {
    /// The word in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::Degraded => "degraded",
            Self::No => "no",
        }
    }
}

/// Our own lateness, in each workload that had a schedule to be late for; the worst one.
fn lag(snapshot: &Snapshot, kind: &Kind) -> Option<Reason> {
    let scheduled = kind.scheduled.iter().enumerate().filter(|(_, scheduled)| **scheduled);
    let reasons = scheduled.filter_map(|(workload, _)| lag_of(snapshot, kind, workload));
    reasons.max_by(|one, other| {
        one.level.cmp(&other.level).then(one.observed.total_cmp(&other.observed))
    })
}

fn lag_of(snapshot: &Snapshot, kind: &Kind, workload: usize) -> Option<Reason> {
    let measured = &snapshot.measured;
    let window = &measured.workloads[workload];
    // Starts and calls each on their own: steps that follow at once are never late.
    let p99 = |lag: &Histogram| lag.at_rank(crate::stats::latency::rank(0.99, lag.count()));
    let p99 = p99(&window.start_lag).max(p99(&window.lag)) as f64;
    let own = |step: usize| kind.workload_of[step] == workload;
    let response = measured.response(own, LostStarts::default()).quantile(0.99)?;
    let limit = |(us, share): (f64, f64)| us.max(share * response.us as f64);
    let (degraded, no) = (limit(LAG[0]), limit(LAG[1]));
    let (level, limit) = match p99 {
        _ if p99 > no => (Level::No, no),
        _ if p99 > degraded => (Level::Degraded, degraded),
        _ => return None,
    };
    Some(Reason {
        check: "lag",
        level,
        observed: p99,
        limit,
        unit: "us",
        affects: TIMES,
        hint: "the generator was late: give it more cores (--shards), or ask for less".to_owned(),
    })
}

/// Starts that we were too late for.
fn lost(snapshot: &Snapshot) -> Option<Reason> {
    let workloads = &snapshot.measured.workloads;
    let lost: u64 = workloads.iter().map(|workload| workload.lost_to_us).sum();
    let due: u64 = workloads.iter().map(|workload| workload.due).sum();
    share("lost_starts", lost, due, &["response", "iteration", "rate"], || {
        "starts found no user because we came late: more cores, or more `max_users`".to_owned()
    })
}

fn own_errors(snapshot: &Snapshot) -> Option<Reason> {
    let calls = snapshot.calls();
    // Also those between calls: a condition that reads an unset variable makes no call at all.
    let ours = |(index, _): &&(usize, u64)| error_at(*index).0 == "generator";
    let own: u64 = snapshot.errors.iter().filter(ours).map(|(_, count)| count).sum();
    let own = own.max(calls.generator_errors);
    let all = calls.made + own - calls.generator_errors;
    share("generator_errors", own, all, &["errors", "rate"], || {
        let unset: Vec<&str> = snapshot.unset.iter().map(|(name, _)| name.as_str()).collect();
        if unset.is_empty() {
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
    affects: &'static [&'static str],
    hint: impl FnOnce() -> String,
) -> Option<Reason> {
    if bad == 0 {
        return None;
    }
    let observed = bad as f64 / all.max(1) as f64;
    let (level, limit) = if observed > LOST { (Level::No, LOST) } else { (Level::Degraded, 0.0) };
    Some(Reason { check, level, observed, limit, unit: "share", affects, hint: hint() })
}

fn run_queue(snapshot: &Snapshot) -> Option<Reason> {
    let observed = snapshot.health.run_queue_share;
    (observed > RUN_QUEUE).then(|| Reason {
        check: "run_queue",
        level: Level::Degraded,
        observed,
        limit: RUN_QUEUE,
        unit: "share",
        affects: &["response", "service", "iteration", "lag"],
        hint: "other work shares the shards' cores: stop it, or use fewer shards".to_owned(),
    })
}

/// A closed, unpaced run that had a shard at full CPU measured itself as much as the target.
fn saturated(snapshot: &Snapshot) -> Option<Reason> {
    let seconds = snapshot.elapsed_ns as f64 / 1e9;
    let observed = snapshot.health.saturated_seconds as f64 / seconds.max(1.0);
    (observed > SATURATED).then(|| Reason {
        check: "generator_bound",
        level: Level::Degraded,
        observed,
        limit: SATURATED,
        unit: "share",
        affects: &["response", "service", "iteration"],
        hint: "generator-bound: read it as throughput, not as latency".to_owned(),
    })
}

fn ledger(snapshot: &Snapshot) -> Option<Reason> {
    let broken = &snapshot.health.ledger;
    (!broken.is_empty()).then(|| Reason {
        check: "ledger",
        level: Level::No,
        observed: broken.len() as f64,
        limit: 0.0,
        unit: "count",
        affects: &["all"],
        hint: format!("this is a bug of ours, please report it: {}", broken.join("; ")),
    })
}

fn little(snapshot: &Snapshot) -> Option<Reason> {
    let observed = snapshot.health.little_error.abs();
    (observed > LITTLE).then(|| Reason {
        check: "littles_law",
        level: Level::No,
        observed,
        limit: LITTLE,
        unit: "share",
        affects: &["all"],
        hint: "calls in flight and their times disagree: a bug of ours, please report it"
            .to_owned(),
    })
}
