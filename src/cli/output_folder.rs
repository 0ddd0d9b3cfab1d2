//! The folder that a run writes.
//!
//! `execute` claims it before the run, `rebuilt` for a report that is made again.
//! Invariant: an existing report is not replaced unless that is requested.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::args::CommonArgs;
use crate::clock;
use crate::plan::Plan;
use crate::sinks::files::RunFiles;
use crate::sinks::folder::RunFolder;

/// Whether a run writes a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OutputFolder {
    /// Always: the given folder, or one named after scenario and time.
    Always,
    /// Only if a folder is given.
    IfGiven,
}

/// Claims the folder of a run, before anything else is done.
pub(super) fn claim(
    plan: &Plan,
    common: &CommonArgs,
    folder_use: OutputFolder,
) -> io::Result<Option<Arc<RunFolder>>> {
    match (&common.out, folder_use) {
        (Some(path), _) => claim_folder(path, common.force).map(Some),
        (None, OutputFolder::Always) => {
            let first = default_folder(&plan.scenario);
            RunFolder::claim_free(&first).map(Some).map_err(|error| unwritable(&first, &error))
        }
        (None, OutputFolder::IfGiven) => Ok(None),
    }
}

/// Claims the folder at `path`.
///
/// # Errors
/// If another run has it, or it cannot be written; the text names it.
pub(super) fn claim_folder(path: &Path, force: bool) -> io::Result<Arc<RunFolder>> {
    RunFiles::claim(path, force).map_err(|error| unwritable(path, &error))
}

pub(super) fn unwritable(folder: &Path, error: &io::Error) -> io::Error {
    let place = folder.display();
    io::Error::new(error.kind(), format!("cannot write the report to {place}: {error}"))
}

/// Returns `reports/SCENARIO-TIME`, in UTC, so that names sort by time everywhere.
fn default_folder(scenario: &str) -> PathBuf {
    let name: String = scenario
        .chars()
        .map(|c| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '-' })
        .collect();
    let name = name.trim_start_matches('.');
    let time = humantime::format_rfc3339_seconds(clock::wall()).to_string();
    let time = time.replace([':', '-'], "").replace('Z', "");
    PathBuf::from("reports").join(format!("{name}-{time}"))
}
