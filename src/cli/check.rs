//! `manada check`: reports all mistakes of a scenario, a schedule or a file of prices without
//! running it, or dry-runs each archetype.
//!
//! Invariant: it accepts exactly what `run` accepts; with `--once` also targets that need an
//! authorisation under load.

use std::io::Write;
use std::path::PathBuf;

use super::args::{self, OverlayArgs};
use super::cost_args;
use super::limits::UserLimits;
use super::load_scenario::{load_asking, overrides_without_load, print_mistakes};
use super::output::{self, print_remark};
use crate::exit::ExitStatus;
use crate::fleet::cache_stores;
use crate::plan::Plan;
use crate::report;
use crate::run::dry_run::{self, DryRun};
use crate::scenario::prices::is_prices;
use crate::scenario::{self, ScenarioOverrides};
use crate::seed::Seed;
use crate::suggest::did_you_mean;
use crate::units::{counted, show_duration};

#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  manada check scenarios/quickstart.yaml
  manada check prices.yaml
  manada check scenarios/quickstart.yaml --once
  manada check scenarios/quickstart.yaml --once --random --seed 7
  manada check shop.yaml --once --archetype buyer --json | jq .traces")]
pub(super) struct Args {
    /// Scenario file, schedule file or file of prices
    scenario: PathBuf,
    #[command(flatten)]
    changes: OverlayArgs,
    #[command(flatten)]
    limits: UserLimits,
    /// Dry run: each archetype once, and show every call
    ///
    /// Runs setup, each archetype with one user, and teardown. An archetype with choices runs until
    /// each branch was taken, at most 32 times.
    #[arg(long, visible_alias = "dry-run", help_heading = "Dry run")]
    once: bool,
    /// Run each archetype once, with random choices
    #[arg(long, requires = "once", help_heading = "Dry run")]
    random: bool,
    /// Random seed, e.g. 42 (default: that of the scenario, or random)
    #[arg(long, value_name = "N", value_parser = args::seed, requires = "once",
        help_heading = "Dry run")]
    seed: Option<Seed>,
    /// Run only this archetype, e.g. buyer
    #[arg(long, value_name = "NAME", requires = "once", help_heading = "Dry run")]
    archetype: Option<String>,
    /// Print the dry run as JSON
    #[arg(long, requires = "once", help_heading = "Dry run")]
    json: bool,
}

/// Checks a schedule file, or a scenario; `check_args` checks the arguments of jobs.
#[cfg(feature = "schedule")]
pub(super) fn run_any(args: &Args, check_args: &super::schedule::ArgsCheck) -> ExitStatus {
    if !args.once && scenario::is_schedule(&args.scenario) {
        return super::schedule::check(&args.scenario, check_args);
    }
    run(args)
}

pub(super) fn run(args: &Args) -> ExitStatus {
    if !args.once && is_prices(&args.scenario) {
        return cost_args::check(&args.scenario);
    }
    let overrides = ScenarioOverrides {
        once: args.once,
        ..overrides_without_load(&args.changes, &args.limits)
    };
    let loaded = if args.once {
        load_asking(&args.scenario, &overrides)
    } else {
        scenario::load(&args.scenario, &overrides)
    };
    match loaded {
        Ok((plan, warnings)) => {
            if overrides.environment.is_none() && !other_environments(args, &overrides) {
                return ExitStatus::Scenario;
            }
            if let Err(error) = cache_stores::check(&plan) {
                output::print_error(&format_args!("{}: {error}", args.scenario.display()));
                return ExitStatus::Scenario;
            }
            for warning in &warnings {
                print_remark(&warning.render(true));
            }
            if args.once {
                let seed = args.seed.unwrap_or(plan.seed);
                return once(&Plan { seed, ..plan }, args);
            }
            let length =
                plan.load_end().map_or("load until its iterations have run".into(), |end| {
                    format!("{} of load", show_duration(end))
                });
            let text = format!(
                "{}: no mistakes; {}, {}, {}, {length}\n",
                args.scenario.display(),
                counted(plan.workloads.len() as u64, "workload"),
                counted(plan.archetypes.len() as u64, "archetype"),
                counted(plan.steps.len() as u64, "step"),
            );
            output::finish(std::io::stdout().write_all(text.as_bytes()), ExitStatus::Pass)
        }
        Err(mistakes) => print_mistakes(&mistakes),
    }
}

/// Whether the scenario is valid in each of its environments as well; prints the mistakes.
fn other_environments(args: &Args, overrides: &ScenarioOverrides) -> bool {
    let mut all_hold = true;
    for name in scenario::environments(&args.scenario) {
        let overrides = ScenarioOverrides { environment: Some(name.clone()), ..overrides.clone() };
        let found = match scenario::load(&args.scenario, &overrides) {
            Ok((plan, _)) => {
                cache_stores::check(&plan).err().map(|error| format!("error: {error}"))
            }
            Err(mistakes) => Some(mistakes.render(true)),
        };
        if let Some(text) = found {
            print_remark(&format_args!("in the environment `{name}`:\n{text}"));
            all_hold = false;
        }
    }
    all_hold
}

/// Dry-runs each archetype once and prints the trace.
fn once(plan: &Plan, args: &Args) -> ExitStatus {
    let only = args.archetype.as_deref();
    if let Some(name) = only
        && !plan.archetypes.iter().any(|one| one.name == name)
    {
        let names: Vec<&str> = plan.archetypes.iter().map(|one| one.name.as_str()).collect();
        let (suggestion, names) = (did_you_mean(name, names.iter().copied()), names.join(", "));
        output::print_error(&format_args!(
            "no workload uses an archetype `{name}`; expected one of {names}{suggestion}"
        ));
        return ExitStatus::Usage;
    }
    let DryRun { traces, ending } = match dry_run::dry_run(plan, only, args.random) {
        Ok(dry_run) => dry_run,
        Err(trouble) => {
            output::print_error(&trouble);
            return trouble.ending();
        }
    };
    let text = if args.json {
        let document = report::dry_run::document(&plan.scenario, &traces, ending);
        format!("{document:#}\n")
    } else {
        report::dry_run::render(&plan.scenario, &traces, ending)
    };
    output::finish(anstream::stdout().write_all(text.as_bytes()), ending)
}
