//! Streams and messages as JSON.
//!
//! `json` adds it to `summary.json`.
//! Invariant: every count of the ledger is there, also zeros; times that no message has are left
//! out.

use serde_json::{Map, Value, json};

use super::json_parts::latency;
use super::rows;
use crate::event::Report;
use crate::stats::{MessageCounts, MessageWindow};

/// The members `messages` and `streams` of the document; null for a run without streams.
pub(crate) fn document(report: &Report) -> [(&'static str, Value); 2] {
    if !rows::has_streams(report) {
        return [("messages", Value::Null), ("streams", Value::Null)];
    }
    let mut messages = counts(&rows::message_ledger(report));
    messages["untracked_pairs"] = json!(report.snapshot.streams.counts.untracked_pairs);
    messages["receive_lag_us"] = latency(&report.snapshot.measured.receive_lag.clone().into());
    messages["adds_up"] = json!(rows::ledger_remark(report).is_none());
    messages["remark"] = json!(rows::ledger_remark(report));
    let streams = &report.snapshot.streams;
    let closed: Map<String, Value> =
        streams.counts.closed.iter().map(|(why, n)| (why.clone(), json!(n))).collect();
    let streams = json!({
        "opened": streams.counts.opened, "reconnects": streams.counts.reconnects,
        "ended": streams.counts.ended, "open_at_end": streams.open,
        "peak": streams.peak, "wanted_peak": streams.wanted_peak,
        "held_percent": streams.held.map(|share| share * 100.0),
        "closed": closed,
    });
    [("messages", messages), ("streams", streams)]
}

/// The messages of a step; null if it has none.
pub(crate) fn of_step(messages: Option<&MessageWindow>) -> Value {
    let Some(messages) = messages else { return Value::Null };
    let mut document = json!({ "counts": counts(&messages.counts) });
    document["streams"] = json!({
        "wanted_seconds": messages.streams.wanted, "held_seconds": messages.streams.held,
        "held_percent": messages.streams.share().map(|share| share * 100.0),
    });
    document["behind"] = match messages.behind.mean() {
        Some(mean) => json!({ "mean": mean, "listener_seconds": messages.behind.listeners }),
        None => Value::Null,
    };
    for row in rows::message_times(messages) {
        document[format!("{}_us", row.name)] = latency(&row.times);
    }
    document
}

fn counts(counts: &MessageCounts) -> Value {
    let all = MessageCounts::NAMES.into_iter().zip(counts.all());
    all.map(|(name, count)| (name.to_owned(), json!(count))).collect::<Map<_, _>>().into()
}
