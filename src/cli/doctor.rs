//! `manada doctor`: shows what this machine allows, and how to change it.
//!
//! Invariant: it changes nothing itself.

use std::io::Write;

use super::output::finish;
use crate::exit::ExitStatus;
use crate::host::{MachineFacts, checkup};
use crate::redact;
use crate::report;

#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  manada doctor
  manada doctor --json | jq '.findings[] | select(.ok | not) | .cure'")]
pub(super) struct Args {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> ExitStatus {
    let found = checkup(&MachineFacts::read());
    let text = if args.json {
        format!("{:#}\n", report::forecast_json::findings(&found))
    } else {
        report::checkup::render(&found)
    };
    finish(anstream::stdout().write_all(redact::redact_secrets(&text).as_bytes()), ExitStatus::Pass)
}
