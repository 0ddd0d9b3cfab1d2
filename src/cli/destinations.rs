//! The destinations of a command's results, which no two options may share.
//!
//! `execute`, `report` and `merge` check them before anything else.
//! Invariant: no file that an option names is replaced by another result of the same run.

use std::fs;
use std::path::{Path, PathBuf};

use super::args::{CommonArgs, OutputArgs};
use super::output::fail;
use crate::exit::ExitStatus;
use crate::sinks::exports::ExportTarget;
use crate::sinks::files::RunFiles;

impl CommonArgs {
    /// Checks that no two options of a run write the same file.
    pub(super) fn check_destinations(&self, scenario: &str) -> Result<(), ExitStatus> {
        self.output.check_destinations(scenario, &self.calls.files(), self.out.as_deref())
    }
}

impl OutputArgs {
    /// Checks that each report has its own destination. If not, it reports that as the result of
    /// `scenario`, also to the files of `--report`, which replace those of an earlier run.
    /// `others`: files of other options; `folder`: where the files of the run go.
    pub(super) fn check_destinations(
        &self,
        scenario: &str,
        others: &[(&str, &Path)],
        folder: Option<&Path>,
    ) -> Result<(), ExitStatus> {
        let shared = self.shared_destination(others, folder);
        let Some(why) = shared else { return Ok(()) };
        // Two reports on standard output would be mixed, so the failure only goes to files.
        let files = |export: &&ExportTarget| export.path.is_some();
        let files: Vec<ExportTarget> = self.report.iter().filter(files).cloned().collect();
        Err(fail(&files, scenario, &why, ExitStatus::Usage))
    }

    /// Returns which destination two options share, and what to do.
    fn shared_destination(
        &self,
        others: &[(&str, &Path)],
        folder: Option<&Path>,
    ) -> Option<String> {
        let taken = self.report.iter().filter(|export| export.takes_output()).count();
        if taken + usize::from(self.json) > 1 {
            let forms = if self.json { "`--json` and `--report FORM:-`" } else { "two `--report`" };
            return Some(format!(
                "{forms} both write to standard output; write one to a file, such as \
                 `--report summary.json`"
            ));
        }
        let reports = self.report.iter().filter_map(|export| export.path.as_deref());
        let reports = reports.map(|path| ("--report", path));
        let all: Vec<_> = reports.chain(others.iter().copied()).collect();
        for (at, (option, path)) in all.iter().enumerate() {
            let place = place_of(path);
            if let Some((other, _)) = all[..at].iter().find(|(_, one)| place_of(one) == place) {
                let options = if other == option {
                    format!("two {option}")
                } else {
                    format!("{other} and {option}")
                };
                let path = path.display();
                return Some(format!("{options} have the same file {path}; name a file for each"));
            }
            let (parent, name) = (place.parent(), place.file_name());
            let is_in_folder = folder.is_some_and(|folder| parent == Some(&*place_of(folder)));
            if *option != "--report" && is_in_folder && name.is_some_and(RunFiles::is_one) {
                return Some(format!(
                    "{option}: the run itself writes {}; name another file",
                    path.display()
                ));
            }
        }
        None
    }
}

/// A path by which files are compared: of its folder, the real one.
fn place_of(path: &Path) -> PathBuf {
    let whole = fs::canonicalize(path).or_else(|_| std::path::absolute(path));
    let whole = whole.unwrap_or_else(|_| path.to_owned());
    let parent = whole.parent().and_then(|parent| fs::canonicalize(parent).ok());
    match (parent, whole.file_name()) {
        (Some(parent), Some(name)) => parent.join(name),
        _ => whole,
    }
}
