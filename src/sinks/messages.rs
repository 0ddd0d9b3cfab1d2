//! `messages.csv`: a row per second and step with messages.
//!
//! `files` passes it complete seconds, if the plan has streams.
//! Invariant: the rows of all seconds add up to the ledger of the run.

use std::io::{self, Write};
use std::sync::Arc;

use super::second_rows::{AT_LEAST, SECOND, STEP, second, step, time_names, times};
use crate::ids::StepId;
use crate::plan::RunManifest;
use crate::stats::{CompletedSecond, HeldStreams, MessageCounts};

/// The name of the file.
pub(super) const FILE: &str = "messages.csv";

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
        let mut head = Vec::from(SECOND);
        head.extend(STEP);
        head.extend(MessageCounts::NAMES);
        head.extend(["streams_wanted", "streams_held", "behind"]);
        let times = [time_names("delivery"), time_names("transit")].concat();
        let times = times.into_iter().chain([AT_LEAST.to_owned()]);
        csv.write_record(head.iter().map(|name| (*name).to_owned()).chain(times))?;
        csv.flush()?;
        Ok(Self { csv, plan })
    }

    /// Writes one second: a row for each step with messages.
    pub(super) fn write(&mut self, closed: &CompletedSecond) -> io::Result<()> {
        let (plan, window) = (Arc::clone(&self.plan), &closed.window);
        for (id, series) in StepId::number(&plan.steps) {
            let messages = window.steps[id].as_deref().and_then(|step| step.messages.as_deref());
            let Some(messages) = messages else { continue };
            let mut row = second(closed);
            row.extend(step(&plan, series));
            row.extend(messages.counts.all().map(|count| count.to_string()));
            let HeldStreams { wanted, held } = messages.streams;
            row.extend([wanted, held].map(|count| count.to_string()));
            let behind = messages.behind;
            row.push(match behind.listeners {
                0 => String::new(),
                _ => behind.messages.to_string(),
            });
            let mut at_least = Vec::new();
            row.extend(times("delivery", &messages.delivery_of_all(), &mut at_least));
            row.extend(times("transit", &messages.transit.clone().into(), &mut at_least));
            row.push(at_least.join(" "));
            self.csv.write_record(&row)?;
        }
        Ok(())
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.csv.flush()
    }
}
