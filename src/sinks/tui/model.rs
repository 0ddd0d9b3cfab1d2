//! The data of the dashboard: the current report, and the lines of the log.
//!
//! The sink applies events to it; views read it.
//! Invariant: all figures are the report's, so a dropped frame loses nothing.

use std::collections::VecDeque;
use std::sync::Arc;

use super::views::{STREAMS, VIEWS};
use crate::event::{Report, RunEvent, RunInfo};
use crate::exit::ExitStatus;
use crate::ids::WorkloadId;
use crate::plan::RunManifest;
use crate::report::overrides::OverrideTimeline;
use crate::units::nanos;

/// Maximum log lines; older ones are dropped and counted.
const LINES: usize = 2_000;

/// The data of the dashboard.
#[derive(Debug, Default)]
pub(super) struct Model {
    /// The description of the run; `None` before it starts.
    pub(super) info: Option<Arc<RunInfo>>,
    /// The current report; `None` in the first second.
    pub(super) report: Option<Arc<Report>>,
    /// The lines of the log, oldest first.
    pub(super) told: VecDeque<ToldLine>,
    /// How many lines were dropped from the log.
    pub(super) gone: u64,
    /// The load overrides of live control.
    pub(super) overrides: OverrideTimeline,
    /// What stops the run before its load is over, if anything.
    pub(super) stopped: Option<String>,
    /// Whether the run is over and the report is final.
    pub(super) is_over: bool,
    /// Counts the events that were applied, so that nothing is drawn twice.
    pub(super) version: u64,
}

/// A line of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ToldLine {
    /// Time from the start of the run, ns, to the second.
    pub(super) at_ns: u64,
    /// Whether the line is the output of a `log` step; else it is a note of the run.
    pub(super) said: bool,
    /// The text.
    pub(super) text: String,
}

/// The phase of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RunPhase {
    /// The first second is not over.
    Begins,
    /// Load is generated.
    Runs,
    /// All workloads are paused.
    Paused,
    /// Some workloads are paused.
    Partly,
    /// The run drains: no iteration starts any more.
    Drains,
    /// The run is over.
    Over,
}

impl Model {
    /// Applies an event.
    pub(super) fn fold(&mut self, event: &RunEvent) {
        match event {
            RunEvent::Started(info) => {
                self.overrides = OverrideTimeline::new(&info.plan);
                self.info = Some(Arc::clone(info));
            }
            RunEvent::Tick(report) | RunEvent::Ended(report) => {
                self.report = Some(Arc::clone(report));
                self.is_over = matches!(event, RunEvent::Ended(_));
            }
            RunEvent::Note(text) => self.tell(text, false),
            RunEvent::LogLines(lines, more) => {
                lines.iter().for_each(|line| self.tell(line, true));
                if *more > 0 {
                    self.tell(&format!("… and {more} more lines in this second"), true);
                }
            }
            RunEvent::EventLogged(notice) => self.overrides.take(notice),
            RunEvent::Stopped(stop, _) => self.stopped = Some(stop.to_string()),
            _ => return,
        }
        self.version += 1;
    }

    /// Adds a note of the run to the log.
    pub(super) fn tell(&mut self, text: &str, said: bool) {
        let at_ns = self.report.as_ref().map_or(0, |report| report.snapshot.elapsed_ns);
        if self.told.len() == LINES {
            self.told.pop_front();
            self.gone += 1;
        }
        self.told.push_back(ToldLine { at_ns, said, text: text.to_owned() });
    }

    /// Returns the manifest of the run.
    pub(super) fn plan(&self) -> Option<&RunManifest> {
        self.info.as_ref().map(|info| &*info.plan)
    }

    /// Returns how many views the bar shows: that of streams only if the plan has some.
    pub(super) fn views(&self) -> usize {
        let has_streams = self.plan().is_some_and(|plan| plan.has_streams);
        if has_streams { VIEWS.len() } else { STREAMS }
    }

    /// Returns the phase of the run.
    pub(super) fn phase(&self) -> RunPhase {
        let Some(report) = &self.report else { return RunPhase::Begins };
        let end = report.info.plan.load_end();
        let over = end.is_some_and(|end| report.snapshot.elapsed_ns >= nanos(end));
        let paused = |at: WorkloadId| self.overrides.is_paused(at);
        let mut all = WorkloadId::first(report.info.plan.workloads.len());
        match () {
            () if self.is_over => RunPhase::Over,
            () if self.stopped.is_some() || over => RunPhase::Drains,
            () if all.clone().all(paused) => RunPhase::Paused,
            () if all.any(paused) => RunPhase::Partly,
            () => RunPhase::Runs,
        }
    }

    /// Returns the load overrides as text; `None` if there are none.
    pub(super) fn load_override(&self) -> Option<String> {
        let plan = self.plan()?;
        let changed: Vec<(&str, &str)> = (plan.workloads.iter().zip(self.overrides.iter()))
            .filter_map(|(load, change)| Some((load.name.as_str(), change?)))
            .collect();
        let (_, first) = *changed.first()?;
        let alike =
            changed.len() == plan.workloads.len() && changed.iter().all(|one| one.1 == first);
        if alike {
            return Some(first.to_owned());
        }
        let all: Vec<String> = changed.iter().map(|(name, to)| format!("{name} {to}")).collect();
        Some(all.join(", "))
    }

    /// Returns the current verdict as a word, and whether it is good; `None` without thresholds.
    pub(super) fn verdict(&self) -> Option<(&'static str, bool)> {
        let report = self.report.as_ref()?;
        if report.judgements.is_empty() && report.status == ExitStatus::Pass {
            return None;
        }
        Some((report.status.verdict().unwrap_or("broken"), report.status == ExitStatus::Pass))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::RunOffset;
    use crate::sinks::tui::{fixture, fixture_events};
    use crate::stats::{
        Change, ChangeCause, ChangeSubject, ControlOrigin, LoadOverride, StateChange,
    };

    fn notice(workload: &str, change: Change) -> RunEvent {
        let subject = ChangeSubject::Workload(workload.to_owned());
        let cause = ChangeCause::Control { origin: ControlOrigin::Key };
        RunEvent::EventLogged(Arc::new(StateChange { at: RunOffset::ZERO, subject, change, cause }))
    }

    fn pause() -> Change {
        let planned = LoadOverride::PLANNED;
        Change::Load { from: planned, to: LoadOverride { paused: true, ..planned } }
    }

    #[test]
    fn what_somebody_made_of_the_load_is_known() {
        let mut state = Model::default();
        state.fold(&RunEvent::Started(fixture::info()));
        assert_eq!((state.load_override(), state.phase()), (None, RunPhase::Begins));
        state.fold(&RunEvent::Tick(fixture::report()));
        assert_eq!(state.phase(), RunPhase::Runs);
        let names: Vec<String> =
            state.plan().unwrap().workloads.iter().map(|load| load.name.clone()).collect();
        state.fold(&notice(&names[0], fixture_events::more_load()));
        assert_eq!(state.load_override().unwrap(), format!("{} 110 %", names[0]));
        state.fold(&notice(&names[0], pause()));
        assert_eq!(state.phase(), RunPhase::Partly);
        for name in &names {
            state.fold(&notice(name, pause()));
        }
        assert_eq!(
            (state.load_override().unwrap().as_str(), state.phase()),
            ("paused", RunPhase::Paused)
        );
        for name in &names {
            let planned = LoadOverride::PLANNED;
            state.fold(&notice(name, Change::Load { from: planned, to: planned }));
        }
        assert_eq!((state.load_override(), state.phase()), (None, RunPhase::Runs));
        state.fold(&notice(&names[0], Change::Mark { text: "a → b".to_owned() }));
        assert_eq!(state.load_override(), None);
    }

    #[test]
    fn the_last_report_ends_the_run() {
        let mut state = Model::default();
        state.fold(&RunEvent::Started(fixture::info()));
        state.fold(&RunEvent::Ended(fixture::report()));
        assert_eq!(state.phase(), RunPhase::Over);
    }

    #[test]
    fn lines_are_bounded_and_the_gone_are_counted() {
        let mut state = Model::default();
        for at in 0..LINES + 5 {
            state.fold(&RunEvent::Note(at.to_string()));
        }
        assert_eq!((state.told.len(), state.gone), (LINES, 5));
        assert_eq!(state.told[0].text, "5");
    }
}
