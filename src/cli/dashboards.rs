//! `manada dashboards`: writes files for Prometheus and Grafana, made for a scenario.
//!
//! Invariant: it accepts what `check` accepts, connects to nothing, and replaces no file unless
//! told to.

use std::io::{self, Write};
use std::path::PathBuf;

use super::args::OverlayArgs;
use super::file_set::write_files;
use super::limits::UserLimits;
use super::load_scenario::{load_or_print, overrides_without_load};
use super::output::{finish, print_error};
use crate::dashboards::{self, BucketForm};
use crate::exit::ExitStatus;

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
    let overrides = overrides_without_load(&args.changes, &args.limits);
    let plan = match load_or_print(&args.scenario, &overrides) {
        Ok(plan) => plan,
        Err(status) => return status,
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
