//! Rows of messages: a step that sends, waits or listens, with its ledger and its times.
//!
//! Invariant: a row per step with messages, in the order of the plan; the sum of the rows is the
//! ledger of the run.

use super::steps::{StepRow, steps, steps_of};
use crate::event::Report;
use crate::stats::{Histogram, Latency, MessageCounts, MessageWindow};
use crate::units::{per_second, show_count};

/// A step with messages.
pub(crate) struct MessageRow<'r> {
    pub(crate) step: StepRow<'r>,
    pub(crate) messages: &'r MessageWindow,
    /// Messages per second of the time that the row covers; `None` if it has no length.
    pub(crate) sent_per_s: Option<f64>,
    pub(crate) received_per_s: Option<f64>,
}

/// A time of messages with its name in reports.
pub(crate) struct MessageTimes {
    pub(crate) name: &'static str,
    pub(crate) times: Latency,
}

/// All steps with messages that were measured after the warm-up.
pub(crate) fn messages(report: &Report) -> Vec<MessageRow<'_>> {
    rows(steps(report), report.snapshot.measured_ns)
}

/// All steps with messages so far: measured, or due in the warm-up while that is all.
pub(crate) fn current_messages(report: &Report) -> Vec<MessageRow<'_>> {
    let snapshot = &report.snapshot;
    let (part, ns) = if has_measured(report) {
        (&snapshot.measured, snapshot.measured_ns)
    } else {
        (&snapshot.warmup, snapshot.until_ns)
    };
    rows(steps_of(report, part), ns)
}

/// Whether messages were counted after the warm-up, or there is none.
fn has_measured(report: &Report) -> bool {
    let measured = &report.snapshot.measured;
    report.info.plan.warmup.is_zero() || !measured.messages(|_| true).counts.is_empty()
}

fn rows<'r>(steps: impl Iterator<Item = StepRow<'r>>, ns: u64) -> Vec<MessageRow<'r>> {
    steps
        .filter_map(|step| {
            let messages = step.window.messages.as_deref()?;
            let rate = |count| per_second(count, ns);
            let (sent, received) = (messages.counts.sent, messages.counts.received);
            let (sent_per_s, received_per_s) = (rate(sent), rate(received));
            Some(MessageRow { step, messages, sent_per_s, received_per_s })
        })
        .collect()
}

/// Whether the run has streams or messages.
pub(crate) fn has_streams(report: &Report) -> bool {
    report.snapshot.streams.counts.opened > 0
        || report.snapshot.streams.wanted_peak > 0
        || !messages(report).is_empty()
}

/// The ledger of the run, after the warm-up.
pub(crate) fn message_ledger(report: &Report) -> MessageCounts {
    report.snapshot.measured.messages(|_| true).counts
}

/// The ledger of the run so far: after the warm-up, or of the warm-up while that is all.
pub(crate) fn current_ledger(report: &Report) -> MessageCounts {
    let snapshot = &report.snapshot;
    let part = if has_measured(report) { &snapshot.measured } else { &snapshot.warmup };
    part.messages(|_| true).counts
}

/// What brokers made of messages: confirmations of sent ones, and what consumers made of received
/// ones, in words. Empty without a broker that confirms, or a consumer.
pub(crate) fn broker_facts(counts: &MessageCounts) -> Vec<(&'static str, String)> {
    let named = |all: &[(u64, &str)]| {
        let some = all.iter().enumerate().filter(|(at, (count, _))| *at == 0 || *count > 0);
        let some = some.map(|(_, (count, what))| format!("{} {what}", show_count(*count)));
        some.collect::<Vec<_>>().join(", ")
    };
    let mut facts = Vec::new();
    if counts.confirmed + counts.refused + counts.unconfirmed > 0 {
        let all = [
            (counts.confirmed, "confirmed"),
            (counts.refused, "refused"),
            (counts.unconfirmed, "without a confirmation"),
            (counts.resent, "sent again"),
        ];
        facts.push(("broker", named(&all)));
    }
    if counts.acknowledged + counts.rejected + counts.redelivered + counts.rebalances > 0 {
        let all = [
            (counts.acknowledged, "acknowledged"),
            (counts.rejected, "rejected"),
            (counts.redelivered, "redelivered"),
            (counts.rebalances, "rebalances"),
        ];
        facts.push(("consumers", named(&all)));
    }
    facts
}

/// What listeners had not received of what their brokers had, in words; `None` if no broker said.
pub(crate) fn backlog_fact(report: &Report) -> Option<String> {
    let mean = report.snapshot.measured.messages(|_| true).behind.mean()?;
    Some(format!("{mean:.1} messages for each listener, as a mean of the ends of seconds"))
}

/// The share of judged responses that met all limits of `good`; `None` if none was judged.
pub(crate) fn good_share(counts: &MessageCounts) -> Option<f64> {
    (counts.judged > 0).then(|| counts.good as f64 / counts.judged as f64)
}

/// Tokens per second after the warm-up; `None` before its end.
pub(crate) fn tokens_per_second(report: &Report) -> Option<f64> {
    per_second(message_ledger(report).tokens, report.snapshot.measured_ns)
}

/// Why the ledger of a finished run does not balance; `None` if it does.
pub(crate) fn ledger_remark(report: &Report) -> Option<String> {
    // A message may be sent in the warm-up and settled after it.
    let mut counts = message_ledger(report);
    counts.add(&report.snapshot.warmup.messages(|_| true).counts);
    if counts.holds() {
        return None;
    }
    let settled = counts.delivered + counts.lost + counts.missed + counts.unsent + counts.open;
    let settled = settled - counts.late - counts.replayed;
    Some(if counts.expected == counts.due {
        format!("{} deliveries are due and {settled} are settled", counts.due)
    } else {
        format!(
            "publishers expect {} deliveries and listeners are due {}: a listener was still open \
             at the end of the run",
            counts.expected, counts.due
        )
    })
}

/// The times of messages that have values, in the order of reports.
pub(crate) fn message_times(messages: &MessageWindow) -> Vec<MessageTimes> {
    let known = |times: &Histogram| Latency::from(times.clone());
    let all = [
        ("delivery", messages.delivery_of_all()),
        ("transit", known(&messages.transit)),
        ("gap", known(&messages.gap)),
        ("first", known(&messages.first)),
        ("first_text", known(&messages.first_text)),
        ("tpot", known(&messages.tpot)),
        ("life", known(&messages.life)),
        ("confirm", known(&messages.confirm)),
        ("linger", known(&messages.linger)),
        ("rebalance", known(&messages.rebalance)),
    ];
    let all = all.into_iter().filter(|(_, times)| times.count() > 0);
    all.map(|(name, times)| MessageTimes { name, times }).collect()
}
