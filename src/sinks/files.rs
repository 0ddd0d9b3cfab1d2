//! The folder a run leaves behind: `summary.json`, `steps.csv`, `timeline.csv`, `latency.hlog`.
//!
//! `cli` opens it before the run, so that a path that cannot be written fails in the first second.
//! Invariant: an existing report is never overwritten unless it was asked for.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::hlog::Hlog;
use super::timeline::{Closed, Seconds, Timeline};
use super::{Sink, json};
use crate::event::{Opening, Report, RunEvent};
use crate::mask;
use crate::stats::delta::StepWindow;

/// The files, in the order they are named at the end.
pub const NAMES: [&str; 4] = ["summary.json", "steps.csv", "timeline.csv", "latency.hlog"];

/// Writes the folder.
pub struct Files {
    folder: PathBuf,
    seconds: Seconds,
    open: Option<Open>,
}

/// The files that grow while the run goes on.
struct Open {
    timeline: Timeline<BufWriter<File>>,
    hlog: Hlog<BufWriter<File>>,
}

impl Files {
    /// Makes the folder and sees that it can be written.
    ///
    /// # Errors
    /// When it cannot be made or written, or holds a report already and `force` is not set.
    pub fn open(folder: &Path, force: bool) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let taken = NAMES.iter().map(|name| folder.join(name)).find(|path| path.exists());
        if let Some(path) = taken
            && !force
        {
            return Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                format!("{} exists; choose another folder, or --force to replace", path.display()),
            ));
        }
        // The largest question first: can anything be written here at all?
        for name in NAMES {
            File::create(folder.join(name))?;
        }
        Ok(Self { folder: folder.to_owned(), seconds: Seconds::default(), open: None })
    }

    /// The paths of what is written.
    pub fn paths(folder: &Path) -> Vec<PathBuf> {
        NAMES.iter().map(|name| folder.join(name)).collect()
    }

    /// Removes the files that were made and never written, and the folder if nothing is left in it.
    pub fn sweep(folder: &Path) {
        for path in Self::paths(folder) {
            if fs::metadata(&path).is_ok_and(|file| file.len() == 0) {
                let _ = fs::remove_file(path);
            }
        }
        // Refuses when something is in it, which is just what is wanted.
        let _ = fs::remove_dir(folder);
    }

    fn begin(&mut self, opening: &Opening) -> io::Result<()> {
        let file = |name| File::create(self.folder.join(name)).map(BufWriter::new);
        let timeline = Timeline::new(file("timeline.csv")?, Arc::clone(&opening.plan))?;
        let hlog = Hlog::new(file("latency.hlog")?, opening.started_at)?;
        self.open = Some(Open { timeline, hlog });
        Ok(())
    }

    fn write(&mut self, closed: &[Closed]) -> io::Result<()> {
        let Some(Open { timeline, hlog }) = &mut self.open else { return Ok(()) };
        for closed in closed {
            timeline.write(closed)?;
            if closed.window.measured {
                hlog.write(&closed.window)?;
            }
        }
        // A run that is killed leaves whole seconds behind.
        timeline.flush()?;
        hlog.flush()
    }

    fn conclude(&mut self, report: &Report) -> io::Result<()> {
        let rest = self.seconds.finish();
        self.write(&rest)?;
        let mut steps = File::create(self.folder.join("steps.csv")).map(BufWriter::new)?;
        write_steps(&mut steps, report)?;
        steps.flush()?;
        let mut summary = File::create(self.folder.join("summary.json")).map(BufWriter::new)?;
        serde_json::to_writer_pretty(&mut summary, &json::document(report))?;
        writeln!(summary)?;
        summary.flush()
    }
}

impl Sink for Files {
    fn wants(event: &RunEvent) -> bool {
        !matches!(event, RunEvent::Second(_) | RunEvent::Note(_) | RunEvent::Said(..))
    }

    fn take(&mut self, event: &RunEvent) -> io::Result<()> {
        match event {
            RunEvent::Began(opening) => self.begin(opening),
            RunEvent::Measured(delta) => {
                let closed = self.seconds.absorb(delta);
                self.write(&closed)
            }
            RunEvent::Second(_) | RunEvent::Note(_) | RunEvent::Said(..) => Ok(()),
            RunEvent::Ended(report) => self.conclude(report),
        }
    }
}

const STEPS: [&str; 24] = [
    "id",
    "workload",
    "archetype",
    "step",
    "calls",
    "ok",
    "failed",
    "timeout",
    "generator_errors",
    "unfinished",
    "rate_per_s",
    "response_censored",
    "response_p50_us",
    "response_p90_us",
    "response_p95_us",
    "response_p99_us",
    "response_p99_9_us",
    "response_max_us",
    "service_p50_us",
    "service_p90_us",
    "service_p95_us",
    "service_p99_us",
    "service_p99_9_us",
    "service_max_us",
];

fn write_steps(out: impl Write, report: &Report) -> io::Result<()> {
    let (plan, snapshot) = (&report.opening.plan, &report.snapshot);
    let mut csv = csv::Writer::from_writer(out);
    csv.write_record(STEPS)?;
    let nothing = StepWindow::default();
    for (index, (series, step)) in plan.steps.iter().zip(&snapshot.measured.steps).enumerate() {
        let step = step.as_deref().unwrap_or(&nothing);
        let calls = &step.calls;
        let mut row = vec![(index + 1).to_string()];
        let names = [
            &plan.workloads[series.workload].name,
            &plan.archetypes[series.archetype].name,
            &series.name,
        ];
        row.extend(names.map(|name| harmless(name)));
        let counts = [
            calls.made,
            calls.ok,
            calls.failed,
            calls.timeout,
            calls.generator_errors,
            calls.unfinished,
        ];
        row.extend(counts.map(|n| n.to_string()));
        let seconds = snapshot.calls_ns as f64 / 1e9;
        let rate = if seconds > 0.0 { calls.made as f64 / seconds } else { 0.0 };
        row.push(format!("{rate:.3}"));
        row.push(step.response.censored().to_string());
        for latency in [&step.response, &step.service] {
            for (_, p) in json::PERCENTILES {
                row.push(latency.quantile(p).map_or(String::new(), |found| found.us.to_string()));
            }
            row.push(latency.longest().map_or(String::new(), |found| found.us.to_string()));
        }
        csv.write_record(&row)?;
    }
    csv.flush()
}

/// A text without secrets that no spreadsheet takes for a formula: names come from files that
/// others wrote.
pub(super) fn harmless(text: &str) -> String {
    let text = mask::hide(text);
    let risky = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    if risky { format!("'{text}") } else { text.into_owned() }
}
