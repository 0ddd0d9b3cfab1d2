//! The slowest calls of each step that have a trace, with links to it.
//!
//! Invariant: a link leads to http or https, and tells the page behind it nothing of this one.

use maud::{Markup, html};

use super::super::view::PageView;
use super::super::words::{HtmlLines, HtmlText};
use super::cells::{owner, sortable};
use crate::report::rows::{self, SlowCallRow, TraceRow};
use crate::units::show_us;

/// Maximum rows that a browser can sort and show.
const ROWS: usize = 1_000;

pub fn render(view: &PageView<'_>) -> Markup {
    let report = view.report;
    let all = || {
        rows::steps_with_traces(report).flat_map(|step| {
            let owner = (step.name, step.workload, step.archetype);
            rows::slowest_traced(report, step.id).map(move |row| (owner, row))
        })
    };
    let left_out = all().count().saturating_sub(ROWS);
    if all().next().is_none() {
        return html! {};
    }
    let columns = [
        ("step", false),
        ("workload", false),
        ("at", true),
        ("result", false),
        ("response", true),
        ("service", true),
        ("blocked", true),
        ("user", true),
        ("trace", false),
    ];
    let rows = html! { @for (step, row) in all().take(ROWS) { (slow_call(step, &row)) } };
    html! {
        (sortable("traces", &columns, &rows))
        p.note { "The slowest calls of each step among those that have a trace, due after the "
            "warm-up. They are a sample: percentiles come from all calls." }
        @if left_out > 0 { p.note { (left_out) " more calls are in summary.json." } }
    }
}

fn slow_call((step, workload, archetype): (&str, &str, &str), row: &SlowCallRow<'_>) -> Markup {
    let call = row.call;
    let time = |ns: u64| html! { td.n data-v=(ns) { (show_us(ns / 1_000)) } };
    html! {
        tr {
            th scope="row" { (HtmlText(step)) }
            td { (owner(workload, archetype)) }
            (time(call.intended.ns()))
            td {
                @match (row.status, &row.error) {
                    (Some(status), _) => (status),
                    (None, Some(error)) => (HtmlText(error)),
                    (None, None) => (call.result.name()),
                }
            }
            (time(call.response_ns))
            (time(call.service_ns))
            (time(call.blocked_ns))
            td.n data-v=(call.user) { (call.user) }
            td { (trace_link(&row.trace)) }
        }
    }
}

/// The id of a trace, as a link if it is known where the trace is shown.
pub(super) fn trace_link(trace: &TraceRow) -> Markup {
    html! {
        @match &trace.url {
            Some(url) => a href=(HtmlLines(url)) rel="noopener noreferrer" {
                code { (trace.trace_id) }
            },
            None => code { (trace.trace_id) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::tests::made_up;
    use super::*;

    #[test]
    fn links_are_escaped_and_without_traces_there_is_no_section() {
        let report = made_up(3, "shop");
        assert_eq!(render(&PageView::new(&report)).into_string(), "");
        let trace = TraceRow {
            trace_id: "0".repeat(32),
            span_id: "1".repeat(16),
            url: Some("http://h/?a=1&b='2'".to_owned()),
        };
        let link = trace_link(&trace).into_string();
        let wanted = "<a href=\"http://h/?a=1&amp;b='2'\" rel=\"noopener noreferrer\">";
        assert!(link.starts_with(wanted), "{link}");
        assert!(!trace_link(&TraceRow { url: None, ..trace }).into_string().contains("<a"));
    }
}
