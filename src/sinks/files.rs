//! The folder a run leaves behind: `summary.json`, `report.html`, `steps.csv`, `timeline.csv`,
//! `latency.hlog`, `health.csv`, `run.record`, and what only some runs have: `pools.csv`,
//! `endpoints.csv`, `events.jsonl`.
//!
//! `cli` opens it before the run, so that a path that cannot be written fails in the first second.
//! Invariant: an existing report is never overwritten unless it was asked for.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::endpoints::{self, Guards};
use super::events;
use super::health::{self, Health};
use super::hlog::Hlog;
use super::pools::{self, Pools};
use super::standing::{Stand, Standings};
use super::timeline::Timeline;
use super::{Sink, json, page};
use crate::event::{Opening, Report, RunEvent, record};
use crate::mask;
use crate::stats::Closed;
use crate::stats::delta::StepWindow;

/// The files of every run, in the order they are named at the end.
const NAMES: [&str; 7] = [
    "summary.json",
    "report.html",
    "steps.csv",
    "timeline.csv",
    "latency.hlog",
    health::FILE,
    record::FILE,
];

/// The files of those that have something to put into them.
const SOME: [&str; 3] = [pools::FILE, endpoints::FILE, events::FILE];

/// All that there may be.
fn names() -> impl Iterator<Item = &'static str> {
    NAMES.into_iter().chain(SOME)
}

/// Writes the folder.
pub struct Files {
    folder: PathBuf,
    standings: Standings,
    open: Option<Open>,
}

/// The files that grow while the run goes on.
struct Open {
    timeline: Timeline<BufWriter<File>>,
    hlog: Hlog<BufWriter<File>>,
    health: Health<BufWriter<File>>,
    record: record::Writer<BufWriter<File>>,
    pools: Option<Pools<BufWriter<File>>>,
    guards: Option<Guards<BufWriter<File>>>,
}

impl Files {
    /// Makes the folder and sees that it can be written.
    ///
    /// # Errors
    /// When it cannot be made or written, or holds a report already and `force` is not set.
    pub fn open(folder: &Path, force: bool) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let taken = names().map(|name| folder.join(name)).find(|path| path.exists());
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
        // What an older run left there must not look like this one's.
        for path in SOME.map(|name| folder.join(name)).iter().filter(|path| path.exists()) {
            fs::remove_file(path)?;
        }
        let folder = folder.to_owned();
        Ok(Self { folder, standings: Standings::default(), open: None })
    }

    /// The paths of what was written.
    pub fn paths(folder: &Path) -> Vec<PathBuf> {
        names().map(|name| folder.join(name)).filter(|path| path.exists()).collect()
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
        let plan = &opening.plan;
        let timeline = Timeline::new(file("timeline.csv")?, Arc::clone(plan))?;
        let hlog = Hlog::new(file("latency.hlog")?, opening.started_at)?;
        let health = Health::new(file(health::FILE)?, opening)?;
        let record = record::Writer::new(file(record::FILE)?)?;
        let (mut pools, mut guards) = (None, None);
        if Pools::<File>::wanted(plan) {
            pools = Some(Pools::new(file(pools::FILE)?, Arc::clone(plan))?);
        }
        if Guards::<File>::wanted(plan) {
            guards = Some(Guards::new(file(endpoints::FILE)?, plan)?);
        }
        self.open = Some(Open { timeline, hlog, health, record, pools, guards });
        Ok(())
    }

    fn write(&mut self, closed: &[Closed]) -> io::Result<()> {
        let Some(Open { timeline, hlog, .. }) = &mut self.open else { return Ok(()) };
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

    fn write_standings(&mut self, closed: &[(u64, Stand)]) -> io::Result<()> {
        let Some(Open { pools, guards, .. }) = &mut self.open else { return Ok(()) };
        if let Some(pools) = pools {
            closed.iter().try_for_each(|(second, stand)| pools.write(*second, stand))?;
            pools.flush()?;
        }
        if let Some(guards) = guards {
            closed.iter().try_for_each(|(second, stand)| guards.write(*second, stand))?;
            guards.flush()?;
        }
        Ok(())
    }

    fn conclude(&mut self, report: &Report) -> io::Result<()> {
        let rest = self.standings.finish();
        self.write_standings(&rest)?;
        if !report.snapshot.notices.list.is_empty() {
            let file = File::create(self.folder.join(events::FILE))?;
            events::write(BufWriter::new(file), report)?;
        }
        let mut steps = File::create(self.folder.join("steps.csv")).map(BufWriter::new)?;
        write_steps(&mut steps, report)?;
        steps.flush()?;
        fs::write(self.folder.join("report.html"), page::document(report))?;
        let mut summary = File::create(self.folder.join("summary.json")).map(BufWriter::new)?;
        serde_json::to_writer_pretty(&mut summary, &json::document(report))?;
        writeln!(summary)?;
        summary.flush()
    }
}

impl Sink for Files {
    fn wants(event: &RunEvent) -> bool {
        matches!(event, RunEvent::Closed(_)) || record::Entry::of(event).is_some()
    }

    fn take(&mut self, event: &RunEvent) -> io::Result<()> {
        if let RunEvent::Began(opening) = event {
            self.begin(opening)?;
        }
        if let (Some(open), Some(entry)) = (&mut self.open, record::Entry::of(event)) {
            open.record.write(&entry)?;
        }
        match event {
            RunEvent::Stands(moment) => {
                self.open.as_mut().map_or(Ok(()), |open| open.health.write(moment))
            }
            RunEvent::Measured(delta) => {
                let closed = self.standings.absorb(delta);
                self.write_standings(&closed)
            }
            RunEvent::Closed(closed) => self.write(closed),
            RunEvent::Ended(report) => self.conclude(report),
            _ => Ok(()),
        }
    }
}

const STEPS: [&str; 26] = [
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
    "suppressed",
    "muted",
];

pub(super) fn write_steps(out: impl Write, report: &Report) -> io::Result<()> {
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
            &plan.archetypes[series.archetype],
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
        row.push(calls.suppressed.to_string());
        row.push(calls.muted.to_string());
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
