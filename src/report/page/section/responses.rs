//! Status codes, and attempts without a response by cause, with a hint for each.
//!
//! Invariant: each attempt without a response is counted in one row.

use maud::{Markup, html};

use super::super::view::PageView;
use super::super::words::{HtmlText, percent};
use super::cells::{count, head, share_bar};
use crate::protocol::status;
use crate::report::rows::{self, NamedCounts};

pub fn render(view: &PageView<'_>) -> Markup {
    let snapshot = view.snapshot;
    let causes = rows::named_counts(view.report);
    let nothing = snapshot.statuses.is_empty() && snapshot.errors.is_empty();
    if nothing && causes.iter().all(|causes| causes.counts.is_empty()) {
        return html! {};
    }
    html! {
        div.grid { (statuses(view)) (errors(view)) }
        @for causes in &causes { (names(causes)) }
    }
}

fn statuses(view: &PageView<'_>) -> Markup {
    html! {
        div {
            h3 { "Status codes" }
            @if view.snapshot.statuses.is_empty() { p.empty { "No response." } } @else {
                div.scroll { table {
                    (head(&[("status", false), ("responses", true), ("share", true), ("", false)]))
                    tbody { @for row in rows::statuses(view.report) {
                        tr {
                            th scope="row" { (status::name(row.status)) }
                            (count(row.count))
                            td.n { (percent(row.share)) }
                            (share_bar(colour(row.status), row.share))
                        }
                    } }
                } }
            }
        }
    }
}

fn colour(status: u16) -> &'static str {
    match status::as_http(status) {
        200..300 => "c0",
        100..400 => "c4",
        400..500 => "warn",
        _ => "bad",
    }
}

const ERRORS: [(&str, bool); 4] =
    [("phase", false), ("kind", false), ("count", true), ("what to do", false)];

fn errors(view: &PageView<'_>) -> Markup {
    html! {
        div {
            h3 { "Errors" }
            @if view.snapshot.errors.is_empty() {
                p.empty { "Every attempt got a response." }
            } @else {
                div.scroll { table {
                    (head(&ERRORS))
                    tbody { @for row in rows::errors(view.report) {
                        tr {
                            td { (row.phase) }
                            th scope="row" { (row.kind) }
                            (count(row.count))
                            td.note { (HtmlText(row.hint)) }
                        }
                    } }
                } }
            }
        }
    }
}

/// Variables that were not set, and data that was used up.
fn names(causes: &NamedCounts<'_>) -> Markup {
    html! { @if !causes.counts.is_empty() {
        h3 { (causes.title) }
        div.scroll { table {
            (head(&[("name", false), ("times", true)]))
            tbody { @for (name, n) in causes.counts {
                tr { th scope="row" { (HtmlText(name)) } (count(*n)) }
            } }
        } }
    } }
}
