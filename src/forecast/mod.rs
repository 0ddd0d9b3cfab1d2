//! Forecast of a run: iterations, calls, users, and the machine resources they need.
//!
//! `cli plan` computes it and `report` shows it; `run` checks the machine with
//! [`needs::certain_shortages`].
//! Invariant: pure arithmetic over a Plan; every number is exact, bounded or assumed, and marked
//! as such.

mod connections;
pub mod cost;
mod cost_advice;
pub mod cost_model;
mod cost_range;
pub mod feeds;
pub mod load;
pub mod needs;
pub mod pass;
pub mod streams;
pub mod visits;
mod workload;

use feeds::FeedDemand;
pub use load::TargetAssumptions;
use load::{InFlight, WorkloadVolume, workload_volume};
pub use needs::{
    MachineLimits, MachineNeeds, MachineShortage, certain_needs, certain_shortages, shortages,
};
use streams::{MessageForecast, StreamForecast};
use visits::VisitAssumptions;
use workload::forecast_workload;
pub use workload::{COLUMNS, WorkloadForecast};

use crate::ids::WorkloadId;
use crate::plan::Plan;
use crate::units::{counted, nanos};

/// Size of a report folder, bytes: for any run, most of it the HTML page; per series, in the page
/// and `summary.json`; per second, in `run.record` and `health.csv`; per second and series, in
/// `timeline.csv` and `latency.hlog`. Fitted to the runs in the test below.
const FOLDER_BYTES: f64 = 69_000.0;
const SERIES_BYTES: f64 = 4_000.0;
const SECOND_BYTES: f64 = 900.0;
const SERIES_SECOND_BYTES: f64 = 350.0;

/// How certain a number is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Basis {
    /// Follows from the plan, or is the mean of a distribution.
    Exact,
    /// Assumes that an `if` holds half of the time, or the length of a loop.
    Guess,
    /// Assumes that a `while` takes all its rounds.
    AtMost,
}

/// The forecast of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Forecast {
    /// By workload.
    pub workloads: Vec<WorkloadForecast>,
    /// By series, in the plan's order.
    pub steps: Vec<SeriesForecast>,
    /// Demand of data rows.
    pub feeds: Vec<FeedDemand>,
    /// The streams that users hold, by the step that opens them.
    pub streams: Vec<StreamForecast>,
    /// Messages under full load; `None` without streams.
    pub messages: Option<MessageForecast>,
    /// When the load ends, seconds after the start.
    pub end_s: f64,
    /// When the last iteration is cancelled, seconds after the start.
    pub latest_s: f64,
    /// Needs of the expected number of users.
    pub expected: MachineNeeds,
    /// Needs of the maximum number of users.
    pub most: MachineNeeds,
    /// Size of the report folder, bytes.
    pub report_bytes: u64,
    /// Mean time of a call, seconds, as far as it is measured, else as assumed.
    pub call_s: f64,
    /// The assumptions, as text.
    pub assumptions: Vec<String>,
    /// Problems to expect, as text.
    pub warnings: Vec<String>,
}

/// The forecast of a series.
#[derive(Clone, Debug, PartialEq)]
pub struct SeriesForecast {
    /// Name of the series.
    pub name: String,
    /// Name of the archetype.
    pub archetype: String,
    /// Name of the workload.
    pub workload: String,
    /// Total calls.
    pub calls: f64,
    /// Calls in one iteration.
    pub per_iteration: f64,
    /// How certain that is.
    pub basis: Basis,
}

impl Forecast {
    /// Computes the forecast of a plan under assumptions about its target.
    pub fn new(plan: &Plan, target: &TargetAssumptions) -> Self {
        let volumes_under = |assumed| -> Vec<WorkloadVolume> {
            WorkloadId::first(plan.workloads.len())
                .map(|id| workload_volume(plan, id, assumed, target))
                .collect()
        };
        let mut expected = volumes_under(VisitAssumptions::EXPECTED);
        // Dropped starts take rows too, because rows are assigned by number.
        let feeds = feeds::feeds(plan, &expected);
        for (id, volume) in WorkloadId::number(&mut expected) {
            if let Some(flight) = InFlight::estimate(plan, id, VisitAssumptions::EXPECTED, target) {
                volume.drop_starts(flight.dropped);
            }
        }
        let steps = steps(
            plan,
            [
                &expected,
                &volumes_under(VisitAssumptions::ALTERNATIVE),
                &volumes_under(VisitAssumptions::NO_WHILE),
            ],
        );
        let ends = plan.workloads.iter().zip(&expected);
        let ends = ends.map(|(load, volume)| load.start.as_secs_f64() + volume.end_s);
        let end_s = ends.fold(0.0, f64::max);
        let workloads: Vec<WorkloadForecast> = WorkloadId::number(&expected)
            .map(|(id, volume)| forecast_workload(plan, id, volume, target, end_s))
            .collect();
        let users = |one: &WorkloadForecast| (one.users.ceil() as u64).min(one.max_users);
        let expected_users: Vec<u64> = workloads.iter().map(users).collect();
        let most: Vec<u64> = workloads.iter().map(|one| one.max_users).collect();
        let active_series = steps.iter().filter(|step| step.calls > 0.5).count() as f64;
        let mut forecast = Self {
            workloads,
            steps,
            feeds,
            streams: Vec::new(),
            messages: None,
            end_s,
            latest_s: end_s + plan.grace.as_secs_f64(),
            expected: needs::needs(plan, &expected_users),
            most: needs::needs(plan, &most),
            report_bytes: report_bytes(active_series, end_s) as u64,
            call_s: mean_call_s(target),
            assumptions: Vec::new(),
            warnings: Vec::new(),
        };
        (forecast.streams, forecast.messages) =
            streams::streams(plan, &forecast.workloads, &expected);
        forecast.assumptions = assumptions(plan, &forecast, target);
        forecast.warnings = warnings(plan, &forecast, &expected);
        forecast
    }

    /// Returns the total iterations and calls.
    pub fn totals(&self) -> (f64, f64) {
        let iterations = self.workloads.iter().map(|one| one.iterations).sum();
        (iterations, self.workloads.iter().map(|one| one.calls).sum())
    }
}

/// Returns the mean time of a call, seconds.
fn mean_call_s(target: &TargetAssumptions) -> f64 {
    let measured: Vec<f64> = target.series_s.iter().flatten().copied().collect();
    if measured.is_empty() {
        return target.fallback_s;
    }
    measured.iter().sum::<f64>() / measured.len() as f64
}

/// Returns the size of the report folder, bytes, of a run of `end_s` seconds in which `series`
/// steps make calls.
fn report_bytes(series: f64, end_s: f64) -> f64 {
    FOLDER_BYTES + series * SERIES_BYTES + end_s * (SECOND_BYTES + series * SERIES_SECOND_BYTES)
}

/// Forecasts each series; a number that changes under other assumptions is a guess or a bound.
fn steps(plan: &Plan, views: [&Vec<WorkloadVolume>; 3]) -> Vec<SeriesForecast> {
    let calls = views.map(|volume| calls(plan, volume));
    let forecast = |(id, series): (usize, &crate::plan::Series)| {
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
    plan.steps.iter().enumerate().map(forecast).collect()
}

/// Returns the calls of each series, in total and per iteration of the flow.
fn calls(plan: &Plan, volume: &[WorkloadVolume]) -> Vec<(f64, f64)> {
    let mut calls = vec![(0.0, 0.0); plan.steps.len()];
    for (workload, volume) in plan.workloads.iter().zip(volume) {
        for (share, part) in workload.shares.iter().zip(&volume.parts) {
            let Some(part) = part else { continue };
            for series in 0..part.flow.calls.len() {
                let calls_of =
                    |pass: &pass::SectionPass| pass.calls.get(series).copied().unwrap_or(0.0);
                let once = calls_of(&part.on_start) + calls_of(&part.on_stop);
                let id = share.step(series as u16);
                calls[id.index()] = (
                    part.iterations * calls_of(&part.flow) + part.users * once,
                    calls_of(&part.flow) + once,
                );
            }
        }
    }
    calls
}

fn assumptions(plan: &Plan, forecast: &Forecast, target: &TargetAssumptions) -> Vec<String> {
    let mut lines = Vec::new();
    let measured = target.series_s.iter().flatten().count();
    let fallback = crate::units::show_us((target.fallback_s * 1e6) as u64);
    lines.push(match measured {
        0 => format!("call time {fallback} (set by --service-time or --measured)"),
        _ if measured == plan.steps.len() => "call times as measured".to_owned(),
        _ => format!("call times as measured, {fallback} for steps without measurement"),
    });
    let linked = plan.archetypes.iter().any(|archetype| archetype.link.is_some());
    if linked && measured < plan.steps.len() {
        lines.push("latency of links is added, time for their bandwidth is not".into());
    }
    if forecast.workloads.iter().any(|one| !one.exact && one.model == "closed") {
        lines.push(
            "closed-model users start their next iteration after think times, pauses and calls \
             (interactive response time law); the count may be off by half an iteration per user"
                .to_owned(),
        );
    }
    let any = |basis| forecast.steps.iter().any(|step| step.basis == basis);
    if any(Basis::Guess) {
        lines.push(
            "~ an `if` is true half of the time; a `repeat` with a template runs one round".into(),
        );
    }
    if any(Basis::AtMost) {
        lines.push("≤ a `while` runs its largest number of rounds".to_owned());
    }
    lines.push("every call gets a response, and no user waits at a rendezvous".to_owned());
    lines
}

fn warnings(plan: &Plan, forecast: &Forecast, volume: &[WorkloadVolume]) -> Vec<String> {
    let mut lines = Vec::new();
    for (one, volume) in forecast.workloads.iter().zip(volume) {
        if volume.parts.iter().any(Option::is_none) {
            lines.push(format!(
                "{}: an iteration may never end (no path leads to `exit`); its calls are not \
                 counted here",
                one.name
            ));
        }
        if one.users > one.max_users as f64 {
            lines.push(format!(
                "{}: {} concurrent users are needed (Little's law: arrivals × {} each), but \
                 `max_users` is {}: about {} starts will be dropped",
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
            lines.push(format!(
                "{}: `{}` has {} for {}: exhausted after {out_s:.1} s",
                feed.workload,
                feed.name,
                counted(feed.rows, "row"),
                counted(
                    feed.needed.round() as u64,
                    if feed.per_iteration { "iteration" } else { "user" }
                ),
            ));
        } else if feed.pick == "unique" && feed.needed_in_all > feed.rows as f64 {
            lines.push(format!(
                "{}: `{}` has {}, but all workloads that share them need {:.0}",
                feed.workload,
                feed.name,
                counted(feed.rows, "row"),
                feed.needed_in_all
            ));
        }
    }
    let length = nanos(plan.warmup) as f64 / 1e9;
    if length >= forecast.end_s && forecast.end_s > 0.0 {
        lines.push("the warm-up covers the whole run, nothing is measured".to_owned());
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Measured folders of real runs against the built-in target: series, seconds, bytes.
    #[test]
    fn report_size_is_within_half_of_measured_folders() {
        for (series, end_s, measured) in [
            (1.0, 3.0, 71_311.0),
            (1.0, 8.0, 83_265.0),
            (4.0, 8.0, 107_895.0),
            (14.0, 15.0, 212_194.0),
            // Not used for the fit.
            (2.0, 18.0, 112_866.0),
        ] {
            let ratio = report_bytes(series, end_s) / measured;
            assert!((1.0 / 1.5..1.5).contains(&ratio), "{series} series, {end_s} s: {ratio}");
        }
    }
}
