//! What would happen: a plan's iterations, calls, users, and what they need of the machine.
//!
//! `cli plan` asks and `sinks` show it; `run` refuses with [`needs::refuse`].
//! Invariant: pure arithmetic over a Plan; every number is exact, bounded or assumed, and says
//! which.

mod connections;
pub mod feeds;
pub mod load;
pub mod needs;
pub mod pass;
pub mod visits;

use feeds::FeedDemand;
pub use load::Assumptions;
use load::{InFlight, WorkloadVolume, made};
pub use needs::{MachineLimits, MachineNeeds, MachineShortage, refuse};
use visits::VisitAssumptions;

use crate::curve::Curve;
use crate::plan::load::OPEN_END;
use crate::plan::{Load, Plan};
use crate::units::{Rate, nanos};

/// Columns of a picture of a load.
pub const COLUMNS: usize = 60;

/// Bytes of a report's folder: of any run, most of them the page's; for a series, in the page and
/// `summary.json`; for a second, in `run.record` and `health.csv`; for a second of a series, in
/// `timeline.csv` and `latency.hlog`. Fitted to the runs in the test below.
const FOLDER_BYTES: f64 = 69_000.0;
const SERIES_BYTES: f64 = 4_000.0;
const SECOND_BYTES: f64 = 900.0;
const SERIES_SECOND_BYTES: f64 = 350.0;

/// How sure a number is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Basis {
    /// It follows from the plan, or is the mean of what is drawn.
    Exact,
    /// It rests on an `if` that holds half of the time, or a loop of unknown length.
    Guess,
    /// A `while` takes all its rounds.
    AtMost,
}

/// What would happen.
#[derive(Clone, Debug, PartialEq)]
pub struct Forecast {
    /// Workload by workload.
    pub workloads: Vec<WorkloadForecast>,
    /// Series by series, as in the plan.
    pub steps: Vec<SeriesForecast>,
    /// Rows of data.
    pub feeds: Vec<FeedDemand>,
    /// When the load ends, seconds after the start.
    pub end_s: f64,
    /// When the last iteration is cut, seconds after the start.
    pub latest_s: f64,
    /// What its users need, as expected.
    pub expected: MachineNeeds,
    /// And at most.
    pub most: MachineNeeds,
    /// Bytes of the report.
    pub report_bytes: u64,
    /// What was assumed.
    pub assumptions: Vec<String>,
    /// What may go wrong.
    pub warnings: Vec<String>,
}

/// What a workload would do.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkloadForecast {
    /// Its name.
    pub name: String,
    /// `closed` or `open`.
    pub model: &'static str,
    /// The mean level in each column from the run's start to its end: users, or starts per second.
    pub levels: Vec<f64>,
    /// The highest level.
    pub peak: f64,
    /// When it starts, seconds after the run's start.
    pub start_s: f64,
    /// When it ends.
    pub end_s: f64,
    /// Iterations due.
    pub iterations: f64,
    /// By how many that may be off.
    pub spread: f64,
    /// Whether it is known without knowing the target.
    pub exact: bool,
    /// Calls, without those of dropped starts.
    pub calls: f64,
    /// Users at once, as expected.
    pub users: f64,
    /// The most there may be.
    pub max_users: u64,
    /// Starts that find nobody.
    pub dropped: f64,
    /// An iteration from its start to its end, thinks and all, in the mean, seconds.
    pub iteration_s: f64,
}

/// What a series would count.
#[derive(Clone, Debug, PartialEq)]
pub struct SeriesForecast {
    /// Its name.
    pub name: String,
    /// Its archetype's.
    pub archetype: String,
    /// Its workload's.
    pub workload: String,
    /// Calls in all.
    pub calls: f64,
    /// In one iteration.
    pub per_iteration: f64,
    /// How sure that is.
    pub basis: Basis,
}

impl Forecast {
    /// Of a plan, with what is assumed of its target.
    pub fn of(plan: &Plan, assumed: &Assumptions) -> Self {
        let under = |view| -> Vec<WorkloadVolume> {
            (0..plan.workloads.len()).map(|index| made(plan, index, view, assumed)).collect()
        };
        let mut expected = under(VisitAssumptions::EXPECTED);
        // A start that is dropped has its row all the same: rows go by number.
        let feeds = feeds::feeds(plan, &expected);
        for (index, made) in expected.iter_mut().enumerate() {
            if let Some(flight) = InFlight::of(plan, index, VisitAssumptions::EXPECTED, assumed) {
                made.drop_starts(flight.dropped);
            }
        }
        let steps = steps(
            plan,
            [&expected, &under(VisitAssumptions::OTHERWISE), &under(VisitAssumptions::NO_WHILE)],
        );
        let ends = plan.workloads.iter().zip(&expected);
        let ends = ends.map(|(load, made)| load.start.as_secs_f64() + made.end_s);
        let end_s = ends.fold(0.0, f64::max);
        let workloads: Vec<WorkloadForecast> = (0..plan.workloads.len())
            .map(|index| loading(plan, index, &expected[index], assumed, end_s))
            .collect();
        let users = |one: &WorkloadForecast| (one.users.ceil() as u64).min(one.max_users);
        let expected_users: Vec<u64> = workloads.iter().map(users).collect();
        let most: Vec<u64> = workloads.iter().map(|one| one.max_users).collect();
        let seen = steps.iter().filter(|step| step.calls > 0.5).count() as f64;
        let mut forecast = Self {
            workloads,
            steps,
            feeds,
            end_s,
            latest_s: end_s + plan.grace.as_secs_f64(),
            expected: needs::needs(plan, &expected_users),
            most: needs::needs(plan, &most),
            report_bytes: report_bytes(seen, end_s) as u64,
            assumptions: Vec::new(),
            warnings: Vec::new(),
        };
        forecast.assumptions = assumptions(plan, &forecast, assumed);
        forecast.warnings = warnings(plan, &forecast, &expected);
        forecast
    }

    /// All iterations and all calls.
    pub fn totals(&self) -> (f64, f64) {
        let iterations = self.workloads.iter().map(|one| one.iterations).sum();
        (iterations, self.workloads.iter().map(|one| one.calls).sum())
    }
}

/// Bytes of the folder of a run of `end_s` seconds in which `series` steps make calls.
fn report_bytes(series: f64, end_s: f64) -> f64 {
    FOLDER_BYTES + series * SERIES_BYTES + end_s * (SECOND_BYTES + series * SERIES_SECOND_BYTES)
}

fn loading(
    plan: &Plan,
    index: usize,
    made: &WorkloadVolume,
    assumed: &Assumptions,
    end_s: f64,
) -> WorkloadForecast {
    let workload = &plan.workloads[index];
    let (start_s, flight) = (
        workload.start.as_secs_f64(),
        InFlight::of(plan, index, VisitAssumptions::EXPECTED, assumed),
    );
    let (curve, unit, exact) = match &workload.load {
        Load::Closed(users) => (&users.curve, 1.0, made.spread == 0.0),
        Load::Open(arrivals) => {
            (&arrivals.curve, 1.0 / Rate::UNITS_PER_S as f64, made.spread == 0.0)
        }
    };
    let parts = || made.parts.iter().flatten();
    let calls = |part: &load::ArchetypeVolume| {
        let once = part.on_start.all_calls() + part.on_stop.all_calls();
        part.iterations * part.flow.all_calls() + part.users * once
    };
    let took = parts().map(|part| part.share * part.flow.stay_s()).sum();
    WorkloadForecast {
        name: workload.name.clone(),
        model: workload.model(),
        levels: levels(curve, unit, start_s, made.end_s, end_s),
        peak: curve.peak() as f64 * unit,
        start_s,
        end_s: start_s + made.end_s,
        iterations: made.iterations,
        spread: made.spread,
        exact,
        calls: parts().map(calls).sum(),
        users: flight.map_or(workload.peak_users() as f64, |flight| flight.peak),
        max_users: workload.peak_users(),
        dropped: flight.map_or(0.0, |flight| flight.dropped),
        iteration_s: took,
    }
}

/// The mean level in each column of the time from zero to `end_s`.
fn levels(curve: &Curve, unit: f64, start_s: f64, own_s: f64, end_s: f64) -> Vec<f64> {
    let width = end_s / COLUMNS as f64;
    let until = |t: f64| {
        let at = (t - start_s).clamp(0.0, own_s);
        curve.integral(((at * 1e9) as u64).min(OPEN_END)) as f64 / 1e9
    };
    let column = |k: usize| {
        let from = width * k as f64;
        (until(from + width) - until(from)) / width.max(1e-9) * unit
    };
    (0..COLUMNS).map(column).collect()
}

/// The series of a plan; what changes under another view was guessed or bounded.
fn steps(plan: &Plan, views: [&Vec<WorkloadVolume>; 3]) -> Vec<SeriesForecast> {
    let calls = views.map(|made| calls(plan, made));
    let of = |(id, series): (usize, &crate::plan::Series)| {
        let [(expected, each), (_, otherwise), (_, without)] =
            [calls[0][id], calls[1][id], calls[2][id]];
        let differs = |other: f64| (each - other).abs() > 1e-9;
        let basis = match (differs(without), differs(otherwise)) {
            (true, _) => Basis::AtMost,
            (_, true) => Basis::Guess,
            _ => Basis::Exact,
        };
        SeriesForecast {
            name: series.name.clone(),
            archetype: plan.archetypes[series.archetype].name.clone(),
            workload: plan.workloads[series.workload].name.clone(),
            calls: expected,
            per_iteration: each,
            basis,
        }
    };
    plan.steps.iter().enumerate().map(of).collect()
}

/// Calls of each series, in all and in an iteration of the flow.
fn calls(plan: &Plan, made: &[WorkloadVolume]) -> Vec<(f64, f64)> {
    let mut calls = vec![(0.0, 0.0); plan.steps.len()];
    for (workload, made) in plan.workloads.iter().zip(made) {
        for (share, part) in workload.shares.iter().zip(&made.parts) {
            let Some(part) = part else { continue };
            for series in 0..part.flow.calls.len() {
                let of = |pass: &pass::SectionPass| pass.calls.get(series).copied().unwrap_or(0.0);
                let once = of(&part.on_start) + of(&part.on_stop);
                let id = share.step(series as u16);
                calls[id] =
                    (part.iterations * of(&part.flow) + part.users * once, of(&part.flow) + once);
            }
        }
    }
    calls
}

fn assumptions(plan: &Plan, forecast: &Forecast, assumed: &Assumptions) -> Vec<String> {
    let mut said = Vec::new();
    let measured = assumed.series_s.iter().flatten().count();
    let fallback = crate::units::show_us((assumed.fallback_s * 1e6) as u64);
    said.push(match measured {
        0 => format!("a call takes {fallback} (--service-time, --measured)"),
        _ if measured == plan.steps.len() => "calls take what was measured".to_owned(),
        _ => format!("calls take what was measured, and {fallback} where nothing was"),
    });
    let linked = plan.archetypes.iter().any(|archetype| archetype.link.is_some());
    if linked && measured < plan.steps.len() {
        said.push("a link's latency is added to that, and what its bandwidth costs is not".into());
    }
    if forecast.workloads.iter().any(|one| !one.exact && one.model == "closed") {
        said.push(
            "users of the closed model begin again after thinks, pauses and calls (the \
             interactive response time law); each may be half an iteration off"
                .to_owned(),
        );
    }
    let any = |basis| forecast.steps.iter().any(|step| step.basis == basis);
    if any(Basis::Guess) {
        said.push(
            "~ an `if` holds half of the time; a `repeat` of a template goes round once".into(),
        );
    }
    if any(Basis::AtMost) {
        said.push("≤ a `while` takes all the rounds it may".to_owned());
    }
    said.push("every call gets an answer, and nobody waits at a rendezvous".to_owned());
    said
}

fn warnings(plan: &Plan, forecast: &Forecast, made: &[WorkloadVolume]) -> Vec<String> {
    let mut said = Vec::new();
    for (one, made) in forecast.workloads.iter().zip(made) {
        if made.parts.iter().any(Option::is_none) {
            said.push(format!(
                "{}: an iteration may never end (no way leads to `exit`): what it makes is not \
                 counted here",
                one.name
            ));
        }
        if one.users > one.max_users as f64 {
            said.push(format!(
                "{}: {} users will be at work at once (Little's law: arrivals × {} each), and \
                 `max_users` is {}: some {} starts will be dropped",
                one.name,
                one.users.ceil(),
                crate::units::show_us((one.iteration_s * 1e6) as u64),
                one.max_users,
                one.dropped.round().max(1.0),
            ));
        }
    }
    for feed in forecast.feeds.iter().filter(|feed| feed.at_end != "wrap") {
        if let Some(out_s) = feed.out_s {
            said.push(format!(
                "{}: `{}` has {} rows for {:.0} {}: they run out after {out_s:.1} s",
                feed.workload,
                feed.name,
                feed.rows,
                feed.needed,
                if feed.per_iteration { "iterations" } else { "users" },
            ));
        } else if feed.pick == "unique" && feed.needed_in_all > feed.rows as f64 {
            said.push(format!(
                "{}: `{}` has {} rows, and all who share them take {:.0}",
                feed.workload, feed.name, feed.rows, feed.needed_in_all
            ));
        }
    }
    let length = nanos(plan.warmup) as f64 / 1e9;
    if length >= forecast.end_s && forecast.end_s > 0.0 {
        said.push("nothing would be measured: the warm-up is as long as the run".to_owned());
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Folders that real runs left, against the built-in target: series, seconds, bytes.
    #[test]
    fn report_size_is_within_half_of_measured_folders() {
        for (series, end_s, measured) in [
            (1.0, 3.0, 71_311.0),
            (1.0, 8.0, 83_265.0),
            (4.0, 8.0, 107_895.0),
            (14.0, 15.0, 212_194.0),
            // Not among those that the figures were fitted to.
            (2.0, 18.0, 112_866.0),
        ] {
            let ratio = report_bytes(series, end_s) / measured;
            assert!((1.0 / 1.5..1.5).contains(&ratio), "{series} series, {end_s} s: {ratio}");
        }
    }
}
