//! `messages.csv`: a row per second and step with messages.
//!
//! `files` passes it complete seconds, if the plan has streams.
//! Invariant: the rows of all seconds add up to the ledger of the run.

use std::io::{self, Write};
use std::sync::Arc;

use crate::ids::StepId;
use crate::plan::RunManifest;
use crate::report::csv::{cell, harmless};
use crate::stats::{CompletedSecond, HeldStreams, MessageCounts};

/// The name of the file.
pub(super) const FILE: &str = "messages.csv";

/// The times of a row.
const TIMES: [(&str, f64); 4] = [("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("max", 1.0)];

/// Writes `messages.csv`.
pub(super) struct MessagesFile<W: Write> {
    csv: csv::Writer<W>,
    plan: Arc<RunManifest>,
}

impl<W: Write> MessagesFile<W> {
    /// Whether a plan has messages.
    pub(super) fn wanted(plan: &RunManifest) -> bool {
        plan.has_streams
    }

    /// Writes the head of the file.
    pub(super) fn new(out: W, plan: Arc<RunManifest>) -> io::Result<Self> {
        let mut csv = csv::Writer::from_writer(out);
        let mut head = vec!["second", "measured", "late", "workload", "archetype", "step"];
        head.extend(MessageCounts::NAMES);
        head.extend(["streams_wanted", "streams_held"]);
        csv.write_record(head.iter().map(|name| (*name).to_owned()).chain(times()))?;
        csv.flush()?;
        Ok(Self { csv, plan })
    }

    /// Writes one second: a row for each step with messages.
    pub(super) fn write(&mut self, closed: &CompletedSecond) -> io::Result<()> {
        let (plan, window) = (Arc::clone(&self.plan), &closed.window);
        for (id, series) in StepId::number(&plan.steps) {
            let step = window.steps[id].as_deref();
            let Some(messages) = step.and_then(|step| step.messages.as_deref()) else { continue };
            let workload = &plan.workloads[series.workload].name;
            let archetype = &plan.archetypes[series.archetype.index()];
            let mut row = vec![window.second.to_string()];
            row.extend([window.measured, closed.late].map(|is| u8::from(is).to_string()));
            row.extend([workload, archetype, &series.name].map(|name| harmless(name)));
            row.extend(messages.counts.all().map(|count| count.to_string()));
            let HeldStreams { wanted, held } = messages.streams;
            row.extend([wanted, held].map(|count| count.to_string()));
            let mut at_least = Vec::new();
            let transit = messages.transit.clone().into();
            for (kind, latency) in
                [("delivery", &messages.delivery_of_all()), ("transit", &transit)]
            {
                for (name, p) in TIMES {
                    let quantile = if p < 1.0 { latency.quantile(p) } else { latency.longest() };
                    row.push(cell(&format!("{kind}_{name}"), quantile, &mut at_least));
                }
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

/// The names of the columns after the counts.
fn times() -> impl Iterator<Item = String> {
    let of = |kind| TIMES.map(|(name, _)| format!("{kind}_{name}_us"));
    of("delivery").into_iter().chain(of("transit")).chain(["at_least".to_owned()])
}
