//! `manada plan --cost`: what a run is expected to cost.
//!
//! `plan` shows it after its forecast.
//! Invariant: what depends on this machine is measured: by `--like`, an earlier run, or by rounds
//! of calls on loopback.

use std::fs;
use std::path::{Path, PathBuf};

use super::calibration::Calibration;
use super::cost_args::load;
use super::measured_run::read;
use super::output::print_error;
use super::report::open_file;
use crate::event::record;
use crate::exit::ExitStatus;
use crate::forecast::Forecast;
use crate::forecast::cost::{CostAssumptions, CostForecast};
use crate::forecast::cost_model::{CpuModel, MeasuredUse};
use crate::plan::Plan;
use crate::plan::prices::Prices;
use crate::report::json;
use crate::run::replay::{self, ReplayChanges};
use crate::sinks::SinkSet;
use crate::units::parse_size;

/// The options of `plan`.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct PlanCostArgs {
    /// Show what the run will cost, by the prices of a file, and what would be cheaper
    ///
    /// CPU time and memory of a call are measured: by rounds of three seconds of calls on loopback,
    /// at the rates of the plan, or by --like.
    #[arg(long, value_name = "PRICES", help_heading = "Cost")]
    cost: Option<PathBuf>,
    /// Take what a call uses from a measured run: its folder, summary.json or run.record
    #[arg(
        long,
        value_name = "RUN",
        requires = "cost",
        hide_short_help = true,
        help_heading = "Cost"
    )]
    like: Option<PathBuf>,
    /// Assumed body of a response, if it is not measured
    #[arg(long, value_name = "SIZE", default_value = "1KB", value_parser = size, requires = "cost",
        hide_short_help = true, help_heading = "Cost")]
    response_size: u64,
    /// Number of rounds that are measured, at each rate
    #[arg(long, value_name = "N", default_value_t = 5, requires = "cost", conflicts_with = "like",
        value_parser = clap::value_parser!(u16).range(1..=100), hide_short_help = true,
        help_heading = "Cost")]
    rounds: u16,
    /// Measure nothing: CPU time is left out of the cost
    #[arg(
        long,
        requires = "cost",
        conflicts_with = "like",
        hide_short_help = true,
        help_heading = "Cost"
    )]
    no_calibration: bool,
}

fn size(text: &str) -> Result<u64, String> {
    parse_size(text).map_err(|error| format!("expected {error}"))
}

impl PlanCostArgs {
    /// The forecast of the cost, if a file of prices was named; what is wrong is printed.
    pub(super) fn forecast(
        &self,
        plan: &Plan,
        forecast: &Forecast,
        shards: usize,
    ) -> Result<Option<(CostForecast, Prices)>, ExitStatus> {
        let Some(path) = &self.cost else { return Ok(None) };
        let prices = load(path)?;
        let failed = |why: String| {
            print_error(&why);
            ExitStatus::Scenario
        };
        let mut assumed =
            CostAssumptions { response: self.response_size, shards, connection_cpu_s: None };
        let (measured, model) = match &self.like {
            Some(path) => {
                let measured = like(path).map_err(failed)?;
                let model = CpuModel::new(vec![measured.parts()]);
                (measured, model)
            }
            None if self.no_calibration => (unmeasured(forecast), CpuModel::default()),
            None => {
                let own = Calibration::of(plan, forecast, &assumed, usize::from(self.rounds));
                let done = own.measure().map_err(|why| failed(uncalibrated(&why)))?;
                assumed.connection_cpu_s = done.connection_s;
                (done.measured, done.model)
            }
        };
        let cost = CostForecast::new(plan, forecast, (&measured, &model), &assumed, &prices);
        Ok(Some((cost, prices)))
    }
}

fn uncalibrated(why: &str) -> String {
    format!("cannot measure what a call uses: {why}; use --like RUN, or --no-calibration")
}

/// What is known without a measurement: the memory of the forecast.
fn unmeasured(forecast: &Forecast) -> MeasuredUse {
    MeasuredUse {
        source: "not measured, so CPU time is not a part of the cost".to_owned(),
        users: forecast.expected.users as f64,
        memory: forecast.expected.memory as f64,
        calls: forecast.totals().1,
        length_s: forecast.end_s,
        ..MeasuredUse::default()
    }
}

/// Reads what a measured run used.
fn like(path: &Path) -> Result<MeasuredUse, String> {
    let shown = path.display();
    let summary = path.join("summary.json");
    let file = match path.is_dir() {
        true if summary.exists() => summary,
        true => path.join(record::FILE),
        false => path.to_owned(),
    };
    let document = if file.extension().is_some_and(|ending| ending == "json") {
        let text = fs::read(&file).map_err(|error| format!("{shown}: cannot be read: {error}"))?;
        serde_json::from_slice(&text).map_err(|error| format!("{shown}: not a report: {error}"))?
    } else {
        let record = open_file(&file).map_err(|error| format!("{shown}: {error}"))?;
        let report = replay::replay(record, ReplayChanges::default(), &mut SinkSet::default());
        json::document(&*report.map_err(|error| format!("{shown}: {error}"))?)
    };
    let mut measured = read(&document).ok_or_else(|| {
        format!("{shown}: expected a finished run that tells its CPU time and memory in `usage`")
    })?;
    (measured.source, measured.is_alike) = (format!("measured by {shown}"), true);
    Ok(measured)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_without_cpu_time_is_no_measurement() {
        let mut document = serde_json::json!({
            "duration_s": 2.0, "attempts": { "sent": 100 }, "connections": { "opened": 3 },
            "users": { "peak": 3 },
            "usage": {
                "cpu_s": { "total": 0.5, "before_load": 0.1 },
                "memory_bytes": { "mean": null, "peak": 20_000_000 },
                "network_bytes": { "sent": 1_000, "received": 2_000 },
            },
        });
        let measured = read(&document).unwrap();
        assert!((measured.parts().call_s - 0.004).abs() < 1e-12);
        assert!((measured.memory - 20e6).abs() < 1.0 && measured.intervals.is_empty());
        document["usage"]["cpu_intervals"] =
            serde_json::json!({ "cpu_s": [0.3, 0.05], "calls": [60, 40], "opened": [3, 0] });
        let parts = read(&document).unwrap().parts();
        assert!((parts.call_s - 0.001_25).abs() < 1e-12, "{parts:?}");
        document["usage"]["cpu_s"] = serde_json::Value::Null;
        assert_eq!(read(&document), None);
    }
}
