//! `--log`: the events of a run, its failed calls, and a sample of all calls, as lines of JSON or
//! logfmt.
//!
//! `cli` opens it before the run, and prints after it what was left out or lost.
//! Invariant: a log never fails or ends a run; of each kind of entry, lines written, left out and
//! lost add up to all entries.

mod call_entries;
mod entry;
mod event_entries;
mod kind_counts;
mod levels;
mod log_file;
mod options;
mod output;
#[cfg(test)]
mod tests;

use std::io;
use std::mem::take;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};

use call_entries::CallEntries;
use entry::RunLogEntry;
use kind_counts::KindCounts;
pub use options::{LogFormat, LogLevel, LogOptions, LogRotation, LogTarget};
use output::LogOutput;

use super::Sink;
use super::disk_budget::DiskBudget;
use crate::clock;
use crate::event::{Report, RunEvent, RunInfo};
use crate::exit::ExitStatus;
use crate::stats::StateChange;

/// State changes that a shard or the run did not keep; their kinds are not known.
const UNKNOWN_CHANGE: &str = "state_change";

/// What became of the entries of a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogTotals {
    /// Lines that were written.
    pub written: u64,
    /// Entries that were left out.
    pub left_out: u64,
    /// Lines that could not be written.
    pub lost: u64,
    /// Why the first of them could not be written.
    pub error: Option<String>,
    /// Whether the log has the end of the run.
    pub has_end: bool,
}

/// The totals of a log, also after the sink has been taken.
#[derive(Clone, Debug, Default)]
pub struct LogTotalsHandle(Arc<Mutex<LogTotals>>);

impl LogTotalsHandle {
    /// The totals so far.
    pub fn get(&self) -> LogTotals {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The sink of a log.
#[derive(Debug)]
pub struct RunLogSink {
    options: LogOptions,
    output: LogOutput,
    /// The fields that each line has.
    run: [(&'static str, Value); 2],
    info: Option<Arc<RunInfo>>,
    calls: Option<CallEntries>,
    /// Entries of the current second.
    waiting: Vec<RunLogEntry>,
    counts: KindCounts,
    totals: LogTotals,
    shared: LogTotalsHandle,
}

impl RunLogSink {
    /// Opens the log of a run.
    ///
    /// # Errors
    /// If its file cannot be written.
    pub fn open(options: LogOptions, run_id: &str, scenario: &str) -> io::Result<Self> {
        Self::open_in(options, run_id, scenario, DiskBudget::default())
    }

    /// Opens the log of a run whose files have a budget.
    ///
    /// # Errors
    /// If its file cannot be written.
    pub fn open_in(
        options: LogOptions,
        run_id: &str,
        scenario: &str,
        disk: DiskBudget,
    ) -> io::Result<Self> {
        Ok(Self {
            output: LogOutput::open(&options, disk)?,
            run: run_fields(run_id, scenario),
            info: None,
            calls: None,
            waiting: Vec::new(),
            counts: KindCounts::new(options.per_second),
            totals: LogTotals::default(),
            shared: LogTotalsHandle::default(),
            options,
        })
    }

    /// The totals of the log.
    pub fn totals(&self) -> LogTotalsHandle {
        self.shared.clone()
    }

    /// Adds the end of a run that has no report.
    pub fn add_failure(&mut self, scenario: &str, why: &str, status: ExitStatus) {
        self.waiting.push(event_entries::not_carried_out(scenario, why, status));
        self.flush();
    }

    /// Adds an entry if the log has its level, and the second has room for its kind.
    fn add(&mut self, entry: RunLogEntry) {
        let has_level = entry.level <= self.options.level;
        if has_level && (!is_counted(entry.kind) || self.counts.admit(entry.kind)) {
            self.waiting.push(entry);
        }
    }

    fn add_text(&mut self, kind: &'static str, text: &str) {
        self.add(event_entries::plain(clock::wall(), LogLevel::Info, kind, text));
    }

    fn add_change(&mut self, change: &StateChange) {
        self.add(event_entries::changed(self.info.as_deref(), change));
    }

    /// Counts entries of a level that the run did not keep.
    fn leave_out(&mut self, level: LogLevel, kind: &'static str, count: u64) {
        if level <= self.options.level && count > 0 {
            self.counts.leave_out(kind, count);
        }
    }

    /// Adds the calls of the second and what was left out, and writes all of them by time.
    fn end_second(&mut self) {
        if let Some(calls) = &mut self.calls {
            self.waiting.extend(calls.end_second(&mut self.counts));
        }
        self.waiting.sort_by_key(|entry| entry.at);
        let at = clock::wall();
        let left_out = self.counts.end_second();
        self.totals.left_out += left_out.iter().map(|(_, count)| count).sum::<u64>();
        let left_out = left_out.into_iter().map(|(kind, n)| event_entries::left_out(at, kind, n));
        self.waiting.extend(left_out);
        self.flush();
    }

    /// Writes what waits.
    fn flush(&mut self) {
        let mut failed = self.output.refresh().err();
        let mut line = Vec::new();
        for entry in take(&mut self.waiting) {
            line.clear();
            let written = entry
                .write(self.options.target.format, &self.run, &mut line)
                .and_then(|()| self.output.write(&line));
            let is_written = written.is_ok();
            failed = failed.or(written.err());
            self.totals.written += u64::from(is_written);
            self.totals.lost += u64::from(!is_written);
            if is_counted(entry.kind) {
                self.counts.add_line(entry.kind, is_written);
            }
        }
        if self.totals.lost > 0 && self.totals.error.is_none() {
            self.totals.error = failed.map(|error| error.to_string());
        }
        *self.shared.0.lock().unwrap_or_else(PoisonError::into_inner) = self.totals.clone();
    }

    fn start(&mut self, info: &Arc<RunInfo>) {
        self.run = run_fields(&info.plan.run_id, &info.plan.scenario);
        self.calls = Some(CallEntries::new(info, self.options.level));
        self.info = Some(Arc::clone(info));
        self.add(event_entries::started(info));
        self.flush();
    }

    fn end(&mut self, report: &Report) {
        self.end_second();
        let level = self.options.level;
        let is_wanted = |entry: &RunLogEntry| entry.level <= level;
        self.waiting.extend(event_entries::thresholds(report).into_iter().filter(is_wanted));
        let ended = event_entries::ended(report);
        let at = ended.at;
        let totals = self.counts.iter().map(|(kind, count)| event_entries::total(at, kind, count));
        self.waiting.extend(totals);
        self.waiting.extend(Some(ended).filter(is_wanted));
        self.totals.has_end = true;
        self.flush();
    }
}

impl Sink for RunLogSink {
    fn wants(event: &RunEvent) -> bool {
        !matches!(event, RunEvent::Tick(_) | RunEvent::SecondsCompleted(_))
    }

    fn take(&mut self, event: &RunEvent) -> io::Result<()> {
        match event {
            RunEvent::Started(info) => self.start(info),
            RunEvent::Note(text) => self.add_text("note", text),
            RunEvent::StateChanges(changes) => {
                changes.list.iter().for_each(|change| self.add_change(change));
                self.leave_out(LogLevel::Warn, UNKNOWN_CHANGE, changes.lost);
            }
            RunEvent::EventLogged(change) => self.add_change(change),
            RunEvent::Stopped(cause, at) => {
                self.add(event_entries::stopped(self.info.as_deref(), cause, *at));
            }
            RunEvent::LogLines(lines, lost) => {
                lines.iter().for_each(|line| self.add_text("log", line));
                self.leave_out(LogLevel::Info, "log", *lost);
            }
            RunEvent::Delta(delta) => {
                if let Some(calls) = &mut self.calls {
                    calls.add(delta);
                }
            }
            RunEvent::Gauges(_) => self.end_second(),
            RunEvent::Ended(report) => self.end(report),
            RunEvent::Tick(_) | RunEvent::SecondsCompleted(_) => {}
        }
        if self.info.is_none() {
            // What happens before the load may take long.
            self.end_second();
        }
        Ok(())
    }
}

/// Whether entries of a kind are counted, and left out beyond the rate. The others are few: the run
/// has bounded numbers of them, and `left_out` and `total` count entries themselves.
fn is_counted(kind: &str) -> bool {
    !matches!(kind, "started" | "stopped" | "threshold" | "left_out" | "total" | "ended")
}

fn run_fields(run_id: &str, scenario: &str) -> [(&'static str, Value); 2] {
    [("run_id", json!(run_id)), ("scenario", json!(scenario))]
}
