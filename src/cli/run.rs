//! `manada run`: a scenario, with what the command line changes of it.
//!
//! Invariant: the command line changes what the scenario says, never how it is carried out.

use std::path::PathBuf;

use super::args::{self, CommonArgs, LoadArgs, OverlayArgs};
use super::execute::{self, OutputFolder};
use super::limits::UserLimits;
use super::output::{remark, report_failure};
use crate::exit::ExitStatus;
use crate::scenario::{self, ScenarioOverrides};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  manada run scenarios/quickstart.yaml
  manada run shop.yaml --users shoppers=200 --duration 5m --threshold 'errors < 1%'
  manada run shop.yaml -e staging --set workloads.api.arrivals.max_users=100
  manada run shop.yaml --json --ui none | jq .response_us.p99")]
pub(super) struct Args {
    /// The scenario's file
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
                remark(&warning.render(true));
            }
            execute::launch(plan, &args.common, OutputFolder::Always)
        }
        Err(mistakes) => {
            remark(&mistakes.render(true));
            let ending =
                if mistakes.has_flag_mistake() { ExitStatus::Usage } else { ExitStatus::Scenario };
            let file = args.scenario.display().to_string();
            report_failure(&args.common.output.report, &file, &mistakes.lines(), ending)
        }
    }
}
