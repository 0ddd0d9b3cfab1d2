//! How many iterations a workload makes, and how many of its users are at it at once.
//!
//! `mod` asks it for each workload, `needs` for users at once.
//! Invariant: exact where the plan alone decides (constant arrivals, counts); elsewhere Little's
//! law and the interactive response time law, with what they assume said in [`super::Forecast`].

use super::pass::{SectionPass, pass};
use super::visits::VisitAssumptions;
use crate::curve::{Curve, ONE_START};
use crate::plan::data::Ranks;
use crate::plan::flow::Session;
use crate::plan::load::{Arrivals, LoadBound, OPEN_END, Users};
use crate::plan::{ArrivalProcess, Load, Plan, Workload};

/// What is assumed of the target.
#[derive(Clone, Debug, PartialEq)]
pub struct Assumptions {
    /// What a call takes of which nothing is known, seconds.
    pub fallback_s: f64,
    /// What a call of each of the plan's series takes, where it was measured.
    pub series_s: Vec<Option<f64>>,
}

impl Assumptions {
    /// What a call of a series took, seconds, where it was measured.
    fn measured_s(&self, series: usize) -> Option<f64> {
        self.series_s.get(series).copied().flatten()
    }
}

/// What one archetype does in a workload.
#[derive(Clone, Debug, PartialEq)]
pub struct ArchetypeVolume {
    /// Its share of the users (closed) or starts (open), from 0 to 1.
    pub share: f64,
    /// What a user does first.
    pub on_start: SectionPass,
    /// In each iteration.
    pub flow: SectionPass,
    /// And last.
    pub on_stop: SectionPass,
    /// From one iteration of a closed user to its next, seconds.
    pub cycle_s: f64,
    /// Iterations of it.
    pub iterations: f64,
    /// Users of it.
    pub users: f64,
}

/// What a workload does.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkloadVolume {
    /// In the order of its shares; `None` where iterations may never end.
    pub parts: Vec<Option<ArchetypeVolume>>,
    /// Iterations.
    pub iterations: f64,
    /// How far they may be off by what is left to chance and to edges.
    pub spread: f64,
    /// When its load ends, seconds after its own start.
    pub end_s: f64,
}

impl WorkloadVolume {
    /// So many of its starts find nobody.
    pub(super) fn drop_starts(&mut self, dropped: f64) {
        let left = 1.0 - dropped / self.iterations.max(1.0);
        for part in self.parts.iter_mut().flatten() {
            part.iterations *= left;
            part.users *= left;
        }
    }
}

/// The parts of a workload, as far as time does not matter.
fn parts(
    plan: &Plan,
    index: usize,
    view: VisitAssumptions,
    assumed: &Assumptions,
) -> Vec<Option<ArchetypeVolume>> {
    let workload = &plan.workloads[index];
    let weights: f64 = workload.shares.iter().map(|share| share.weight).sum();
    let ranks = matches!(workload.load, Load::Closed(_)).then(|| Ranks::new(plan, index));
    let mut made = Vec::new();
    for (number, share) in workload.shares.iter().enumerate() {
        let archetype = &plan.archetypes[share.archetype];
        // What was measured went over its link already.
        let link_s = archetype.link.map_or(0.0, |link| link.latency.as_secs_f64());
        let service = |series: u16| {
            let series = share.step(series);
            assumed.measured_s(series).unwrap_or(assumed.fallback_s + link_s)
        };
        let section = |begin: Option<usize>| match begin {
            Some(begin) => pass(archetype, begin, view, &service),
            None => Some(SectionPass::default()),
        };
        let sections = archetype.sections;
        let passes =
            (section(sections.on_start), section(Some(sections.flow)), section(sections.on_stop));
        let (Some(on_start), Some(flow), Some(on_stop)) = passes else {
            made.push(None);
            continue;
        };
        let part = match &ranks {
            Some(ranks) => {
                ranks.users(workload, number) as f64 / workload.peak_users().max(1) as f64
            }
            None => share.weight / weights,
        };
        let pace = archetype.pace.map_or(0.0, |pace| pace.as_secs_f64());
        // Even a target that answers at once takes a moment.
        let cycle_s = flow.cycle_s().max(pace).max(1e-6);
        let (iterations, users) = (0.0, 0.0);
        made.push(Some(ArchetypeVolume {
            share: part,
            on_start,
            flow,
            on_stop,
            cycle_s,
            iterations,
            users,
        }));
    }
    made
}

/// What workload `index` of a plan does.
pub fn made(
    plan: &Plan,
    index: usize,
    view: VisitAssumptions,
    assumed: &Assumptions,
) -> WorkloadVolume {
    let workload = &plan.workloads[index];
    let parts = parts(plan, index, view, assumed);
    match &workload.load {
        Load::Closed(users) => closed(plan, workload, users, parts),
        Load::Open(arrivals) => open(arrivals, parts),
    }
}

fn open(arrivals: &Arrivals, mut parts: Vec<Option<ArchetypeVolume>>) -> WorkloadVolume {
    let endless = arrivals.curve.end_ns() == OPEN_END;
    let due = arrivals.curve.total().div_ceil(ONE_START) as f64;
    let count = arrivals.iterations.map(|count| count as f64);
    let cut = count.is_some_and(|count| endless || count < due);
    let iterations = if cut { count.unwrap_or(due) } else { due };
    let chance = arrivals.process == ArrivalProcess::Poisson && !cut;
    let last = arrivals.curve.reaches(ONE_START * (iterations as u128).saturating_sub(1));
    let end_ns = if cut { last.unwrap_or(0) } else { arrivals.curve.end_ns() };
    for part in parts.iter_mut().flatten() {
        // Every arrival is a new user.
        part.iterations = iterations * part.share;
        part.users = part.iterations;
    }
    let spread = if chance { iterations.sqrt() } else { 0.0 };
    WorkloadVolume { parts, iterations, spread, end_s: end_ns as f64 / 1e9 }
}

fn closed(
    plan: &Plan,
    workload: &Workload,
    users: &Users,
    parts: Vec<Option<ArchetypeVolume>>,
) -> WorkloadVolume {
    let mut made = WorkloadVolume { parts, iterations: 0.0, spread: 0.0, end_s: 0.0 };
    if users.bound == LoadBound::Once {
        once(workload, &mut made);
        return made;
    }
    let endless = users.curve.end_ns() == OPEN_END;
    // An endless load is thought to last as long as its iterations do.
    let (user_s, stays) = if endless {
        (0.0, users.curve.peak() as f64)
    } else {
        (users.curve.presence_ns() as f64 / 1e9, users.curve.rises() as f64)
    };
    let mut speed = 0.0;
    for (part, share) in made.parts.iter_mut().zip(&workload.shares) {
        let Some(part) = part else { continue };
        let session = &plan.archetypes[share.archetype].session;
        in_time(part, session, user_s * part.share, stays * part.share);
        speed += part.share / part.cycle_s;
    }
    made.iterations = made.parts.iter().flatten().map(|part| part.iterations).sum();
    made.spread = stays;
    made.end_s = if endless { 0.0 } else { users.curve.end_ns() as f64 / 1e9 };
    let LoadBound::Iterations(count) = users.bound else { return made };
    if !endless && made.iterations <= count as f64 {
        return made;
    }
    let (whole, count) = (made.iterations, count as f64);
    for part in made.parts.iter_mut().flatten() {
        part.iterations = count * part.share / part.cycle_s / speed.max(f64::MIN_POSITIVE);
        part.users = (users.curve.peak() as f64 * part.share).min(part.iterations);
    }
    made.end_s = if endless {
        count / (speed * users.curve.peak() as f64)
    } else {
        reached_s(&users.curve, count / whole)
    };
    (made.iterations, made.spread) = (count, 0.0);
    made
}

/// When a share of a curve's integral is reached, seconds.
pub(super) fn reached_s(curve: &Curve, share: f64) -> f64 {
    let amount = (curve.total() as f64 * share) as u128;
    curve.reaches(amount).unwrap_or(curve.end_ns()) as f64 / 1e9
}

/// Each user once.
fn once(workload: &Workload, made: &mut WorkloadVolume) {
    let users = workload.peak_users() as f64;
    for part in made.parts.iter_mut().flatten() {
        part.users = users * part.share;
        part.iterations = part.users;
        made.end_s = made.end_s.max(part.on_start.cycle_s() + part.flow.stay_s());
    }
    made.iterations = users;
}

/// Iterations in so many seconds of users who come so often: a user begins one at once and, in the
/// mean, is half through another when it has to leave.
fn in_time(part: &mut ArchetypeVolume, session: &Session, user_s: f64, stays: f64) {
    let (first_s, last_s) = (part.on_start.cycle_s(), part.on_stop.cycle_s());
    let each = match session {
        Session::Endless => None,
        Session::Iterations(count) => Some(*count as f64),
        Session::Duration(law) => Some(law.mean().as_secs_f64() / part.cycle_s + 0.5),
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

/// Users of an open workload at once, by Little's law over the time each stays.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct InFlight {
    /// The mean time of a user from its start to its leaving, seconds.
    pub stay_s: f64,
    /// The most at once.
    pub peak: f64,
    /// Starts that find nobody free among `max_users`.
    pub dropped: f64,
}

impl InFlight {
    /// Of an open workload; `None` for others, and where iterations may never end.
    pub fn of(
        plan: &Plan,
        index: usize,
        view: VisitAssumptions,
        assumed: &Assumptions,
    ) -> Option<Self> {
        let Load::Open(arrivals) = &plan.workloads[index].load else { return None };
        let made = made(plan, index, view, assumed);
        let mut stay_s = 0.0;
        for part in &made.parts {
            let part = part.as_ref()?;
            let (first, last) = (part.on_start.cycle_s(), part.on_stop.cycle_s());
            stay_s += part.share * (first + part.flow.stay_s() + last);
        }
        Some(Self::in_curve(arrivals, stay_s, made.end_s))
    }

    /// How many came within the last `stay_s` seconds, at the worst moment.
    fn in_curve(arrivals: &Arrivals, stay_s: f64, end_s: f64) -> Self {
        let (stay_ns, end_ns) = ((stay_s * 1e9) as u64, (end_s * 1e9) as u64);
        let starts = |from: u64, to: u64| {
            let curve = &arrivals.curve;
            (curve.integral(to.min(end_ns)) - curve.integral(from)) as f64 / ONE_START as f64
        };
        let grid = (0..=1_000u64).map(|k| (u128::from(end_ns) * u128::from(k) / 1_000) as u64);
        let bends = arrivals.curve.bends().flat_map(|at| [at, at.saturating_add(stay_ns)]);
        let moments = grid.clone().chain(bends).map(|at| at.min(end_ns));
        let peak = moments.map(|at| starts(at.saturating_sub(stay_ns), at)).fold(0.0, f64::max);
        // As a fluid: what comes faster than so many users can leave is dropped.
        let leave = arrivals.max_users as f64 / stay_s.max(1e-9);
        let mut dropped = 0.0;
        if peak > arrivals.max_users as f64 {
            let at: Vec<u64> = grid.collect();
            for pair in at.windows(2) {
                let room = leave * (pair[1] - pair[0]) as f64 / 1e9;
                dropped += (starts(pair[0], pair[1]) - room).max(0.0);
            }
            // Until they are all taken, half of them in the mean are free at once.
            dropped = (dropped - arrivals.max_users as f64 / 2.0).max(0.0);
        }
        Self { stay_s, peak: peak.min(starts(0, end_ns)), dropped }
    }
}
