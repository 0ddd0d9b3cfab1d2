//! `manada merge`: makes the report of a run on agents from the journals of the agents.
//!
//! Invariant: nothing is sent anywhere, and the journals do not change.

use std::fmt::Display;
use std::fs;
use std::path::{Path, PathBuf};

use super::args::{self, OutputArgs};
use super::output::fail;
use super::rebuilt;
use super::report::open_file;
use crate::event::record::parse_journal_name;
use crate::exit::ExitStatus;
use crate::run::MergeError;
use crate::run::merge::{self, JournalFile};
use crate::sinks::SinkSet;
use crate::verdict::Threshold;

#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  manada merge journals/
  manada merge from-a/ from-b/ -o reports/merged
  manada merge journals/agent-0-*.record journals/agent-1-*.record --threshold 'errors < 1%'")]
pub(super) struct Args {
    /// Folders with journals of agents (agent-N-….record), or such files
    #[arg(required = true, value_name = "DIR")]
    journals: Vec<PathBuf>,
    /// Judge by this threshold instead of its own; repeatable
    #[arg(long, value_name = "RULE", value_parser = args::rule, help_heading = "Results")]
    threshold: Vec<String>,
    /// Write a report folder, e.g. reports/merged
    #[arg(short, long, value_name = "DIR", help_heading = "Results")]
    out: Option<PathBuf>,
    /// Replace an existing report in the folder of --out
    #[arg(long, hide_short_help = true, help_heading = "Results")]
    force: bool,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) fn run(args: &Args) -> ExitStatus {
    let shown = "the journals";
    // Every failure replaces an earlier report.
    let fail = |why: &dyn Display, status| fail(&args.output.report, shown, why, status);
    if let Err(status) = args.output.check_destinations(shown, &[], None) {
        return status;
    }
    let rules = args.threshold.iter().filter_map(|rule| Threshold::parse(rule).ok());
    let rules: Option<Vec<Threshold>> = (!args.threshold.is_empty()).then(|| rules.collect());
    let journals = match open_all(&args.journals) {
        Ok(journals) => journals,
        Err(why) => return fail(&why, ExitStatus::Scenario),
    };
    let made = |sinks: &mut SinkSet| {
        merge::merge(journals, rules, sinks).map_err(|error| {
            let status = match error {
                MergeError::Rule(_) => ExitStatus::Usage,
                _ => ExitStatus::Scenario,
            };
            (error.to_string(), status)
        })
    };
    rebuilt::write((args.out.as_deref(), args.force), &args.output, &fail, made)
}

/// Opens the journals of all folders, and those that are named.
fn open_all(places: &[PathBuf]) -> Result<Vec<JournalFile>, String> {
    let mut paths = Vec::new();
    for place in places {
        if place.is_dir() {
            let mut found = journals_in(place)?;
            found.sort();
            paths.extend(found);
        } else {
            paths.push(place.clone());
        }
    }
    let open = |path: PathBuf| {
        let name = path.display().to_string();
        match open_file(&path) {
            Ok(file) => Ok(JournalFile { name, file }),
            Err(error) => Err(format!("cannot read the journal {name}: {error}")),
        }
    };
    paths.into_iter().map(open).collect()
}

/// The journals in a folder.
fn journals_in(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let shown = folder.display();
    let entries = fs::read_dir(folder).map_err(|error| format!("cannot read {shown}: {error}"))?;
    let is_journal = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| parse_journal_name(name).is_some())
    };
    let found: Vec<PathBuf> =
        entries.flatten().map(|entry| entry.path()).filter(is_journal).collect();
    if found.is_empty() {
        return Err(format!(
            "{shown} has no journal of an agent; expected a file such as agent-0-….record, which \
             `manada agent --journal DIR` writes"
        ));
    }
    Ok(found)
}
