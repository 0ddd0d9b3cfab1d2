//! `manada run`: runs a scenario, with the overrides of the command line.
//!
//! Invariant: the command line changes the scenario, never the way it is executed.

use std::path::PathBuf;

use super::args::{self, CommonArgs, LoadArgs, OverlayArgs};
use super::execute::{self, OutputFolder};
use super::limits::UserLimits;
use super::output::{print_remark, report_failure};
use crate::exit::ExitStatus;
use crate::plan::Plan;
use crate::scenario::{self, Mistakes, ScenarioOverrides, Warning};

#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  manada run scenarios/quickstart.yaml
  manada run shop.yaml --out reports/today --report junit.xml
  manada run shop.yaml --users shoppers=200 --duration 5m --threshold 'errors < 1%'
  manada run shop.yaml -e staging --set workloads.api.arrivals.max_users=100
  manada run shop.yaml --json --ui none | jq .response_us.p99")]
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
    common: CommonArgs,
}

/// Compiles the scenario with the overrides of the command line.
pub(super) fn compile(args: &Args) -> Result<(Plan, Vec<Warning>), (Mistakes, ExitStatus)> {
    let overrides = ScenarioOverrides {
        seed: args.common.seed,
        thresholds: args.common.threshold.clone(),
        ..args::overrides(&args.changes, &args.load, &args.limits)
    };
    scenario::load(&args.scenario, &overrides).map_err(|mistakes| {
        let status =
            if mistakes.has_flag_mistake() { ExitStatus::Usage } else { ExitStatus::Scenario };
        (mistakes, status)
    })
}

pub(super) fn run(args: &Args) -> ExitStatus {
    match compile(args) {
        Ok((plan, warnings)) => {
            for warning in &warnings {
                print_remark(&warning.render(true));
            }
            execute::execute_plan(plan, &args.common, OutputFolder::Always, None)
        }
        Err((mistakes, status)) => {
            print_remark(&mistakes.render(true));
            let file = args.scenario.display().to_string();
            report_failure(&args.common.output.report, &file, &mistakes.lines(), status)
        }
    }
}
