//! Metrics of backends: the addresses of services with several.
//!
//! Invariant: a call is at the backend of its last attempt, each attempt at its own.

use super::samples::{count, counter, times, with_label};
use super::steps::call_results;
use super::view::ReportView;
use crate::sinks::metrics::family::{MetricFamily, Times};

/// Calls, attempts and response times by backend.
pub(super) fn backends(view: ReportView<'_>) -> [MetricFamily<'_>; 4] {
    [
        counter(
            "manada.backend.calls",
            "Calls whose last attempt went to a backend, by result.",
            view.backends().flat_map(|(labels, window)| {
                with_label("result", &labels, call_results(&window.calls.calls))
            }),
        ),
        counter(
            "manada.backend.attempts",
            "Attempts that went to a backend.",
            view.backends().map(|(labels, window)| count(labels, window.attempts)),
        ),
        counter(
            "manada.backend.attempts.failed",
            "Attempts that a backend failed: no response in time, or a status of 500 and above.",
            view.backends().map(|(labels, window)| count(labels, window.failed)),
        ),
        times(
            "manada.backend.response.duration",
            "Response time of calls by backend. Calls without a response are above all bounds.",
            view.backends().map(|(labels, window)| (labels, Times::from(&window.calls.response))),
        ),
    ]
}
