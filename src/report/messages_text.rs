//! Streams and messages of a run for the terminal.
//!
//! `summary` renders it.
//! Invariant: a count that is not zero and means trouble is shown; a run without streams shows
//! nothing.

use std::fmt::Write as _;

use super::ansi::{BAD, WARN, paint, plain};
use super::quantile_text::short_quantile;
use super::rows::{self, MessageRow};
use super::text_lines::{heading, painted, wrapped};
use super::text_table::{Align, TextTable};
use crate::event::Report;
use crate::stats::MessageCounts;
use crate::units::{counted, show_count};

/// Streams, the ledger of messages, and their times.
pub(crate) fn render(out: &mut String, report: &Report) {
    if !rows::has_streams(report) {
        return;
    }
    heading(out, "Streams and messages");
    streams(out, report);
    let messages = rows::messages(report);
    if messages.is_empty() {
        return;
    }
    ledger(out, report);
    answers(out, report);
    counts(out, &messages);
    times(out, &messages);
}

fn streams(out: &mut String, report: &Report) {
    let streams = &report.snapshot.streams;
    if streams.wanted_peak == 0 && streams.counts.opened == 0 {
        return;
    }
    let mut text = format!(
        "{} opened, {} at once of {} wanted",
        show_count(streams.counts.opened),
        show_count(streams.peak),
        show_count(streams.wanted_peak),
    );
    if streams.counts.reconnects > 0 {
        let _ = write!(text, ", {}", counted(streams.counts.reconnects, "reconnection"));
    }
    wrapped(out, "streams", &text);
    let closed = &streams.counts.closed;
    if !closed.is_empty() {
        let closed: Vec<String> = closed
            .iter()
            .map(|(why, count)| format!("{} × {}", show_count(*count), plain(why)))
            .collect();
        wrapped(out, "closed", &closed.join(", "));
    }
}

/// What was due and did not come as it should.
fn ledger(out: &mut String, report: &Report) {
    let counts = rows::message_ledger(report);
    if counts.due > 0 {
        let text =
            format!("{} due, {} delivered", show_count(counts.due), show_count(counts.delivered));
        wrapped(out, "deliveries", &text);
    }
    for (title, text) in rows::broker_facts(&counts) {
        wrapped(out, title, &text);
    }
    if let Some(text) = rows::backlog_fact(report) {
        wrapped(out, "behind", &text);
    }
    let trouble = trouble(&counts);
    if !trouble.is_empty() {
        painted(out, "", BAD, &trouble.join(", "));
    }
    if let Some(remark) = rows::ledger_remark(report) {
        painted(out, "", WARN, &format!("the ledger does not balance: {remark}"));
    }
}

/// The tokens of responses that came in pieces, and how many of these responses were good.
fn answers(out: &mut String, report: &Report) {
    let counts = rows::message_ledger(report);
    if counts.tokens > 0 {
        let mut text = show_count(counts.tokens);
        if let Some(rate) = rows::tokens_per_second(report) {
            let _ = write!(text, ", {rate:.0} per second");
        }
        if counts.by_chunks > 0 {
            let responses = counted(counts.by_chunks, "response");
            let _ = write!(text, "; {responses} without a usage report, counted by chunks");
        }
        wrapped(out, "tokens", &text);
    }
    if let Some(share) = rows::good_share(&counts) {
        let of = counted(counts.judged, "response");
        let text = format!("{:.2} %: {} of {of}", share * 100.0, show_count(counts.good));
        wrapped(out, "good", &text);
    }
}

/// The counts that mean trouble and are not zero, in words.
fn trouble(counts: &MessageCounts) -> Vec<String> {
    [
        (counts.lost_for_good(), "lost"),
        (counts.missed_for_good(), "missed while reconnecting"),
        (counts.unsent, "not sent"),
        (counts.duplicated, "duplicated"),
        (counts.reordered, "out of order"),
        (counts.foreign, "of another run"),
        (counts.unstamped, "without a stamp"),
        (counts.dropped, "dropped: a full inbox, or answers that the target does not read"),
        (counts.ahead, "received before they were sent: the clocks differ"),
    ]
    .into_iter()
    .filter(|(count, _)| *count > 0)
    .map(|(count, what)| format!("{} {what}", show_count(count)))
    .collect()
}

fn counts(out: &mut String, messages: &[MessageRow<'_>]) {
    let mut aligns = [Align::Right; 7];
    aligns[0] = Align::Left;
    let mut table = TextTable::new(&aligns);
    table.head(["messages", "sent", "received", "due", "delivered", "lost", "missed"]);
    for row in messages {
        let counts = &row.messages.counts;
        let lost = show_count(counts.lost_for_good());
        let lost = if counts.lost_for_good() > 0 { paint(BAD, &lost) } else { lost };
        table.row([
            plain(row.step.name),
            show_count(counts.sent),
            show_count(counts.received),
            show_count(counts.due),
            show_count(counts.delivered),
            lost,
            show_count(counts.missed_for_good()),
        ]);
    }
    table.render(out, 2);
}

fn times(out: &mut String, messages: &[MessageRow<'_>]) {
    let mut aligns = [Align::Right; 6];
    (aligns[0], aligns[1]) = (Align::Left, Align::Left);
    let mut table = TextTable::new(&aligns);
    table.head(["message times", "", "p50", "p95", "p99", "max"]);
    let mut is_empty = true;
    for row in messages {
        let mut name = plain(row.step.name);
        for time in rows::message_times(row.messages) {
            let [p50, p95, p99, max] = [0.5, 0.95, 0.99, 1.0]
                .map(|p| rows::percentile(&time.times, p).map_or(String::new(), short_quantile));
            table.row([std::mem::take(&mut name), time.name.replace('_', " "), p50, p95, p99, max]);
            is_empty = false;
        }
    }
    if !is_empty {
        table.render(out, 2);
    }
}
