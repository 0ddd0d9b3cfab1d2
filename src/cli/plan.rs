//! `manada plan`: forecasts what a scenario does and needs, without sending anything.
//!
//! Invariant: it refuses exactly what `run` refuses, by the same function, before any call.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use super::args::{self, LoadArgs, OverlayArgs};
use super::ceiling_args::CeilingArgs;
use super::cost::PlanCostArgs;
use super::limits::UserLimits;
use super::load_scenario::load_or_print;
use super::output::{finish, print_error};
use crate::engine::startup::tier;
use crate::event::GeneratorInfo;
use crate::exit::ExitStatus;
use crate::files::Files;
use crate::forecast::needs::{ceiling_shortages, shortages};
use crate::forecast::{
    Forecast, MachineNeeds, MachineShortage, TargetAssumptions, certain_shortages,
};
use crate::host;
use crate::plan::{Plan, ceilings};
use crate::redact;
use crate::report::cost;
use crate::report::forecast::{self, ForecastContext};
use crate::report::forecast_json;
use crate::run;
use crate::scenario::ScenarioOverrides;
use crate::seed::Seed;
use crate::units::{counted, show_bytes, show_count};

#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  manada plan scenarios/quickstart.yaml
  manada plan shop.yaml --users shoppers=5000 --service-time 80ms
  manada plan shop.yaml --measured reports/shop-20261121T060412/summary.json
  manada plan shop.yaml --cost prices.yaml --like reports/shop-20261121T060412
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
    #[command(flatten)]
    ceilings: CeilingArgs,
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
    #[command(flatten)]
    cost: PlanCostArgs,
    /// Print JSON
    #[arg(long, help_heading = "Output")]
    json: bool,
}

pub(super) fn run(args: &Args) -> ExitStatus {
    let overrides = ScenarioOverrides {
        seed: args.seed,
        ceilings: args.ceilings.ceilings(),
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
    forecast.warnings.extend(ceiling_warnings(plan, &forecast, &refused, tier.processes as u64));
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
    let cost = match args.cost.forecast(plan, &forecast, context.generator.shards) {
        Ok(cost) => cost,
        Err(status) => return status,
    };
    let text = if args.json {
        let mut document = forecast_json::document(&context);
        if let Some((cost, prices)) = &cost {
            document["cost"] = cost::document(cost, prices);
        }
        format!("{document:#}\n")
    } else {
        let cost = cost.map_or(String::new(), |(cost, prices)| cost::render(&cost, &prices));
        forecast::render(&context) + &cost
    };
    for refusal in &refused {
        print_error(refusal);
    }
    let ending = if refused.is_empty() { ExitStatus::Pass } else { ExitStatus::Scenario };
    finish(anstream::stdout().write_all(redact::redact_secrets(&text).as_bytes()), ending)
}

/// What exceeds a ceiling of the run, or is likely to.
fn ceiling_warnings(
    plan: &Plan,
    forecast: &Forecast,
    refused: &[MachineShortage],
    processes: u64,
) -> Vec<String> {
    let mut warnings = Vec::new();
    if !refused.iter().any(|one| one.what == "max_memory") {
        let found = |needs: &MachineNeeds| ceiling_shortages(plan, &needs.in_processes(processes));
        let cases = [
            ("in the expected case", found(&forecast.expected)),
            ("if `max_users` is reached", found(&forecast.most)),
        ];
        let first = cases.iter().find_map(|(when, found)| Some((when, found.first()?)));
        warnings.extend(first.map(|(when, short)| format!("{when}, {short}")));
    }
    if let Some((needed, limit)) = tier::missing_cores(plan) {
        warnings.push(format!(
            "the rates need {needed} cores, {} allows {}: starts may come late; raise `max_cores` \
             there, or lower the rates",
            limit.origin, limit.most
        ));
    }
    let ceilings = &plan.safety.ceilings;
    if let Some(limit) = ceilings.disk.as_ref().filter(|one| forecast.report_bytes > one.most) {
        warnings.push(format!(
            "the files of the run take about {}, {} allows {}: rows of each second and the record \
             will end early; raise `max_disk` there, or shorten the run",
            show_bytes(forecast.report_bytes),
            limit.origin,
            show_bytes(limit.most)
        ));
    }
    let pool = plan.policies.pools.iter().find(|pool| pool.name == ceilings::POOL);
    if let (Some(limit), Some(pool)) = (&ceilings.connections, pool) {
        warnings.push(format!(
            "users share {}, since they could open more than {} allows ({}): calls wait for one, \
             which counts as blocked time by `pool`",
            counted(pool.connections, "connection"),
            limit.origin,
            show_count(limit.most)
        ));
    }
    warnings
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
