//! `timeline.csv`: a row per second and workload, and per second and step.
//!
//! `files` passes it complete seconds.
//! Invariant: a late delta is a row of its own, marked `late`: the rows of a second add up.

use std::io::{self, Write};
use std::sync::Arc;

use super::second_rows::{AT_LEAST, CALLS, SECOND, STEP, second, time_names, times};
use crate::ids::{StepId, WorkloadId};
use crate::plan::RunManifest;
use crate::report::csv::{call_counts, harmless};
use crate::stats::CompletedSecond;
use crate::stats::delta::StepWindow;

/// Writes `timeline.csv`.
pub(super) struct TimelineFile<W: Write> {
    csv: csv::Writer<W>,
    plan: Arc<RunManifest>,
}

impl<W: Write> TimelineFile<W> {
    /// Writes the head of the file.
    pub(super) fn new(out: W, plan: Arc<RunManifest>) -> io::Result<Self> {
        let mut csv = csv::Writer::from_writer(out);
        let mut head = [SECOND, STEP, ["due", "started", "lost"]].concat();
        head.extend(CALLS);
        head.push("censored");
        let times = [time_names("response"), time_names("service")].concat();
        let last = [AT_LEAST, "suppressed", "blocked_p95_us"].map(str::to_owned);
        let names = head.iter().map(|name| (*name).to_owned());
        csv.write_record(names.chain(times).chain(last))?;
        // Flushed, so that a run that is killed early leaves a valid table.
        csv.flush()?;
        Ok(Self { csv, plan })
    }

    /// Writes one second: a row for each workload as a whole (its step is `*`), then one for each
    /// of its steps.
    pub(super) fn write(&mut self, closed: &CompletedSecond) -> io::Result<()> {
        let plan = Arc::clone(&self.plan);
        for (at, load) in WorkloadId::number(&plan.workloads) {
            let own = |step: StepId| plan.steps[step].workload == at;
            let whole = closed.window.of_workload(at, own);
            let counts = &closed.window.workloads[at];
            if counts.due + counts.started + whole.calls.made == 0 {
                continue;
            }
            let loads = [counts.due, counts.started, counts.lost].map(|n| n.to_string());
            let blocked = &counts.blocked;
            let blocked = (blocked.count() > 0).then(|| blocked.percentile_us(95.0).to_string());
            let own_row = (loads, blocked.unwrap_or_default());
            self.row(closed, [&load.name, "*", "*"], own_row, &whole)?;
            for (step, series) in StepId::number(&plan.steps).filter(|(step, _)| own(*step)) {
                let Some(window) = &closed.window.steps[step] else { continue };
                let archetype = &plan.archetypes[series.archetype.index()];
                let names = [load.name.as_str(), archetype, &series.name];
                self.row(closed, names, Default::default(), window)?;
            }
        }
        Ok(())
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.csv.flush()
    }

    fn row(
        &mut self,
        closed: &CompletedSecond,
        names: [&str; 3],
        (loads, blocked): ([String; 3], String),
        step: &StepWindow,
    ) -> io::Result<()> {
        let mut row = second(closed);
        row.extend(names.map(harmless));
        row.extend(loads);
        let calls = &step.calls;
        row.extend(call_counts(calls));
        row.push(step.response.censored().to_string());
        let mut at_least = Vec::new();
        for (kind, latency) in [("response", &step.response), ("service", &step.service)] {
            row.extend(times(kind, latency, &mut at_least));
        }
        row.extend([at_least.join(" "), calls.suppressed.to_string(), blocked]);
        self.csv.write_record(&row)?;
        Ok(())
    }
}
