//! The table of caches: a row for each layer.
//!
//! `tables` places it.
//! Invariant: it is there only if a cache was looked up.

use maud::{Markup, html};

use super::super::view::PageView;
use super::super::words::HtmlText;
use super::cells::{count, sortable};
use crate::report::{caches, rows};

/// A sentence for each cache, and the layers of all.
pub(super) fn caches(view: &PageView<'_>) -> Markup {
    let all = rows::caches(view.report);
    if all.is_empty() {
        return html! {};
    }
    let columns = [
        ("cache", false),
        ("layer", false),
        ("hits", true),
        ("misses", true),
        ("expired", true),
        ("unreadable", true),
        ("promoted", true),
        ("written", true),
        ("failed", true),
        ("timeouts", true),
        ("skipped", true),
    ];
    let body = html! {
        @for row in &all {
            @for (name, layer) in &row.layers {
                tr {
                    th scope="row" { (HtmlText(row.name)) }
                    td { (HtmlText(name)) }
                    (count(layer.hits))
                    (count(layer.misses))
                    (count(layer.expired))
                    (count(layer.unreadable))
                    (count(layer.promotions))
                    (count(layer.writes))
                    (count(layer.failed))
                    (count(layer.timeouts))
                    (count(layer.skipped))
                }
            }
        }
    };
    html! {
        h3 { "Caches" }
        @for row in &all { p { (HtmlText(&caches::sentence(row))) "." } }
        @for row in &all {
            @for (name, layer) in &row.layers {
                @if let Some(failure) = rows::first_failure(layer) {
                    p { (HtmlText(row.name)) ", " (HtmlText(name)) " " (HtmlText(&failure)) "." }
                }
            }
        }
        (sortable("caches", &columns, &body))
    }
}
