//! The folder of a run's files: `summary.json`, `report.html`, `steps.csv`, `timeline.csv`,
//! `latency.hlog`, `health.csv`, `run.record`, and for some runs `messages.csv`, `pools.csv`,
//! `endpoints.csv`, `backends.csv`, `events.jsonl`.
//!
//! `cli` opens it before the run, so that an unwritable path fails at once.
//! Invariant: an existing report is never overwritten without `--force`.

use std::ffi::OsStr;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Sink;
use super::backends::{self, BackendsFile};
use super::disk_budget::{DiskBudget, OutputKind};
use super::endpoints::{self, EndpointsFile};
use super::folder::{ReportFile, RunFolder};
use super::health::{self, HealthFile};
use super::hlog::HlogFile;
use super::messages::{self, MessagesFile};
use super::policy_timeseries::{PolicySecond, PolicyTimeseries};
use super::pools::{self, PoolsFile};
use super::timeline::TimelineFile;
use crate::event::{Report, RunEvent, RunInfo, record};
use crate::report::events;
use crate::report::{csv, json, page};
use crate::stats::CompletedSecond;

/// The files of every run, in the order in which they are listed at the end.
const NAMES: [&str; 7] = [
    "summary.json",
    "report.html",
    "steps.csv",
    "timeline.csv",
    "latency.hlog",
    health::FILE,
    record::FILE,
];

/// The files of some runs.
const SOME: [&str; 5] =
    [messages::FILE, backends::FILE, pools::FILE, endpoints::FILE, events::FILE];

/// All possible files.
fn names() -> impl Iterator<Item = &'static str> {
    NAMES.into_iter().chain(SOME)
}

/// Writes the files of a run.
pub struct RunFiles {
    folder: Arc<RunFolder>,
    /// Proves before the run that the folder can be written; removed when the run starts.
    record: Option<ReportFile>,
    standings: PolicyTimeseries,
    open: Option<OpenFiles>,
    disk: DiskBudget,
}

/// The files that grow during the run.
struct OpenFiles {
    timeline: TimelineFile<ReportFile>,
    messages: Option<MessagesFile<ReportFile>>,
    backends: Option<BackendsFile<ReportFile>>,
    hlog: HlogFile<ReportFile>,
    health: HealthFile<ReportFile>,
    /// `None` after it was ended, since the limit of files was near.
    record: Option<record::RecordWriter<ReportFile>>,
    pools: Option<PoolsFile<ReportFile>>,
    guards: Option<EndpointsFile<ReportFile>>,
}

impl OpenFiles {
    /// Writes an entry of the record, unless the limit of files is near. A record without its rest
    /// is that of a killed run.
    fn write_record(&mut self, entry: &record::RecordEntry, disk: &DiskBudget) -> io::Result<()> {
        if !disk.admits(OutputKind::Record, 0) {
            self.record = None;
        }
        self.record.as_mut().map_or(Ok(()), |record| record.write(entry))
    }
}

impl RunFiles {
    /// Whether a run may write a file of this name into its folder.
    pub fn is_one(name: &OsStr) -> bool {
        names().chain([record::FLEET_JOURNAL]).any(|known| name == known)
    }

    /// Claims the folder at `path` for a run's files; with `force` existing ones may be replaced.
    ///
    /// # Errors
    /// As for [`RunFolder::claim`].
    pub fn claim(path: &Path, force: bool) -> io::Result<Arc<RunFolder>> {
        // The coordinator of a fleet keeps its journal beside them.
        let names: Vec<&str> = names().chain([record::FLEET_JOURNAL]).collect();
        RunFolder::claim(path, &names, force)
    }

    /// Proves that the folder can be written.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn open(folder: Arc<RunFolder>) -> io::Result<Self> {
        let record = Some(folder.create(record::FILE)?);
        let disk = folder.disk();
        Ok(Self { folder, record, standings: PolicyTimeseries::default(), open: None, disk })
    }

    /// Returns the paths of the written files.
    pub fn paths(folder: &Path) -> Vec<PathBuf> {
        names().map(|name| folder.join(name)).filter(|path| path.exists()).collect()
    }

    fn begin(&mut self, info: &RunInfo) -> io::Result<()> {
        // Growing files get their name at once, so that a killed run leaves them.
        let placed = |mut output: ReportFile| output.place().map(|()| output);
        let file = |name: &str| self.folder.create(name).and_then(placed);
        let plan = &info.plan;
        let record = self.record.take().map_or_else(|| self.folder.create(record::FILE), Ok);
        let record = Some(record::RecordWriter::new(record.and_then(placed)?)?);
        let timeline = TimelineFile::new(file("timeline.csv")?, Arc::clone(plan))?;
        let hlog = HlogFile::new(file("latency.hlog")?, info.started_at)?;
        let health = HealthFile::new(file(health::FILE)?, info)?;
        let (mut pools, mut guards, mut messages, mut backends) = (None, None, None, None);
        if MessagesFile::<ReportFile>::wanted(plan) {
            messages = Some(MessagesFile::new(file(messages::FILE)?, Arc::clone(plan))?);
        }
        if BackendsFile::<ReportFile>::wanted(plan) {
            backends = Some(BackendsFile::new(file(backends::FILE)?, Arc::clone(plan))?);
        }
        if PoolsFile::<ReportFile>::wanted(plan) {
            pools = Some(PoolsFile::new(file(pools::FILE)?, Arc::clone(plan))?);
        }
        if EndpointsFile::<ReportFile>::wanted(plan) {
            guards = Some(EndpointsFile::new(file(endpoints::FILE)?, plan)?);
        }
        self.open =
            Some(OpenFiles { timeline, messages, backends, hlog, health, record, pools, guards });
        Ok(())
    }

    fn write(&mut self, closed: &[CompletedSecond]) -> io::Result<()> {
        let Some(OpenFiles { timeline, messages, backends, hlog, .. }) = &mut self.open else {
            return Ok(());
        };
        if !self.disk.admits(OutputKind::Series, 0) {
            return Ok(());
        }
        for closed in closed {
            timeline.write(closed)?;
            if let Some(messages) = messages {
                messages.write(closed)?;
                messages.flush()?;
            }
            if let Some(backends) = backends {
                backends.write(closed)?;
                backends.flush()?;
            }
            if closed.window.measured {
                hlog.write(&closed.window)?;
            }
        }
        // Flushed, so that a killed run leaves whole seconds.
        timeline.flush()?;
        hlog.flush()
    }

    fn write_standings(&mut self, closed: &[(u64, PolicySecond)]) -> io::Result<()> {
        let Some(OpenFiles { pools, guards, .. }) = &mut self.open else { return Ok(()) };
        if !self.disk.admits(OutputKind::Series, 0) {
            return Ok(());
        }
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
        let mut summary = serde_json::to_vec_pretty(&json::document(report))?;
        summary.push(b'\n');
        // The summary comes last, as a sign that all is there, and has room in any case.
        let room = summary.len();
        if !report.snapshot.changes.list.is_empty() {
            let mut events = Vec::new();
            events::write(&mut events, report)?;
            self.place(events::FILE, &events, room)?;
        }
        let mut steps = Vec::new();
        csv::write_steps(&mut steps, report)?;
        self.place("steps.csv", &steps, room)?;
        self.place("report.html", page::document(report).as_bytes(), room)?;
        let mut file = self.folder.create("summary.json")?;
        file.write_all(&summary)?;
        file.place()
    }

    /// Writes a file after the load, unless the limit of files leaves no room for it and `more`.
    fn place(&self, name: &str, bytes: &[u8], more: usize) -> io::Result<()> {
        if !self.disk.admits(OutputKind::Final, (bytes.len() + more) as u64) {
            return Ok(());
        }
        let mut file = self.folder.create(name)?;
        file.write_all(bytes)?;
        file.place()
    }
}

impl Sink for RunFiles {
    fn wants(event: &RunEvent) -> bool {
        matches!(event, RunEvent::SecondsCompleted(_))
            || record::RecordEntry::from_event(event).is_some()
    }

    fn take(&mut self, event: &RunEvent) -> io::Result<()> {
        if let RunEvent::Started(info) = event {
            self.begin(info)?;
        }
        if let (Some(open), Some(entry)) = (&mut self.open, record::RecordEntry::from_event(event))
        {
            open.write_record(&entry, &self.disk)?;
        }
        match event {
            RunEvent::Gauges(moment) => {
                let open = self.open.as_mut().filter(|_| self.disk.admits(OutputKind::Series, 0));
                open.map_or(Ok(()), |open| open.health.write(moment))
            }
            RunEvent::Delta(delta) => {
                let closed = self.standings.absorb(delta);
                self.write_standings(&closed)
            }
            RunEvent::SecondsCompleted(closed) => self.write(closed),
            RunEvent::Ended(report) => self.conclude(report),
            _ => Ok(()),
        }
    }
}
