//! Forecast of a workload: its iterations, and its concurrent users.
//!
//! `mod` computes each workload, `needs` the concurrent users.
//! Invariant: exact where the plan alone decides (constant arrivals, counts); elsewhere Little's
//! law and the interactive response time law, and [`super::Forecast`] lists what they assume.

use super::pass::{SectionPass, section_pass};
use super::visits::VisitAssumptions;
use crate::curve::{Curve, ONE_START};
use crate::ids::{StepId, WorkloadId};
use crate::plan::data::Ranks;
use crate::plan::flow::Session;
use crate::plan::load::{Arrivals, LoadBound, OPEN_END, Users};
use crate::plan::{ArrivalProcess, Load, Plan, Workload};

/// Assumptions about the target.
#[derive(Clone, Debug, PartialEq)]
pub struct TargetAssumptions {
    /// Service time of calls without a measurement, seconds.
    pub fallback_s: f64,
    /// Measured service time of each series of the plan, seconds; `None`: not measured.
    pub series_s: Vec<Option<f64>>,
}

impl TargetAssumptions {
    /// Returns the measured service time of a series, seconds.
    fn measured_s(&self, series: StepId) -> Option<f64> {
        self.series_s.get(series.index()).copied().flatten()
    }
}

/// The load of one archetype in a workload.
#[derive(Clone, Debug, PartialEq)]
pub struct ArchetypeVolume {
    /// Share of the archetype in the users (closed model) or starts (open model), 0 to 1.
    pub share: f64,
    /// The pass through `on_start`.
    pub on_start: SectionPass,
    /// The pass through an iteration.
    pub flow: SectionPass,
    /// The pass through `on_stop`.
    pub on_stop: SectionPass,
    /// Time between two iterations of a closed user, start to start, seconds.
    pub cycle_s: f64,
    /// Iterations of the archetype.
    pub iterations: f64,
    /// Users of the archetype.
    pub users: f64,
}

/// The load of a workload.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkloadVolume {
    /// By share; `None` if an iteration may never end.
    pub parts: Vec<Option<ArchetypeVolume>>,
    /// Iterations.
    pub iterations: f64,
    /// Possible error of `iterations`, from randomness and rounding.
    pub spread: f64,
    /// When the load ends, seconds after the workload's start.
    pub end_s: f64,
}

impl WorkloadVolume {
    /// Removes starts that are dropped because no user is free.
    pub(super) fn drop_starts(&mut self, dropped: f64) {
        let left = 1.0 - dropped / self.iterations.max(1.0);
        for part in self.parts.iter_mut().flatten() {
            part.iterations *= left;
            part.users *= left;
        }
    }
}

/// Computes the parts of a workload that do not depend on its duration.
fn archetype_volumes(
    plan: &Plan,
    id: WorkloadId,
    visits: VisitAssumptions,
    target: &TargetAssumptions,
) -> Vec<Option<ArchetypeVolume>> {
    let workload = &plan.workloads[id];
    let weights: f64 = workload.shares.iter().map(|share| share.weight).sum();
    let ranks = matches!(workload.load, Load::Closed(_)).then(|| Ranks::new(plan, id));
    let mut volumes = Vec::new();
    for (number, share) in workload.shares.iter().enumerate() {
        let archetype = &plan.archetypes[share.archetype];
        // Measured times already include the emulated link.
        let link_s = archetype.link.map_or(0.0, |link| link.latency.as_secs_f64());
        let service = |series: u16| {
            let series = share.step(series);
            target.measured_s(series).unwrap_or(target.fallback_s + link_s)
        };
        let section = |begin: Option<usize>| match begin {
            Some(begin) => section_pass(archetype, begin, visits, &service),
            None => Some(SectionPass::default()),
        };
        let sections = archetype.sections;
        let passes =
            (section(sections.on_start), section(Some(sections.flow)), section(sections.on_stop));
        let (Some(on_start), Some(flow), Some(on_stop)) = passes else {
            volumes.push(None);
            continue;
        };
        let part = match &ranks {
            Some(ranks) => {
                ranks.users(workload, number) as f64 / workload.peak_users().max(1) as f64
            }
            None => share.weight / weights,
        };
        let pace = archetype.pace.map_or(0.0, |pace| pace.as_secs_f64());
        // Even a target that responds at once takes some time.
        let cycle_s = flow.cycle_s().max(pace).max(1e-6);
        let (iterations, users) = (0.0, 0.0);
        volumes.push(Some(ArchetypeVolume {
            share: part,
            on_start,
            flow,
            on_stop,
            cycle_s,
            iterations,
            users,
        }));
    }
    volumes
}

/// Computes the load of a workload of a plan.
pub fn workload_volume(
    plan: &Plan,
    id: WorkloadId,
    visits: VisitAssumptions,
    target: &TargetAssumptions,
) -> WorkloadVolume {
    let workload = &plan.workloads[id];
    let parts = archetype_volumes(plan, id, visits, target);
    match &workload.load {
        Load::Closed(users) => closed(plan, workload, users, parts),
        Load::Open(arrivals) => open(arrivals, parts),
    }
}

fn open(arrivals: &Arrivals, mut parts: Vec<Option<ArchetypeVolume>>) -> WorkloadVolume {
    let is_endless = arrivals.curve.end_ns() == OPEN_END;
    let due = arrivals.curve.total().div_ceil(ONE_START) as f64;
    let count = arrivals.iterations.map(|count| count as f64);
    let ends_by_count = count.is_some_and(|count| is_endless || count < due);
    let iterations = if ends_by_count { count.unwrap_or(due) } else { due };
    let is_random = arrivals.process == ArrivalProcess::Poisson && !ends_by_count;
    let last = arrivals.curve.reaches(ONE_START * (iterations as u128).saturating_sub(1));
    let end_ns = if ends_by_count { last.unwrap_or(0) } else { arrivals.curve.end_ns() };
    for part in parts.iter_mut().flatten() {
        // Each arrival is a new user.
        part.iterations = iterations * part.share;
        part.users = part.iterations;
    }
    let spread = if is_random { iterations.sqrt() } else { 0.0 };
    WorkloadVolume { parts, iterations, spread, end_s: end_ns as f64 / 1e9 }
}

fn closed(
    plan: &Plan,
    workload: &Workload,
    users: &Users,
    parts: Vec<Option<ArchetypeVolume>>,
) -> WorkloadVolume {
    let mut volume = WorkloadVolume { parts, iterations: 0.0, spread: 0.0, end_s: 0.0 };
    if users.bound == LoadBound::Once {
        set_once_volume(workload, &mut volume);
        return volume;
    }
    let is_endless = users.curve.end_ns() == OPEN_END;
    // An endless load is assumed to last as long as its iterations.
    let (user_s, stays) = if is_endless {
        (0.0, users.curve.peak() as f64)
    } else {
        (users.curve.presence_ns() as f64 / 1e9, users.curve.rises() as f64)
    };
    let mut speed = 0.0;
    for (part, share) in volume.parts.iter_mut().zip(&workload.shares) {
        let Some(part) = part else { continue };
        let session = &plan.archetypes[share.archetype].session;
        set_closed_volume(part, session, user_s * part.share, stays * part.share);
        speed += part.share / part.cycle_s;
    }
    volume.iterations = volume.parts.iter().flatten().map(|part| part.iterations).sum();
    volume.spread = stays;
    volume.end_s = if is_endless { 0.0 } else { users.curve.end_ns() as f64 / 1e9 };
    let LoadBound::Iterations(count) = users.bound else { return volume };
    if !is_endless && volume.iterations <= count as f64 {
        return volume;
    }
    let (whole, count) = (volume.iterations, count as f64);
    for part in volume.parts.iter_mut().flatten() {
        part.iterations = count * part.share / part.cycle_s / speed.max(f64::MIN_POSITIVE);
        part.users = (users.curve.peak() as f64 * part.share).min(part.iterations);
    }
    volume.end_s = if is_endless {
        count / (speed * users.curve.peak() as f64)
    } else {
        reached_s(&users.curve, count / whole)
    };
    (volume.iterations, volume.spread) = (count, 0.0);
    volume
}

/// Returns when a share of a curve's integral is reached, seconds.
pub(super) fn reached_s(curve: &Curve, share: f64) -> f64 {
    let amount = (curve.total() as f64 * share) as u128;
    curve.reaches(amount).unwrap_or(curve.end_ns()) as f64 / 1e9
}

/// Computes a load in which each user runs one iteration.
fn set_once_volume(workload: &Workload, volume: &mut WorkloadVolume) {
    let users = workload.peak_users() as f64;
    for part in volume.parts.iter_mut().flatten() {
        part.users = users * part.share;
        part.iterations = part.users;
        volume.end_s = volume.end_s.max(part.on_start.cycle_s() + part.flow.stay_s());
    }
    volume.iterations = users;
}

/// Computes the iterations of users that are present for `user_s` user-seconds in total. A user
/// starts its first iteration at once and is, on average, half through one when it has to leave.
fn set_closed_volume(part: &mut ArchetypeVolume, session: &Session, user_s: f64, stays: f64) {
    let (first_s, last_s) = (part.on_start.cycle_s(), part.on_stop.cycle_s());
    let each = match session {
        Session::Endless => None,
        Session::Iterations(count) => Some(*count as f64),
        Session::Duration(duration) => Some(duration.mean().as_secs_f64() / part.cycle_s + 0.5),
    };
    (part.iterations, part.users) = match each.map(|each| each.max(1.0)) {
        None => (((user_s - stays * first_s) / part.cycle_s).max(0.0) + stays / 2.0, stays),
        Some(each) => {
            let sessions = user_s / (first_s + each * part.cycle_s + last_s) + stays / 2.0;
            (sessions * each, sessions.max(stays))
        }
    };
    part.iterations = part.iterations.max(part.users.min(stays));
}

/// Concurrent users of an open workload, by Little's law.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct InFlight {
    /// Mean time from a user's start to its end, seconds.
    pub stay_s: f64,
    /// Maximum of concurrent users.
    pub peak: f64,
    /// Starts that are dropped because `max_users` users are busy.
    pub dropped: f64,
}

impl InFlight {
    /// Estimates an open workload; `None` in the closed model, and if an iteration may never end.
    pub fn estimate(
        plan: &Plan,
        id: WorkloadId,
        visits: VisitAssumptions,
        target: &TargetAssumptions,
    ) -> Option<Self> {
        let Load::Open(arrivals) = &plan.workloads[id].load else { return None };
        let volume = workload_volume(plan, id, visits, target);
        let mut stay_s = 0.0;
        for part in &volume.parts {
            let part = part.as_ref()?;
            let (first, last) = (part.on_start.cycle_s(), part.on_stop.cycle_s());
            stay_s += part.share * (first + part.flow.stay_s() + last);
        }
        Some(Self::from_stay(arrivals, stay_s, volume.end_s))
    }

    /// Takes the maximum of starts within any `stay_s` seconds.
    fn from_stay(arrivals: &Arrivals, stay_s: f64, end_s: f64) -> Self {
        let (stay_ns, end_ns) = ((stay_s * 1e9) as u64, (end_s * 1e9) as u64);
        let starts = |from: u64, to: u64| {
            let curve = &arrivals.curve;
            (curve.integral(to.min(end_ns)) - curve.integral(from)) as f64 / ONE_START as f64
        };
        let grid = (0..=1_000u64).map(|k| (u128::from(end_ns) * u128::from(k) / 1_000) as u64);
        let bends = arrivals.curve.bends().flat_map(|at| [at, at.saturating_add(stay_ns)]);
        let times = grid.clone().chain(bends).map(|at| at.min(end_ns));
        let peak = times.map(|at| starts(at.saturating_sub(stay_ns), at)).fold(0.0, f64::max);
        // Fluid approximation: arrivals above the rate at which `max_users` users finish are
        // dropped.
        let leave = arrivals.max_users as f64 / stay_s.max(1e-9);
        let mut dropped = 0.0;
        if peak > arrivals.max_users as f64 {
            let at: Vec<u64> = grid.collect();
            for pair in at.windows(2) {
                let room = leave * (pair[1] - pair[0]) as f64 / 1e9;
                dropped += (starts(pair[0], pair[1]) - room).max(0.0);
            }
            // Before that, all users have to become busy; on average half of them are free.
            dropped = (dropped - arrivals.max_users as f64 / 2.0).max(0.0);
        }
        Self { stay_s, peak: peak.min(starts(0, end_ns)), dropped }
    }
}
