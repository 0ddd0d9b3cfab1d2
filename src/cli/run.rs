//! `manada run`: runs a scenario, with the overrides of the command line.
//!
//! Invariant: the command line changes the scenario, never the way it is executed.

use std::path::PathBuf;

use super::args::{self, CommonArgs, LoadArgs, OverlayArgs};
use super::execute::{self, OutputFolder};
use super::limits::UserLimits;
use super::output::{print_remark, report_failure};
use crate::exit::ExitStatus;
use crate::scenario::{self, ScenarioOverrides};

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

pub(super) fn run(args: &Args) -> ExitStatus {
    let overrides = ScenarioOverrides {
        seed: args.common.seed,
        thresholds: args.common.threshold.clone(),
        ..args::overrides(&args.changes, &args.load, &args.limits)
    };
    match scenario::load(&args.scenario, &overrides) {
        Ok((plan, warnings)) => {
            for warning in &warnings {
                print_remark(&warning.render(true));
            }
            execute::execute_plan(plan, &args.common, OutputFolder::Always, None)
        }
        Err(mistakes) => {
            print_remark(&mistakes.render(true));
            let status =
                if mistakes.has_flag_mistake() { ExitStatus::Usage } else { ExitStatus::Scenario };
            let file = args.scenario.display().to_string();
            report_failure(&args.common.output.report, &file, &mistakes.lines(), status)
        }
    }
}
