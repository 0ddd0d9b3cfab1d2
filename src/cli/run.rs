//! `manada run`: a scenario, with what the command line changes of it.
//!
//! Invariant: the command line changes what the scenario says, never how it is carried out.

use std::path::PathBuf;
use std::time::Duration;

use super::launch::{self, Folder};
use super::limits::{self, Limits};
use super::output::remark;
use super::words::{self, Changes, Common};
use crate::exit::Ending;
use crate::scenario::{self, Overrides};
use crate::units::Rate;

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
    changes: Changes,
    /// So many users, in the only closed workload or the one named, e.g. 200 or shoppers=200
    #[arg(long, value_name = "[W=]N", help_heading = "Load",
        value_parser = |text: &str| words::named(text, words::count))]
    users: Vec<(Option<String>, u64)>,
    /// So many starts per second, in the only open workload or the one named, e.g. api=200/s
    #[arg(long, value_name = "[W=]N/s", help_heading = "Load",
        value_parser = |text: &str| words::named(text, words::rate))]
    rate: Vec<(Option<String>, Rate)>,
    /// Stretch or shrink all load shapes to this length, e.g. 5m
    #[arg(long, value_name = "D", value_parser = words::duration, help_heading = "Load")]
    duration: Option<Duration>,
    #[command(flatten)]
    limits: Limits,
    #[command(flatten)]
    common: Common,
}

pub(super) fn run(args: &Args) -> Ending {
    let overrides = Overrides {
        once: false,
        safety: limits::file(),
        authorised: args.limits.authorised.clone(),
        environment: args.changes.environment.clone(),
        set: args.changes.set.clone(),
        seed: args.common.seed,
        thresholds: args.common.threshold.clone(),
        users: args.users.clone(),
        rate: args.rate.clone(),
        duration: args.duration,
    };
    match scenario::load(&args.scenario, &overrides) {
        Ok((plan, warnings)) => {
            for warning in &warnings {
                remark(&warning.render(true));
            }
            launch::launch(plan, &args.common, Folder::Always)
        }
        Err(mistakes) => {
            remark(&mistakes.render(true));
            if mistakes.has_wrong_words() { Ending::Usage } else { Ending::Scenario }
        }
    }
}
