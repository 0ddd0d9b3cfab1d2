//! Compares the forecast of a world with its results.
//!
//! `simulation` calls it for each world that has a `forecast`.

use manada::event::Report;
use manada::forecast::{Basis, Forecast, SeriesForecast, TargetAssumptions};
use manada::plan::Plan;
use manada::units::{parse_duration, parse_share};
use serde::Deserialize;

/// The assumption of a forecast, and its tolerance.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpectedForecast {
    /// Mean service time of a call.
    service: String,
    /// Relative tolerance of a count, in addition to the spread that the forecast states.
    within: String,
}

/// Returns all deviations, as text.
pub fn deviations(expected: &ExpectedForecast, plan: &Plan, report: &Report) -> Vec<String> {
    let fallback_s = parse_duration(&expected.service).unwrap().as_secs_f64();
    let within = parse_share(&expected.within).unwrap();
    let forecast = Forecast::new(plan, &TargetAssumptions { fallback_s, series_s: Vec::new() });
    let mut wrong = Vec::new();
    let mut compare = |what: &str, predicted: f64, spread: f64, actual: u64| {
        if (predicted - actual as f64).abs() > predicted * within + spread + 1e-6 {
            wrong
                .push(format!("{what}: {predicted:.1} ± {spread:.1} were forecast, {actual} came"));
        }
    };
    let snapshot = &report.snapshot;
    let (iterations, calls) = forecast.totals();
    let dropped: f64 = forecast.workloads.iter().map(|one| one.dropped).sum();
    let spread: f64 = forecast.workloads.iter().map(|one| one.spread).sum();
    let spread = spread + dropped * 0.1;
    compare("iterations", iterations - dropped, spread, snapshot.iterations().started);
    compare("dropped", dropped, spread + dropped * 0.1, snapshot.iterations().dropped);
    let each = calls / iterations.max(1.0);
    if forecast.steps.iter().all(|step| step.basis == Basis::Exact) {
        compare("calls", calls, spread * each, snapshot.calls().made);
    }
    if plan.warmup.is_zero() && dropped == 0.0 {
        let known = |(predicted, _): &(&SeriesForecast, _)| predicted.basis == Basis::Exact;
        for (predicted, actual) in forecast.steps.iter().zip(&snapshot.measured.steps).filter(known)
        {
            let made = actual.as_ref().map_or(0, |step| step.calls.made);
            // A random count varies like a count of rare events.
            let spread = spread * predicted.per_iteration + 3.0 * predicted.calls.sqrt();
            compare(&predicted.name, predicted.calls, spread, made);
        }
    }
    wrong
}
