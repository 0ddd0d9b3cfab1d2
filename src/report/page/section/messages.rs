//! Streams and messages: streams held over time, delivery over time, the ledger, and the times of
//! each step.
//!
//! Invariant: lost messages rank above every delivery, as in rules.

use maud::{Markup, html};

use super::super::chart::scale::AxisScale;
use super::super::chart::time::{ChartSeries, SeriesStyle, TimeChart};
use super::super::chart::{ChartUnit, Plot};
use super::super::view::PageView;
use super::super::words::{HtmlText, percent, spread};
use super::cells::{count, fact, sortable, time};
use crate::report::rows::{self, MessageRow};
use crate::stats::timeline::BAND;
use crate::stats::{Latency, MessageCounts};
use crate::units::{counted, show_count};

/// Percentiles of a row.
const AT: [f64; 3] = [0.5, 0.95, 0.99];

/// Maximum rows that a browser can sort and show.
const ROWS: usize = 1_000;

/// Styles of the percentiles of delivery, in the order of [`BAND`].
const LOOKS: [&str; BAND.len()] = ["p50", "p95", "p99", "max"];

pub fn render(view: &PageView<'_>) -> Markup {
    let report = view.report;
    if !rows::has_streams(report) {
        return html! {};
    }
    let messages = rows::messages(report);
    html! {
        (facts(view))
        div.grid.wide {
            (held(view))
            (rates(view))
            (delivery(view))
        }
        @if !messages.is_empty() {
            h3 { "Ledger" }
            (ledger(&messages))
            h3 { "Times of messages" }
            (times(&messages))
            p.note { "Delivery: intended send to receipt, lost messages above all; transit: actual "
                "send to receipt; gap: between two messages of a stream; first: sending to the "
                "first content; tpot: time per token after the first; life: opening to end; "
                "confirm: actual send to the broker's confirmation; linger: actual send to the "
                "write of the batch; rebalance: without partitions of a consumer group." }
        }
    }
}

/// What the whole run held, and whether the ledger balances.
fn facts(view: &PageView<'_>) -> Markup {
    let report = view.report;
    let streams = &report.snapshot.streams;
    let counts = rows::message_ledger(report);
    let closed: Vec<String> = (streams.counts.closed.iter())
        .map(|(why, count)| format!("{} × {why}", show_count(*count)))
        .collect();
    let opened = format!(
        "{} opened, {} at once of {} wanted",
        show_count(streams.counts.opened),
        show_count(streams.peak),
        show_count(streams.wanted_peak)
    );
    let due = format!("{} due, {} delivered", show_count(counts.due), show_count(counts.delivered));
    html! {
        dl.facts.wide {
            @if streams.wanted_peak > 0 { (fact("streams", &html! { (opened) })) }
            @if streams.counts.reconnects > 0 {
                (fact("reconnections", &html! { (show_count(streams.counts.reconnects)) }))
            }
            @if !closed.is_empty() {
                (fact("closed", &html! { (HtmlText(&closed.join(", "))) }))
            }
            @if counts.due > 0 { (fact("deliveries", &html! { (due) })) }
            @for (title, text) in rows::broker_facts(&counts) { (fact(title, &html! { (text) })) }
            @if let Some(text) = rows::backlog_fact(report) { (fact("behind", &html! { (text) })) }
            @if let Some(remark) = rows::ledger_remark(report) {
                (fact("ledger", &html! { "does not balance: " (HtmlText(&remark)) }))
            }
            @if counts.judged > 0 {
                (fact("good", &html! { (counted(counts.good, "answer")) " of "
                    (show_count(counts.judged)) }))
            }
        }
    }
}

/// Streams open against streams wanted.
fn held(view: &PageView<'_>) -> Markup {
    let PageView { report, axis, .. } = view;
    if report.snapshot.streams.wanted_peak == 0 {
        return html! {};
    }
    let wanted = axis.most(report, |moment| Some(moment.streams_wanted as f64));
    let open = axis.most(report, |moment| Some(moment.streams as f64));
    let series = vec![
        ChartSeries::new("wanted", "c2", SeriesStyle::Steps, wanted),
        ChartSeries::new("open", "c1", SeriesStyle::Line, open),
    ];
    TimeChart::linear("Streams", "at the end of each second", ChartUnit::Count, 160, series)
        .render(report, axis)
}

/// Messages per second.
fn rates(view: &PageView<'_>) -> Markup {
    let PageView { report, axis, .. } = view;
    let sent = axis.rates(report, |point| point.messages.sent);
    let received = axis.rates(report, |point| point.messages.received);
    let series = vec![
        ChartSeries::new("received", "c1", SeriesStyle::Line, received),
        ChartSeries::new("sent", "c2", SeriesStyle::Line, sent),
    ];
    TimeChart::linear(
        "Messages per second",
        "by the second of the send",
        ChartUnit::Count,
        160,
        series,
    )
    .render(report, axis)
}

/// Percentiles of delivery.
fn delivery(view: &PageView<'_>) -> Markup {
    let PageView { report, axis, .. } = view;
    let all = axis.worst(report, |point| point.delivery);
    if all.iter().flatten().all(Option::is_none) {
        return html! {};
    }
    let known = all.iter().flatten().flatten().filter(|one| one.us > 0 || !one.at_least);
    let scale = AxisScale::log(known.map(|one| one.us as f64));
    let series = (BAND.iter().zip(LOOKS).enumerate().rev())
        .map(|(at, ((name, _), class))| {
            let column: Vec<_> = all.iter().map(|band| band[at]).collect();
            ChartSeries::quantiles(name, class, &column)
        })
        .collect();
    let title = "Delivery".to_owned();
    let note = "intended send to receipt; worst second per column".to_owned();
    let plot = Plot::new(format!("{title}: percentiles over time"), 240, scale, ChartUnit::Micros);
    TimeChart { title, note, plot, series }.render(report, axis)
}

/// A column of counts: its title, and its count.
type LedgerColumn = (&'static str, fn(&MessageCounts) -> u64);

/// The columns of the ledger; those of the second half are shown where a count is above zero.
const LEDGER: [LedgerColumn; 23] = [
    ("sent", |counts| counts.sent),
    ("received", |counts| counts.received),
    ("due", |counts| counts.due),
    ("delivered", |counts| counts.delivered),
    ("lost", MessageCounts::lost_for_good),
    ("missed", MessageCounts::missed_for_good),
    ("duplicated", |counts| counts.duplicated),
    ("reordered", |counts| counts.reordered),
    ("open", |counts| counts.open),
    ("unsent", |counts| counts.unsent),
    ("foreign", |counts| counts.foreign),
    ("unstamped", |counts| counts.unstamped),
    ("unmatched", |counts| counts.unmatched),
    ("dropped", |counts| counts.dropped),
    ("tokens", |counts| counts.tokens),
    ("confirmed", |counts| counts.confirmed),
    ("refused", |counts| counts.refused),
    ("unconfirmed", |counts| counts.unconfirmed),
    ("resent", |counts| counts.resent),
    ("rebalances", |counts| counts.rebalances),
    ("acknowledged", |counts| counts.acknowledged),
    ("rejected", |counts| counts.rejected),
    ("redelivered", |counts| counts.redelivered),
];

/// How many columns of the ledger are always shown.
const ALWAYS: usize = 6;

fn ledger(messages: &[MessageRow<'_>]) -> Markup {
    let is_shown = |(at, column): &(usize, &LedgerColumn)| {
        *at < ALWAYS || messages.iter().any(|row| (column.1)(&row.messages.counts) > 0)
    };
    let shown: Vec<&LedgerColumn> =
        LEDGER.iter().enumerate().filter(is_shown).map(|(_, column)| column).collect();
    let mut columns = vec![("step", false), ("workload", false)];
    columns.extend(shown.iter().map(|(title, _)| (*title, true)));
    // A step that opens streams.
    let opens = messages.iter().any(|row| row.messages.streams.wanted > 0);
    columns.extend(opens.then_some(("streams held", true)));
    let body = html! {
        @for row in messages.iter().take(ROWS) {
            tr {
                th scope="row" { (HtmlText(row.step.name)) }
                td { (HtmlText(row.step.workload)) }
                @for (_, of) in &shown { (count(of(&row.messages.counts))) }
                @if opens { (held_share(row)) }
            }
        }
    };
    sortable("messages", &columns, &body)
}

/// How much of the wanted time the streams of a step were open.
fn held_share(row: &MessageRow<'_>) -> Markup {
    let share = row.messages.streams.share();
    html! {
        td.n data-v=[share] {
            @match share { Some(share) => (percent(share)), None => span.none { "–" } }
        }
    }
}

fn times(messages: &[MessageRow<'_>]) -> Markup {
    let columns = [
        ("step", false),
        ("time", false),
        ("count", true),
        ("p50", true),
        ("p95", true),
        ("p99", true),
        ("max", true),
    ];
    let body = html! {
        @for row in messages.iter().take(ROWS) {
            @for one in rows::message_times(row.messages) {
                tr {
                    th scope="row" { (HtmlText(row.step.name)) }
                    td { (one.name.replace('_', " ")) }
                    (count(Latency::count(&one.times)))
                    @for quantile in spread(&one.times, &AT) { (time(quantile)) }
                }
            }
        }
    };
    sortable("message-times", &columns, &body)
}
