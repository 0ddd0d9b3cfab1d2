//! `manada check`: every mistake of a scenario at once, without running it.
//!
//! Invariant: it accepts exactly what `run` would accept.

use std::io::Write;
use std::path::PathBuf;

use super::limits::{self, Limits};
use super::output::{self, remark};
use super::words::Changes;
use crate::exit::Ending;
use crate::scenario::{self, Overrides};
use crate::units::show_duration;

#[derive(Debug, clap::Args)]
#[command(after_help = "Example: manada check scenarios/quickstart.yaml")]
pub(super) struct Args {
    /// The scenario's file
    scenario: PathBuf,
    #[command(flatten)]
    changes: Changes,
    #[command(flatten)]
    limits: Limits,
}

pub(super) fn run(args: &Args) -> Ending {
    let overrides = Overrides {
        safety: limits::file(),
        authorised: args.limits.authorised.clone(),
        environment: args.changes.environment.clone(),
        set: args.changes.set.clone(),
        ..Overrides::default()
    };
    match scenario::load(&args.scenario, &overrides) {
        Ok((plan, warnings)) => {
            for warning in &warnings {
                remark(&warning.render(true));
            }
            let length = plan.load_end().map_or("until its iterations are made".into(), |end| {
                format!("{} of load", show_duration(end))
            });
            let text = format!(
                "{}: no mistakes; {} workloads, {} archetypes, {} steps, {length}\n",
                args.scenario.display(),
                plan.workloads.len(),
                plan.archetypes.len(),
                plan.steps.len(),
            );
            output::finish(std::io::stdout().write_all(text.as_bytes()), Ending::Pass)
        }
        Err(mistakes) => {
            remark(&mistakes.render(true));
            if mistakes.has_wrong_words() { Ending::Usage } else { Ending::Scenario }
        }
    }
}
