//! The forecast of a workload: its load over time, its iterations, its users.
//!
//! `Forecast::new` computes it from the volume that `load` finds.
//! Invariant: levels share one axis, from the start of the run to its end.

use super::load::{self, InFlight, TargetAssumptions, WorkloadVolume};
use super::visits::VisitAssumptions;
use crate::curve::Curve;
use crate::ids::WorkloadId;
use crate::plan::load::OPEN_END;
use crate::plan::{Load, Plan};
use crate::units::Rate;

/// Columns of a load chart.
pub const COLUMNS: usize = 60;

/// The forecast of a workload.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkloadForecast {
    /// Name of the workload.
    pub name: String,
    /// `closed` or `open`.
    pub model: &'static str,
    /// Mean level in each column from the run's start to its end: users, or starts per second.
    pub levels: Vec<f64>,
    /// The highest level.
    pub peak: f64,
    /// When the workload starts, seconds after the run's start.
    pub start_s: f64,
    /// When the workload ends, seconds after the run's start.
    pub end_s: f64,
    /// Scheduled iterations.
    pub iterations: f64,
    /// Possible error of `iterations`.
    pub spread: f64,
    /// Whether the number is independent of the target.
    pub exact: bool,
    /// Calls, without those of dropped starts.
    pub calls: f64,
    /// Expected concurrent users.
    pub users: f64,
    /// Maximum concurrent users.
    pub max_users: u64,
    /// Starts that are dropped because all users are busy.
    pub dropped: f64,
    /// Mean duration of an iteration including think times, seconds.
    pub iteration_s: f64,
}

/// Forecasts a workload of a run that ends at `end_s`.
pub(super) fn forecast_workload(
    plan: &Plan,
    id: WorkloadId,
    volume: &WorkloadVolume,
    target: &TargetAssumptions,
    end_s: f64,
) -> WorkloadForecast {
    let workload = &plan.workloads[id];
    let (start_s, flight) = (
        workload.start.as_secs_f64(),
        InFlight::estimate(plan, id, VisitAssumptions::EXPECTED, target),
    );
    let (curve, unit, exact) = match &workload.load {
        Load::Closed(users) => (&users.curve, 1.0, volume.spread == 0.0),
        Load::Open(arrivals) => {
            (&arrivals.curve, 1.0 / Rate::UNITS_PER_S as f64, volume.spread == 0.0)
        }
    };
    let parts = || volume.parts.iter().flatten();
    let calls = |part: &load::ArchetypeVolume| {
        let once = part.on_start.all_calls() + part.on_stop.all_calls();
        part.iterations * part.flow.all_calls() + part.users * once
    };
    let iteration_s = parts().map(|part| part.share * part.flow.stay_s()).sum();
    WorkloadForecast {
        name: workload.name.clone(),
        model: workload.model(),
        levels: levels(curve, unit, start_s, volume.end_s, end_s),
        peak: curve.peak() as f64 * unit,
        start_s,
        end_s: start_s + volume.end_s,
        iterations: volume.iterations,
        spread: volume.spread,
        exact,
        calls: parts().map(calls).sum(),
        users: flight.map_or(workload.peak_users() as f64, |flight| flight.peak),
        max_users: workload.peak_users(),
        dropped: flight.map_or(0.0, |flight| flight.dropped),
        iteration_s,
    }
}

/// Returns the mean level in each column of the time from zero to `end_s`.
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
