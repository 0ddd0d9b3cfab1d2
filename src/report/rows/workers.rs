//! The worker processes of a run.
//!
//! Invariant: a run in one process has no rows.

use crate::event::{Report, WorkerUse};
use crate::plan::slots::ShardRange;
use crate::units::show_bytes;

/// A worker process.
pub(crate) struct WorkerRow {
    /// Its number, from 1.
    pub(crate) number: String,
    /// Its shards, such as `0, 2, 4`, or `0, 2, … 14` if there are many.
    pub(crate) shards: String,
    /// Peak memory.
    pub(crate) memory: String,
    /// How it ended: with the run, or lost, or one of its shards failed.
    pub(crate) end: String,
    /// Whether that is a fault.
    pub(crate) is_fault: bool,
}

/// Shards listed in full.
const MOST_LISTED: u64 = 4;

fn show_shards(range: ShardRange) -> String {
    let listed = range.count().min(if range.count() > MOST_LISTED { 2 } else { MOST_LISTED });
    let shown: Vec<String> = (0..listed).map(|index| range.shard_at(index).to_string()).collect();
    let shown = shown.join(", ");
    if listed == range.count() {
        return shown;
    }
    format!("{shown}, … {}", range.shard_at(range.count() - 1))
}

/// The workers of a run, in order.
pub(crate) fn worker_rows(report: &Report) -> Vec<WorkerRow> {
    let row = |(index, worker): (usize, &WorkerUse)| {
        let range = worker.range;
        let lost = worker.loss.as_ref().map(|how| format!("lost: {how}"));
        let failed = worker.failed.as_ref().map(|why| format!("failed: {why}"));
        WorkerRow {
            number: (index + 1).to_string(),
            shards: show_shards(range),
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
