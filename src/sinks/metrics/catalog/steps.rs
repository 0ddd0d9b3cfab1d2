//! Metrics of steps: calls, responses, checks, times, messages.
//!
//! Invariant: a call is in one sample of `manada.calls`, and once in each distribution of times.

use super::samples::{counter, gauge, label, level, times, times_with_exemplars, with_label};
use super::view::ReportView;
use crate::protocol::status::as_http;
use crate::sinks::metrics::family::{MetricFamily, Times};
use crate::stats::delta::StepWindow;
use crate::stats::{Calls, MessageCounts};

/// Calls by result, as label and count.
pub(super) fn call_results(calls: &Calls) -> [(&'static str, u64); 8] {
    [
        ("ok", calls.ok),
        ("failed", calls.failed),
        ("timeout", calls.timeout),
        ("suppressed", calls.suppressed),
        ("muted", calls.muted),
        ("cancelled", calls.cancelled),
        ("generator_error", calls.generator_errors),
        ("unfinished", calls.unfinished),
    ]
}

/// Classes of status codes, as values of the label `status_class`.
pub(super) const STATUS_CLASSES: [&str; 9] =
    ["1xx", "2xx", "3xx", "4xx", "5xx", "6xx", "7xx", "8xx", "9xx"];

/// Calls, responses, checks and times of steps.
pub(super) fn steps(view: ReportView<'_>) -> [MetricFamily<'_>; 5] {
    let checks = &view.report.info.plan.checks;
    [
        counter(
            "manada.calls",
            "Calls that have ended, by result.",
            view.series().flat_map(|(labels, _, step)| {
                let counts = call_results(&step.calls);
                with_label("result", &labels, counts)
            }),
        ),
        counter(
            "manada.responses",
            "Responses by the class of their status.",
            view.series().flat_map(|(labels, _, step)| {
                with_label("status_class", &labels, status_classes(step))
            }),
        ),
        counter(
            "manada.checks",
            "Checks by result.",
            view.series().flat_map(|(labels, id, step)| {
                let names = checks[id.index()].iter().zip(&step.checks);
                names.flat_map(move |(check, [passed, failed])| {
                    let mut own = labels.clone();
                    own.push(label("check", check));
                    with_label("result", &own, [("passed", *passed), ("failed", *failed)])
                })
            }),
        ),
        times_with_exemplars(
            "manada.response.duration",
            "Response time: from when a call was due to its last byte. Calls without a \
             response are above all bounds.",
            view.response_times(),
        ),
        times(
            "manada.service.duration",
            "Service time: from when a call was sent to its last byte. Calls without a \
             response are above all bounds.",
            view.series().map(|(labels, _, step)| (labels, Times::from(&step.service))),
        ),
    ]
}

/// Messages of streams, if there are any.
pub(super) fn messages(view: ReportView<'_>) -> Vec<MetricFamily<'_>> {
    if !view.report.info.plan.has_streams {
        return Vec::new();
    }
    let messages = || {
        let all = view.series();
        all.filter_map(|(labels, _, step)| Some((labels, step.messages.as_deref()?)))
    };
    let open = view.report.snapshot.streams.open as f64;
    vec![
        gauge("manada.streams", "Streams that are open.", [level(Vec::new(), open)]),
        counter(
            "manada.messages",
            "Messages of streams, by the entries of their ledger.",
            messages().flat_map(|(labels, window)| {
                let counts = MessageCounts::NAMES.into_iter().zip(window.counts.all());
                with_label("entry", &labels, counts.filter(|(_, n)| *n > 0))
            }),
        ),
        times(
            "manada.message.delivery.duration",
            "Time from when a message was due to be sent to its receipt.",
            messages().map(|(labels, window)| (labels, Times::from(&window.delivery))),
        ),
        times(
            "manada.message.first.duration",
            "Time from a request to the first content of its stream.",
            messages().map(|(labels, window)| (labels, Times::from(&window.first))),
        ),
        times(
            "manada.message.gap.duration",
            "Time between two messages of a stream.",
            messages().map(|(labels, window)| (labels, Times::from(&window.gap))),
        ),
    ]
}

/// The responses of a series by the first digit of their status.
fn status_classes(step: &StepWindow) -> Vec<(&'static str, u64)> {
    let mut counts = [0; STATUS_CLASSES.len()];
    for (status, n) in &step.statuses {
        let class = usize::from(as_http(*status) / 100).clamp(1, STATUS_CLASSES.len());
        counts[class - 1] += n;
    }
    STATUS_CLASSES.into_iter().zip(counts).filter(|(_, n)| *n > 0).collect()
}
