//! `manada dashboards`: writes files for Prometheus and Grafana, made for a scenario.
//!
//! Invariant: it accepts what `check` accepts, connects to nothing, and replaces no file unless
//! told to.

use std::io::{self, Write};
use std::path::PathBuf;

use super::args::OverlayArgs;
use super::file_set::write_files;
use super::limits::{self, UserLimits};
use super::output::{finish, print_error, print_remark};
use crate::dashboards::{self, BucketForm};
use crate::exit::ExitStatus;
use crate::files::Files;
use crate::scenario::{self, ScenarioOverrides};

#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  manada dashboards scenarios/quickstart.yaml -o monitoring
  manada dashboards shop.yaml -o monitoring --native --force

The rules and the configuration of Prometheus are tested with Prometheus. The Compose file is
valid by the schema of Compose; it was not run.")]
pub(super) struct Args {
    /// Scenario file
    scenario: PathBuf,
    #[command(flatten)]
    changes: OverlayArgs,
    #[command(flatten)]
    limits: UserLimits,
    /// Read native histograms in place of those with bounds
    #[arg(long)]
    native: bool,
    /// Folder for the files
    #[arg(short, long, value_name = "DIR", help_heading = "Output")]
    out: PathBuf,
    /// Replace files of the folder
    #[arg(short, long, help_heading = "Output")]
    force: bool,
}

pub(super) fn run(args: &Args) -> ExitStatus {
    let overrides = ScenarioOverrides {
        safety: limits::safety_file(&Files::default()),
        files: args.changes.allow_files.clone(),
        authorised: args.limits.authorised.clone(),
        environment: args.changes.environment.clone(),
        set: args.changes.set.clone(),
        ..ScenarioOverrides::default()
    };
    let plan = match scenario::load(&args.scenario, &overrides) {
        Ok((plan, warnings)) => {
            warnings.iter().for_each(|warning| print_remark(&warning.render(true)));
            plan
        }
        Err(mistakes) => {
            print_remark(&mistakes.render(true));
            return if mistakes.has_flag_mistake() {
                ExitStatus::Usage
            } else {
                ExitStatus::Scenario
            };
        }
    };
    let form = if args.native { BucketForm::Native } else { BucketForm::Classic };
    let files = dashboards::render(&plan.manifest(), form);
    if let Some(taken) = files.iter().map(|file| args.out.join(file.name)).find(|at| at.exists())
        && !args.force
    {
        print_error(&format_args!(
            "{} exists; `--force` replaces it, `--out` takes another folder",
            taken.display()
        ));
        return ExitStatus::Usage;
    }
    if let Err(error) =
        write_files(&args.out, files.iter().map(|file| (file.name, file.text.as_str())))
    {
        print_error(&format_args!("cannot write to {}: {error}", args.out.display()));
        return ExitStatus::Broken;
    }
    let names: Vec<&str> = files.iter().map(|file| file.name).collect();
    let text = format!("{}: {}\n", args.out.display(), names.join(", "));
    finish(io::stdout().write_all(text.as_bytes()), ExitStatus::Pass)
}
