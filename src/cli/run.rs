//! `manada run`: runs a scenario, with the overrides of the command line.
//!
//! Invariant: the command line changes the scenario, never the way it is executed.

use std::path::PathBuf;

use super::args::{self, CommonArgs, LoadArgs, OverlayArgs};
use super::execute::{self, OutputFolder};
use super::limits::UserLimits;
use super::output::{print_remark, report_failure};
use crate::exit::ExitStatus;
use crate::files::Files;
use crate::plan::Plan;
use crate::redact::Redactor;
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

impl Args {
    /// Returns the option that contains a credential, if there is one.
    pub(super) fn credential(&self, redactor: &Redactor<'_>) -> Option<&'static str> {
        self.changes.set.iter().any(|text| args::is_credential(redactor, text)).then_some("--set")
    }
}

/// Compiles the scenario with the overrides of the command line; its files are read from `files`.
pub(super) fn compile(
    args: &Args,
    files: &Files,
) -> Result<(Plan, Vec<Warning>), (Mistakes, ExitStatus)> {
    let overrides = ScenarioOverrides {
        seed: args.common.seed,
        thresholds: args.common.threshold.clone(),
        ..args::overrides(&args.changes, &args.load, &args.limits, files)
    };
    scenario::load(&args.scenario, &overrides).map_err(|mistakes| {
        let status =
            if mistakes.has_flag_mistake() { ExitStatus::Usage } else { ExitStatus::Scenario };
        (mistakes, status)
    })
}

pub(super) fn run(args: &Args) -> ExitStatus {
    match compile(args, &Files::default()) {
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
