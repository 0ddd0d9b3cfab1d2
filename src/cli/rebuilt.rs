//! Writes a report that is made of records: the files of a folder, exports, the summary.
//!
//! `report` makes it of one record, `merge` of the journals of agents.
//! Invariant: a report that cannot be made leaves no folder behind.

use std::fmt::Display;
use std::path::Path;
use std::sync::Arc;

use super::args::OutputArgs;
use super::execute::{self, ResultOutput};
use super::output_folder;
use crate::event::Report;
use crate::exit::ExitStatus;
use crate::sinks::SinkSet;
use crate::sinks::folder::RunFolder;

/// Writes the report that `make` makes; `out` is the folder, and whether it may replace another
/// report. `fail` tells why there is none.
pub(super) fn write(
    (out, force): (Option<&Path>, bool),
    output: &OutputArgs,
    fail: &dyn Fn(&dyn Display, ExitStatus) -> ExitStatus,
    make: impl FnOnce(&mut SinkSet) -> Result<Arc<Report>, (String, ExitStatus)>,
) -> ExitStatus {
    let folder = match out.map(|out| output_folder::claim_folder(out, force)).transpose() {
        Ok(folder) => folder,
        Err(error) => return fail(&error, ExitStatus::Broken),
    };
    let mut sinks = SinkSet::default();
    let added = execute::add_files(&mut sinks, folder.as_ref())
        .and_then(|()| execute::add_exports(&mut sinks, &output.report));
    let made = match added {
        Ok(streams) => make(&mut sinks).map(|report| (streams, report)),
        Err(error) => Err((error.to_string(), ExitStatus::Broken)),
    };
    let (streams, report) = match made {
        Ok(made) => made,
        Err((why, status)) => {
            let _ = sinks.join();
            folder.as_deref().map(RunFolder::sweep);
            return fail(&why, status);
        }
    };
    let result = ResultOutput { folder: out, ..ResultOutput::default() };
    execute::finish_report(sinks.join(), &streams, report, output, &result)
}
