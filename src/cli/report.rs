//! `manada report`: shows, judges or exports a finished run from its record.
//!
//! Invariant: nothing is sent anywhere, and the run's own files do not change.

use std::fmt::Display;
use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::args::{self, OutputArgs};
use super::cost_args::CostArgs;
use super::output::fail;
use super::rebuilt;
use crate::event::record;
use crate::exit::ExitStatus;
use crate::plan::TraceUrl;
use crate::run::replay::{self, ReplayChanges, ReplayError};
use crate::sinks::SinkSet;
use crate::suggest::nearest_path;
use crate::verdict::Threshold;

#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  manada report reports/quickstart-20261121T093000
  manada report reports/today --threshold 'response.p99 < 300ms' --threshold 'errors < 1%'
  manada report reports/today --report junit.xml --report markdown:- >> $GITHUB_STEP_SUMMARY
  manada report reports/today --json --quiet | jq .response_us.p99")]
pub(super) struct Args {
    /// Folder of a finished run, or its run.record
    folder: PathBuf,
    /// Judge by this threshold instead of its own; repeatable
    #[arg(long, value_name = "RULE", value_parser = args::rule, help_heading = "Results")]
    threshold: Vec<String>,
    /// Write a report folder, e.g. reports/judged
    #[arg(long, value_name = "DIR", help_heading = "Results")]
    out: Option<PathBuf>,
    /// Replace an existing report in the folder of --out
    #[arg(long, hide_short_help = true, help_heading = "Results")]
    force: bool,
    /// Where a trace is shown, e.g. http://127.0.0.1:16686/trace/{trace_id}
    ///
    /// In place of that of the run: see `manada run --help`. Of no effect if the run has no traces.
    #[arg(long, value_name = "URL", value_parser = TraceUrl::parse, hide_short_help = true,
        help_heading = "Results")]
    trace_url: Option<TraceUrl>,
    #[command(flatten)]
    cost: CostArgs,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) fn run(args: &Args) -> ExitStatus {
    let path =
        if args.folder.is_dir() { args.folder.join(record::FILE) } else { args.folder.clone() };
    let shown = path.display().to_string();
    // Every failure replaces an earlier report.
    let fail = |why: &dyn Display, status| fail(&args.output.report, &shown, why, status);
    if let Err(status) = args.output.check_destinations(&shown, &[], None) {
        return status;
    }
    let rules = args.threshold.iter().filter_map(|rule| Threshold::parse(rule).ok());
    let rules: Option<Vec<Threshold>> = (!args.threshold.is_empty()).then(|| rules.collect());
    let file = match open_file(&path) {
        Ok(file) => file,
        Err(error) => {
            let has_record = |folder: &Path| folder.join(record::FILE).is_file();
            let suggestion = nearest_path(&args.folder, &["reports"], has_record)
                .map_or(String::new(), |near| format!("; did you mean {}?", near.display()));
            let why = format!(
                "cannot read {shown}: {error}; expected the report folder of a run, with its \
                 {}{suggestion}",
                record::FILE
            );
            return fail(&why, ExitStatus::Scenario);
        }
    };
    if args.out.as_deref().is_some_and(|out| is_in_folder(out, &path)) {
        let why = "--out is the folder of the record; choose another";
        return fail(&why, ExitStatus::Usage);
    }
    let prices = match args.cost.prices() {
        Ok(prices) => prices,
        Err(status) => return status,
    };
    let made = |sinks: &mut SinkSet| {
        let changes = ReplayChanges { rules, trace_url: args.trace_url.clone(), prices };
        replay::replay(file, changes, sinks).map_err(|error| match error {
            ReplayError::Record(error) => {
                (format!("cannot read {shown}: {error}"), ExitStatus::Scenario)
            }
            ReplayError::Rule(error) => (error.to_string(), ExitStatus::Usage),
        })
    };
    rebuilt::write((args.out.as_deref(), args.force), &args.output, &fail, made)
}

/// Opens a record. A pipe or a device is refused, because info or reading it might never end.
pub(super) fn open_file(path: &Path) -> io::Result<File> {
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let file = File::options().read(true).custom_flags(flags).open(path)?;
    let is_file = file.metadata()?.is_file();
    if is_file { Ok(file) } else { Err(io::Error::other("not a regular file")) }
}

/// Whether the record is in this folder.
pub(super) fn is_in_folder(folder: &Path, record: &Path) -> bool {
    let real = |path: &Path| path.canonicalize().ok();
    record.parent().and_then(real).is_some_and(|parent| real(folder) == Some(parent))
}
