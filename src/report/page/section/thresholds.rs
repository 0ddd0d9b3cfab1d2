//! Thresholds: observed value, limit, and margin.
//!
//! Invariant: a bound is marked as one, and a threshold without an observed value did not pass.

use maud::{Markup, html};

use super::super::chart::tenth;
use super::super::view::PageView;
use super::super::words::HtmlText;
use crate::report::rows::{self, ThresholdRow, ThresholdState};
use crate::verdict::Judgement;

pub fn render(view: &PageView<'_>) -> Markup {
    let judgements = &view.report.judgements;
    if judgements.is_empty() {
        return html! { p.empty { "No thresholds: nothing was judged." } };
    }
    let rows = html! { @for one in rows::thresholds(view.report) { (row(&one)) } };
    let columns = [
        ("", false),
        ("rule", false),
        ("observed", true),
        ("limit", true),
        ("margin", false),
        ("", false),
    ];
    super::cells::sortable("thresholds", &columns, &rows)
}

fn row(one: &ThresholdRow<'_>) -> Markup {
    let (class, mark, says) = match one.state {
        ThresholdState::Waiting => ("none", "…", "no data yet"),
        ThresholdState::Holds | ThresholdState::Fails if one.is_undecided => {
            ("warn", "?", "not decided")
        }
        ThresholdState::Holds => ("good", "✓", "passed"),
        ThresholdState::Fails => ("bad", "✗", "failed"),
    };
    html! {
        tr {
            td.mark-cell.(class) { span aria-hidden="true" { (mark) } span.hidden { (says) } }
            td { code { (HtmlText(one.rule)) } }
            td.n { (one.observed) }
            td.n { (one.limit) }
            td.room { (room(one.judgement)) }
            td.note { (one.note("; ")) }
        }
    }
}

/// The observed value as a bar, with the limit as a line.
fn room(one: &Judgement) -> Markup {
    let limit = one.threshold.limit;
    let Some(observed) = one.observed else { return html! {} };
    // Both fit into the bar, whichever is larger.
    let all = (observed.max(limit) * 1.25).max(f64::MIN_POSITIVE);
    let (bar, line) = (tenth(observed / all * 100.0), tenth(limit / all * 100.0));
    let class = if one.passed { "good" } else { "bad" };
    html! {
        svg.meter viewBox="0 0 100 12" preserveAspectRatio="none" aria-hidden="true" {
            rect.track y="2" width="100" height="8" {}
            rect.(class) y="2" width=(bar) height="8" {}
            path.limit d={ "M" (line) " 0V12" } {}
        }
    }
}
