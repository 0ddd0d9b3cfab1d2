//! The first failing call of each kind, as a shell command that repeats it.
//!
//! Invariant: texts of a target are escaped.

use maud::{Markup, html};

use super::super::view::PageView;
use super::super::words::{HtmlLines, HtmlText};
use super::traces::trace_link;
use crate::report::rows::{self, FailureRow};
use crate::units::{show_count, show_us};

pub fn render(view: &PageView<'_>) -> Markup {
    if view.snapshot.exemplars.is_empty() {
        return html! {};
    }
    html! {
        p.note { "The earliest failure of each step and kind, the most frequent kind first. "
            "Secrets, login headers and cookies are shown as " code { "***" } "." }
        @for failure in rows::failures(view.report) { (exemplar(&failure)) }
    }
}

fn exemplar(failure: &FailureRow<'_>) -> Markup {
    let (one, what) = (failure.call, &failure.kind);
    let key = format!("{}/{}/{what}", one.step, failure.step);
    html! {
        details.failure data-key=(HtmlText(&key)) {
            summary {
                span.count { (show_count(failure.count)) " ×" } " "
                strong { (HtmlText(what)) } " " span { (HtmlText(failure.step)) }
                span.note {
                    " · " (HtmlText(failure.workload)) ", first at "
                    (show_us(one.intended.ns() / 1_000)) ", user " (one.user)
                }
            }
            @if !one.curl.is_empty() {
                div.command {
                    pre { code { (HtmlLines(&one.curl)) } }
                    button.copy type="button" hidden { "Copy" }
                }
            }
            @if let Some(trace) = &failure.trace { p { "Trace " (trace_link(trace)) } }
            @if one.cut { p.note { "The request is too long for one line: its beginning." } }
            @if !one.error_text.is_empty() { p { (HtmlText(&one.error_text)) } }
            @if !one.failed.is_empty() {
                p { "Failed checks: " @for (at, name) in one.failed.iter().enumerate() {
                    @if at > 0 { ", " } code { (HtmlText(name)) }
                } }
            }
            @if !one.head.is_empty() {
                h4 { "Response head" }
                pre { (HtmlLines(&one.head)) }
            }
            @if !one.body.is_empty() {
                h4 { "Response body, beginning" }
                pre { (HtmlLines(&one.body)) }
            }
        }
    }
}
