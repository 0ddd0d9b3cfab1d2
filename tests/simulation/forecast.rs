//! What was forecast of a world against what came of it.
//!
//! `worlds.rs` asks for each world that says how its target may be summed up.

use manada::event::Report;
use manada::forecast::{Basis, Forecast, SeriesForecast, TargetAssumptions};
use manada::plan::Plan;
use manada::units::{parse_duration, parse_share};
use serde::Deserialize;

/// What the forecast is told, and how close it has to come.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Foretold {
    /// What a call takes in the mean.
    service: String,
    /// How far a count may be off, beside the spread that the forecast itself states.
    within: String,
}

/// Everything that came otherwise, in words.
pub fn wrong(foretold: &Foretold, plan: &Plan, report: &Report) -> Vec<String> {
    let fallback_s = parse_duration(&foretold.service).unwrap().as_secs_f64();
    let within = parse_share(&foretold.within).unwrap();
    let forecast = Forecast::new(plan, &TargetAssumptions { fallback_s, series_s: Vec::new() });
    let mut wrong = Vec::new();
    let mut compare = |what: &str, said: f64, spread: f64, came: u64| {
        if (said - came as f64).abs() > said * within + spread + 1e-6 {
            wrong.push(format!("{what}: {said:.1} ± {spread:.1} were forecast, {came} came"));
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
        let known = |(said, _): &(&SeriesForecast, _)| said.basis == Basis::Exact;
        for (said, came) in forecast.steps.iter().zip(&snapshot.measured.steps).filter(known) {
            let made = came.as_ref().map_or(0, |step| step.calls.made);
            // What is drawn varies like a count of rare events.
            let spread = spread * said.per_iteration + 3.0 * said.calls.sqrt();
            compare(&said.name, said.calls, spread, made);
        }
    }
    wrong
}
