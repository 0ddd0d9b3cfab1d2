//! Which calls of a run are kept one by one, and what requests say of it.
//!
//! `cli` sets it from the options of a run, `engine` obeys it.
//! Invariant: without it a run keeps no calls, and its requests are those of the scenario alone.

use crate::stats::CallSampling;

/// Calls that are kept for traces, logs and samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallRecordOptions {
    /// Which calls are kept.
    pub sampling: CallSampling,
    /// The share of iterations whose requests are marked as sampled in `traceparent`, as the bound
    /// of their sampling keys; `None` if requests have no such header.
    pub trace_context: Option<u64>,
}
