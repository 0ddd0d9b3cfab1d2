//! The rows of a report: what text, JSON, CSV, Markdown, HTML and the dashboards show of a run.
//!
//! Renderers take rows and only lay them out: which figure stands in a row, of which time it is,
//! and over which time a rate is taken is decided here, once.
//! Invariant: a figure that is not known is `None`, never a zero.

mod backends;
mod caches;
mod checks;
pub(crate) mod client;
mod connections;
mod errors;
mod failures;
mod messages;
mod phases;
mod steps;
mod thresholds;
mod totals;
mod traces;
mod trust;
pub(crate) mod usage;
mod workers;
mod workloads;

pub(crate) use backends::{BackendRow, BackendStanding, backends};
pub(crate) use caches::{CacheRow, caches, first_failure};
pub(crate) use checks::{CheckRow, checks};
pub(crate) use connections::prewarmed_part;
pub(crate) use errors::{NamedCounts, ProblemRow, errors, named_counts};
pub(crate) use errors::{problems, statuses};
pub(crate) use failures::{FailureRow, failures};
pub(crate) use messages::{MessageRow, backlog_fact, broker_facts, messages};
pub(crate) use messages::{current_ledger, current_messages, good_share, tokens_per_second};
pub(crate) use messages::{has_streams, ledger_remark, message_ledger, message_times};
pub(crate) use phases::{PhaseRow, phases, phases_of};
pub(crate) use steps::{
    GroupRow, StepLabels, StepRow, current_step, current_steps, groups, is_measuring, steps,
};
pub(crate) use steps::{drain_note, lost_note, percentile};
pub(crate) use thresholds::{ThresholdRow, ThresholdState, bound_reason, thresholds, verdict};
pub(crate) use totals::{TotalsRow, totals};
pub(crate) use traces::{SlowCallRow, TraceRow, has_traces, slowest_traced, steps_with_traces};
pub(crate) use trust::reason_value;
pub(crate) use workers::{WorkerRow, aggregate, start_skew, worker_rows, workers_in_all};
pub(crate) use workloads::{WorkloadRow, workloads};
