//! `backends.csv`: a row per second, step and backend, of services with several addresses.
//!
//! `files` passes it complete seconds.
//! Invariant: the rows of all seconds add up to the backends of `summary.json`, and the warm-up.

use std::io::{self, Write};
use std::sync::Arc;

use crate::plan::RunManifest;
use crate::report::csv::{call_counts, cell, harmless};
use crate::stats::CompletedSecond;

/// The name of the file.
pub(super) const FILE: &str = "backends.csv";

const HEADER: [&str; 21] = [
    "second",
    "measured",
    "late",
    "service",
    "backend",
    "workload",
    "archetype",
    "step",
    "attempts",
    "failed_attempts",
    "calls",
    "ok",
    "failed",
    "timeout",
    "generator_errors",
    "unfinished",
    "response_p50_us",
    "response_p95_us",
    "response_p99_us",
    "response_max_us",
    "at_least",
];

/// The times of a row.
const TIMES: [(&str, f64); 4] = [("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("max", 1.0)];

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
        csv.write_record(HEADER)?;
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
            let workload = &plan.workloads[series.workload.index()].name;
            let archetype = &plan.archetypes[series.archetype.index()];
            let mut row = vec![window.second.to_string()];
            row.extend([window.measured, closed.late].map(|is| u8::from(is).to_string()));
            row.extend(
                [service, &of.name, workload, archetype, &series.name].map(|text| harmless(text)),
            );
            row.extend([backend.attempts, backend.failed].map(|count| count.to_string()));
            row.extend(call_counts(&backend.calls.calls));
            let (mut at_least, response) = (Vec::new(), &backend.calls.response);
            for (name, p) in TIMES {
                let quantile = if p < 1.0 { response.quantile(p) } else { response.longest() };
                row.push(cell(&format!("response_{name}"), quantile, &mut at_least));
            }
            row.push(at_least.join(" "));
            self.csv.write_record(&row)?;
        }
        Ok(())
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.csv.flush()
    }
}
