//! Which calls of a run are kept one by one, what requests say of it, and where traces are shown.
//!
//! `cli` sets it from the options of a run, `engine` obeys it, reports name the traces.
//! Invariant: without it a run keeps no calls, and its requests are those of the scenario alone.

use super::trace_url::TraceUrl;
use crate::stats::{CallSampling, TraceSelection};

/// Calls that are kept for traces, logs and samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallRecordOptions {
    /// Which calls are kept.
    pub sampling: CallSampling,
    /// The share of iterations whose requests are marked as sampled in `traceparent`, as the bound
    /// of their sampling keys; `None` if requests have no such header.
    pub trace_context: Option<u64>,
    /// Whether a receiver gets the spans of traced calls.
    pub exports_spans: bool,
}

impl CallRecordOptions {
    /// Which of the kept calls have traces; `None` if none have.
    pub fn traces(self) -> Option<TraceSelection> {
        let exports_spans = self.exports_spans;
        self.trace_context.map(|below| TraceSelection { below, exports_spans })
    }
}

/// The traces of a run, as reports name them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TraceInfo {
    /// Which of the kept calls have traces.
    pub selection: TraceSelection,
    /// Where a trace is shown; `None` if that is not known.
    pub url: Option<TraceUrl>,
}
