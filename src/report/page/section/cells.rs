//! Tables, cells and facts that several sections share.
//!
//! Invariant: a value that is not known is `–`, never a zero.

use maud::{Markup, html};

use super::super::chart::tenth;
use super::super::words::{HtmlText, percent, weight};
use crate::report::quantile_text::show_quantile;
use crate::stats::Quantile;
use crate::units::show_count;

/// The head of a table. Numbers are right-aligned; columns without a name are bars.
pub(super) fn head(columns: &[(&str, bool)]) -> Markup {
    html! {
        thead { tr {
            @for (name, is_number) in columns {
                th.n[*is_number] scope="col" { (name) }
            }
        } }
    }
}

/// A table that the script can sort, and that scrolls if it is too wide.
pub fn sortable(key: &str, columns: &[(&str, bool)], rows: &Markup) -> Markup {
    html! {
        div.scroll tabindex="0" role="group" aria-label={ "Table: " (key) } {
            table.sortable data-key=(key) { (head(columns)) tbody { (rows) } }
        }
    }
}

/// A cell with a count.
pub(super) fn count(count: u64) -> Markup {
    html! { td.n data-v=(count) { (show_count(count)) } }
}

/// A cell with a percentile; `≥` for a bound, `~` for one of few calls.
pub(super) fn time(quantile: Option<Quantile>) -> Markup {
    html! {
        td.n.open[quantile.is_some_and(|one| one.at_least)] data-v=[weight(quantile)] {
            @match quantile {
                Some(quantile) => (show_quantile(quantile)),
                None => span.none { "–" },
            }
        }
    }
}

/// A cell with an error rate.
pub(super) fn errors(share: Option<f64>) -> Markup {
    let is_bad = share.is_some_and(|share| share > 0.0);
    html! {
        td.n.bad[is_bad] data-v=[share] {
            @match share { Some(share) => (percent(share)), None => span.none { "–" } }
        }
    }
}

/// A cell with a share as a bar.
pub(super) fn share_bar(class: &str, share: f64) -> Markup {
    let width = tenth((share * 100.0).clamp(0.0, 100.0));
    html! {
        td.bar-cell { svg.meter viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true" {
            rect.track width="100" height="8" {}
            rect.(class) width=(width) height="8" {}
        } }
    }
}

/// A name and a value.
pub(super) fn fact(name: &str, value: &Markup) -> Markup {
    html! { div { dt { (name) } dd { (value) } } }
}

/// The workload of a series, and its archetype if that has another name.
pub(super) fn owner(workload: &str, archetype: &str) -> Markup {
    html! {
        (HtmlText(workload))
        @if archetype != workload { span.note { " · " (HtmlText(archetype)) } }
    }
}
