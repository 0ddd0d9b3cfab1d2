//! The load generator and the target: monitors on the same time axis.
//!
//! Invariant: a missing reading is a gap, never a zero.

use maud::{Markup, html};

use super::super::chart::ChartUnit;
use super::super::chart::time::{ChartSeries, SeriesStyle, TimeChart};
use super::super::view::PageView;
use super::super::words::HtmlText;
use super::cells::{fact, head};
use crate::report::cost;
use crate::report::quantile_text::quantile;
use crate::report::rows::{WorkerRow, aggregate, prewarmed_part, usage, worker_rows};
use crate::stats::monitor::{self, MonitorOwner};
use crate::stats::{Histogram, Monitor};
use crate::units::{show_bytes, show_count};

/// Rows of worker processes.
const MAX_WORKERS: usize = 64;

/// The charts of generator and target.
const SHOWN: usize = 16;

pub fn render(view: &PageView<'_>) -> Markup {
    html! {
        h3 { "Generator" }
        (generator(view))
        (workers(view))
        (monitors(view, MonitorOwner::Generator))
        @if view.report.info.monitors.iter().any(|monitor| monitor.owner == MonitorOwner::Target) {
            h3 { "Target" }
            (monitors(view, MonitorOwner::Target))
        }
    }
}

/// The worker processes, if the run had any.
fn workers(view: &PageView<'_>) -> Markup {
    let rows = worker_rows(view.report);
    html! {
        @if rows.iter().any(|row| row.agent.is_some()) {
            (agents(&rows))
        } @else if !rows.is_empty() {
            table {
                (head(&[("worker", false), ("shards", false), ("memory", true), ("end", false)]))
                tbody { @for row in rows.iter().take(MAX_WORKERS) {
                    tr {
                        th scope="row" { (row.name) }
                        td { (row.shards) }
                        td.n { (row.memory) }
                        td { (HtmlText(&row.end)) }
                    }
                } }
            }
        }
        @if let Some(aggregate) = aggregate(view.report) {
            p { "Aggregate " (aggregate) }
        }
        @if rows.len() > MAX_WORKERS {
            p.note { "And " (rows.len() - MAX_WORKERS) " more workers." }
        }
    }
}

/// The agents of a fleet.
fn agents(rows: &[WorkerRow]) -> Markup {
    let columns = [
        ("agent", false),
        ("machine", false),
        ("shards", false),
        ("share", true),
        ("worst lag", true),
        ("CPU", true),
        ("clock", true),
        ("first lag", true),
        ("memory", true),
        ("heard", false),
        ("state", false),
    ];
    html! {
        table {
            (head(&columns))
            tbody { @for row in rows.iter().take(MAX_WORKERS) { @if let Some(agent) = &row.agent {
                tr {
                    th scope="row" { (row.name) }
                    td { (HtmlText(&agent.host)) }
                    td { (row.shards) }
                    td.n { (agent.share) }
                    td.n { (agent.lag) }
                    td.n { (agent.cpu) }
                    td.n { (agent.clock) }
                    td.n { (agent.first_lag) }
                    td.n { (row.memory) }
                    td { (agent.heard) }
                    td { (HtmlText(&row.end)) }
                }
            } } }
        }
    }
}

/// The figures of the generator over the whole run.
fn generator(view: &PageView<'_>) -> Markup {
    let PageView { report, snapshot, .. } = view;
    let generator = &report.info.generator;
    let mut lag = Histogram::default();
    snapshot.measured.workloads.iter().for_each(|load| lag.merge(&load.lag));
    let health = &snapshot.health;
    let connections = &snapshot.connections;
    let opened = format!(
        "{} opened{}, {} failed, {} peak",
        show_count(connections.opened),
        prewarmed_part(connections),
        show_count(connections.failed),
        show_count(snapshot.connections_peak)
    );
    let bytes = format!(
        "{} sent, {} received",
        show_bytes(connections.bytes_sent),
        show_bytes(connections.bytes_received)
    );
    let used = usage::usage(report);
    let shards = generator.size();
    let late = quantile(&lag.into(), 0.99);
    html! {
        dl.facts.wide {
            (fact("tier", &html! { (generator.tier) ", " (shards)
                span.note { " " (HtmlText(&generator.reason)) } }))
            (fact("busiest core", &html! { (health.cpu_percent_max.round()) " % in a second" }))
            (fact("lag p99", &html! { @if late.is_empty() { "–" } @else { (late) } }))
            @if let Some(peak) = report.rss_peak { (fact("memory", &html! { (show_bytes(peak)) })) }
            @if let Some(cpu) = used.cpu_text() { (fact("cpu time", &html! { (cpu) })) }
            @if let Some(mean) = used.memory_mean {
                (fact("memory, mean", &html! { (show_bytes(mean)) }))
            }
            @if let Some(written) = used.written {
                (fact("files", &html! { (show_bytes(written)) " written before the reports" }))
            }
            @if let Some(cost) = cost::of_report(report) { (fact("cost", &html! { (cost) })) }
            @for missing in usage::left_out(report) {
                (fact("not written", &html! { (HtmlText(&missing)) }))
            }
            (fact("connections", &html! { (opened) }))
            (fact("bytes", &html! { (bytes) }))
        }
    }
}

fn monitors(view: &PageView<'_>, whose: MonitorOwner) -> Markup {
    let monitors = view.report.info.monitors.iter().enumerate();
    let own: Vec<_> = monitors.filter(|(_, monitor)| monitor.owner == whose).collect();
    html! {
        @if !own.is_empty() {
            div.grid.small {
                @for (at, monitor) in own.iter().take(SHOWN) { (chart(view, *at, monitor)) }
            }
        }
        @if own.len() > SHOWN { p.note { "And " (own.len() - SHOWN) " more monitors." } }
    }
}

fn chart(view: &PageView<'_>, at: usize, monitor: &Monitor) -> Markup {
    let PageView { report, coarse: axis, .. } = view;
    let values = axis.most(report, |moment| moment.monitors.get(at).copied().flatten());
    let unit = match monitor.unit {
        monitor::MonitorUnit::Percent => ChartUnit::Percent,
        monitor::MonitorUnit::Bytes => ChartUnit::Bytes,
        monitor::MonitorUnit::Count => ChartUnit::Count,
        monitor::MonitorUnit::Micros => ChartUnit::Micros,
        monitor::MonitorUnit::Plain => ChartUnit::Plain,
    };
    let colour = if monitor.owner == MonitorOwner::Target { "c2" } else { "c4" };
    let note = note(&values);
    let series = vec![ChartSeries::new(&monitor.name, colour, SeriesStyle::Line, values)];
    TimeChart::linear(&monitor.name, note, unit, 90, series).render(report, axis)
}

/// A remark on the line: its axis begins at zero.
fn note(values: &[Option<f64>]) -> &'static str {
    if values.iter().all(Option::is_none) {
        return "no reading";
    }
    let is_below = values.iter().flatten().any(|value| *value < 0.0);
    if is_below { "values below zero are drawn at zero" } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reading_below_zero_says_that_it_is_not_where_it_is_drawn() {
        assert_eq!(note(&[Some(1.0), None, Some(0.0)]), "");
        assert_eq!(note(&[None]), "no reading");
        assert!(note(&[Some(1.0), Some(-0.5)]).contains("below zero"));
    }
}
