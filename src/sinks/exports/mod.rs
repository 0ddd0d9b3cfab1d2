//! `--report FILE.ext`: the report of a finished run in one of several formats.
//!
//! `cli` parses the arguments and adds the sink; `report::formats` renders each format.
//! Invariant: a report depends on the Report alone; an unwritable file is reported before the run.

mod export_file;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use export_file::ExportFile;

use super::Sink;
use super::disk_budget::DiskBudget;
use crate::event::{Report, RunEvent};
use crate::report::formats::{NotCarriedOut, ReportFormat};
use crate::suggest::did_you_mean;

/// A `--report` argument: format and destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportTarget {
    /// The format.
    pub form: ReportFormat,
    /// The file; `None`: a standard stream.
    pub path: Option<PathBuf>,
}

impl FromStr for ExportTarget {
    type Err = String;

    /// Parses `FILE.ext`, `FORMAT:FILE`, `FORMAT:-`, `github`.
    fn from_str(text: &str) -> Result<Self, String> {
        let of_name = |name: &str| ReportFormat::ALL.into_iter().find(|(known, ..)| *known == name);
        let expected = || {
            let names = ReportFormat::ALL.map(|(name, ..)| name).join(", ");
            format!(
                "expected a file that ends in .html, .json, .csv, .xml, .md or .svg, FORM:FILE, or \
                 FORM:- for standard output; FORM is one of {names}"
            )
        };
        if let Some((name, place)) = text.split_once(':')
            && !name.contains(['/', '.'])
        {
            let Some((_, _, form)) = of_name(name) else {
                let near = did_you_mean(name, ReportFormat::ALL.map(|(name, ..)| name));
                return Err(format!("unknown report format `{name}`: {}{near}", expected()));
            };
            if place.is_empty() {
                return Err(format!("no file after `{name}:`; {}", expected()));
            }
            return Ok(Self { form, path: (place != "-").then(|| PathBuf::from(place)) });
        }
        if text == "github" {
            return Ok(Self { form: ReportFormat::Github, path: None });
        }
        let path = PathBuf::from(text);
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or("");
        let known = ReportFormat::ALL.into_iter().find(|(_, known, _)| *known == ending);
        match known.filter(|_| !ending.is_empty()) {
            Some((.., form)) => Ok(Self { form, path: Some(path) }),
            None => {
                let near = did_you_mean(ending, ReportFormat::ALL.map(|(_, known, _)| known));
                Err(format!("unknown report format `{text}`: {}{near}", expected()))
            }
        }
    }
}

impl ExportTarget {
    /// Whether the report goes to standard output.
    pub fn takes_output(&self) -> bool {
        self.path.is_none() && self.form != ReportFormat::Github
    }
}

/// Writes the reports at the end of a run.
#[derive(Debug)]
pub struct Exports {
    wanted: Vec<(ReportFormat, ExportFile)>,
    streams: StreamExports,
    disk: DiskBudget,
}

/// The report for a standard stream. It is written after the dashboard has released the terminal,
/// and when it is known whether all files could be written.
#[derive(Clone, Debug, Default)]
pub struct StreamExports(Arc<Mutex<PendingExport>>);

#[derive(Debug, Default)]
struct PendingExport {
    forms: Vec<ReportFormat>,
    report: Option<Arc<Report>>,
}

impl Exports {
    /// Opens the files, so that an unwritable one is reported at once.
    ///
    /// # Errors
    /// If a file cannot be created; the text names it.
    pub fn open(wanted: &[ExportTarget]) -> io::Result<Self> {
        let streams = StreamExports::default();
        let mut files = Vec::new();
        for ExportTarget { form, path } in wanted {
            match path {
                None => streams.lock().forms.push(*form),
                Some(path) => files.push((*form, ExportFile::open(path, files.len())?)),
            }
        }
        Ok(Self { wanted: files, streams, disk: DiskBudget::default() })
    }

    /// Counts what is written in a budget. Reports that were asked for are written in any case.
    pub fn count_in(&mut self, disk: DiskBudget) {
        self.disk = disk;
    }

    /// Returns the reports for standard streams.
    pub fn streams(&self) -> StreamExports {
        self.streams.clone()
    }
}

impl Sink for Exports {
    fn wants(event: &RunEvent) -> bool {
        matches!(event, RunEvent::Ended(_))
    }

    fn take(&mut self, event: &RunEvent) -> io::Result<()> {
        let RunEvent::Ended(report) = event else { return Ok(()) };
        let mut result = Ok(());
        self.streams.lock().report = Some(Arc::clone(report));
        for (form, place) in &mut self.wanted {
            let written = form.render(report).and_then(|text| {
                self.disk.add(text.len() as u64);
                place.write(text.as_bytes())
            });
            // An unwritable file does not prevent the others.
            result = result.and(written);
        }
        result
    }
}

impl StreamExports {
    fn lock(&self) -> MutexGuard<'_, PendingExport> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes it, once, if the run has a report. `failed`: why some file could not be written.
    ///
    /// # Errors
    /// If a stream cannot be written.
    pub fn write(&self, failed: Option<String>) -> io::Result<()> {
        let PendingExport { forms, report } = std::mem::take(&mut *self.lock());
        let Some(report) = report else { return Ok(()) };
        let report =
            failed.map_or_else(|| Report::clone(&report), |why| report.with_write_error(why));
        for form in forms {
            let text = form.render(&report)?;
            write_stream(form, &text)?;
        }
        Ok(())
    }

    /// Whether the run has a report.
    pub fn has_report(&self) -> bool {
        self.lock().report.is_some()
    }
}

/// Writes all reports of a run that was not carried out; the file of a format without a place for
/// it (CSV) is removed. An unwritable file does not prevent the others.
///
/// # Errors
/// The first destination that cannot be written; the text names it.
pub fn write_not_carried_out(run: &NotCarriedOut, exports: &[ExportTarget]) -> io::Result<()> {
    let mut result = Ok(());
    for (number, ExportTarget { form, path }) in exports.iter().enumerate() {
        let written = run.render(*form).and_then(|text| match (path, text) {
            (Some(path), Some(text)) => ExportFile::open(path, number)?.write(text.as_bytes()),
            (Some(path), None) => remove(path),
            (None, Some(text)) => write_stream(*form, &text),
            (None, None) => Ok(()),
        });
        result = result.and(written);
    }
    result
}

/// Removes an earlier report; a device or pipe is left alone.
fn remove(path: &Path) -> io::Result<()> {
    let is_file = path.symlink_metadata().is_ok_and(|there| there.is_file() || there.is_symlink());
    if !is_file || path.metadata().is_ok_and(|there| !there.is_file()) {
        return Ok(());
    }
    std::fs::remove_file(path)
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}

/// Writes a report to its standard stream.
fn write_stream(form: ReportFormat, text: &str) -> io::Result<()> {
    // A runner reads annotations from both streams; standard error is for remarks.
    if form == ReportFormat::Github {
        return io::stderr().write_all(text.as_bytes());
    }
    let mut out = io::stdout().lock();
    // A closed pipe (`| head`) is no error.
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        done => done,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::page::tests::made_up;

    #[test]
    fn each_is_written_whatever_becomes_of_the_others() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("junit.xml");
        let file = |form, path: &str| ExportTarget { form, path: Some(PathBuf::from(path)) };
        let full = file(ReportFormat::Html, "/dev/full");
        let stream = ExportTarget { form: ReportFormat::Github, path: None };
        let wanted = [full, file(ReportFormat::Junit, path.to_str().unwrap()), stream];
        let mut exports = Exports::open(&wanted).unwrap();
        let streams = exports.streams();
        let ended = RunEvent::Ended(Arc::new(made_up(3, "shop")));
        let error = exports.take(&ended).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert!(std::fs::read_to_string(path).unwrap().contains("</testsuites>"));
        // A screen may still own the terminal.
        let waiting = streams.lock();
        assert!(waiting.forms == [ReportFormat::Github] && waiting.report.is_some());
    }

    #[test]
    fn words_say_form_and_place() {
        let export =
            |form, path: Option<&str>| Ok(ExportTarget { form, path: path.map(PathBuf::from) });
        for (text, expected) in [
            ("out/junit.xml", export(ReportFormat::Junit, Some("out/junit.xml"))),
            ("a.md", export(ReportFormat::Markdown, Some("a.md"))),
            ("badge.svg", export(ReportFormat::Badge, Some("badge.svg"))),
            ("markdown:-", export(ReportFormat::Markdown, None)),
            ("junit:/tmp/x", export(ReportFormat::Junit, Some("/tmp/x"))),
            ("github", export(ReportFormat::Github, None)),
            ("./a:b.json", export(ReportFormat::Json, Some("./a:b.json"))),
        ] {
            assert_eq!(text.parse(), expected, "{text}");
        }
        for (text, says) in [
            ("report", "unknown report format `report`"),
            ("report.pdf", "unknown report format `report.pdf`"),
            ("markdwn:-", "did you mean `markdown`?"),
            ("a.jsno", "did you mean `json`?"),
            ("json:", "no file after `json:`"),
            ("", "unknown report format ``"),
        ] {
            let error = text.parse::<ExportTarget>().unwrap_err();
            assert!(error.contains(says) && error.contains("expected a file"), "{error}");
        }
    }
}
