//! The worker processes of a run.
//!
//! Invariant: a run in one process has no rows.

use crate::event::{Report, WorkerUse};
use crate::units::show_bytes;

/// A worker process.
pub(crate) struct WorkerRow {
    /// Its number, from 1.
    pub(crate) number: String,
    /// Its shards, such as `0 to 3`.
    pub(crate) shards: String,
    /// Peak memory.
    pub(crate) memory: String,
    /// How it ended: with the run, or lost, or one of its shards failed.
    pub(crate) end: String,
    /// Whether that is a fault.
    pub(crate) is_fault: bool,
}

/// The workers of a run, in order.
pub(crate) fn worker_rows(report: &Report) -> Vec<WorkerRow> {
    let row = |(index, worker): (usize, &WorkerUse)| {
        let range = worker.range;
        let last = range.first + range.count.saturating_sub(1);
        let lost = worker.loss.as_ref().map(|how| format!("lost: {how}"));
        let failed = worker.failed.as_ref().map(|why| format!("failed: {why}"));
        WorkerRow {
            number: (index + 1).to_string(),
            shards: match range.count {
                1 => range.first.to_string(),
                _ => format!("{} to {last}", range.first),
            },
            memory: show_bytes(worker.rss_peak),
            is_fault: lost.is_some() || failed.is_some(),
            end: lost.or(failed).unwrap_or_else(|| "ended with the run".to_owned()),
        }
    };
    report.workers.iter().enumerate().map(row).collect()
}

/// How many workers there were, and the memory of each; `None` if there were none.
pub(crate) fn workers_in_all(report: &Report) -> Option<String> {
    let memory = || report.workers.iter().map(|worker| worker.rss_peak);
    let (least, most) = (memory().min()?, memory().max()?);
    let of = match (show_bytes(least), show_bytes(most)) {
        (least, most) if least == most => most,
        (least, most) => format!("{least} to {most}"),
    };
    Some(format!("{} of {of}", report.workers.len()))
}
