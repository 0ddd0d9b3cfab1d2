//! Progress of a run on standard error: a line per workload on a terminal, else a plain line every
//! few seconds.
//!
//! Invariant: it shows the snapshot and computes only differences.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::notice_throttle::NoticeThrottle;
use super::{Sink, is_for_screens};
use crate::event::{GeneratorInfo, RunEvent, RunInfo};
use crate::ids::{StepId, WorkloadId};
use crate::plan::RunManifest;
use crate::report::ansi::plain;
use crate::report::overrides::OverrideTimeline;
use crate::report::quantile_text::show_quantile;
use crate::stats::Snapshot;
use crate::units::{show_count, show_duration, show_rate};

/// Seconds between two plain lines, in the first minutes and after them, so that the log of a long
/// run stays readable.
const PLAIN_EVERY: [u64; 2] = [5, 30];

/// End of the first minutes, seconds.
const LONG_S: u64 = 120;

/// The figures of a workload in the last second.
struct Pulse {
    /// Busy users; with several closed workloads those within an iteration.
    users: u64,
    rate: f64,
    p95: String,
    errors: f64,
}

/// Computes the differences between two snapshots.
#[derive(Default)]
struct Pulses {
    /// Iterations ended, calls ended and not ok, by workload, and the time of the snapshot.
    before: Vec<[u64; 3]>,
    at_ns: u64,
}

impl Pulses {
    fn next(&mut self, plan: &RunManifest, snapshot: &Snapshot) -> Vec<Pulse> {
        let seconds = snapshot.elapsed_ns.saturating_sub(self.at_ns) as f64 / 1e9;
        self.before.resize(plan.workloads.len(), [0; 3]);
        self.at_ns = snapshot.elapsed_ns;
        let mut pulses = Vec::new();
        for (at, (iterations, calls)) in WorkloadId::number(&snapshot.workloads) {
            let ended = calls.ended() - calls.muted;
            let now = [iterations.started, ended, ended - calls.ok];
            let [started, ended, bad] = now;
            let before = std::mem::replace(&mut self.before[at.index()], now);
            let own = |step: StepId| plan.steps[step].workload == at;
            let (part, lost) = if snapshot.measured.calls().made > 0 {
                (&snapshot.measured, snapshot.measured.workloads[at].lost_starts())
            } else {
                (&snapshot.warmup, snapshot.warmup.workloads[at].lost_starts())
            };
            let p95 = part.response(own, lost).quantile(0.95);
            let ended = ended - before[1];
            pulses.push(Pulse {
                users: users_of(plan, snapshot, at),
                rate: if seconds > 0.0 { (started - before[0]) as f64 / seconds } else { 0.0 },
                p95: p95.map_or("-".to_owned(), show_quantile),
                errors: (bad - before[2]) as f64 * 100.0 / ended.max(1) as f64,
            });
        }
        pulses
    }
}

/// Returns the users of a workload: those within an iteration, and for the only closed workload
/// also those between two iterations.
pub(super) fn users_of(plan: &RunManifest, snapshot: &Snapshot, workload: WorkloadId) -> u64 {
    let running = |at: WorkloadId| snapshot.workloads[at].0.running();
    let closed = |at: &WorkloadId| !plan.workloads[*at].open;
    let all = WorkloadId::first(plan.workloads.len());
    if closed(&workload) && all.clone().filter(closed).count() == 1 {
        let others: u64 = all.filter(|at| *at != workload).map(running).sum();
        return snapshot.users.saturating_sub(others);
    }
    running(workload)
}

/// A line per workload, redrawn in place.
pub struct ProgressBars {
    lines: MultiProgress,
    drawn: Vec<ProgressBar>,
    info: Option<Arc<RunInfo>>,
    overrides: OverrideTimeline,
    pulses: Pulses,
    few: NoticeThrottle,
}

impl ProgressBars {
    /// Creates it on standard error.
    pub fn new() -> Self {
        let lines = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
        let (pulses, few) = (Pulses::default(), NoticeThrottle::default());
        let overrides = OverrideTimeline::default();
        Self { lines, drawn: Vec::new(), info: None, overrides, pulses, few }
    }

    fn begin(&mut self, info: &Arc<RunInfo>) -> io::Result<()> {
        let names = info.plan.workloads.iter().map(|load| load.name.chars().count());
        let widest = names.max().unwrap_or(0);
        for load in &info.plan.workloads {
            let end = load.end;
            let template = if end.is_some() {
                "{prefix:.bold} {bar:24.green} {msg}"
            } else {
                "{prefix:.bold} {spinner} {msg}"
            };
            let style = ProgressStyle::with_template(template).map_err(io::Error::other)?;
            let length = end.map_or(1, |end| end.as_millis() as u64);
            // Added before its style is set: a bar of its own would draw itself at once.
            let bar = self.lines.add(ProgressBar::new(length));
            bar.set_style(style.progress_chars("━╸─"));
            bar.set_prefix(format!("{:<widest$}", plain(&load.name)));
            self.drawn.push(bar);
        }
        self.overrides = OverrideTimeline::new(&info.plan);
        self.info = Some(Arc::clone(info));
        Ok(())
    }

    fn draw(&mut self, snapshot: &Snapshot) {
        let Some(info) = &self.info else { return };
        let pulses = self.pulses.next(&info.plan, snapshot);
        let drawn = self.drawn.iter().zip(pulses).zip(&info.plan.workloads);
        for (at, ((bar, pulse), load)) in WorkloadId::number(drawn) {
            let elapsed = Duration::from_nanos(snapshot.elapsed_ns);
            if load.end.is_some() {
                bar.set_position(elapsed.as_millis() as u64);
            } else {
                bar.tick();
            }
            bar.set_message(format!(
                "{}  {}{} users  {}/s  p95 {}  errors {:.1} %",
                show_duration(Duration::from_secs(elapsed.as_secs())),
                self.overrides.of(at).map_or(String::new(), |to| format!("{to}  ")),
                show_count(pulse.users),
                show_rate(pulse.rate),
                pulse.p95,
                pulse.errors
            ));
        }
    }
}

impl Default for ProgressBars {
    fn default() -> Self {
        Self::new()
    }
}

impl Sink for ProgressBars {
    fn wants(event: &RunEvent) -> bool {
        is_for_screens(event)
    }

    fn take(&mut self, event: &RunEvent) -> io::Result<()> {
        match event {
            RunEvent::Started(info) => self.begin(info)?,
            RunEvent::Tick(report) => {
                if let Some(more) = self.few.second() {
                    self.lines.println(more)?;
                }
                self.draw(&report.snapshot);
            }
            RunEvent::Note(text) => self.lines.println(plain(text))?,
            RunEvent::EventLogged(notice) => self.overrides.take(notice),
            RunEvent::StateChanges(notices) => {
                for notice in self.few.take(notices) {
                    self.lines.println(notice)?;
                }
            }
            RunEvent::LogLines(lines, more) => self.lines.println(said(lines, *more))?,
            RunEvent::Ended(_) => {
                self.drawn.iter().for_each(ProgressBar::finish_and_clear);
                self.lines.clear()?;
            }
            _ => {}
        }
        Ok(())
    }
}

/// A plain line every few seconds, for logs.
pub struct ProgressLines {
    info: Option<Arc<RunInfo>>,
    overrides: OverrideTimeline,
    pulses: Pulses,
    seconds: u64,
    every: [u64; 2],
    few: NoticeThrottle,
}

impl ProgressLines {
    /// Creates it on standard error; `verbose`: a line per second, and the setup of the run.
    pub fn new(verbose: bool) -> Self {
        let every = if verbose { [1; 2] } else { PLAIN_EVERY };
        let (pulses, few) = (Pulses::default(), NoticeThrottle::default());
        let overrides = OverrideTimeline::default();
        Self { info: None, overrides, pulses, seconds: 0, every, few }
    }

    fn begin(&mut self, info: &Arc<RunInfo>) -> io::Result<()> {
        self.overrides = OverrideTimeline::new(&info.plan);
        self.info = Some(Arc::clone(info));
        let (plan, generator) = (&info.plan, &info.generator);
        let end = plan.load_end().map_or("until its iterations are done".to_owned(), |end| {
            format!("load for {}", show_duration(end))
        });
        let mut err = io::stderr().lock();
        writeln!(err, "running {} (seed {}), {end}", plain(&plan.scenario), plan.seed.value())?;
        if self.every == [1; 2] {
            let GeneratorInfo { tier, shards, reason, .. } = generator;
            writeln!(err, "{tier} engine, {shards} of its shards: {reason}")?;
            for remark in &generator.remarks {
                writeln!(err, "{}", plain(remark))?;
            }
        }
        Ok(())
    }

    fn line(&mut self, snapshot: &Snapshot) -> io::Result<()> {
        self.seconds += 1;
        let Some(info) = &self.info else { return Ok(()) };
        let every = self.every[usize::from(self.seconds > LONG_S)];
        if !self.seconds.is_multiple_of(every) {
            return Ok(());
        }
        let pulses = self.pulses.next(&info.plan, snapshot);
        let mut err = io::stderr().lock();
        // Shards send their deltas shortly after each full second.
        let elapsed = (snapshot.elapsed_ns + 500_000_000) / 1_000_000_000;
        let elapsed = show_duration(Duration::from_secs(elapsed));
        let end = info.plan.load_end().map_or(String::new(), |end| {
            format!(" of {}", show_duration(Duration::from_secs(end.as_secs_f64().ceil() as u64)))
        });
        write!(err, "{elapsed:>6}{end}")?;
        for (at, (pulse, load)) in WorkloadId::number(pulses.iter().zip(&info.plan.workloads)) {
            write!(
                err,
                "  | {}: {}{} users, {}/s, p95 {}, errors {:.1} %",
                plain(&load.name),
                self.overrides.of(at).map_or(String::new(), |to| format!("{to}, ")),
                show_count(pulse.users),
                show_rate(pulse.rate),
                pulse.p95,
                pulse.errors
            )?;
        }
        writeln!(err)
    }
}

impl Sink for ProgressLines {
    fn wants(event: &RunEvent) -> bool {
        is_for_screens(event)
    }

    fn take(&mut self, event: &RunEvent) -> io::Result<()> {
        match event {
            RunEvent::Started(info) => self.begin(info),
            RunEvent::Tick(report) => {
                if let Some(more) = self.few.second() {
                    writeln!(io::stderr(), "{more}")?;
                }
                self.line(&report.snapshot)
            }
            RunEvent::Note(text) => writeln!(io::stderr(), "{}", plain(text)),
            RunEvent::EventLogged(notice) => {
                self.overrides.take(notice);
                Ok(())
            }
            RunEvent::StateChanges(notices) => {
                let mut err = io::stderr().lock();
                self.few.take(notices).iter().try_for_each(|notice| writeln!(err, "{notice}"))
            }
            RunEvent::LogLines(lines, more) => writeln!(io::stderr(), "{}", said(lines, *more)),
            _ => Ok(()),
        }
    }
}

/// Prints the output of `log` steps: each on one line, whatever the target sent.
fn said(lines: &[String], more: u64) -> String {
    let mut shown: Vec<String> = lines.iter().map(|line| format!("log: {}", plain(line))).collect();
    if more > 0 {
        shown.push(format!("log: … and {more} more lines in this second"));
    }
    shown.join("\n")
}
