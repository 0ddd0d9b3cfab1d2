//! `manada plan`: forecasts what a scenario does and needs, without sending anything.
//!
//! Invariant: it refuses exactly what `run` refuses, by the same function, before any call.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use super::args::{self, LoadArgs, OverlayArgs};
use super::limits::UserLimits;
use super::load_scenario::load_or_print;
use super::output::{finish, print_error};
use crate::engine::startup::tier;
use crate::event::GeneratorInfo;
use crate::exit::ExitStatus;
use crate::files::Files;
use crate::forecast::needs::shortages;
use crate::forecast::{Forecast, MachineShortage, TargetAssumptions, certain_shortages};
use crate::host;
use crate::plan::Plan;
use crate::redact;
use crate::report::forecast::{self, ForecastContext};
use crate::report::forecast_json;
use crate::run;
use crate::scenario::ScenarioOverrides;
use crate::seed::Seed;

#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  manada plan scenarios/quickstart.yaml
  manada plan shop.yaml --users shoppers=5000 --service-time 80ms
  manada plan shop.yaml --measured reports/shop-20261121T060412/summary.json
  manada plan shop.yaml --rate api=2000/s --json | jq .warnings")]
pub(super) struct Args {
    /// Scenario file
    scenario: PathBuf,
    #[command(flatten)]
    changes: OverlayArgs,
    #[command(flatten)]
    load: LoadArgs,
    #[command(flatten)]
    limits: UserLimits,
    /// Random seed, e.g. 42 (default: random, printed)
    #[arg(long, value_name = "N", value_parser = args::seed, hide_short_help = true,
        help_heading = "Load")]
    seed: Option<Seed>,
    #[command(flatten)]
    size: args::SizeArgs,
    /// Assumed service time of a call
    #[arg(long, value_name = "D", default_value = "20ms", value_parser = args::zero_or_more,
        help_heading = "Target")]
    service_time: Duration,
    /// Take service times from summary.json of a run
    ///
    /// Those of the step of the same name; --service-time applies to steps that were not measured.
    #[arg(long, value_name = "FILE", help_heading = "Target")]
    measured: Option<PathBuf>,
    /// Print JSON
    #[arg(long, help_heading = "Output")]
    json: bool,
}

pub(super) fn run(args: &Args) -> ExitStatus {
    let overrides = ScenarioOverrides {
        seed: args.seed,
        ..args::overrides(&args.changes, &args.load, &args.limits, &Files::default())
    };
    let plan = match load_or_print(&args.scenario, &overrides) {
        Ok(plan) => plan,
        Err(status) => return status,
    };
    let mut target =
        TargetAssumptions { fallback_s: args.service_time.as_secs_f64(), series_s: Vec::new() };
    if let Some(path) = &args.measured {
        match measured(path, &plan) {
            Ok((series_s, all)) => {
                target.series_s = series_s;
                target.fallback_s = all.unwrap_or(target.fallback_s);
            }
            Err(why) => {
                print_error(&format_args!("{}: {why}", path.display()));
                return ExitStatus::Scenario;
            }
        }
    }
    show(args, &plan, &target)
}

fn show(args: &Args, plan: &Plan, target: &TargetAssumptions) -> ExitStatus {
    let mut forecast = Forecast::new(plan, target);
    let tier = tier::choose(plan, host::cores().len(), run::descriptors(), args.size.size());
    let limits = run::limits(tier.processes);
    let refused = certain_shortages(plan, &limits);
    // Likely or possible needs are only warnings.
    let is_certain = |what| refused.iter().any(|refusal: &MachineShortage| refusal.what == what);
    let likely = shortages(&forecast.expected, &limits);
    for short in likely.iter().filter(|short| !is_certain(short.what)) {
        forecast.warnings.push(format!("in the expected case, {short}"));
    }
    for short in shortages(&forecast.most, &limits) {
        if !is_certain(short.what) && !likely.iter().any(|known| known.what == short.what) {
            forecast.warnings.push(format!("if `max_users` is reached, {short}"));
        }
    }
    let context = ForecastContext {
        plan,
        forecast: &forecast,
        limits,
        refused: &refused,
        generator: GeneratorInfo {
            tier: tier.name.to_owned(),
            shards: tier.shards,
            processes: tier.processes,
            is_fleet: false,
            reason: tier.reason,
            remarks: Vec::new(),
            sandbox: None,
        },
    };
    let text = if args.json {
        format!("{:#}\n", forecast_json::document(&context))
    } else {
        forecast::render(&context)
    };
    for refusal in &refused {
        print_error(refusal);
    }
    let ending = if refused.is_empty() { ExitStatus::Pass } else { ExitStatus::Scenario };
    finish(anstream::stdout().write_all(redact::redact_secrets(&text).as_bytes()), ending)
}

/// Service times of an earlier run, seconds: of each series of the plan, and of all calls.
type Measured = (Vec<Option<f64>>, Option<f64>);

/// Reads `summary.json`: the mean service time of the step with the same name, workload and
/// archetype, else of a step with the same name.
fn measured(path: &Path, plan: &Plan) -> Result<Measured, String> {
    let path = if path.is_dir() { path.join("summary.json") } else { path.to_owned() };
    let text = fs::read_to_string(path).map_err(|error| format!("cannot be read: {error}"))?;
    let report: Value =
        serde_json::from_str(&text).map_err(|error| format!("not a report: {error}"))?;
    let steps = report["steps"].as_array().ok_or("not the summary.json of a run")?;
    let mean = |step: &Value| Some(step["service_us"]["mean"].as_f64()? / 1e6);
    let series_s = plan.steps.iter().map(|series| {
        let named = || steps.iter().filter(|step| step["name"] == series.name.as_str());
        let same = named().find(|step| {
            step["workload"] == plan.workloads[series.workload].name.as_str()
                && step["archetype"] == plan.archetypes[series.archetype.index()].name.as_str()
        });
        same.and_then(mean).or_else(|| named().find_map(mean))
    });
    Ok((series_s.collect(), mean(&report)))
}
