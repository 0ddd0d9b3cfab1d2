//! Worker processes of a run, as the dispatcher and reports see them.
//!
//! `fleet` makes them, `run` adds them to the report.
//! Invariant: workers are numbered from 1 for readers, by index in code.

use crate::plan::slots::ShardRange;

/// A worker process that ended before its shards did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerLoss {
    /// The index of the worker.
    pub worker: usize,
    /// Its shards.
    pub range: ShardRange,
    /// How it ended, as text.
    pub why: String,
}

/// The use of one worker over the whole run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerUse {
    /// Its shards.
    pub range: ShardRange,
    /// Peak resident memory, bytes; as it was read last, if the worker was lost.
    pub rss_peak: u64,
    /// Why one of its shards failed; `None` if none did.
    pub failed: Option<String>,
    /// How it ended, if it was lost.
    pub loss: Option<String>,
}
