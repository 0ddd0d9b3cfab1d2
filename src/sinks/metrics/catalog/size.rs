//! How many samples the metrics of a plan may have.
//!
//! `cli` asks before the run.
//! Invariant: no run has more samples than its plan was checked for.

use super::steps::{STATUS_CLASSES, call_results};
use super::view::PERIODS;
use crate::plan::RunManifest;
use crate::sinks::metrics::buckets::BOUNDS_US;
use crate::stats::{Calls, MessageCounts};
use crate::units::{counted, show_count};

/// The most samples that a scrape or a push of a run may have: what Prometheus and others take
/// without trouble.
const MAX_SAMPLES: usize = 200_000;

/// Samples of a histogram: its bounds, infinity, sum and count.
const HISTOGRAM: usize = BOUNDS_US.len() + 3;

/// Checks before the run that its metrics are few enough.
///
/// # Errors
/// How many there would be, and what to do.
pub fn check_size(plan: &RunManifest) -> Result<(), String> {
    let periods = if plan.warmup.is_zero() { 1 } else { PERIODS.len() };
    let messages = if plan.has_streams { MessageCounts::NAMES.len() + 3 * HISTOGRAM } else { 0 };
    let step =
        call_results(&Calls::default()).len() + STATUS_CLASSES.len() + 2 * HISTOGRAM + messages;
    let checks: usize = plan.checks.iter().map(|names| 2 * names.len()).sum();
    let loads = plan.workloads.len() * 3 * HISTOGRAM;
    let backends = plan.backends.len() * (call_results(&Calls::default()).len() + 2 + HISTOGRAM);
    let all = periods * (plan.steps.len() * step + checks + loads + backends);
    if all <= MAX_SAMPLES {
        return Ok(());
    }
    Err(format!(
        "metrics of this scenario may have {} samples, of which {} are from {}; at most {} are \
         exported. Give the same `name` to steps whose figures belong together",
        show_count(all as u64),
        show_count((periods * plan.steps.len() * step) as u64),
        counted(plan.steps.len() as u64, "step"),
        show_count(MAX_SAMPLES as u64),
    ))
}
