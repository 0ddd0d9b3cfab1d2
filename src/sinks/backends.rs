//! `backends.csv`: a row per second, step and backend, of services with several addresses.
//!
//! `files` passes it complete seconds.
//! Invariant: the rows of all seconds add up to the backends of `summary.json`, and the warm-up.

use std::io::{self, Write};
use std::sync::Arc;

use super::second_rows::{AT_LEAST, CALLS, SECOND, STEP, second, step, time_names, times};
use crate::plan::RunManifest;
use crate::report::csv::{call_counts, harmless};
use crate::stats::CompletedSecond;

/// The name of the file.
pub(super) const FILE: &str = "backends.csv";

/// Writes `backends.csv`.
pub(super) struct BackendsFile<W: Write> {
    csv: csv::Writer<W>,
    plan: Arc<RunManifest>,
}

impl<W: Write> BackendsFile<W> {
    /// Whether a plan has services with several addresses.
    pub(super) fn wanted(plan: &RunManifest) -> bool {
        !plan.backends.is_empty()
    }

    /// Writes the head of the file.
    pub(super) fn new(out: W, plan: Arc<RunManifest>) -> io::Result<Self> {
        let mut csv = csv::Writer::from_writer(out);
        let mut head = Vec::from(SECOND);
        head.extend(["service", "backend"]);
        head.extend(STEP);
        head.extend(["attempts", "failed_attempts"]);
        head.extend(CALLS);
        let times = time_names("response").into_iter().chain([AT_LEAST.to_owned()]);
        csv.write_record(head.iter().map(|name| (*name).to_owned()).chain(times))?;
        csv.flush()?;
        Ok(Self { csv, plan })
    }

    /// Writes one second: a row for each step and backend that it called.
    pub(super) fn write(&mut self, closed: &CompletedSecond) -> io::Result<()> {
        let (plan, window) = (&self.plan, &closed.window);
        for (of, backend) in plan.backends.iter().zip(&window.backends) {
            let Some(backend) = backend else { continue };
            let series = &plan.steps[of.step.index()];
            let (service, _) = &plan.services[of.service.index()];
            let mut row = second(closed);
            row.extend([service, &of.name].map(|name| harmless(name)));
            row.extend(step(plan, series));
            row.extend([backend.attempts, backend.failed].map(|count| count.to_string()));
            row.extend(call_counts(&backend.calls.calls));
            let mut at_least = Vec::new();
            row.extend(times("response", &backend.calls.response, &mut at_least));
            row.push(at_least.join(" "));
            self.csv.write_record(&row)?;
        }
        Ok(())
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.csv.flush()
    }
}
