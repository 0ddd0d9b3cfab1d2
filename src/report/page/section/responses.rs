//! Responses and errors: status codes, and why calls got no response, with the cure of each.
//!
//! Invariant: each attempt without a response is counted in one row.

use maud::{Markup, html};

use super::super::view::PageView;
use super::super::words::{HtmlText, percent};
use super::cells::{count, head, share_bar};
use crate::stats::outcome;

pub fn render(view: &PageView<'_>) -> Markup {
    let snapshot = view.snapshot;
    let nothing = snapshot.statuses.is_empty() && snapshot.errors.is_empty();
    if nothing
        && snapshot.unset.is_empty()
        && snapshot.failed_expressions.is_empty()
        && snapshot.ran_out.is_empty()
    {
        return html! {};
    }
    html! { div.grid { (statuses(view)) (errors(view)) } (names(view)) }
}

fn statuses(view: &PageView<'_>) -> Markup {
    let all: u64 = view.snapshot.statuses.iter().map(|(_, count)| count).sum();
    html! {
        div {
            h3 { "Status codes" }
            @if all == 0 { p.empty { "No answer at all." } } @else {
                div.scroll { table {
                    (head(&[("status", false), ("answers", true), ("share", true), ("", false)]))
                    tbody { @for (status, n) in &view.snapshot.statuses {
                        @let share = *n as f64 / all as f64;
                        tr {
                            th scope="row" { (status) }
                            (count(*n))
                            td.n { (percent(share)) }
                            (share_bar(colour(*status), share))
                        }
                    } }
                } }
            }
        }
    }
}

fn colour(status: u16) -> &'static str {
    match status {
        200..300 => "c0",
        100..400 => "c4",
        400..500 => "warn",
        _ => "bad",
    }
}

const ERRORS: [(&str, bool); 4] =
    [("phase", false), ("kind", false), ("count", true), ("what to do", false)];

fn errors(view: &PageView<'_>) -> Markup {
    let errors = &view.snapshot.errors;
    html! {
        div {
            h3 { "Errors" }
            @if errors.is_empty() { p.empty { "Every attempt got an answer." } } @else {
                div.scroll { table {
                    (head(&ERRORS))
                    tbody { @for (index, n) in errors {
                        @let (phase, kind, hint) = outcome::error_at(*index);
                        tr {
                            td { (phase) }
                            th scope="row" { (kind) }
                            (count(*n))
                            td.note { (HtmlText(hint)) }
                        }
                    } }
                } }
            }
        }
    }
}

/// Variables that were not set, and data that was used up.
fn names(view: &PageView<'_>) -> Markup {
    let list = |title: &str, names: &[(String, u64)]| {
        html! { @if !names.is_empty() {
            h3 { (title) }
            div.scroll { table {
                (head(&[("name", false), ("times", true)]))
                tbody { @for (name, n) in names {
                    tr { th scope="row" { (HtmlText(name)) } (count(*n)) }
                } }
            } }
        } }
    };
    html! {
        (list("Variables that were not set", &view.snapshot.unset))
        (list("Expressions that failed", &view.snapshot.failed_expressions))
        (list("Data that was used up", &view.snapshot.ran_out))
    }
}
